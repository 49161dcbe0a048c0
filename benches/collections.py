"""Memory of collections beside another server: large ones, and many small ones.

Usage: collections.py ROSTER PEER [ROUNDS [WORDS IN A CASE'S NAME]]

Prints resident bytes per element of a collection of a million, and per collection of 100,000 small ones, as medians of the
rounds. What the first requests of a kind bring into memory (code, buffers) is the server's: the server is weighed empty after
it has run the same requests on a few keys and removed those.
"""

import socket
import statistics
import subprocess
import sys
import time

LARGE, SMALL, BATCH = 1_000_000, 100_000, 2000

CASES = {
    "hash of a million fields": (LARGE, lambda n: ("HSET", "h", "field:%07d" % n, "value:%07d" % n)),
    "set of a million members": (LARGE, lambda n: ("SADD", "s", "member:%07d" % n)),
    "sorted set of a million members": (LARGE, lambda n: ("ZADD", "z", str(n * 7919 % 1000003), "member:%07d" % n)),
    "list of a million elements": (LARGE, lambda n: ("RPUSH", "l", "element:%07d" % n)),
    "stream of a million entries": (LARGE, lambda n: ("XADD", "x", "%d-1" % (n + 1), "field", "value:%07d" % n)),
    "each of 100,000 hashes of five fields": (SMALL, lambda n: ("HSET", "h:%06d" % n, *"f1 v1 f2 v2 f3 v3 f4 v4 f5 v5".split())),
    "each of 100,000 sets of five words": (SMALL, lambda n: ("SADD", "s:%06d" % n, *"a1 b2 c3 d4 e5".split())),
    "each of 100,000 sets of five integers": (SMALL, lambda n: ("SADD", "s:%06d" % n, *"12345")),
    "each of 100,000 sorted sets of five": (SMALL, lambda n: ("ZADD", "z:%06d" % n, *"1 a1 2 b2 3 c3 4 d4 5 e5".split())),
    "each of 100,000 lists of five": (SMALL, lambda n: ("RPUSH", "l:%06d" % n, *"a1 b2 c3 d4 e5".split())),
    "each of 100,000 streams of one entry": (SMALL, lambda n: ("XADD", "x:%06d" % n, "1-1", "field", "value")),
}


def encoded(words) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


def run(port: int, requests) -> None:
    """Sends requests in batches, and reads a reply of one or, for XADD, two lines for each."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        reader = client.makefile("rb")
        for first in range(0, len(requests), BATCH):
            batch = requests[first : first + BATCH]
            client.sendall(b"".join(map(encoded, batch)))
            for _ in batch:
                line = reader.readline()
                assert line[:1] in b":$+", line
                if line[:1] == b"$":
                    reader.readline()


def resident(server: subprocess.Popen) -> int:
    with open(f"/proc/{server.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def weigh(program: str, count: int, request) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = ["--workers", "1", "--pin-workers", "no"] if program == sys.argv[1] else ["--save", ""]
    server = subprocess.Popen([program, "--port", str(port), *extra], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, f"{program} did not start"
                time.sleep(0.02)
        warm = [request(number % 8) if count == SMALL else request(number) for number in range(BATCH if count == SMALL else 8)]
        if warm[0][0] == "XADD":
            warm = warm[:8]
        run(port, warm)
        run(port, [("PING",) + ("x" * 60,)] * BATCH)
        run(port, [("FLUSHALL",)])
        time.sleep(0.5)
        empty = resident(server)
        run(port, [request(number) for number in range(count)])
        time.sleep(1)
        return (resident(server) - empty) / count
    finally:
        server.kill()
        server.wait()


def main() -> None:
    programs = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    words = sys.argv[4:]
    print("| | " + " | ".join(program.rsplit("/", 1)[-1] for program in programs) + " | ratio |\n| --- | --: | --: | --: |")
    for name, (count, request) in CASES.items():
        if words and not any(word in name for word in words):
            continue
        weights = [statistics.median(weigh(program, count, request) for _ in range(rounds)) for program in programs]
        print(f"| {name} | {weights[0]:.1f} | {weights[1]:.1f} | {weights[0] / weights[1]:.2f} |", flush=True)


main()
