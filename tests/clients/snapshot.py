"""Snapshots: ours loads in real servers and theirs here, with equal data; and what ends, failures and rules of `save` do.

Usage: snapshot.py PORT FOLDER

FOLDER is the server's dir. The peers are redis-server and what the variable PEERS names, separated by colons; those that
are not there are left out.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

from resp import Connection

ours_port, folder = int(sys.argv[1]), sys.argv[2]
rng = random.Random(7)


class Saving(Connection):
    def info(self, field: str) -> str:
        lines = self("INFO", "everything").decode().split("\r\n")
        return next(line.split(":", 1)[1] for line in lines if line.startswith(field + ":"))


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
                    if self.client("PING") == b"+PONG":
                        return
                except OSError:
                    pass
                time.sleep(0.05)
            assert self.process.poll() is not None, f"{program} does not answer"
            if self.process.returncode:
                raise SystemExit(f"{program} does not start with {where}")

    def stop(self, number=signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def fill(call) -> None:
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


def compare(ours: dict, theirs: dict, what: str) -> None:
    assert len(ours) > 2000 and ours.keys() == theirs.keys(), f"{what}: {len(ours)} and {len(theirs)} keys"
    for key, value in ours.items():
        assert value == theirs[key], f"{what}: {key} is {value!r:.300} here and {theirs[key]!r:.300} there"


def wait_saved(call) -> None:
    for _ in range(600):
        if call.info("rdb_bgsave_in_progress") == "0":
            return
        time.sleep(0.05)
    raise SystemExit("a snapshot does not end")


ours = Saving(ours_port)
program = ours.info("executable")
fill(ours)
# Writers of other keys go on while the snapshot is taken.
over = threading.Event()


def disturb(seed: int) -> None:
    call, dice = Saving(ours_port), random.Random(seed)
    call("SELECT", 5)
    while not over.is_set():
        call("SET", dice.randrange(10_000), "x" * 100)


writers = [threading.Thread(target=disturb, args=(seed,)) for seed in range(4)]
[writer.start() for writer in writers]
time.sleep(0.3)
assert ours("BGSAVE") == b"+Background saving started"
wait_saved(ours)
over.set()
[writer.join() for writer in writers]
assert ours.info("rdb_last_bgsave_status") == "ok" and ours.info("rdb_saves") != "0"
wanted = contents(ours)

peers = [name for name in ["redis-server", *os.environ.get("PEERS", "").split(":")] if name and shutil.which(name)]
for peer in peers:
    where = os.path.join(folder, "peer")
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    shutil.copy(os.path.join(folder, "dump.rdb"), where)
    theirs = Server(peer, where, "--save", "", "--appendonly", "no")
    compare(wanted, contents(theirs.client), f"ours in {peer}")
    # What it adds is of encodings that we may not write, and without a checksum.
    fill(theirs.client)
    theirs.client("SELECT", 0)
    assert theirs.client("SAVE") == b"+OK"
    there = contents(theirs.client)
    theirs.stop()
    back = Server(program, where, "--workers", "2")
    compare(contents(back.client), there, f"{peer}'s here")
    assert int(back.client.info("rdb_last_load_keys_loaded")) > 2000
    assert back.stop(signal.SIGTERM) == 0
    print(f"equal data by way of {peer}")

# Rules of `save`, and an end that saves.
where = os.path.join(folder, "own")
server = Server(program, where, "--save", "1", "1", "--workers", "2")
server.client("SET", "k", "v1")
time.sleep(2.5)
wait_saved(server.client)
assert os.path.exists(os.path.join(where, "dump.rdb")) and server.client.info("rdb_changes_since_last_save") == "0"
server.client("SET", "k", "v2")
assert server.stop(signal.SIGTERM) == 0
server = Server(program, where, "--save", "3600", "1")
assert server.client("GET", "k") == b"v2"

# A snapshot that fails keeps writes out until one does not, and the server running.
shutil.move(where, where + "-gone")
assert server.client("BGSAVE") == b"+Background saving started"
wait_saved(server.client)
assert server.client.info("rdb_last_bgsave_status") == "err"
refusal = server.client("SET", "k", "v3")
assert refusal.startswith(b"-MISCONF Redis is configured to save RDB snapshots"), refusal
assert server.client("PING").startswith(b"-MISCONF") and server.client("GET", "k") == b"v2"
assert server.client("SAVE") == b"-ERR"
assert server.client("SHUTDOWN", "SAVE") == b"-ERR Errors trying to SHUTDOWN. Check logs."
server.process.send_signal(signal.SIGTERM)
time.sleep(1)
assert server.client("GET", "k") == b"v2", "the end was not refused"
assert server.client("CONFIG", "SET", "stop-writes-on-bgsave-error", "no") == b"+OK"
assert server.client("SET", "k", "v3") == b"+OK"
shutil.move(where + "-gone", where)
assert server.client("BGSAVE", "SCHEDULE") == b"+Background saving started"
wait_saved(server.client)
assert server.client.info("rdb_last_bgsave_status") == "ok"
before = int(server.client("LASTSAVE")[1:])
assert abs(before - time.time()) < 60
server.client("SET", "k", "v4")
server.process.kill()
server.process.wait()
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v3"
server.client("SET", "k", "v5")
assert server.stop(signal.SIGTERM) == 0
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v3", "without rules nothing is saved"
server.client("SET", "k", "v6")
try:
    server.client("SHUTDOWN", "SAVE")
except AssertionError:
    pass
assert server.process.wait(60) == 0
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v6"
server.stop()
assert not [name for name in os.listdir(where) if name.startswith("temp-")]
print("rules, failures and ends of snapshots are as they should be")
