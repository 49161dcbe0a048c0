"""What a durable log costs, beside another server's append-only file with the same policy.

Usage: log.py ROSTER PEER GENERATOR [ROUNDS [OPERATIONS]]

GENERATOR is valkey-benchmark: SET of 64 bytes, 50 clients, pipeline 16. Each server has one worker on the first CPU that this
process may use, with all its other threads; the generator runs on the last. Prints CPU microseconds of the server an operation and
operations a second, as medians of the rounds, and both ratios.
"""

import os
import re
import statistics
import subprocess
import sys

from sessions import CPUS, Server


def measure(program: str, is_roster: bool, generator: str, policy: str, operations: int) -> tuple[float, float]:
    server = Server(program, is_roster, 1, ("--appendonly", "no" if policy == "no log" else "yes", "--appendfsync", policy.replace("no log", "no")))
    try:
        command = [generator, "-p", str(server.port), "-c", "50", "-P", "16", "-n", str(operations), "-r", "100000", "-d", "64", "-t", "set", "-q"]
        before = server.cpu()
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rates = re.findall(r"SET: ([0-9.]+) requests per second", said)
        return (server.cpu() - before) / operations, float(rates[-1])
    finally:
        server.close()


def main() -> None:
    roster, peer, generator = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    operations = int(sys.argv[5]) if len(sys.argv) > 5 else 400_000
    os.sched_setaffinity(0, CPUS[-1:])
    print("| policy | CPU \u00b5s: roster | peer | ratio | operations a second: roster | peer | ratio |\n| --- | --: | --: | --: | --: | --: | --: |")
    for policy in ("no log", "no", "everysec", "always"):
        figures = {True: [], False: []}
        for _ in range(rounds):
            for is_roster in (True, False):
                figures[is_roster].append(measure(roster if is_roster else peer, is_roster, generator, policy, operations))
        (our_cpu, our_rate), (their_cpu, their_rate) = (
            tuple(statistics.median(column) for column in zip(*figures[who])) for who in (True, False)
        )
        cells = [f"{our_cpu:.2f}", f"{their_cpu:.2f}", f"{our_cpu / their_cpu:.2f}", f"{our_rate:.0f}", f"{their_rate:.0f}", f"{our_rate / their_rate:.2f}"]
        print(f"| {policy} | " + " | ".join(cells) + " |", flush=True)


main()
