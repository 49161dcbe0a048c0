"""CPU time of GET with a knob and without it: what can be turned for one server, without changing the host.

Usage: knobs.py ROSTER BENCHMARK [ROUNDS [REQUESTS [KEYS]]]

BENCHMARK is valkey-benchmark or redis-benchmark. The server has one worker on the first CPU, the clients run on the last; 50
clients ask for values of 16 bytes among KEYS (1000000) keys, in any order. Both sides run in each round (7), one after the
other and in turns which comes first. Prints for each knob the medians of CPU microseconds of the server an operation, the
median of the rounds' ratios with their range, and whether all rounds agree: only then it is more than noise.
"""

import ctypes
import statistics
import subprocess
import sys

from sessions import CPUS, Server, encoded, lines_of

THP_DISABLE = 41  # prctl(2); children inherit it.

# Name, and for both sides the arguments and whether the process may have huge pages.
KNOBS = [
    ("transparent huge pages by madvise, not never", ((), True), ((), False)),
    ("io_uring, not epoll", (("--io-driver", "uring"), True), (("--io-driver", "epoll"), True)),
    ("task-run coop, not none", (("--task-run", "coop"), True), (("--task-run", "none"), True)),
    ("task-run defer, not coop", (("--task-run", "defer"), True), (("--task-run", "coop"), True)),
    ("the same twice", ((), True), ((), True)),
]


class Benched:
    """A server with keys, and the CPU time that an operation takes it."""

    def __init__(self, program: str, keys: int, arguments: tuple, huge: bool) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(THP_DISABLE, int(not huge), 0, 0, 0) == 0
        try:
            self.server = Server(program, True, more=arguments)
        finally:
            libc.prctl(THP_DISABLE, 0, 0, 0, 0)
        client = self.server.connect()
        for first in range(0, keys, 1000):
            client.sendall(b"".join(encoded("SET", f"key:{number:012}", "v" * 16) for number in range(first, first + 1000)))
            lines_of(client, 1000)

    def cost(self, benchmark: str, requests: int, keys: int, pipeline: int) -> float:
        command = ["taskset", "-c", str(CPUS[-1]), benchmark, "-p", str(self.server.port), "-c", "50", "-P", str(pipeline)]
        before = self.server.cpu()
        subprocess.run(
            [*command, "-n", str(requests), "-r", str(keys), "-q", "GET", "key:__rand_int__"], check=True, stdout=subprocess.DEVNULL
        )
        return (self.server.cpu() - before) / requests

    def huge(self) -> int:
        """MiB on huge pages."""
        with open(f"/proc/{self.server.process.pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) >> 10 for line in rollup if line.startswith("AnonHugePages:"))


def compare(program: str, benchmark: str, sides: tuple, rounds: int, requests: int, keys: int) -> None:
    pair = [Benched(program, keys, *side) for side in sides]
    print("  MiB on huge pages:", ", ".join(str(one.huge()) for one in pair))
    for pipeline in (16, 1):
        amount = requests if pipeline > 1 else requests // 5
        costs = ([], [])
        for number in range(rounds + 1):
            for index in (0, 1) if number % 2 else (1, 0):
                cost = pair[index].cost(benchmark, amount, keys, pipeline)
                # The first round warms both up.
                if number > 0:
                    costs[index].append(cost)
        ratios = [with_it / without for with_it, without in zip(*costs)]
        agree = "all rounds agree" if max(ratios) < 1 or min(ratios) > 1 else "no effect beyond noise"
        medians = [statistics.median(side) for side in costs]
        print(
            f"  pipeline {pipeline:2}: {medians[0]:.3f} with, {medians[1]:.3f} without, ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}): {agree}",
            flush=True,
        )
    for one in pair:
        one.server.close()


def main(program: str, benchmark: str, rounds: str = "7", requests: str = "1000000", keys: str = "1000000") -> None:
    for name, *sides in KNOBS:
        print(name)
        compare(program, benchmark, tuple(sides), int(rounds), int(requests), int(keys))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
