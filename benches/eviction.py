"""Hit rates and memory of a cache under maxmemory, beside another server.

Usage: eviction.py ROSTER PEER [MEGABYTES [ACCESSES [EXPONENT [POLICY...]]]]

Four times as much data as `maxmemory` (64 MB), in values of 100 to 2000 bytes, each key with a size of its own; ACCESSES (1500000) by the law
of Zipf (exponent 0.9), the same trace for each server, 64 GETs at a time, each miss followed by a SET. The first third fills the cache and is
not counted. `maxmemory-samples` is 5, as it comes. Prints the share of hits, the keys held at the end, `used_memory`, and how much memory of
the process is resident (VmRSS) beyond that of the same server before it held a key, both as parts of `maxmemory`.
"""

import os
import random
import sys
from itertools import accumulate

from sessions import CPUS, Server, encoded

BATCH = 64
LEAST, MOST = 100, 2000


class Cache:
    """A server with a limit, and one connection to it."""

    def __init__(self, program: str, is_roster: bool, policy: str, limit: int) -> None:
        self.server = Server(program, is_roster)
        self.socket = self.server.connect()
        self.input = self.socket.makefile("rb", buffering=1 << 20)
        self.empty = self.resident()
        self.ask("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy)

    def ask(self, *words) -> bytes:
        self.socket.sendall(encoded(*words))
        return self.value()

    def value(self) -> bytes | None:
        """One reply."""
        line = self.input.readline()
        assert line and line[:1] != b"-", line
        if line[:1] != b"$":
            return line[1:-2]
        size = int(line[1:])
        return self.input.read(size + 2)[:-2] if size >= 0 else None

    def resident(self) -> int:
        """VmRSS in bytes."""
        with open(f"/proc/{self.server.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))

    def used(self) -> int:
        text = self.ask("INFO", "memory")
        return int(text.split(b"used_memory:")[1].split(b"\r\n")[0])


def run(cache: Cache, trace: list, values: list) -> tuple:
    """Hits and accesses after the first third."""
    hits = counted = 0
    for first in range(0, len(trace), BATCH):
        batch = trace[first : first + BATCH]
        cache.socket.sendall(b"".join(b"*2\r\n$3\r\nGET\r\n$10\r\nk:%08d\r\n" % key for key in batch))
        missed = {key for key, value in [(key, cache.value()) for key in batch] if value is None}
        if first >= len(trace) // 3:
            counted += len(batch)
            hits += sum(key not in missed for key in batch)
        if missed:
            cache.socket.sendall(b"".join(encoded("SET", b"k:%08d" % key, values[key]) for key in missed))
            for _ in missed:
                assert cache.value() == b"OK"
    return hits, counted


def main() -> None:
    roster, peer = sys.argv[1:3]
    limit = (int(sys.argv[3]) if len(sys.argv) > 3 else 64) << 20
    accesses = int(sys.argv[4]) if len(sys.argv) > 4 else 1_500_000
    exponent = float(sys.argv[5]) if len(sys.argv) > 5 else 0.9
    os.sched_setaffinity(0, CPUS[-1:])
    dice = random.Random(1)
    keys = 4 * limit // ((LEAST + MOST) // 2)
    values = [b"x" * dice.randint(LEAST, MOST) for _ in range(keys)]
    # The most frequent keys are not neighbours by name.
    names = dice.sample(range(keys), keys)
    weights = list(accumulate(1 / (rank + 1) ** exponent for rank in range(keys)))
    trace = dice.choices(names, cum_weights=weights, k=accesses)
    print(f"{keys} keys, {sum(map(len, values)) / limit:.2f} times maxmemory of {limit >> 20} MB")
    print("| | hits | keys held | used_memory | resident, less when empty | empty, MB |\n| --- | --: | --: | --: | --: | --: |")
    for policy in sys.argv[6:] or ("allkeys-lru", "allkeys-lfu"):
        for name, program in (("roster", roster), ("peer", peer)):
            cache = Cache(program, name == "roster", policy, limit)
            hits, counted = run(cache, trace, values)
            held, used, resident = int(cache.ask("DBSIZE")), cache.used(), cache.resident() - cache.empty
            figures = f"{held} | {used / limit:.3f} | {resident / limit:.3f} | {cache.empty / (1 << 20):.1f}"
            print(f"| {policy}, {name} | {hits / counted:.2%} | {figures} |", flush=True)
            cache.server.close()


if __name__ == "__main__":
    main()
