"""Damaged payloads: those of Redis's own suite and others at random are refused or taken, and nothing worse.

Usage: damaged.py PORT FOLDER

PORT is that of a server of the program under test. The suite comes from Debian's source package (tests/tcl/fetch); nothing of it is
kept here. Each of its payloads is tried as it is, and with its checksum put right, with and without sanitize-dump-payload; then
come the commands of the test, and after them everything that can be read of what was made. DAMAGED_SECONDS is how long payloads
are damaged at random, DAMAGED_SEED the seed.
"""

import os
import pathlib
import random
import re
import subprocess
import sys
import time

from resp.servers import Saving, Server, fill

port, folder = int(sys.argv[1]), os.path.join(sys.argv[2], "damaged")
program = Saving(port).info("executable")
seconds = float(os.environ.get("DAMAGED_SECONDS", "8"))
seed = int(os.environ.get("DAMAGED_SEED", "5"))
rng = random.Random(seed)
TCL = pathlib.Path(__file__).resolve().parents[1] / "tcl"
# No command on a payload of some hundred bytes takes so long, in seconds, or so much memory, in KiB.
PATIENCE, MEMORY = 20, 300_000


def table() -> list[int]:
    entries = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x95AC9329AC4BC9B5 if byte & 1 else 0)
        entries.append(byte)
    return entries


TABLE = table()


def sealed(payload: bytes) -> bytes:
    """The payload with the checksum that belongs to it."""
    crc = 0
    for byte in payload[:-8]:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return payload[:-8] + crc.to_bytes(8, "little")


def tests_of(file: str):
    """The tests of a file of the suite: name, commands, and the patterns that their errors match."""
    fetched = subprocess.run([TCL / "fetch", "redis"], check=True, stdout=subprocess.PIPE, text=True)
    printed = subprocess.run(
        ["tclsh", TCL / "commands.tcl", file], cwd=fetched.stdout.strip(), check=True, capture_output=True, text=True, timeout=60
    )
    found = []
    for line in printed.stdout.splitlines():
        kind, *words = line.split(" ")
        words = [b"" if word == "-" else bytes.fromhex(word) for word in words]
        if kind == "test":
            found.append((words[0].decode(), [], []))
        elif kind == "r":
            found[-1][1].append(words)
        elif found:
            found[-1][2].append(words[0])
    return found


class Patient:
    """A server that has to live on, and a client that does not wait forever."""

    def __init__(self) -> None:
        self.server = Server(program, folder, "--workers", "2", "--save", "", "--enable-debug-command", "yes")
        self.call = self.server.client
        self.call.socket.settimeout(PATIENCE)

    def __call__(self, *words):
        try:
            return self.call(*words)
        except (OSError, AssertionError) as error:
            raise SystemExit(f"the server does not answer {words!r:.600}: {error}; the seed is {seed}")

    def check(self, what: str) -> None:
        assert self("PING") == b"+PONG", what
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
        assert peak < MEMORY, f"{what}: {peak} KiB of memory"


READERS = {
    b"+string": [("GETRANGE", 0, 100), ("BITCOUNT",), ("PFCOUNT",), ("INCR",), ("APPEND", "x"), ("SETRANGE", 3, "y")],
    b"+list": [("LRANGE", 0, -1), ("LINDEX", -1), ("LPOS", "a"), ("LINSERT", "BEFORE", "a", "b"), ("LREM", 0, "a"), ("LSET", 0, "c"),
               ("RPUSH", "d"), ("LTRIM", 0, 5), ("LPOP",), ("RPOP", 3)],
    b"+set": [("SMEMBERS",), ("SSCAN", 0, "COUNT", 100), ("SISMEMBER", 7), ("SRANDMEMBER", -3), ("SADD", "a", 9), ("SREM", 9), ("SPOP", 2)],
    b"+zset": [("ZRANGE", 0, -1, "WITHSCORES"), ("ZRANGE", "-inf", "inf", "BYSCORE"), ("ZRANGE", "-", "+", "BYLEX"), ("ZRANK", "a"),
               ("ZSCAN", 0), ("ZADD", 1, "a"), ("ZINCRBY", 2, "a"), ("ZPOPMIN", 2), ("ZREMRANGEBYRANK", 0, 1)],
    b"+hash": [("HGETALL",), ("HSCAN", 0, "COUNT", 100), ("HGET", "a"), ("HRANDFIELD", -3, "WITHVALUES"), ("HSET", "a", 1), ("HDEL", "a")],
    b"+stream": [("XRANGE", "-", "+"), ("XREVRANGE", "+", "-"), ("XINFO", "STREAM", None, "FULL"), ("XINFO", "GROUPS", None), ("XADD", "*", "f", "v"),
                 ("XTRIM", "MAXLEN", 3), ("XDEL", "1-1"), ("XPENDING", "mygroup"), ("XSETID", "18446744073709551615-1")],
}


def exercise(call: Patient, what: str) -> int:
    """Reads all there is, sees that it survives a copy by DUMP, and changes it. How many keys there were."""
    keys = call("KEYS", "*")
    for key in keys:
        kind, payload = call("TYPE", key), call("DUMP", key)
        assert call("RESTORE", "copy", 0, payload, "REPLACE") == b"+OK", f"{what}: our own payload {payload!r}"
        assert call("DEBUG", "DIGEST-VALUE", "copy") == call("DEBUG", "DIGEST-VALUE", key), f"{what}: {payload!r}"
        call("OBJECT", "ENCODING", key)
        call("MEMORY", "USAGE", key)
        for name, *words in READERS[kind]:
            # The key is the first argument, unless a place for it is kept.
            words = [key if word is None else word for word in words] if None in words else [key, *words]
            call(name, *words)
            call.check(f"{what}: {name}")
        call("DEL", key, "copy")
    return len(keys)


def suite(call: Patient) -> None:
    tests = tests_of("tests/integration/corrupt-dump.tcl")
    tried = taken = refused = 0
    for name, commands, wanted in tests:
        for sanitize in ("no", "yes"):
            for correct in (lambda payload: payload, sealed):
                call("FLUSHALL")
                changed, replies = [], []
                for words in commands:
                    head = [word.lower() for word in words[:3]]
                    if head[0] == b"debug" or head[:3] == [b"config", b"set", b"sanitize-dump-payload"]:
                        continue
                    if head[:2] == [b"config", b"set"]:
                        changed.append((head[2], call("CONFIG", "GET", head[2])[1]))
                    if head[0] == b"restore":
                        words = [*words[:3], correct(words[3]), *words[4:]]
                        tried += 1
                    call("CONFIG", "SET", "sanitize-dump-payload", sanitize)
                    reply = call(*words)
                    if head[0] == b"restore":
                        replies.append(reply)
                    call.check(name)
                if correct is sealed and replies:
                    for pattern in (pattern.strip(b"*") for pattern in wanted):
                        assert any(isinstance(reply, bytes) and pattern in reply for reply in replies), f"{name}: {replies}"
                        refused += 1
                taken += exercise(call, name)
                for setting, value in changed:
                    call("CONFIG", "SET", setting, value)
    assert len(tests) > 60 and refused > 100 and taken > 0, (len(tests), refused, taken)
    print(f"{len(tests)} tests of Redis's suite, {tried} payloads, {taken} keys out of them")


def at_random(call: Patient) -> None:
    call("FLUSHALL")
    fill(call, rng)
    call("SELECT", 0)
    payloads = [payload for key in call("KEYS", "*") if len(payload := call("DUMP", key)) < 4000]
    by_kind: dict[int, list[bytes]] = {}
    [by_kind.setdefault(payload[0], []).append(payload) for payload in payloads]
    call("FLUSHALL")
    end, tried, taken = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        payload = bytearray(rng.choice(by_kind[rng.choice(list(by_kind))]))
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            payload[rng.randrange(len(payload) - 10)] = rng.randrange(256)
        if rng.random() < 0.1:
            del payload[rng.randrange(len(payload) - 10) : len(payload) - 10]
        reply = call("RESTORE", "k", 0, sealed(bytes(payload)))
        assert reply == b"+OK" or reply.startswith(b"-ERR Bad data format"), reply
        tried += 1
        if reply == b"+OK":
            taken += exercise(call, bytes(payload).hex())
    call.check("payloads at random")
    assert tried > 50 and taken > 0
    print(f"{tried} payloads damaged at random, {taken} of them taken")


call = Patient()
suite(call)
at_random(call)
assert call.server.process.poll() is None
call.server.stop()
