"""Append-only files: those of real servers are imported here, ours are exported to them, and the data is the same.

Usage: aof.py PORT FOLDER

PORT is that of a server of the program under test. The peers are redis-server and what the variable PEERS names, separated by
colons; those that are not there are left out. PEERS_SEED is the seed.
"""

import glob
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from resp.servers import Saving, Server, compare, contents, fill, peers, prints_alike

port, folder = int(sys.argv[1]), os.path.join(sys.argv[2], "aof")
seed = int(os.environ.get("PEERS_SEED", "11"))
rng = random.Random(seed)
program = Saving(port).info("executable")
LIBRARY = "#!lua name=lib\nredis.register_function('twice', function(keys, args) return redis.call('incrby', keys[1], 2) end)"


def change(call, count: int) -> None:
    """Commands that servers write into their files in another form than they were sent."""
    far = int(time.time() * 1000) + 10_000_000
    now = lambda: int(time.time() * 1000)
    name = lambda: f"c:{rng.randrange(40)}"
    number = lambda: rng.randrange(100)
    commands = [
        lambda: ("SET", "text:" + name(), number(), "PX", rng.choice([1, 30, 10_000_000])),
        lambda: ("SET", "text:" + name(), number(), "PXAT", now() + rng.choice([-10, 20, 10_000_000])),
        lambda: ("GETEX", "text:" + name(), rng.choice(["PERSIST", "EX"]), *([9999] if rng.random() < 0 else [])),
        lambda: ("EXPIRE", "text:" + name(), rng.choice([-1, 9999]), rng.choice(["NX", "XX", "GT", "LT"])),
        lambda: ("PERSIST", "text:" + name()),
        lambda: ("GETDEL", "text:" + name()),
        lambda: ("APPEND", "text:" + name(), "x"),
        lambda: ("SETRANGE", "text:" + name(), number(), "abc"),
        lambda: ("INCRBYFLOAT", "float:" + name(), rng.choice([0.1, -3.75, 1e10])),
        lambda: ("INCR", "count:" + name()),
        lambda: ("EVAL", "redis.call('incr', KEYS[1]); return redis.call('rpush', KEYS[2], ARGV[1])", 2, "count:" + name(), "l:" + name(), number()),
        lambda: ("FCALL", "twice", 1, "count:" + name()),
        lambda: ("RPUSH", "l:" + name(), number(), number()),
        lambda: ("LPOP", "l:" + name(), rng.randrange(1, 4)),
        lambda: ("LMOVE", "l:" + name(), "l:" + name(), "LEFT", "RIGHT"),
        lambda: ("BLMPOP", 0.001, 2, "l:" + name(), "l:" + name(), "LEFT", "COUNT", 2),
        lambda: ("SADD", "s:" + name(), number(), number(), "m%d" % number()),
        lambda: ("SPOP", "s:" + name(), rng.randrange(1, 4)),
        lambda: ("SMOVE", "s:" + name(), "s:" + name(), number()),
        lambda: ("SUNIONSTORE", "s:" + name(), "s:" + name(), "s:" + name()),
        lambda: ("ZADD", "z:" + name(), number() / 7, number()),
        lambda: ("ZINCRBY", "z:" + name(), number() / 3, number()),
        lambda: ("ZPOPMIN", "z:" + name(), 2),
        lambda: ("ZRANGESTORE", "z:" + name(), "z:" + name(), 0, 5),
        lambda: ("HSET", "h:" + name(), number(), number()),
        lambda: ("HINCRBYFLOAT", "h:" + name(), number(), 0.25),
        lambda: ("HDEL", "h:" + name(), number()),
        lambda: ("XADD", "x:" + name(), "MAXLEN", "~", 50, "*", "f", number()),
        lambda: ("XGROUP", "CREATE", "x:" + name(), "group", rng.choice(["0", "$"]), "MKSTREAM"),
        lambda: ("XREADGROUP", "GROUP", "group", "reader", "COUNT", 2, "STREAMS", "x:" + name(), ">"),
        lambda: ("XAUTOCLAIM", "x:" + name(), "group", "other", 0, "0", "COUNT", 2),
        lambda: ("XACK", "x:" + name(), "group", f"{number()}-1"),
        lambda: ("XTRIM", "x:" + name(), "MAXLEN", 20),
        lambda: ("PFADD", "p:" + name(), number(), number()),
        lambda: ("PFMERGE", "p:" + name(), "p:" + name()),
        lambda: ("BITFIELD", "b:" + name(), "SET", "u8", number(), number()),
        lambda: ("BITOP", "NOT", "b:" + name(), "b:" + name()),
        lambda: ("GEOADD", "g:" + name(), number() / 2, number() / 2, number()),
        lambda: ("COPY", rng.choice("tlszhx") + ":" + name(), rng.choice("tlszhx") + ":copy:" + name(), "DB", rng.choice([0, 3])),
        lambda: ("RENAME", rng.choice("lszh") + ":" + name(), rng.choice("lszh") + ":other:" + name()),
        lambda: ("MOVE", "count:" + name(), rng.choice([0, 3])),
        lambda: ("UNLINK", rng.choice("lszhxpb") + ":" + name()),
        lambda: ("SWAPDB", 0, 3),
        lambda: ("SELECT", rng.choice([0, 0, 0, 3])),
    ]
    for _ in range(count):
        if rng.random() < 0.1:
            call("MULTI")
            for _ in range(rng.randrange(1, 6)):
                call(*rng.choice(commands[:-1])())
            call("EXEC")
        else:
            call(*rng.choice(commands)())
    call("SET", "kept", number(), "PXAT", far)


def digest(call) -> bytes:
    # The sum has keys past their time, too, for as long as nobody has removed them.
    for database in (0, 3, 9):
        call("SELECT", database)
        for _ in range(200):
            if call("DBSIZE") == b":%d" % len(call("KEYS", "*")):
                break
            time.sleep(0.05)
    value = call("DEBUG", "DIGEST")
    assert len(value) == 41, value
    return value


def digest_of_peer(call) -> bytes | None:
    """None where the server prints scores into the sum in another form than Redis 7.0 and we."""
    return digest(call) if digests_agree else None


def tool(*words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def fresh(name: str) -> str:
    path = os.path.join(folder, name)
    shutil.rmtree(path, ignore_errors=True)
    return path


def imported(source: str, *flags: str):
    into = fresh("imported")
    said = tool("import", source, "--into", into, *flags)
    return said, Server(program, into, "--workers", "1", "--save", "")


def volatile_settled() -> None:
    """The short times to live that `change` sets have passed."""
    time.sleep(0.1)


def same(client, wanted: dict, wanted_digest: bytes | None, what: str) -> None:
    compare(contents(client), wanted, what)
    got = digest(client)
    assert wanted_digest is None or got == wanted_digest, f"{what}: the digest is {got} and not {wanted_digest}"


def refuses(*words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, f"{words}: {done.stdout}"
    return done.stderr


for peer in peers:
    # A base with everything and increments over it, of several forms of the file.
    for preamble, stamps in (("yes", "yes"), ("no", "no")):
        where = fresh("peer")
        flags = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--save", ""]
        flags += ["--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", stamps, "--enable-debug-command", "yes"]
        theirs = Server(peer, where, *flags)
        call = theirs.client
        digests_agree = prints_alike(call, Saving(port))
        fill(call, rng)
        call("SELECT", 0)
        call("FUNCTION", "LOAD", LIBRARY)
        change(call, 1500)
        assert call("BGREWRITEAOF").startswith(b"+")
        change(call, 1500)
        while call.info("aof_rewrite_in_progress") != "0":
            time.sleep(0.05)
        change(call, 1500)
        volatile_settled()
        theirs.stop()
        # What the file means is what its own server makes of it.
        theirs = Server(peer, where, *flags)
        wanted, sum_there = contents(theirs.client), digest_of_peer(theirs.client)
        theirs.stop()
        aof = os.path.join(where, "appendonlydir")
        said, ours = imported(aof)
        same(ours.client, wanted, sum_there, f"{peer}'s append-only file here")
        assert ours.client("FCALL", "twice", 1, "new") == b":2"
        ours.stop()

        # As servers before 7.0 had it: one file.
        single = os.path.join(folder, "appendonly.aof")
        names = sorted(glob.glob(aof + "/*.base.*")) + sorted(glob.glob(aof + "/*.incr.aof"))
        with open(single, "wb") as file:
            for name in names:
                file.write(open(name, "rb").read())
        said, ours = imported(single)
        same(ours.client, wanted, sum_there, f"{peer}'s single file here")
        ours.stop()

        # Cut off anywhere, it is as much as the server itself takes of it.
        last = names[-1]
        whole = open(last, "rb").read()
        for _ in range(4):
            cut = rng.randrange(len(whole) // 2, len(whole))
            open(last, "wb").write(whole[:cut])
            copy = fresh("cut")
            shutil.copytree(where, copy)
            theirs = Server(peer, copy, *flags)
            volatile_settled()
            wanted_cut, sum_cut = contents(theirs.client), digest_of_peer(theirs.client)
            theirs.stop()
            said, ours = imported(where)
            same(ours.client, wanted_cut, sum_cut, f"{peer}'s file cut off at {cut}")
            ours.stop()
            if "is left out" in said:
                fresh("imported")
                assert "at byte" in refuses("import", aof, "--into", os.path.join(folder, "imported"), "--strict")
        broken = bytearray(whole)
        place = whole.index(b"\r\n$", len(whole) // 2) + 2
        broken[place] = ord("x")
        open(last, "wb").write(broken)
        fresh("imported")
        reason = refuses("import", aof, "--into", os.path.join(folder, "imported"))
        assert "damaged" in reason and os.path.basename(last) in reason, reason
        print(f"equal data out of the append-only files of {peer} (base as RDB: {preamble})")

    # And the other way: a log that was begun at run time, replaced, and killed.
    where = fresh("own")
    server = Server(program, where, "--workers", "2", "--save", "", "--appendfsync", "always")
    fill(server.client, rng)
    server.client("SELECT", 0)
    server.client("FUNCTION", "LOAD", LIBRARY)
    assert server.client("CONFIG", "SET", "appendonly", "yes") == b"+OK"
    change(server.client, 1000)
    server.client("BGREWRITEAOF")
    change(server.client, 1000)
    while server.client.info("aof_rewrite_in_progress") != "0" or server.client.info("aof_rewrite_scheduled") != "0":
        time.sleep(0.05)
    change(server.client, 1000)
    volatile_settled()
    wanted, sum_here = contents(server.client), digest(server.client)
    server.stop()
    target = fresh("exported")
    os.makedirs(target)
    tool("export", "--from", where, os.path.join(target, "appendonlydir"), "--format", "aof")
    theirs = Server(peer, target, "--appendonly", "yes", "--save", "", "--enable-debug-command", "yes")
    sum_for_peer = sum_here if digests_agree else None
    same(theirs.client, wanted, sum_for_peer, f"our append-only file in {peer}")
    assert theirs.client("FCALL", "twice", 1, "new") == b":2"
    theirs.stop()
    target = fresh("exported")
    os.makedirs(target)
    tool("export", "--from", where, os.path.join(target, "dump.rdb"))
    theirs = Server(peer, target, "--save", "", "--enable-debug-command", "yes")
    same(theirs.client, wanted, sum_for_peer, f"our exported snapshot in {peer}")
    theirs.stop()
    server = Server(program, where, "--workers", "2", "--save", "", "--appendonly", "yes")
    same(server.client, wanted, sum_here, "our log after a kill")
    assert server.stop(signal.SIGTERM) == 0
    print(f"equal data in {peer} out of our log ({'with' if digests_agree else 'without'} the digest)")

# What is there is not written over, and what is not ours is not taken for ours.
assert "is there already" in refuses("import", single, "--into", where)
assert "is there already" in refuses("export", "--from", where, single)
foreign = fresh("foreign")
shutil.copytree(os.path.join(folder, "peer"), foreign)
done = subprocess.run(
    [program, "--port", str(rng.randrange(20000, 32000)), "--dir", foreign, "--appendonly", "yes"], capture_output=True, text=True, timeout=60
)
assert done.returncode == 1 and "roster import" in done.stderr, done.stderr
shutil.rmtree(folder)
