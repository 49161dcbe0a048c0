"""CPU time of what connections do beyond plain commands, beside another server: scripts, transactions, messages, waiting, users.

Usage: sessions.py ROSTER PEER [ROUNDS]

Each server has one worker on the first CPU that this process may use; the clients run on the last. Prints CPU microseconds of the server
per operation as medians of the rounds, and the ratio of the medians; then how many slow scripts on distinct keys a second one
and two workers run, where there are two CPUs.
"""

import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CPUS = sorted(os.sched_getaffinity(0))


def encoded(*words) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def free_port() -> int:
    """A port that is free now, and given to nobody else soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server on a random port, with workers on the first of the CPUs."""

    def __init__(self, program: str, roster: bool, workers: int = 1, more: tuple = ()) -> None:
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        extra = ["--workers", str(workers), "--pin-workers", "no"] if roster else ["--save", ""]
        command = ["taskset", "-c", ",".join(map(str, CPUS[:workers])), program, "--port", str(self.port), "--dir", self.folder.name]
        self.process = subprocess.Popen([*command, *extra, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(400):
            try:
                self.connect().close()
                return
            except OSError:
                assert self.process.poll() is None, f"{program} did not start"
                time.sleep(0.02)

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def cpu(self) -> float:
        """Microseconds, from the scheduler's own count of every thread: the clock of `stat` has ticks of ten milliseconds."""
        tasks = f"/proc/{self.process.pid}/task"
        return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1000

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def lines_of(client: socket.socket, lines: int) -> None:
    """Reads so many lines of replies."""
    while lines > 0:
        received = client.recv(1 << 20)
        assert received, "the server closed the connection"
        assert b"-ERR" not in received and b"-NO" not in received, received[:200]
        lines -= received.count(b"\r\n")


def batched(server: Server, request, lines: int, operations: int, batch: int, prepare=()) -> float:
    """Sends requests in batches on eight connections; CPU microseconds an operation. `lines` are those of a reply."""
    clients = [server.connect() for _ in range(8)]
    for client in clients:
        for words in prepare:
            client.sendall(encoded(*words))
            lines_of(client, 1)
    payloads = [b"".join(request(first + number) for number in range(batch)) for first in range(0, 8 * batch, batch)]
    before = server.cpu()
    for _ in range(operations // (8 * batch)):
        for client, payload in zip(clients, payloads):
            client.sendall(payload)
        for client in clients:
            lines_of(client, lines * batch)
    return (server.cpu() - before) / (operations // (8 * batch) * 8 * batch)


def script(server: Server) -> float:
    batched(server, lambda n: encoded("SET", f"key:{n}", "x" * 64), 1, 128, 16)
    return batched(server, lambda n: encoded("EVAL", "return redis.call('GET',KEYS[1])", 1, f"key:{n}"), 2, 64_000, 16)


def transaction(server: Server) -> float:
    whole = lambda n: encoded("MULTI") + b"".join(encoded("SET", f"key:{n}:{k}", "x" * 64) for k in range(10)) + encoded("EXEC")
    return batched(server, whole, 1 + 10 + 1 + 10, 16_000, 2)


def rules(server: Server) -> float:
    batched(server, lambda n: encoded("SET", f"key:{n}", "x" * 64), 1, 128, 16)
    user = ["ACL", "SETUSER", "reader", "on", ">secret", "~key:*", "%R~other:*", "&news:*", "-@all", "+@read", "+@connection", "-keys"]
    batched(server, lambda n: encoded(*user), 1, 8, 1)
    return batched(server, lambda n: encoded("GET", f"key:{n}"), 2, 256_000, 16, prepare=[("AUTH", "reader", "secret")])


def publish(server: Server) -> float:
    """One message to 100 subscribers is one operation."""
    subscribers = [server.connect() for _ in range(100)]
    for subscriber in subscribers:
        subscriber.sendall(encoded("SUBSCRIBE", "news"))
        lines_of(subscriber, 6)
    publisher, messages, batch = server.connect(), 2000, 10
    payload = encoded("PUBLISH", "news", "x" * 64) * batch
    size = len(encoded("message", "news", "x" * 64)) * batch
    before = server.cpu()
    for _ in range(messages // batch):
        publisher.sendall(payload)
        lines_of(publisher, batch)
        for subscriber in subscribers:
            left = size
            while left > 0:
                left -= len(subscriber.recv(left))
    return (server.cpu() - before) / messages


def hand_over(server: Server) -> float:
    """Fifty clients wait, each for a list of its own; a push to each list serves them all."""
    waiters, pusher, rounds = [server.connect() for _ in range(50)], server.connect(), 200
    pushes = b"".join(encoded("RPUSH", f"list:{n}", "x" * 64) for n in range(len(waiters)))
    before = server.cpu()
    for _ in range(rounds):
        for number, waiter in enumerate(waiters):
            waiter.sendall(encoded("BLPOP", f"list:{number}", 0))
        # All wait once a command behind theirs is answered on each connection's worker: there is only one.
        time.sleep(0.002)
        pusher.sendall(pushes)
        lines_of(pusher, len(waiters))
        for waiter in waiters:
            lines_of(waiter, 5)
    return (server.cpu() - before) / (rounds * len(waiters))


def slow_scripts(server: Server, seconds: float = 3.0) -> float:
    """Scripts of some ten thousand steps a second, from 16 connections with a key each."""
    source = "local n = 0 for i = 1, 20000 do n = n + i % 7 end return redis.call('INCR', KEYS[1])"
    selector, done = selectors.DefaultSelector(), 0
    for number in range(16):
        client, request = server.connect(), encoded("EVAL", source, 1, f"counter:{number}")
        selector.register(client, selectors.EVENT_READ, request)
        client.sendall(request)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(0.1):
            assert key.fileobj.recv(100).startswith(b":")
            done += 1
            key.fileobj.sendall(key.data)
    return done / seconds


CASES = {
    "EVAL of a GET, pipeline 16": script,
    "MULTI, ten SET, EXEC": transaction,
    "PUBLISH to 100 subscribers": publish,
    "BLPOP handed over": hand_over,
    "GET as a user with rules, pipeline 16": rules,
}


def main() -> None:
    roster, peer = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    os.sched_setaffinity(0, CPUS[-1:])
    print("| CPU µs | roster | peer | ratio |\n| --- | --: | --: | --: |")
    for name, case in CASES.items():
        figures = {True: [], False: []}
        for _ in range(rounds):
            for is_roster in (True, False):
                server = Server(roster if is_roster else peer, is_roster)
                figures[is_roster].append(case(server))
                server.close()
        ours, theirs = (statistics.median(figures[who]) for who in (True, False))
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)
    if len(CPUS) > 1:
        os.sched_setaffinity(0, CPUS)
        for program, is_roster, workers in ((roster, True, 1), (roster, True, 2), (peer, False, 1)):
            server = Server(program, is_roster, workers)
            print(f"slow scripts a second: {'roster' if is_roster else 'peer'}, {workers} worker(s): {slow_scripts(server):.0f}", flush=True)
            server.close()


if __name__ == "__main__":
    main()
