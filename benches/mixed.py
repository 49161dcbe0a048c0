"""Latency of plain commands beside transactions, scripts and clients that wait for lists, all of which are checked.

Usage: mixed.py ROSTER PEER GENERATOR [ROUNDS [OPERATIONS]]

Each server has the first two CPUs: Roster with two workers, the peer as it is. GENERATOR is a redis-benchmark or valkey-benchmark: eight connections
send OPERATIONS (200000) GETs, then as many SETs, one at a time, to 100000 keys. In rounds that alternate, that happens alone, and
beside twelve clients at a rate that each keeps to, so that both servers have the same to do:

- transactions: two counters of a slot of each other's go up in one MULTI with three SETs; both have to be equal always;
- scripts: an amount moves between two keys, and a third counts; the sum has to stay 0;
- producers and consumers: RPUSH of numbered items to two lists from which three clients take with BLPOP, and LPUSH to a list that
  one client moves with BRPOPLPUSH to another. Nothing may be lost, doubled, or come out of its producer's order.

Prints milliseconds as medians of the rounds, and how much the other clients did.
"""

import csv
import os
import statistics
import subprocess
import sys
import threading
import time

from sessions import CPUS, Server, encoded

# Seconds between the operations of one of the other clients.
PAUSE = 0.004
MOVE = (
    "redis.call('DECRBY',KEYS[1],ARGV[1]) redis.call('INCRBY',KEYS[2],ARGV[1]) redis.call('INCR',KEYS[3]) "
    "return redis.call('GET',KEYS[1])+redis.call('GET',KEYS[2])"
)


class Client:
    """A connection that reads whole replies."""

    def __init__(self, server: Server) -> None:
        self.socket = server.connect()
        self.input = self.socket.makefile("rb")

    def ask(self, *words):
        self.socket.sendall(encoded(*words))
        return self.reply()

    def reply(self):
        line = self.input.readline()
        assert line, "the server closed the connection"
        kind, rest = line[:1], line[1:-2]
        if kind in (b"+", b":"):
            return rest
        assert kind != b"-", line
        if rest == b"-1":
            return None
        if kind == b"$":
            return self.input.read(int(rest) + 2)[:-2]
        assert kind == b"*", line
        return [self.reply() for _ in range(int(rest))]


class Others:
    """The other clients, each a thread, until they are ended; then what they found is checked."""

    def __init__(self, server: Server) -> None:
        self.server, self.over, self.done, self.failure = server, threading.Event(), 0, None
        self.sent, self.taken = {}, {}
        jobs = [(self.transact, n) for n in range(3)] + [(self.script, n) for n in range(3)]
        self.producers = [self.begin(self.produce, n) for n in range(3)]
        self.threads = [self.begin(*job) for job in jobs]
        self.consumers = [self.begin(self.consume, n) for n in range(3)]
        self.mover = self.begin(self.move, 0)

    def begin(self, job, number: int) -> threading.Thread:
        def run() -> None:
            try:
                job(Client(self.server), number)
            except Exception as failure:
                self.failure = failure

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def paced(self):
        """Counts up at the rate of one client, until the end."""
        number, due = 0, time.monotonic()
        while not self.over.is_set():
            yield number
            number += 1
            self.done += 1
            due += PAUSE
            time.sleep(max(0.0, due - time.monotonic()))

    def transact(self, client: Client, number: int) -> None:
        for turn in self.paced():
            words = [("MULTI",), ("INCR", f"left:{turn % 50}"), ("INCR", f"right:{turn % 50}")]
            words += [("SET", f"key:{(number * 7 + turn * 3 + place) % 100}", "x" * 64) for place in range(3)] + [("EXEC",)]
            client.socket.sendall(b"".join(encoded(*each) for each in words))
            left, right, *_ = [client.reply() for _ in words][-1]
            assert left == right, f"a transaction was torn: {left} {right}"

    def script(self, client: Client, number: int) -> None:
        for turn in self.paced():
            pair = (turn * 3 + number) % 50
            total = client.ask("EVAL", MOVE, 3, f"from:{pair}", f"to:{pair}", f"moves:{turn % 10}", turn % 9)
            assert total == b"0", f"a script was torn: {total}"

    def produce(self, client: Client, number: int) -> None:
        for turn in self.paced():
            item = f"{number}:{turn}"
            if number < 2:
                client.ask("RPUSH", f"queue:{turn % 2}", item)
            else:
                client.ask("LPUSH", "source", item)
            self.sent[number] = turn + 1

    def consume(self, client: Client, number: int) -> None:
        taken = self.taken[number] = []
        while True:
            found = client.ask("BLPOP", "queue:0", "queue:1", 1)
            if found is not None:
                taken.append((found[0], *map(int, found[1].split(b":"))))
            elif self.over.is_set():
                return

    def move(self, client: Client, _: int) -> None:
        moved = self.taken["moved"] = []
        while True:
            found = client.ask("BRPOPLPUSH", "source", "moved", 1)
            if found is not None:
                moved.append(int(found.split(b":")[1]))
            elif self.over.is_set():
                return

    def end(self) -> None:
        self.over.set()
        for thread in [*self.producers, *self.threads, *self.consumers, self.mover]:
            thread.join(30)
            assert not thread.is_alive(), "a client waits for ever"
        assert self.failure is None, self.failure
        everything = sorted(item[1:] for number in range(3) for item in self.taken[number])
        expected = [(number, turn) for number in range(2) for turn in range(self.sent[number])]
        assert everything == expected, f"{len(everything)} items came of {len(expected)}"
        for number in range(3):
            for queue, producer in ((queue, producer) for queue in (b"queue:0", b"queue:1") for producer in range(2)):
                turns = [turn for of, by, turn in self.taken[number] if (of, by) == (queue, producer)]
                assert turns == sorted(turns), "items came out of their order"
        in_order = list(range(self.sent[2]))
        assert self.taken["moved"] == in_order, "moved items were lost, doubled or reordered"
        stored = Client(self.server).ask("LRANGE", "moved", 0, -1)
        assert [int(item.split(b":")[1]) for item in reversed(stored)] == in_order


def plain(server: Server, generator: str, operations: int) -> dict:
    """p50 and p99 of GET and of SET."""
    command = [generator, "-p", str(server.port), "-c", "8", "-n", str(operations), "-r", "100000", "-d", "64", "-t", "get,set", "--csv"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = list(csv.DictReader(line for line in text.splitlines() if line.startswith('"')))
    return {(row["test"], at): float(row[f"{at}_latency_ms"]) for row in rows for at in ("p50", "p99")}


def main() -> None:
    roster, peer, generator = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    operations = int(sys.argv[5]) if len(sys.argv) > 5 else 200_000
    os.sched_setaffinity(0, CPUS)
    figures, rates = {}, {}
    for _ in range(rounds):
        for name, program in (("roster", roster), ("peer", peer)):
            server = Server(program, name == "roster", 2)
            plain(server, generator, 20_000)
            for load in ("alone", "mixed"):
                others, began = Others(server) if load == "mixed" else None, time.monotonic()
                for (test, at), figure in plain(server, generator, operations).items():
                    figures.setdefault((load, test, at), {}).setdefault(name, []).append(figure)
                if others:
                    rates.setdefault(name, []).append(others.done / (time.monotonic() - began))
                    others.end()
            server.close()
    print("| ms | roster | peer | ratio |\n| --- | --: | --: | --: |")
    for (load, test, at), found in sorted(figures.items()):
        ours, theirs = (statistics.median(found[name]) for name in ("roster", "peer"))
        print(f"| {test} {load}, {at} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.2f} |")
    print("operations a second of the others:", {name: round(statistics.median(rate)) for name, rate in rates.items()})


if __name__ == "__main__":
    main()
