"""Streams: entries, groups, pending entries and claims. IDs are given by number, so that both servers agree."""

# The commands whose replies tell times, or differ between versions of Redis.
NAMES = ("XPENDING", "XREAD", "XREADGROUP", "XSETID", "XGROUP", "XINFO")
KEYS = ["x1", "x2", "x3"]
GROUPS = ["g", "g", "h", "nogroup"]
CONSUMERS = ["a", "b", "c"]
# Entries are idle for moments, or by XCLAIM for hours; what is asked for lies between.
LONG, BETWEEN = 30_000_000, 3_000_000


def is_alike(words, theirs, ours):
    """Whether two replies differ only in what servers need not agree on."""
    if str(words[0]).upper() not in NAMES:
        return False
    # Where exact trimming by MINID passes entries that were deleted before, Redis keeps the node of dead entries. Roster does not.
    spare = (b"radix-tree-keys",) if nodes(ours) < nodes(theirs) else ()
    return without(comparable(words, theirs), spare) == without(comparable(words, ours), spare)


def nodes(reply) -> int:
    """How many nodes XINFO STREAM tells; 0 for other replies."""
    words = reply["map"] if isinstance(reply, dict) else reply
    named = isinstance(words, list) and b"radix-tree-keys" in words
    return int(words[words.index(b"radix-tree-keys") + 1][1:]) if named else 0


def commands(rng):
    pick = rng.choice
    clock = [1]

    def key():
        return "k0" if rng.random() < 0.03 else pick(KEYS)

    def number():
        return pick(["0", "1", "-1", "x", "", "9223372036854775807", "9223372036854775808"]) if rng.random() < 0.1 else str(rng.randrange(12))

    def next_id():
        dice = rng.random()
        if dice < 0.04:
            return pick(["0-0", "0", "x", "1-x", "-", "+", "1-1-1", "0-*", "", "(1", "$", ">"])
        clock[0] += pick([0, 0, 1, 1, 2])
        return f"{clock[0]}-*" if dice < 0.4 else f"{clock[0]}-{rng.randrange(6)}" if dice < 0.8 else str(clock[0])

    def some_id():
        dice = rng.random()
        if dice < 0.03:
            return pick(["x", "1-x", "1-*", "", "-1", "18446744073709551615-18446744073709551615", "18446744073709551616-0"])
        ms = max(0, clock[0] - rng.randrange(pick([4, 30, 120])))
        return f"{ms}-{rng.randrange(4)}" if dice < 0.8 else str(ms)

    def edge(sign):
        dice = rng.random()
        return sign if dice < 0.4 else pick(["(", "(-", "(0-0", "-", "+"]) if dice < 0.45 else ("(" if dice < 0.6 else "") + some_id()

    def ids():
        return [some_id() for _ in range(pick([1, 1, 2, 4, 12]))]

    def entry():
        names = pick([["f"], ["f"], ["f", "g"], ["g", "f", "h"]])
        words = [word for name in names for word in (name, pick([number(), "v" * rng.randrange(90), bytes([rng.randrange(256)] * 3), "v" * pick([1, 500, 5000])]))]
        return words[:-1] if rng.random() < 0.02 else words

    def trimming():
        words = [pick(["MAXLEN", "maxlen", "MINID"])]
        words += pick([[], ["="], ["~"], ["~"]])
        words += [str(rng.randrange(40)) if words[0] != "MINID" else some_id()] if rng.random() < 0.95 else [number()]
        return words + pick([[], [], [], ["LIMIT", pick(["0", "5", "200", "-1", "x"])], ["LIMIT"], ["FOO"]])

    def reading():
        return [word for _ in range(pick([0, 0, 1, 2])) for word in pick([["COUNT", number()], ["COUNT", number()], ["NOACK"], ["FOO"]])]

    def streams(after):
        names = [key() for _ in range(pick([1, 1, 2, 3]))]
        starts = [after() for _ in names]
        return ["STREAMS", *names, *(starts if rng.random() < 0.97 else starts[1:])]

    def members():
        return ["GROUP", pick(GROUPS[:3]), pick(CONSUMERS)] if rng.random() < 0.97 else pick([[], ["GROUP", "g"], ["GROUP"]])

    def claiming():
        return [
            word
            for _ in range(pick([0, 0, 1, 1, 2, 3]))
            for word in pick(
                [["IDLE", pick([0, LONG, -5, "x"])], ["TIME", pick([1, -5, 2**62, "x"])], ["RETRYCOUNT", number()], ["FORCE"], ["FORCE"], ["JUSTID"], ["LASTID", some_id()], ["FOO"], ["IDLE"]]
            )
        ]

    def min_idle():
        # Nothing that could pass between the two servers.
        return pick([0, 0, 0, 0, BETWEEN, BETWEEN, -1, "x", "9223372036854775807", "9223372036854775808"])

    def pending():
        words = [edge("-"), edge("+"), number(), *pick([[], [], [pick(CONSUMERS)], ["nobody"]])]
        return pick([[], words, words, ["IDLE", pick([0, BETWEEN, "x"]), *words], words[:2], words + ["a", "b"]])

    add = lambda: ["XADD", key(), *pick([[], [], [], ["NOMKSTREAM"], trimming()]), next_id(), *entry()]
    read_group = lambda: ["XREADGROUP", *members(), *reading(), *streams(lambda: ">" if rng.random() < 0.7 else pick([some_id(), "0", "$"]))]
    create = lambda: ["XGROUP", "CREATE", key(), pick(GROUPS[:3]), pick(["0", "$", some_id()]), *pick([[], [], ["MKSTREAM"], ["ENTRIESREAD", number()], ["FOO"]])]
    return [add] * 12 + [read_group] * 5 + [create] * 2 + [
        lambda: ["XLEN", key()],
        lambda: [pick(["XRANGE", "xrange"]), key(), edge("-"), edge("+"), *pick([[], ["COUNT", number()], ["COUNT"], ["FOO", "1"]])],
        lambda: ["XREVRANGE", key(), edge("+"), edge("-"), *pick([[], ["COUNT", number()]])],
        lambda: ["XDEL", key(), *ids()],
        lambda: ["XTRIM", key(), *trimming()],
        lambda: ["XREAD", *pick([[], reading(), ["BLOCK", pick(["-1", "x", "1", "9223372036854775808"])]]), *streams(lambda: pick([some_id(), "0", "$", ">"]))],
        lambda: ["XSETID", key(), next_id(), *pick([[], [], ["ENTRIESADDED", number()], ["MAXDELETEDID", some_id()], ["FOO"]])],
        lambda: ["XGROUP", "SETID", key(), pick(GROUPS), pick(["0", "$", "-", "+", some_id()]), *pick([[], [], ["ENTRIESREAD", number()], ["MKSTREAM"]])],
        lambda: ["XGROUP", "DESTROY", key(), pick(GROUPS)] if rng.random() < 0.3 else ["XGROUP", "CREATECONSUMER", key(), pick(GROUPS), pick(CONSUMERS)],
        lambda: ["XGROUP", "DELCONSUMER", key(), pick(GROUPS), pick(CONSUMERS)] if rng.random() < 0.4 else ["XGROUP", pick(["foo", "DESTROY", "SETID"])],
        lambda: ["XACK", key(), pick(GROUPS), *ids()],
        lambda: ["XPENDING", key(), pick(GROUPS[:3]), *pending()],
        lambda: ["XPENDING", key(), pick(GROUPS[:3])],
        lambda: ["XCLAIM", key(), pick(GROUPS[:3]), pick(CONSUMERS), min_idle(), *ids(), *claiming()],
        lambda: ["XAUTOCLAIM", key(), pick(GROUPS[:3]), pick(CONSUMERS), min_idle(), edge("-"), *pick([[], ["COUNT", number()], ["JUSTID"], ["FOO"]])],
        lambda: ["XINFO", "STREAM", key(), *pick([[], [], ["FOO"], ["FULL", "COUNT"], ["FULL", "COUNT", "x"]])],
        lambda: ["XINFO", "GROUPS", key()],
        lambda: ["XINFO", "CONSUMERS", key(), "nogroup"],
        lambda: ["SET", "k0", "v"] if rng.random() < 0.5 else ["DEL", "k0"],
        lambda: [pick(["DEL", "TYPE"]), pick(KEYS)] if rng.random() < 0.15 else ["COPY", pick(KEYS), pick(KEYS), "REPLACE"],
    ]


def comparable(words, reply):
    """The reply without what two servers need not agree on: times, and what Redis 7.0 did differently from 7.2."""
    name, sub = str(words[0]).upper(), str(words[1]).upper() if len(words) > 1 else ""
    if name == "XPENDING" and len(words) > 3 and isinstance(reply, list):
        # Idle times are long or short.
        return [[*row[:2], int(row[2][1:]) > BETWEEN, *row[3:]] for row in reply]
    if name in ("XREAD", "XREADGROUP") and isinstance(reply, bytes) and b"Unbalanced" in reply:
        return b"unbalanced"
    if name == "XSETID" and isinstance(reply, bytes) and b" is smaller than " in reply:
        return b"smaller"
    if name == "XGROUP" and sub == "CREATECONSUMER" and reply in (b":0", b":1"):
        # Before 7.2 a consumer that got nothing was not created by asking.
        return b"created"
    return without(reply, (b"radix-tree-nodes", b"entries-read", b"lag", b"consumers")) if name == "XINFO" else reply


def without(reply, names):
    """The reply of XINFO without the values of these names."""
    if isinstance(reply, dict):
        return {"map": without(reply["map"], names)}
    if isinstance(reply, list):
        reply = [without(part, names) for part in reply]
        return [None if at and reply[at - 1] in names else part for at, part in enumerate(reply)]
    return reply
