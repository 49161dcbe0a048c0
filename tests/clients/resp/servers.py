"""Servers of any make beside the one under test, data of all types for them, and whether two have the same."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time

from . import Connection


peers = [name for name in ["redis-server", *os.environ.get("PEERS", "").split(":")] if name and shutil.which(name)]


class Saving(Connection):
    def info(self, field: str) -> str:
        lines = self("INFO", "everything").decode().split("\r\n")
        return next(line.split(":", 1)[1] for line in lines if line.startswith(field + ":"))


def is_taken(port: int) -> bool:
    """Whether anybody listens on a port."""
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A server of any make, with a folder of its own."""

    def __init__(self, program: str, where: str, *flags: str) -> None:
        os.makedirs(where, exist_ok=True)
        while True:
            self.port = random.randrange(20000, 32000)
            self.process = subprocess.Popen(
                [program, "--port", str(self.port), "--dir", where, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for _ in range(400):
                if self.process.poll() is not None:
                    break
                try:
                    self.client = Saving(self.port)
                    # Another's server may have had the port before.
                    if self.client("PING") == b"+PONG" and self.client.info("process_id") == str(self.process.pid):
                        return
                except OSError:
                    pass
                time.sleep(0.05)
            assert self.process.poll() is not None, f"{program} does not answer"
            if self.process.returncode and not is_taken(self.port):
                raise SystemExit(f"{program} does not start with {where}")

    def stop(self, number=signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def fill(call, rng: random.Random) -> None:
    text = lambda most: bytes(rng.randrange(256) for _ in range(rng.randrange(most)))
    for database in (0, 3, 9):
        call("SELECT", database)
        for number in range(300):
            call("SET", f"text:{number}", text(100))
            call("SET", f"integer:{number}", rng.randrange(-(2**40), 2**40))
        call("SET", "long", b"abc" * 20000)
        call("SET", b"\0binary\r\n", text(3000))
        for size in (1, 10, 200, 1500):
            for number in range(size):
                call("RPUSH", f"list:{size}", text(80))
                call("SADD", f"set:{size}", text(20) + b"%d" % number)
                call("SADD", f"integers:{size}", rng.randrange(2**33))
                call("ZADD", f"sorted:{size}", rng.choice([rng.random() * 1e6, number, "inf", "-inf"]), f"m{number}")
                call("HSET", f"hash:{size}", f"f{number}", text(100))
                call("XADD", f"stream:{size}", f"{1000 + number}-1", "field", number, "other", text(30))
            call("XGROUP", "CREATE", f"stream:{size}", "group", "0")
            call("XREADGROUP", "GROUP", "group", "reader", "COUNT", 5, "STREAMS", f"stream:{size}", ">")
            call("XDEL", f"stream:{size}", "1003-1")
        call("PFADD", "loglog", *range(2000))
        for number in range(100):
            call("SET", f"volatile:{number}", number, "PX", 10_000_000 + number)


def contents(call) -> dict:
    everything = {}
    readers = {
        b"+string": lambda key: call("GET", key),
        b"+list": lambda key: call("LRANGE", key, 0, -1),
        b"+set": lambda key: sorted(call("SMEMBERS", key)),
        # Redis 7.0 prints more digits than it needs to.
        b"+zset": lambda key: [(m, float(s)) for m, s in zip(*[iter(call("ZRANGE", key, 0, -1, "WITHSCORES"))] * 2)],
        b"+hash": lambda key: sorted(zip(*[iter(call("HGETALL", key))] * 2)),
        b"+stream": lambda key: (call("XRANGE", key, "-", "+"), call("XPENDING", key, "group")),
    }
    for database in (0, 3, 9):
        call("SELECT", database)
        for key in call("KEYS", "*"):
            kind = call("TYPE", key)
            everything[database, key] = (kind, call("PEXPIRETIME", key), readers[kind](key))
    return everything


def sums(call, scores_agree: bool) -> dict:
    """The digest of each key. Redis 7.0 and Roster print scores into it with 17 digits, Valkey with as many as it takes: unless both
    do alike, sorted sets with other than whole scores are left out."""
    found = {}
    for database in (0, 3, 9):
        call("SELECT", database)
        for key in call("KEYS", "*"):
            if scores_agree or call("TYPE", key) != b"+zset" or all(is_plain(text) for text in call("ZRANGE", key, 0, -1, "WITHSCORES")[1::2]):
                found[database, key] = call("DEBUG", "DIGEST-VALUE", key)
    return found


def is_plain(score: bytes) -> bool:
    return score.lstrip(b"-") == b"inf" or score.isdigit()


def prints_alike(one, other) -> bool:
    """Whether two servers print scores into their digests alike."""
    found = []
    for call in (one, other):
        call("ZADD", "probe", 0.1, "m")
        found.append(call("DEBUG", "DIGEST-VALUE", "probe"))
        call("DEL", "probe")
    return found[0] == found[1]


def compare(ours: dict, theirs: dict, what: str) -> None:
    assert len(ours) > 2000 and ours.keys() == theirs.keys(), f"{what}: {len(ours)} and {len(theirs)} keys"
    for key, value in ours.items():
        assert value == theirs[key], f"{what}: {key} is {value!r:.300} here and {theirs[key]!r:.300} there"
