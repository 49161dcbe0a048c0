"""Sorted sets: scores, ranks, ranges, pops, and what is made of several, plain sets among them."""

import os

KEYS = ["zset1", "zset2", "zset3", "zset3", "zlex", "k0"]
SCORES = ["0", "1", "2", "-1", "1.5", "0.1", "-2.25", "1e17", "3.0e3", "12345678.9", "inf", "-inf", "+inf"]
WRONG = ["x", "", "nan", " 1", "1e999", "1 "]


def number(word):
    try:
        return float(word[1:] if word[:1] == b"," else word)
    except ValueError:
        return None


def is_error(reply):
    return reply.startswith((b"-ERR ", b"-WRONGTYPE "))


def is_same(theirs, ours):
    """Redis up to 7.0 prints doubles with 17 digits, and later ones with the fewest: what they print is compared."""
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(is_same, theirs, ours))
    if isinstance(theirs, bytes) and isinstance(ours, bytes) and theirs[:1].isalpha() == ours[:1].isalpha():
        return theirs == ours or theirs[:1] != b":" and None is not number(theirs) == number(ours)
    return theirs == ours


def is_alike(words, theirs, ours):
    name = words[0]
    if name in ("ZRANK", "ZREVRANK") and len(words) > 3:
        # Redis 7.0 does not know WITHSCORE, and refuses it by the number of arguments.
        return isinstance(theirs, bytes) and b"wrong number of arguments" in theirs
    if name == "OBJECT":
        # Redis since 7.2 makes a set large for what a command might add; Roster for what it does.
        return (theirs, ours) == (b"skiplist", b"listpack") and "REFERENCE" in os.environ
    if not name.startswith("Z"):
        return False
    if theirs == b"-ERR min or max is not a float" and any(" " in str(word) for word in words[2:4]):
        # Valkey 9 reads bounds by another function than all before it, which Roster follows: no space may precede the number.
        return True
    both = isinstance(theirs, list) and isinstance(ours, list)
    if name == "ZRANDMEMBER":
        # The choice is free, its size is not.
        one = isinstance(theirs, bytes) and isinstance(ours, bytes) and len(words) == 2
        return both and len(theirs) == len(ours) or one and not is_error(theirs) and not is_error(ours)
    if name == "ZSCAN" and both:
        # All at once, in any order.
        def pairs(page):
            return sorted((member, number(score)) for member, score in zip(page[1][::2], page[1][1::2]))

        return theirs[0] == ours[0] == b"0" and pairs(theirs) == pairs(ours)
    return is_same(theirs, ours)


def commands(rng):
    pick = rng.choice

    def key():
        return pick(KEYS)

    def member():
        dice = rng.random()
        if dice < 0.8:
            return pick(["a", "b", "c", "d", "e", "1", "-7", "", "aa", "ab"])
        if dice < 0.98:
            return bytes(pick([0, 255, 97, rng.randrange(256)]) for _ in range(rng.randrange(20)))
        return b"m" * pick([63, 64, 65, 300])

    def members():
        return [member() for _ in range(pick([1, 1, 2, 3, 6]))]

    def score():
        dice = rng.random()
        return pick(WRONG) if dice < 0.03 else pick(SCORES) if dice < 0.5 else rng.randrange(-20, 20)

    def bound():
        return pick(["", "", "", "("]) + str(pick(WRONG) if rng.random() < 0.04 else score()).lstrip()

    def loose_bound():
        """With a space before the number, which Valkey 9 refuses: only where nothing changes."""
        return pick([" ", "( "]) + str(score()).strip() if rng.random() < 0.04 else bound()

    def text():
        return pick(["a", "x", "", "++"]) if rng.random() < 0.05 else pick(["-", "+", "[a", "(a", "[b", "(c", "[", "(", "[aa", "(z"])

    def integer():
        return pick(["x", "", "1.5", "9223372036854775807", "-9223372036854775808"]) if rng.random() < 0.05 else rng.randrange(-8, 12)

    def options(*choices):
        return [word for _ in range(pick([0, 0, 1, 1, 2, 3])) for word in pick(choices)]

    def limit():
        return pick([["LIMIT", pick([0, 1, 2, 5, "x"]), pick([-1, 0, 1, 3, 100])], ["LIMIT"], ["limit", 0, 2]])

    def pairs():
        return [word for one in members() for word in (score(), one)]

    def zrange(name, *before):
        by = pick(["", "", "BYSCORE", "BYLEX", "FOO"] if rng.random() < 0.1 else ["", "BYSCORE", "BYLEX"])
        ends = {"BYSCORE": bound, "BYLEX": text}.get(by, integer)
        # Ranges of texts are only defined where all scores are equal.
        source = "zlex" if by == "BYLEX" else key()
        return [name, *before, source, ends(), ends(), *([by] if by else []), *options(["REV"], ["WITHSCORES"], limit())]

    def inputs():
        keys = [pick([*KEYS, "zplain", "nokey"]) for _ in range(pick([1, 2, 2, 3]))]
        wrong = rng.random() < 0.05
        return [pick([0, -1, "x", len(keys) + 1]) if wrong else len(keys), *keys], len(keys)

    def combine(name, *before):
        words, count = inputs()
        weights = ["WEIGHTS", *(pick(["1", "2", "-1", "0.5", "0", "inf", "x"] if rng.random() < 0.2 else ["1", "2", "-1"]) for _ in range(count))]
        return [name, *before, *words, *options(weights, ["AGGREGATE", pick(["SUM", "min", "MAX", "foo"])], ["WITHSCORES"])]

    def popped():
        words, _ = inputs()
        return ["ZMPOP", *words, pick(["MIN", "MAX", "max", "min", "foo"]), *pick([[], [], ["COUNT", pick([1, 2, 5, 0, -1, "x"])], ["COUNT"], ["FOO", 1]])]

    def many():
        """Beyond the compact form."""
        return ["ZADD", pick(KEYS[:3]), *(word for i in range(rng.randrange(100, 200)) for word in (rng.randrange(50), f"member {i}"))]

    adding = (["NX"], ["XX"], ["GT"], ["LT"], ["CH"], ["INCR"], ["ch"])
    return [
        lambda: ["ZADD", pick([*KEYS[:4], "k0"]), *options(*adding), *pairs()],
        lambda: ["ZADD", pick(KEYS[:3]), *pairs()],
        lambda: ["ZADD", pick(KEYS[:3]), *pairs(), *pick([[], [], [1]])],
        lambda: ["ZADD", "zlex", *(word for one in members() for word in (0, one))],
        lambda: many() if rng.random() < 0.1 else ["ZCARD", key()],
        lambda: ["SADD", "zplain", *members()],
        lambda: ["ZINCRBY", pick(KEYS[:4]), score(), member()],
        lambda: ["ZREM", key(), *members()],
        lambda: ["ZCOUNT", key(), loose_bound(), loose_bound()],
        lambda: ["ZLEXCOUNT", "zlex", text(), text()],
        lambda: ["ZSCORE", key(), member()],
        lambda: ["ZMSCORE", key(), *members()],
        lambda: [pick(["ZRANK", "ZREVRANK"]), key(), member(), *pick([[], [], ["WITHSCORE"], ["foo"], ["WITHSCORE", 1]])],
        lambda: zrange("ZRANGE"),
        lambda: zrange("ZRANGE"),
        lambda: zrange("ZRANGESTORE", pick([*KEYS[:4], "zdst"])),
        lambda: ["ZREVRANGE", key(), integer(), integer(), *options(["WITHSCORES"], ["REV"])],
        lambda: [pick(["ZRANGEBYSCORE", "ZREVRANGEBYSCORE"]), key(), loose_bound(), loose_bound(), *options(["WITHSCORES"], limit())],
        lambda: [pick(["ZRANGEBYLEX", "ZREVRANGEBYLEX"]), "zlex", text(), text(), *options(["WITHSCORES"], limit(), limit())],
        lambda: ["ZREMRANGEBYRANK", key(), rng.randrange(-3, 5), rng.randrange(-3, 5)],
        lambda: ["ZREMRANGEBYRANK", key(), integer(), integer()] if rng.random() < 0.3 else ["ZCARD", key()],
        lambda: ["ZREMRANGEBYSCORE", key(), bound(), bound()] if rng.random() < 0.3 else ["ZCARD", key()],
        lambda: ["ZREMRANGEBYLEX", "zlex", text(), text()],
        lambda: [pick(["ZPOPMIN", "ZPOPMAX"]), key(), *pick([[], [], [pick([0, 1, 3, 1000, -1, "x"])], [1, 1]])],
        popped,
        # Never a large negative number: a server may try to reply as many members.
        lambda: ["ZRANDMEMBER", key(), *pick([[], [pick([0, 1, 5, 1000, -5, "x", -(2**63)])], [3, pick(["WITHSCORES", "foo"])], [-4, "WITHSCORES"]])],
        lambda: combine(pick(["ZUNION", "ZINTER", "ZDIFF"])),
        lambda: combine(pick(["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]), pick([*KEYS[:3], "zdst"])),
        lambda: ["ZINTERCARD", *inputs()[0], *options(["LIMIT", pick([0, 1, 3, -1, "x"])])],
        lambda: ["ZSCAN", key(), pick([0, 0, 0, "x"]), "COUNT", pick([100000, 100000, 0, "x"]), *pick([[], ["MATCH", pick(["*", "a*", "[a-c]"])], ["FOO"]])],
        lambda: ["DEL", pick(["zset1", "zset2", "zset3", "zdst", "zplain", "zlex"])] if rng.random() < 0.2 else ["TYPE", key()],
        lambda: ["SET", "k0", "x"],
        lambda: ["OBJECT", "ENCODING", "zdst"],
    ]
