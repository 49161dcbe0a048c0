"""Random rules for users, given to Roster and to a real redis-server: what they reply, show and would allow is compared.

Usage: acl.py PORT FOLDER [ROUNDS [SEED]]

The reference is `redis-server`, or what REDIS_SERVER names. One older than 7.2 lists rules for commands in another form and
words the outcome of DRYRUN otherwise; there only the rest is compared, and whether a command is allowed.
"""

import os
import random
import socket
import subprocess
import sys
import time

from resp import Connection

ours_port, folder = int(sys.argv[1]), sys.argv[2]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3000
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(2**32)
rng = random.Random(seed)
pick = rng.choice


class Users(Connection):
    """Shows the maps of RESP3 as RESP2 shows them, so that both compare alike."""

    def pairs(self, parts):
        return parts


USERS = ["alice", "bob", "carol"]
PATTERNS = ["*", "a", "a*", "b[cd]", "k?", "", "a b", "x\ty"]
CALLS = [
    *(["GET", key] for key in ("a", "ab", "bc", "k1")),
    *(["SET", key, "1", *get] for key in ("a", "bd") for get in ([], ["GET"])),
    ["MGET", "a", "b"],
    ["MSET", "a", "1", "bc", "2"],
    ["COPY", "a", "b"],
    ["BITFIELD", "a", "GET", "u8", "0"],
    ["BITOP", "AND", "a", "b", "ab"],
    ["CONFIG", "GET", "x"],
    ["CONFIG", "SET", "x", "y"],
    ["SELECT", "0"],
    ["SELECT", "1"],
    ["AUTH", "x"],
    ["PING"],
    ["GET"],
    ["CONFIG"],
    ["NOSUCH"],
]


def command(common):
    return pick(["get", "SET", "config", "config|get", "acl", "acl|list", "select", "nosuch", pick(common)])


def rule(common, categories):
    kinds = [
        lambda: pick("+-") + command(common),
        lambda: pick("+-") + "@" + pick([*categories, "all", "nosuch"]),
        lambda: "+" + pick(["select", "config", "get"]) + "|" + pick(["0", "1", "get", "a|b", ""]),
        lambda: pick(["~", "%R~", "%W~", "%RW~", "%wr~", "%~", "%X~"]) + pick(PATTERNS),
        lambda: "&" + pick(PATTERNS),
        lambda: pick(["allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands"]),
        lambda: pick(["on", "off", "nopass", "resetpass", "skip-sanitize-payload", "reset", "clearselectors", "", "x"]),
        lambda: pick([">p", ">q", "<p", "#" + "a" * 64, "#" + "A" * 64, "!" + "a" * 64, "!x"]),
        lambda: "(" + " ".join(pick(kinds[:6])() for _ in range(rng.randrange(4))) + pick([")", ")", ")", ""]),
    ]
    return pick(kinds)()


def reply_is_unmatched(reply):
    return isinstance(reply, bytes) and reply.startswith(b"-ERR Unmatched parenthesis")


def begins_anew(rules):
    """Whether a rule opens a parenthesis while one is open: Redis before 7.2 then forgets what came before."""
    is_open = False
    for rule in rules:
        if is_open and rule.startswith("(") and not rule.endswith(")"):
            return True
        is_open = not rule.endswith(")") if is_open else rule.startswith("(") and not rule.endswith(")")
    return False


def comparable(words, reply, exact):
    if exact or not isinstance(reply, (list, bytes)):
        return reply
    if reply_is_unmatched(reply):
        # Older servers name another of several parentheses.
        return "unmatched"
    if words[1] == "DRYRUN" and not reply.startswith(b"-"):
        return reply == b"+OK"
    if words[1] == "GETUSER":
        # The rules for commands stand behind the word, also within selectors.
        return [
            comparable(words, part, exact) if isinstance(part, list) else part
            for before, part in zip([None, *reply], reply)
            # Older servers do not give every user one of the flags for payloads.
            if before != b"commands" and part != b"sanitize-payload"
        ]
    return reply


def compare(theirs, ours, exact):
    categories = [name.decode() for name in ours("ACL", "CAT")]
    known = set(theirs("COMMAND", "LIST")) & set(ours("COMMAND", "LIST"))
    # It blocks, and is said to, since 7.2.
    known.discard(b"wait")
    for category in categories:
        members = [set(server("ACL", "CAT", category)) & known for server in (theirs, ours)]
        assert members[0] == members[1], (category, members[0] ^ members[1])
    common = sorted(name.decode() for name in known)
    for number in range(rounds):
        user = pick(USERS)
        rules = [rule(common, categories) for _ in range(rng.randrange(1, 4))]
        while not exact and begins_anew(rules):
            rules = [rule(common, categories) for _ in range(rng.randrange(1, 4))]
        scripts = [["SETUSER", user, *rules], ["GETUSER", user], *(["DRYRUN", user, *pick(CALLS)] for _ in range(4))]
        if rng.random() < 0.05:
            scripts.append(pick([["USERS"], ["DELUSER", user, "nobody"], ["SETUSER", "a b"], ["GENPASS", "0"], ["LOG", "x"]]))
        if exact:
            scripts.append(["LIST"])
        for words in (["ACL", *script] for script in scripts):
            replies = [server(*words) for server in (theirs, ours)]
            expected, got = (comparable(words, reply, exact) for reply in replies)
            assert expected == got, (
                f"round {number} of seed {seed}: {words}\n  redis  {replies[0]}\n  roster {replies[1]}"
            )


theirs_port = ours_port + 1
program = os.environ.get("REDIS_SERVER", "redis-server")
reference = subprocess.Popen([program, "--port", str(theirs_port), "--save", "", "--dir", folder, "--loglevel", "warning"])
try:
    for _ in range(400):
        assert reference.poll() is None, "redis-server did not start"
        try:
            socket.create_connection(("127.0.0.1", theirs_port)).close()
            break
        except OSError:
            time.sleep(0.05)
    for protocol in (2, 3):
        theirs, ours = Users(theirs_port), Users(ours_port)
        for connection in (theirs, ours):
            connection("HELLO", protocol)
        version = theirs("INFO", "server").split(b"redis_version:")[1].split(b"\r\n")[0].decode()
        exact = [int(part) for part in version.split(".")[:2]] >= [7, 2]
        compare(theirs, ours, exact)
        for connection in (theirs, ours):
            connection("ACL", "DELUSER", *USERS)
    print(f"acl: {rounds} rounds in each protocol against {version}, seed {seed}, no difference")
finally:
    reference.kill()
    reference.wait()
