"""Random valid and invalid commands over few keys, sent to Roster and to a real redis-server: every reply is compared.

Usage: differential.py PORT FOLDER [COMMANDS [SEED [FAMILY]]]
The reference is redis-server, or what the variable REFERENCE names.
"""

import importlib
import os
import pkgutil
import random
import socket
import subprocess
import sys
import time

import generators
from resp import Connection

ours_port, folder = int(sys.argv[1]), sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 30_000
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(2**32)
print(f"differential: {count} commands in each protocol, seed {seed}")
rng = random.Random(seed)
pick = rng.choice


KEYS = [f"k{i}" for i in range(6)] + ["{t}a", "n1", "n2"]
LENGTHS = [0, 1, 7, 8, 9, 44, 45, 63, 64, 65, 100, 2047, 2048, 2049, 5000, 16384, 40000]
NUMBERS = ["0", "1", "-1", "12", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "+5", " 5"]
FLOATS = ["1", "1.5", "-0.1", "3.0e3", "x", "inf", "nan", "1e30", "-1e-5", "0.1", ""]


def key():
    return pick(KEYS)


def value():
    dice = rng.random()
    if dice < 0.3:
        return pick(NUMBERS + FLOATS)
    if dice < 0.8:
        return bytes(pick([0, 255, 97, rng.randrange(256)]) for _ in range(rng.randrange(60)))
    return bytes([pick([0, 255, 97])]) * pick(LENGTHS)


def integer():
    return pick(NUMBERS + ["x", "1.0", "", "-0"]) if rng.random() < 0.3 else str(rng.randrange(-40, 60))


def offset():
    return pick(["-1", "x", "4294967296", "", "01"]) if rng.random() < 0.08 else str(rng.randrange(pick([10, 1000, 50000])))


def deadline():
    """A time to live that is over at once, far away, or wrong."""
    far = [["EX", 1000], ["PX", 1000000], ["EXAT", 99999999999], ["PXAT", 99999999999999]]
    wrong = [["EX", 0], ["PX", -1], ["EX", "x"], ["EX"], ["EX", 2**63 - 1], ["PX", 2**63 - 1], ["PXAT", 2**63 - 1]]
    return pick(far + wrong + [["EXAT", 1], ["PXAT", 1]])


def options(*choices):
    return [word for _ in range(pick([0, 0, 0, 1, 1, 2, 3])) for word in pick(choices)]


def span():
    return pick([[], [integer()], [integer(), integer()], [integer(), integer(), pick(["BIT", "byte", "x"])]])


def fields(read_only):
    words = []
    for _ in range(pick([1, 1, 2, 3])):
        kind = pick("ui") + str(rng.randrange(1, 65)) if rng.random() < 0.9 else pick(["u64", "i65", "i0", "x"])
        at = ("#" if rng.random() < 0.3 else "") + str(rng.randrange(80))
        dice = rng.random()
        if dice < 0.35 or read_only and dice < 0.9:
            words += ["GET", kind, at]
        elif dice < 0.6:
            words += ["SET", kind, at, integer()]
        elif dice < 0.85:
            words += ["INCRBY", kind, at, integer()]
        else:
            words += ["OVERFLOW", pick(["WRAP", "SAT", "fail", "x"])]
    return words


SET_OPTIONS = (["NX"], ["XX"], ["GET"], ["KEEPTTL"], ["foo"], ["xx"])
TTL_OPTIONS = (["NX"], ["XX"], ["GT"], ["LT"], ["foo"])
COMMANDS = [
    lambda: ["SET", key(), value(), *options(*SET_OPTIONS, deadline(), deadline())],
    lambda: ["SET", key(), value(), *options(*SET_OPTIONS, deadline(), deadline())],
    lambda: ["GET", key()],
    lambda: ["STRLEN", key()],
    lambda: ["SETNX", key(), value()],
    lambda: ["SETEX", key(), pick([100, 0, -5, "x", 2**63 - 1]), value()],
    lambda: ["PSETEX", key(), pick([100000, 0, "x", 2**63 - 1]), value()],
    lambda: ["GETSET", key(), value()],
    lambda: ["GETDEL", key()],
    lambda: ["GETEX", key(), *pick([[], ["PERSIST"], deadline()])],
    lambda: ["APPEND", key(), value()],
    lambda: ["SETRANGE", key(), offset(), value()],
    lambda: ["SETRANGE", key(), pick([536870911, 536870912, -1, "x"]), pick(["", "xx"])],
    lambda: [pick(["GETRANGE", "SUBSTR"]), key(), integer(), integer()],
    lambda: [pick(["INCR", "DECR"]), key()],
    lambda: [pick(["INCRBY", "DECRBY"]), key(), integer()],
    lambda: ["INCRBYFLOAT", key(), pick(FLOATS)],
    lambda: ["SET", pick(["n1", "n2"]), pick(["1", "5", "10.5", "-3"])],
    lambda: ["MGET", *(key() for _ in range(rng.randrange(1, 5)))],
    lambda: [pick(["MSET", "MSETNX"]), *(word for _ in range(rng.randrange(1, 4)) for word in (key(), value())), *pick([[], [], ["x"]])],
    lambda: ["LCS", key(), key(), *options(["LEN"], ["IDX"], ["WITHMATCHLEN"], ["MINMATCHLEN", rng.randrange(-1, 5)], ["FOO"])],
    lambda: ["SETBIT", key(), offset(), pick([0, 1, 1, 2, "x"])],
    lambda: ["GETBIT", key(), offset()],
    lambda: ["BITCOUNT", key(), *span()],
    lambda: ["BITPOS", key(), pick([0, 1, 2, "x"]), *span()],
    lambda: ["BITOP", pick(["AND", "OR", "xor", "NOT", "FOO"]), *(key() for _ in range(pick([1, 2, 2, 3, 4])))],
    lambda: ["BITFIELD", key(), *fields(False)],
    lambda: ["BITFIELD_RO", key(), *fields(True)],
    lambda: [pick(["DEL", "UNLINK", "EXISTS", "TOUCH"]), *(key() for _ in range(rng.randrange(0, 4)))],
    lambda: [pick(["TYPE", "PERSIST"]), key()],
    lambda: [pick(["RENAME", "RENAMENX"]), key(), key()],
    lambda: ["COPY", key(), key(), *options(["DB", pick([0, 1, 15, 16, -1, "x"])], ["REPLACE"], ["foo"])],
    lambda: ["MOVE", key(), pick([0, 1, 15, 16, -1, "x"])],
    lambda: [pick(["EXPIRE", "PEXPIRE"]), key(), pick([rng.randrange(10**6, 10**9), -1, 0, "x", 2**63 - 1, -(2**63)]), *options(*TTL_OPTIONS)],
    lambda: [pick(["EXPIREAT", "PEXPIREAT"]), key(), pick([99999999999999, 1, 0, "x", 2**63 - 1]), *options(*TTL_OPTIONS)],
    lambda: [pick(["EXPIRETIME", "PEXPIRETIME", "TTL", "PTTL"]), key()],
    lambda: ["OBJECT", pick(["ENCODING", "FREQ", "foo"]), key()],
    lambda: ["SELECT", pick(["0", "0", "0", "1", "16", "-1", "x"])],
    lambda: ["SWAPDB", pick([0, 1, 16, "x"]), pick([0, 1, -1, "y"])],
    lambda: [pick(["GET", "nosuchcommand", "OBJECT", "ECHO", "PING", "CONFIG"]), *(value() for _ in range(rng.randrange(3)))],
]
# Each family's generators are a module of their own: `commands(rng)`, and `is_alike` where servers may differ.
MODULES = {name: importlib.import_module(f"generators.{name}") for _, name, _ in pkgutil.iter_modules(generators.__path__)}
FAMILIES = {name: module.commands(rng) for name, module in MODULES.items()}
COMMANDS = FAMILIES[sys.argv[5]] if len(sys.argv) > 5 else COMMANDS + [one for family in FAMILIES.values() for one in family]
# What only newer servers know: `newer(rng)`, for those that have the command `NEWER`.
ADVANCED = [(module.NEWER, module.newer(rng)) for module in MODULES.values() if hasattr(module, "newer")]


def asked(reference, words):
    """What the reference replies. Redis's SORT takes the `ERANGE` that an earlier command's number left in `errno` for a fault of
    its own numbers, so it is asked again after a command that clears that."""
    reply = reference(*words)
    if str(words[0]).upper().startswith("SORT") and isinstance(reply, bytes) and b"can't be converted into double" in reply:
        reference("INCRBYFLOAT", "none", "x")
        reply = reference(*words)
    return reply


def same(words, theirs, ours) -> bool:
    if theirs == ours:
        return True
    name = words[0].upper()
    both = isinstance(theirs, bytes) and isinstance(ours, bytes)
    if both and name in ("EXPIRETIME", "PEXPIRETIME", "TTL", "PTTL") and theirs[:1] == ours[:1] == b":":
        # The two servers set the time within moments of one another.
        return abs(int(theirs[1:]) - int(ours[1:])) < 2000
    if name == "BITCOUNT" and len(words) == 3:
        # Newer servers take a start without an end.
        return True
    if any(module.is_alike(words, theirs, ours) for module in MODULES.values() if hasattr(module, "is_alike")):
        return True
    # Newer servers, which Roster follows, check all arguments before they look for the key.
    return isinstance(ours, bytes) and ours[:1] == b"-" and name in ("BITCOUNT", "BITPOS", "GETEX")


theirs_port = ours_port + 1
reference = subprocess.Popen(
    [os.environ.get("REFERENCE", "redis-server"), "--port", str(theirs_port), "--save", "", "--dir", folder, "--loglevel", "warning"]
)
try:
    for _ in range(400):
        assert reference.poll() is None, "redis-server did not start"
        try:
            socket.create_connection(("127.0.0.1", theirs_port)).close()
            break
        except OSError:
            time.sleep(0.05)
    for name, advanced in ADVANCED:
        if Connection(theirs_port)("COMMAND", "INFO", name) not in ([None], None):
            COMMANDS = COMMANDS + advanced
    for protocol in (2, 3):
        theirs, ours = Connection(theirs_port), Connection(ours_port)
        for connection in (theirs, ours):
            connection("FLUSHALL")
            connection("HELLO", protocol)
        for number in range(count):
            words = pick(COMMANDS)()
            expected, got = asked(theirs, words), ours(*words)
            assert same(words, expected, got), (
                f"command {number} of seed {seed}, RESP{protocol}: {[str(word)[:80] for word in words]}\n"
                f"  redis  {str(expected)[:300]}\n  roster {str(got)[:300]}"
            )
        for database in (0, 1, 15):
            for connection in (theirs, ours):
                connection("SELECT", database)
            # DBSIZE counts what is past its time and not yet removed, so the keys themselves are compared.
            assert sorted(theirs("KEYS", "*")) == sorted(ours("KEYS", "*"))
        print(f"differential: {count} commands in RESP{protocol}, no difference")
    ours("FLUSHALL")
finally:
    reference.kill()
    reference.wait()
