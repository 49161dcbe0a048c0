"""Redis's or Valkey's own test suite against Roster, and against the real server in the same mode, as a Markdown table.

The suite runs in external mode, one process and one fresh server per unit, with `--durable`, so that an unexpected error
ends only its test. A test that hangs is noted as failed, and the unit is run again without it. What is compared are the
names of the tests that a real server passes: some fail or are left out on any external server.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import re
import signal
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = [
    *(f"unit/type/{name}" for name in ("string", "incr", "list", "list-2", "list-3", "set", "zset", "hash")),
    *("unit/type/stream", "unit/type/stream-cgroups"),
    *(f"unit/{name}" for name in ("keyspace", "expire", "scan", "sort", "bitops", "bitfield", "geo", "hyperloglog")),
    *(f"unit/{name}" for name in ("multi", "pubsub", "scripting", "functions", "introspection", "introspection-2", "tracking")),
    *(f"unit/{name}" for name in ("querybuf", "slowlog", "latency-monitor", "info-command", "protocol", "quit", "other")),
    *(f"unit/{name}" for name in ("dump", "pause", "lazyfree", "replybufsize", "violations")),
]
# Those that the suite leaves out on a server that it did not start itself. `--all` runs them too.
LEFT_OUT = [f"unit/{name}" for name in ("acl", "acl-v2", "auth", "info", "pubsubshard", "maxmemory", "obuf-limits", "limits")]
# Between these lines a page keeps what is written by this script.
BEGIN, END = "<!-- tests/tcl/run: {} -->", "<!-- tests/tcl/run: end -->"
# Runs of one unit, the first and those without the tests that hung.
ATTEMPTS = 12


class Result:
    """What became of a unit's tests: how often each name passed, and why others failed."""

    def __init__(self) -> None:
        self.passed: collections.Counter[str] = collections.Counter()
        self.failed: dict[str, str] = {}
        self.note = ""


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to outgoing connections. The suites empty the server
    that they are given, so it must be no other than ours."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20000, 32000)))
            return probe.getsockname()[1]


@contextlib.contextmanager
def server(command: list[str]):
    """A fresh server on a random port, which is given to the block."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen([*command, "--port", str(port), "--dir", folder], stdout=log, stderr=log)
        try:
            for _ in range(200):
                if process.poll() is not None:
                    raise SystemExit(f"{command[0]} did not start:\n{pathlib.Path(log.name).read_text()[-2000:]}")
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.kill()
            process.wait()


def attempt(suite: pathlib.Path, unit: str, port: int, skipped: list[str], options) -> tuple[Result, str | None]:
    """Runs a unit once, and tells which test hung."""
    command = ["tclsh", "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", str(port), "--single", unit]
    command += ["--durable", "--timeout", str(options.stall), "--baseport", str(random.randrange(11000, 19000))]
    # Redis 7.0 keeps no small sets and lists as listpacks. Roster does, as Redis 7.2 and Valkey do, whose suite checks that.
    command += ["--ignore-encoding"] if options.suite == "redis" else []
    command += [word for name in skipped for word in ("--skiptest", name)]
    command += ["--tags", options.tags] if options.tags else []
    # A session of its own, because the suite forgets its children where it gives up.
    process = subprocess.Popen(
        command, cwd=suite, env=os.environ | {"TERM": "dumb"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    overdue = False
    try:
        output, _ = process.communicate(timeout=options.limit)
    except subprocess.TimeoutExpired:
        overdue = True
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    result = read(output.decode(errors="replace"))
    if overdue:
        result.note = f"not done after {options.limit} s"
    hung = re.search(rb"\(IN PROGRESS\) (.*)", output)
    return result, hung[1].decode(errors="replace") if hung else None


def reason(lines: list[str]) -> str:
    """Why a test failed, of the lines below its name. The suite cuts ten letters off as if each error were an assertion's; the
    next line has them."""
    first, second = [line.strip() for line in [*lines, "", ""][:2]]
    return second if first and second.endswith(first) else first


def read(output: str) -> Result:
    """The lines that the suite prints: `[ok]: NAME (1 ms)`, `[err]: NAME in tests/…`, and the reason below that."""
    result = Result()
    lines = output.split("The following tests failed:")[0].splitlines()
    for at, line in enumerate(lines):
        if passed := re.match(r"\[ok\]: (.*) \(\d+ ms\)$", line) or re.match(r"\[ok\]: (.*)$", line):
            result.passed[passed[1]] += 1
        elif failed := re.match(r"\[err\]: (.*) in tests/\S+\.tcl$", line):
            result.failed[failed[1]] = reason(lines[at + 1 : at + 3])
        elif outside := re.match(r"\[(?:err|exception)\]: (.*)", line):
            if "no such file" not in line:
                result.failed[f"(outside of a test) {outside[1][:80]}"] = reason(lines[at + 1 : at + 3])
    if "\n                   The End\n" not in output:
        result.note = "the suite ended early: " + (lines[-1].strip() if lines else "no output")
    return result


def run(suite: pathlib.Path, unit: str, command: list[str], options) -> Result:
    """Runs a unit until it completes: without those tests that hang."""
    hung: list[str] = []
    for _ in range(ATTEMPTS):
        with server(command) as port:
            result, stuck = attempt(suite, unit, port, hung, options)
        if stuck is None or stuck in hung:
            break
        hung.append(stuck)
    for name in hung:
        result.failed[name] = "hangs"
    return result


def untagged(suite: pathlib.Path) -> pathlib.Path:
    """A copy of the suite whose parts for servers of its own run on ours: their settings are set with CONFIG SET instead."""
    copy = suite.with_name(f"{suite.name}-all")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(suite, copy)
    for unit in (copy / "tests/unit").rglob("*.tcl"):
        unit.write_bytes(unit.read_bytes().replace(b"external:skip", b"external:run"))
    return copy


def table(rows: list[tuple[str, Result, Result]], names: tuple[str, str]) -> str:
    ours, theirs = names
    lines = [f"| unit | {ours} | {theirs} | of these, here |", "|---|---|---|---|"]
    sums = [0, 0, 0]
    for unit, here, there in rows:
        both = sum((here.passed & there.passed).values())
        counts = [sum(here.passed.values()), sum(there.passed.values()), both]
        sums = [total + count for total, count in zip(sums, counts)]
        notes = [f"{name}: {result.note}" for name, result in ((ours, here), (theirs, there)) if result.note]
        lines.append(f"| {unit.removeprefix('unit/')} | {counts[0]} | {counts[1]} | {both} |" + "".join(f" {note}" for note in notes))
    lines.append(f"| all | {sums[0]} | {sums[1]} | {sums[2]} |")
    missing = []
    for unit, here, there in rows:
        for name in there.passed - here.passed:
            reason = here.failed.get(name, "did not run")
            missing.append(f"- {unit.removeprefix('unit/')}: {name} ({reason[:160]})")
        missing += [f"- {unit.removeprefix('unit/')}: {name} ({why[:160]})" for name, why in here.failed.items() if name[:1] == "("]
    if missing:
        lines += ["", f"Passed by {theirs} and not by {ours}:", "", *missing]
    return "\n".join(lines) + "\n"


def write(path: pathlib.Path, suite: str, text: str) -> None:
    """Puts the table into a page: in place of the last one of this suite, or at the end."""
    begin = BEGIN.format(suite)
    old = path.read_text() if path.exists() else ""
    part = f"{begin}\n{text}{END}"
    place = re.compile(re.escape(begin) + ".*?" + re.escape(END), re.DOTALL)
    new = place.sub(lambda _: part, old) if place.search(old) else (old.rstrip("\n") + "\n\n" + part + "\n").lstrip("\n")
    path.write_text(new)


def built() -> str:
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return os.environ.get("CARGO_TARGET_DIR", "target") + "/release/roster"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", nargs="?", help="Roster; a release build of this tree by default")
    parser.add_argument("--suite", choices=["redis", "valkey"], default="redis")
    parser.add_argument("--real", help="the real server to compare with; redis-server or valkey-server by default")
    parser.add_argument("--write", type=pathlib.Path, help="a page to put the table into")
    parser.add_argument("--unit", action="append", help="only this unit, such as unit/geo; may be repeated")
    parser.add_argument("--all", action="store_true", help="also what the suite leaves out on external servers")
    parser.add_argument("--tags", default="", help="tags for the suite to run or, with a -, to leave out")
    parser.add_argument("--stall", type=int, default=60, help="seconds without progress after which a test hangs")
    parser.add_argument("--limit", type=int, default=900, help="seconds after which a unit is ended")
    options = parser.parse_args()
    program = str(pathlib.Path(options.program or built()).resolve())
    real = options.real or f"{options.suite}-server"
    if shutil.which(real) is None:
        raise SystemExit(f"{real} is not installed; name a server with --real")
    fetched = subprocess.run([ROOT / "tests/tcl/fetch", options.suite], check=True, stdout=subprocess.PIPE, text=True)
    suite = pathlib.Path(fetched.stdout.strip())
    units = options.unit or UNITS
    if options.all:
        suite, units = untagged(suite), options.unit or UNITS + LEFT_OUT
    version = re.search(r"v=(\S+)", subprocess.run([real, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout)
    named = f"{options.suite} {version[1] if version else ''}".strip()
    debug = ["--enable-debug-command", "local"]
    rows = []
    for unit in units:
        here = run(suite, unit, [program, *debug], options)
        there = run(suite, unit, [real, "--save", "", "--appendonly", "no", *debug], options)
        rows.append((unit, here, there))
        print(f"{unit}: {sum(here.passed.values())} here, {sum(there.passed.values())} of {named}", flush=True)
    text = table(rows, ("roster", named))
    print(f"\n{text}")
    if options.write:
        write(options.write, options.suite, text)


main()
