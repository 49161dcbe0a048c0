"""How late keys expire while nobody reads them: the time from the end of a key's life to its event at a subscriber.

Usage: expiry.py ROSTER PEER [KEYS [SECONDS [WORKERS]]]

KEYS (1000000) are set with PXAT, spread evenly over SECONDS (60); each name holds the millisecond that it is due at. A subscriber to
`__keyevent@0__:expired` compares that with CLOCK_REALTIME as soon as it has received the event, and parses what one call received at
once. A key lives through its millisecond, so half of one is in each lag. The servers come one after the other; each has WORKERS (1) on
the first CPUs, and the subscriber has the last one. Prints milliseconds.
"""

import os
import re
import socket
import sys
import time
from array import array

from sessions import CPUS, Server, encoded, lines_of

DUE = re.compile(rb":(\d{13})\r\n")


def head_ms(keys: int) -> int:
    """What loading may take at most, before the first key is due."""
    return 4000 + keys // 60


def waited(server: Server) -> float:
    """Milliseconds in which threads of the server were ready and had no CPU, which is the machine's part of the lag."""
    tasks = f"/proc/{server.process.pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[1]) for task in os.listdir(tasks)) / 1e6


def load(server: Server, keys: int, seconds: float) -> int:
    """Sets the keys; the time from which on they are due, in milliseconds."""
    first = time.time_ns() // 1_000_000 + head_ms(keys)
    client, batch = server.connect(), 1000
    for start in range(0, keys, batch):
        payload = []
        for number in range(start, min(start + batch, keys)):
            # Neighbours are due at different times, as in life.
            due = first + int(number * 7919 % keys * seconds * 1000 / keys)
            payload.append(b"*5\r\n$3\r\nSET\r\n$23\r\nk:%07d:%13d\r\n$1\r\nx\r\n$4\r\nPXAT\r\n$13\r\n%13d\r\n" % (number, due, due))
        client.sendall(b"".join(payload))
        lines_of(client, len(payload))
    assert time.time_ns() // 1_000_000 < first, "loading took too long"
    return first


def lags(client: socket.socket, keys: int, end: float) -> tuple:
    """The lag of each event in milliseconds, and how many did not come."""
    found, rest = array("d"), b""
    client.settimeout(1)
    while len(found) < keys and time.time() < end:
        try:
            received = client.recv(1 << 20)
        except TimeoutError:
            continue
        now = time.clock_gettime(time.CLOCK_REALTIME) * 1000
        assert received, "the server closed the connection"
        text = rest + received
        # What is behind the last end of a line belongs to the next call.
        whole = text.rfind(b"\n") + 1
        found.extend(now - int(due) for due in DUE.findall(text[:whole]))
        rest = text[whole:]
    return found, keys - len(found)


def measured(program: str, is_roster: bool, keys: int, seconds: float, workers: int) -> str:
    more = () if is_roster else (("--io-threads", str(workers)) if workers > 1 else ())
    server = Server(program, is_roster, workers, more)
    control, subscriber = server.connect(), server.connect()
    control.sendall(encoded("CONFIG", "SET", "notify-keyspace-events", "Ex"))
    lines_of(control, 1)
    subscriber.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    subscriber.sendall(encoded("SUBSCRIBE", "__keyevent@0__:expired"))
    lines_of(subscriber, 6)
    first = load(server, keys, seconds)
    cpu, without = server.cpu(), waited(server)
    found, lost = lags(subscriber, keys, first / 1000 + seconds + 30)
    cpu, without = (server.cpu() - cpu) / keys, waited(server) - without
    server.close()
    found = sorted(found)
    at = lambda share: found[min(len(found) - 1, int(len(found) * share))]
    figures = (at(0.5), at(0.99), at(0.999), found[-1])
    return " | ".join(f"{figure:.1f}" for figure in figures) + f" | {lost} | {cpu:.2f} | {without:.0f}"


def main() -> None:
    roster, peer = sys.argv[1:3]
    keys = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 60.0
    workers = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    os.sched_setaffinity(0, CPUS[-1:])
    print("| lag in ms | p50 | p99 | p99.9 | max | not told | CPU µs a key | without a CPU |\n| --- | --: | --: | --: | --: | --: | --: | --: |")
    for name, program in (("roster", roster), ("peer", peer)):
        print(f"| {name} | {measured(program, name == 'roster', keys, seconds, workers)} |", flush=True)


if __name__ == "__main__":
    main()
