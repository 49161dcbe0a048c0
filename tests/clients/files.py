"""Files of other servers as Redis's suites for snapshots and append-only files have them: taken, or refused, as Redis does.

Usage: files.py PORT FOLDER

PORT is that of a server of the program under test. Each case is given to redis-server and to us, and the outcome is compared: the
data with its digest, or that the server does not start. The snapshots are those of Redis's suite (tests/tcl/fetch).
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

from resp.servers import Saving, Server

port, folder = int(sys.argv[1]), os.path.join(sys.argv[2], "files")
program = Saving(port).info("executable")
TCL = pathlib.Path(__file__).resolve().parents[1] / "tcl"
DEBUG = ("--enable-debug-command", "yes")


def fresh(name: str) -> str:
    path = os.path.join(folder, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def held(server: Server):
    """The digest of all that a server has, the keys by database, and some values in the clear."""
    call, keys = server.client, {}
    for database in (0, 1, 9):
        call("SELECT", database)
        for key in sorted(call("KEYS", "*")):
            keys[database, key] = call("TYPE", key), call("DEBUG", "DIGEST-VALUE", key)
    return call("DEBUG", "DIGEST"), keys


def started(maker: str, where: str, *flags: str):
    """What a server has that starts with this folder; None if it does not start."""
    try:
        server = Server(maker, where, *flags, *DEBUG)
    except SystemExit:
        return None
    found = held(server)
    assert server.stop() == -signal.SIGKILL
    return found


def snapshots() -> None:
    fetched = subprocess.run([TCL / "fetch", "redis"], check=True, stdout=subprocess.PIPE, text=True)
    assets = sorted(pathlib.Path(fetched.stdout.strip(), "tests/assets").glob("*.rdb"))
    assert len(assets) > 5, assets
    loaded = 0
    for asset in assets:
        outcomes = []
        for maker in ("redis-server", program):
            where = fresh("rdb")
            shutil.copy(asset, os.path.join(where, "dump.rdb"))
            outcomes.append(started(maker, where, "--save", "", "--appendonly", "no"))
        theirs, ours = outcomes
        assert ours == theirs, f"{asset.name}: {ours!r:.2000} here, {theirs!r:.2000} there"
        loaded += ours is not None and len(ours[1]) > 0
    assert loaded > 4, loaded

    # One byte less, or another: it does not start, and the file stays as it is.
    whole = next(asset for asset in assets if asset.name == "encodings.rdb").read_bytes()
    server = Server(program, fresh("rdb"), "--save", "", *DEBUG)
    where = os.path.join(folder, "rdb", "dump.rdb")
    assert server.client("DEBUG", "DIGEST") == b"+" + b"0" * 40
    streams(server.client)
    before = held(server)
    for sanitize in ("no", "yes"):
        server.client("CONFIG", "SET", "sanitize-dump-payload", sanitize)
        assert server.client("DEBUG", "RELOAD") == b"+OK"
        assert held(server) == before, "DEBUG RELOAD"
    assert server.client("SAVE") == b"+OK"
    sound = pathlib.Path(where).read_bytes()
    server.stop()
    assert started(program, os.path.dirname(where), "--save", "") == before
    damaged = [sound[:-8] + b"foobar00", sound[:-1], sound + b"x", sound[: len(sound) // 2], sound[:9], b"REDIS", b"x", whole[:-9]]
    damaged += [sound[:at] + bytes([sound[at] ^ 0x41]) + sound[at + 1 :] for at in range(len(sound) // 9, len(sound), len(sound) // 9)]
    for number, content in enumerate(damaged):
        pathlib.Path(where).write_bytes(content)
        # Redis reads no further than the end that the file says.
        if content != sound + b"x":
            assert started(program, os.path.dirname(where), "--save", "") is None, f"damaged snapshot {number} was taken"
        assert pathlib.Path(where).read_bytes() == content
    print(f"{len(assets)} snapshots of Redis's suite as there, {len(damaged)} damaged ones refused")


def streams(call) -> None:
    """A stream with deleted entries and a group, and keys of streams without entries."""
    for number in range(300):
        call("XADD", "stream", f"{1000 + number}-{number % 3}", *(("foo", "abc") if number % 9 else ("bar", number)))
    call("XGROUP", "CREATE", "stream", "mygroup", "0")
    call("XREADGROUP", "GROUP", "mygroup", "Alice", "COUNT", 2, "STREAMS", "stream", ">")
    assert call("XDEL", "stream", "1001-1") == b":1" and call("XACK", "stream", "mygroup", "1000-0") == b":1"
    call("XGROUP", "CREATE", "bare", "mygroup", "$", "MKSTREAM")
    call("XADD", "emptied", "7-7", "f", "v")
    assert call("XDEL", "emptied", "7-7") == b":1"


def command(*words) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def listed(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def incremented(content: bytes) -> dict[str, bytes]:
    """An append-only file of one increment."""
    return {"manifest": listed("file appendonly.aof.1.incr.aof seq 1 type i"), "1.incr.aof": content}


def parts(*lines: str, without: str = "") -> dict[str, bytes]:
    """Three files with a key each, and a manifest of these lines, in which B, I and J stand for their names."""
    names = {"B": "1.base.aof", "I": "1.incr.aof", "J": "3.incr.aof"}
    files = {name: command("SET", f"k{at}", f"v{at}") for at, name in enumerate(names.values())}
    files.pop(names.get(without), None)
    text = listed(*(" ".join(f"appendonly.aof.{names[word]}" if word in names else word for word in line.split(" ")) for line in lines))
    return files | {"manifest": text}


def cases():
    """Name, files of the folder, and the values of aof-load-truncated."""
    both = ("yes", "no")
    foo, bar = command("SET", "foo", "hello"), command("SET", "bar", "world")
    multi, done = command("MULTI"), command("EXEC")
    counted = command("INCR", "foo") * 5
    yield "an unfinished MULTI", incremented(foo + multi + bar), both
    yield "a MULTI cut off within a command", incremented(foo + multi + bar[:-3]), both
    yield "a MULTI cut off within EXEC", incremented(foo + multi + bar + done[:-4]), both
    yield "a MULTI that ends", incremented(foo + multi + bar + done), both
    yield "a short read", incremented(counted + command("INCR", "foo")[:-1]), both
    yield "a short read of a length", incremented(counted + b"*2\r\n$4"), both
    yield "a short read of a count", incremented(counted + b"*2"), both
    yield "three marks", incremented(foo + b"!!!" + bar), both
    yield "three marks at the end", incremented(foo + b"!!!"), both
    yield "a bad count", incremented(foo + b"*x\r\n" + bar), both
    yield "a count of none", incremented(foo + b"*0\r\n" + bar), both
    yield "a negative count", incremented(foo + b"*-1\r\n" + bar), both
    yield "no length", incremented(foo + b"*2\r\n:3\r\nGET\r\n" + bar), both
    yield "zeros at the end", incremented(foo + bytes(100)), both
    yield "an unknown command", incremented(foo + command("NOSUCH", "a")), both
    yield "SPOP", incremented(command("SADD", "set", "foo", "bar") + command("SPOP", "set", 2)), both
    yield "PEXPIREAT in the past", incremented(command("RPUSH", "list", "foo") + command("PEXPIREAT", "list", 1000) + command("RPUSH", "list", "bar")), both
    yield "times", incremented(b"#TS:1628217470\r\n" + foo + b"#TS:1628217471\r\n#other\r\n" + multi + bar + done), both
    yield "SELECT and FLUSHDB", incremented(foo + command("SELECT", 9) + bar + command("SELECT", 0) + command("FLUSHDB")), both
    yield "a script", incremented(command("EVAL", "redis.call('set', KEYS[1], ARGV[1])", 1, "k", "v")), both
    yield "nothing", incremented(b""), both
    base, one, three = "file B seq 1 type b", "file I seq 1 type i", "file J seq 3 type i"
    yield "files in their order", parts(base, one, three), both
    yield "a remark and more words", parts("# remark", base + " newkey newvalue", one, three), both
    yield "a history", parts(base, "file gone seq 1 type h", one), both
    yield "keys in upper case", parts("FILE B SEQ 1 TYPE b", one), both
    yield "no base", parts(one, three), both
    for name in "BIJ":
        yield f"without {name}", parts(base, one, three, without=name), both
    yield "not ascending", parts(three, one), both
    yield "twice the same", parts(one, "file J seq 1 type i"), both
    yield "a blank line", parts(one, "", three), both
    yield "two bases", parts(base, "file I seq 2 type b"), both
    yield "an unknown type", parts("file B seq 1 type x", one), both
    yield "no key", parts("filx B seq 1 type b", one), both
    yield "too short a line", parts(base, "file I type i"), both
    yield "too long a line", parts(" ".join([base] * 40), one), both
    yield "an odd word", parts(base, one + " newkey"), both
    yield "a path", parts("file ../B seq 1 type b", one), both
    yield "an empty manifest", {"manifest": b""}, both
    yield "a manifest without its last end of line", {**parts(base, one), "manifest": parts(base, one)["manifest"][:-1]}, both
    cut = parts(base, one, three)
    yield "a file in the midst that is cut off", {**cut, "1.incr.aof": cut["1.incr.aof"][:-2]}, both
    yield "the last file cut off", {**cut, "3.incr.aof": cut["3.incr.aof"][:-2]}, both
    yield "the base cut off", {**cut, "1.base.aof": cut["1.base.aof"][:-2]}, both


def preambles():
    """Cases with a snapshot at the head, made by redis-server."""
    where = fresh("made")
    theirs = Server("redis-server", where, "--appendonly", "yes", "--save", "", *DEBUG)
    streams(theirs.client)
    theirs.client("RPUSH", "l", *range(200))
    theirs.client("BGREWRITEAOF")
    while theirs.client.info("aof_rewrite_in_progress") != "0" or theirs.client.info("aof_rewrite_scheduled") != "0":
        pass
    theirs.stop()
    head = next(pathlib.Path(where, "appendonlydir").glob("*.base.rdb")).read_bytes()
    tail = command("SET", "foo", "hello") + command("SET", "bar", "world")
    manifest = listed("file appendonly.aof.1.base.rdb seq 1 type b", "file appendonly.aof.1.incr.aof seq 1 type i")
    both = ("yes", "no")
    for what, base, increment in (
        ("whole", head, tail), ("with a tail cut off", head, tail[:-3]), ("with its sum damaged", head[:-4] + b"abcd", tail),
        ("cut off", head[:-20], tail), ("cut off early", head[:30], b""), ("empty", b"", tail),
    ):
        yield f"a snapshot {what}", {"manifest": manifest, "1.base.rdb": base, "1.incr.aof": increment}, both
    yield "a snapshot and commands in one file", incremented(head + tail), both
    yield "a snapshot and cut off commands in one file", incremented(head + tail[:-3]), both


def imported(where: str, strict: bool):
    """What Roster has of a folder; None where the import refuses it."""
    into = fresh("into")
    words = [program, "import", os.path.join(where, "appendonlydir"), "--into", into] + ["--strict"] * strict
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    if done.returncode:
        assert done.returncode == 1 and "appendonly" in done.stderr and not os.listdir(into), done
        return None
    return started(program, into, "--save", "")


def append_only() -> None:
    outcomes = {True: 0, False: 0}
    for name, files, truncated in [*cases(), *preambles()]:
        for value in truncated:
            for maker in ("theirs", "ours"):
                aof = os.path.join(fresh(maker), "appendonlydir")
                os.makedirs(aof)
                for file, content in files.items():
                    pathlib.Path(aof, f"appendonly.aof.{file}").write_bytes(content)
            flags = ("--appendonly", "yes", "--aof-load-truncated", value, "--save", "", "--auto-aof-rewrite-percentage", "0")
            theirs = started("redis-server", os.path.join(folder, "theirs"), *flags)
            ours = imported(os.path.join(folder, "ours"), value == "no")
            assert ours == theirs, f"{name}, aof-load-truncated {value}: {ours!r:.900} here, {theirs!r:.900} there"
            outcomes[ours is not None] += 1
    assert min(outcomes.values()) > 20, outcomes
    print(f"append-only files: {outcomes[True]} taken and {outcomes[False]} refused as by redis-server")


def own_log() -> None:
    """Our own log at its ends: torn, damaged, without its list, begun by nobody."""
    where = fresh("own")
    server = Server(program, where, "--appendonly", "yes", "--appendfsync", "always", "--save", "", *DEBUG)
    streams(server.client)
    server.client("SET", "last", "x" * 40)
    before = held(server)
    server.stop()
    log = pathlib.Path(where, "appendonlydir", "00000001.log")
    whole = log.read_bytes()
    end = len(whole.rstrip(b"\0"))
    flags = ("--appendonly", "yes", "--save", "")
    assert started(program, where, *flags, "--aof-load-truncated", "no") == before
    log.write_bytes(whole[: end - 5] + bytes(5) + whole[end:])
    assert started(program, where, *flags, "--aof-load-truncated", "no") is None
    found = started(program, where, *flags)
    assert found and set(before[1]) - set(found[1]) == {(0, b"last")}
    # Within the first record's command.
    log.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    assert started(program, where, *flags) is None
    log.write_bytes(whole)
    os.rename(os.path.join(where, "appendonlydir", "manifest"), os.path.join(where, "manifest"))
    assert started(program, where, *flags) is None
    print("our own log is refused where it is damaged, and cut off where it is torn")


own_log()
snapshots()
append_only()
shutil.rmtree(folder)
