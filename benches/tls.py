"""CPU time of GET through TLS and without, beside another server.

Usage: tls.py ROSTER PEER GENERATOR [ROUNDS [OPERATIONS]]

PEER has to be built with TLS, and GENERATOR, a redis-benchmark or valkey-benchmark, too: Debian's are. Each server has one worker on the
first CPU and the generator has the last; 50 connections, 64 bytes, TLS 1.3 with AES-256-GCM and a certificate of P-256. The handshakes of the
connections are measured apart, by runs of one request a connection, and taken off. Prints microseconds an operation as medians of the rounds.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from sessions import CPUS, Server, encoded, free_port, lines_of

CLIENTS = 50
SUITE = "TLS_AES_256_GCM_SHA384"


def certificate(folder: str) -> list:
    """A key and a certificate that vouches for itself; the options that name them."""
    key, cert = f"{folder}/key.pem", f"{folder}/cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*command, "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    names = {"cert-file": cert, "key-file": key, "ca-cert-file": cert, "auth-clients": "no", "protocols": "TLSv1.3", "ciphersuites": SUITE}
    return [word for name, value in names.items() for word in (f"--tls-{name}", value)]


def generate(generator: str, port: int, secure: bool, pipeline: int, operations: int) -> None:
    command = [generator, "-p", str(port), "-c", str(CLIENTS), "-n", str(operations), "-r", "100000", "-d", "64", "-P", str(pipeline)]
    more = ["--tls", "--insecure", "--tls-ciphersuites", SUITE] if secure else []
    subprocess.run([*command, *more, "-t", "get", "-q"], check=True, capture_output=True)


def measured(server: Server, generator: str, port: int, secure: bool, pipeline: int, operations: int) -> float:
    cpu = []
    for amount in (CLIENTS, operations):
        before = server.cpu()
        generate(generator, port, secure, pipeline, amount)
        cpu.append(server.cpu() - before)
    return (cpu[1] - cpu[0]) / (operations - CLIENTS)


def main() -> None:
    roster, peer, generator = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    operations = int(sys.argv[5]) if len(sys.argv) > 5 else 100_000
    os.sched_setaffinity(0, CPUS[-1:])
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        options = certificate(folder)
        for _ in range(rounds):
            for name, program in (("roster", roster), ("peer", peer)):
                secure_port = free_port()
                server = Server(program, name == "roster", 1, ("--tls-port", str(secure_port), *options))
                client = server.connect()
                for first in range(0, 100_000, 1000):
                    batch = (encoded("SET", f"key:{first + number:012}", "x" * 64) for number in range(1000))
                    client.sendall(b"".join(batch))
                    lines_of(client, 1000)
                for pipeline in (1, 16):
                    for secure, port in ((False, server.port), (True, secure_port)):
                        found = measured(server, generator, port, secure, pipeline, operations * (1 if pipeline == 1 else 5))
                        figures.setdefault((pipeline, secure), {}).setdefault(name, []).append(found)
                server.close()
    print("| CPU µs of a GET | roster | peer | ratio |\n| --- | --: | --: | --: |")
    for (pipeline, secure), found in figures.items():
        ours, theirs = (statistics.median(found[name]) for name in ("roster", "peer"))
        ratios = [one / other for one, other in zip(found["roster"], found["peer"])]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| pipeline {pipeline}, {'TLS' if secure else 'plain'} | {ours:.2f} | {theirs:.2f} | {spread} |")


if __name__ == "__main__":
    main()
