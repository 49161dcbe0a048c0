"""Tair's compatibility cases (tests/tair/cts.json, MIT) against a server: commands with the replies that Redis gives.

Usage: cases.py PORT [--version X.Y.Z] [--complete] [--quiet]

Runs the cases of a standalone server up to a version of Redis (7.2.0 unless told), each on an empty server, and prints
what became of each. Fails if one got another reply than it expects, unless exceptions.txt names it with a reason. Cases of
commands that the server does not have are counted apart, and only fail with --complete.

A case is a list of commands with a list of replies as RESP2 gives them, in which a status and a string are alike. Some say
more: `since`, the first version that has it; `tags`, standalone or cluster; `sort_result`, that the order of an array means
nothing; `command_binary`, that commands have escapes for bytes; `skipped`, that its authors do not run it.
"""

import argparse
import json
import pathlib
import socket
import sys

FOLDER = pathlib.Path(__file__).parent
ESCAPES = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "\\": 92, '"': 34, "'": 39}


class ErrorReply(str):
    """An error, which equals no expected text."""


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def __call__(self, *words: bytes):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self.read()

    def read(self):
        line = self.file.readline()
        assert line.endswith(b"\r\n"), "the connection was closed"
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode("latin-1")
        if kind == b"-":
            return ErrorReply(rest.decode("latin-1"))
        if kind == b":":
            return int(rest)
        if rest == b"-1":
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode("latin-1")
        assert kind == b"*", line
        return [self.read() for _ in range(int(rest))]


def words(command: str, binary: bool) -> list[bytes]:
    """Splits a command at spaces outside of quotes; `binary` resolves escapes."""
    found, word, quote, at = [], None, None, 0
    while at < len(command):
        letter = command[at]
        at += 1
        if binary and letter == "\\":
            escape = command[at]
            at += 1
            if escape == "x":
                byte = int(command[at : at + 2], 16)
                at += 2
            else:
                byte = ESCAPES[escape]
            word = (word or b"") + bytes([byte])
        elif quote and letter == quote:
            quote = None
        elif not quote and letter == '"':
            quote, word = letter, word or b""
        elif not quote and letter == " ":
            found += [] if word is None else [word]
            word = None
        else:
            word = (word or b"") + letter.encode()
    return found if word is None else [*found, word]


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def equal(expected, got, unordered: bool) -> bool:
    if isinstance(got, ErrorReply):
        return False
    if unordered and isinstance(expected, list) and isinstance(got, list):
        expected, got = sorted(expected, key=repr), sorted(got, key=repr)
    return type(expected) is type(got) and expected == got


def run(case: dict, connection: Connection) -> tuple[str, str]:
    """What became of a case, and why."""
    connection(b"FLUSHALL")
    for command, expected in zip(case["command"], case["result"]):
        got = connection(*words(command, case.get("command_binary", False)))
        if isinstance(got, ErrorReply) and got.startswith(("ERR unknown command", "ERR unknown subcommand")):
            return "command not there yet", command
        if not equal(expected, got, case.get("sort_result", False)):
            return "failed", f"{command}: expected {expected!r}, got {got!r}"
    return "passed", ""


def exceptions() -> dict[str, str]:
    lines = (line.strip() for line in (FOLDER / "exceptions.txt").read_text().splitlines())
    return dict(map(str.strip, line.split(":", 1)) for line in lines if line and not line.startswith("#"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--version", default="7.2.0")
    parser.add_argument("--complete", action="store_true", help="fail where a command is missing")
    parser.add_argument("--quiet", action="store_true", help="print only what did not pass")
    options = parser.parse_args()
    cases = json.loads((FOLDER / "cts.json").read_text())
    cases = [case for case in cases if case.get("tags", "standalone") == "standalone"]
    cases = [case for case in cases if version(case["since"]) <= version(options.version)]
    excepted, unused = exceptions(), set(exceptions())
    tally: dict[str, int] = {}
    for case in cases:
        if case.get("skipped"):
            outcome, why = "skipped by its authors", ""
        else:
            # A case may leave its connection subscribed or in a transaction, so each has its own.
            connection = Connection(options.port)
            try:
                outcome, why = run(case, connection)
            except (OSError, AssertionError, ValueError) as error:
                outcome, why = "failed", f"{type(error).__name__}: {error}"
            connection.socket.close()
        if outcome == "failed" and case["name"] in excepted:
            outcome, why = "excepted", excepted[case["name"]]
            unused.discard(case["name"])
        tally[outcome] = tally.get(outcome, 0) + 1
        if outcome != "passed" or not options.quiet:
            print(f"{outcome}: {case['name']}" + (f" ({why})" if why else ""))
    print(f"{len(cases)} cases: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items())))
    for name in sorted(unused):
        print(f"exceptions.txt names what is no failure: {name}")
    missing = tally.get("command not there yet", 0) if options.complete else 0
    return 1 if tally.get("failed") or unused or missing or not tally.get("passed") else 0


sys.exit(main())
