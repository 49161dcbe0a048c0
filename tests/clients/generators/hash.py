"""Hashes: fields set, counted and listed, and fields that expire, for servers that know these."""

KEYS = ["hash1", "hash2", "hash3", "k0"]
NUMBERS = ["0", "1", "-1", "12", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "007", "+5", "x", ""]
FLOATS = ["1", "1.5", "-0.1", "3.0e3", "x", "inf", "-Infinity", "nan", "1e30", "-1e-5", "0.1", "", "1e4940", "0x1p3"]
FAR = 200_000_000_000


def values(rng):
    pick = rng.choice

    def key():
        return pick(KEYS)

    def field():
        dice = rng.random()
        if dice < 0.03:
            return pick(["x" * 64, "y" * 200, b"\0\xff", ""])
        return pick("abcdefgh") if dice < 0.9 else rng.randrange(-3, 200)

    def value():
        dice = rng.random()
        if dice < 0.5:
            return pick(NUMBERS + FLOATS)
        if dice < 0.97:
            return bytes(pick([0, 255, 97, rng.randrange(256)]) for _ in range(rng.randrange(30)))
        return bytes([pick([0, 255, 97])]) * pick([63, 64, 65, 300, 5000])

    return key, field, value


def commands(rng):
    pick = rng.choice
    key, field, value = values(rng)

    def pairs():
        return [word for _ in range(rng.choice([1, 1, 2, 5])) for word in (field(), value())] + pick([[]] * 20 + [["odd"]])

    def names():
        return [field() for _ in range(pick([0, 1, 1, 2, 5]))]

    def scan():
        options = [["COUNT", pick([1, 10, 1000, 1000, 0, -1, "x"])], ["MATCH", pick(["*", "a", "[a-d]*", ""])], ["foo"], ["count"], ["TYPE", "hash"]]
        return [word for _ in range(pick([0, 0, 1, 2])) for word in pick(options)]

    def count():
        return pick(["x", 2**63 - 1, -(2**63), 2**62, "+1"]) if rng.random() < 0.1 else rng.randrange(-20, 30)

    def many():
        start = rng.randrange(3) * 300
        return ["HSET", key(), *(word for number in range(start, start + 300) for word in (number, number))]

    return [
        lambda: [pick(["HSET", "HSET", "HMSET"]), key(), *pairs()],
        lambda: [pick(["HSET", "HSET", "HMSET"]), key(), *pairs()],
        lambda: ["HSETNX", key(), field(), value()],
        lambda: ["HGET", key(), field()],
        lambda: ["HMGET", key(), *names()],
        lambda: [pick(["HGETALL", "HKEYS", "HVALS", "HLEN"]), key(), *pick([[]] * 9 + [["x"]])],
        lambda: [pick(["HSTRLEN", "HEXISTS"]), key(), field()],
        lambda: ["HDEL", key(), *names()],
        lambda: ["HDEL", key(), *names()],
        lambda: ["HINCRBY", key(), field(), pick(NUMBERS)],
        lambda: ["HINCRBYFLOAT", key(), field(), pick(FLOATS)],
        lambda: ["HSET", key(), field(), pick(["1", "5", "10.5", "-3"])],
        lambda: ["HRANDFIELD", key(), *pick([[], [count()], [count(), "WITHVALUES"], [count(), "foo"], [count(), "withvalues", "x"]])],
        lambda: ["HSCAN", key(), pick([0, 0, 0, 0, 0, "x", "1x"]), *scan()],
        lambda: [pick(["DEL", "TYPE", "EXISTS", "DEL"]), key()],
        lambda: ["OBJECT", "ENCODING", key()],
        lambda: ["SET", "k0", "string"],
        lambda: ["COPY", key(), key(), *pick([[], ["REPLACE"]])],
        lambda: many() if rng.random() < 0.1 else ["HLEN", key()],
    ]


NEWER = "HEXPIRE"


def newer(rng):
    """Commands of Redis 7.4 and 8 and of Valkey 9, in the forms that all of these take."""
    pick = rng.choice
    key, field, value = values(rng)

    def counted(width=1):
        words = [word for _ in range(pick([1, 1, 2, 4])) for word in ([field(), value()] if width == 2 else [field()])]
        count = pick([0, -1, "x", 99, ""]) if rng.random() < 0.07 else len(words) // width
        return [pick(["FIELDS", "fields"]) if rng.random() < 0.97 else "foo", count, *words]

    def time(absolute):
        dice = rng.random()
        if dice < 0.1:
            # Fields expire at most in the year 10889 in Roster; Valkey takes any time.
            return pick(["x", -1, -(2**63), "", -1 if absolute else 2**63 - 1])
        if dice < 0.2:
            return pick([0, 1]) if absolute else 0
        # Never the same time twice from now on, which would be another moment for GT and LT if a millisecond passed between.
        return pick([FAR, FAR + 1000, FAR // 2]) + (0 if absolute else 10_000 * rng.randrange(10**6))

    def until():
        word = pick(["EX", "PX", "EXAT", "PXAT", "ex"])
        return [word, time(word.endswith("AT"))]

    def conditions():
        return [pick(["NX", "XX", "GT", "LT", "lt"]) for _ in range(pick([0, 0, 0, 1, 1, 2]))] + pick([[]] * 30 + [["foo"]])

    def some(*choices):
        return [word for _ in range(pick([0, 0, 1, 1, 2])) for word in pick(choices)]

    def setter():
        name = pick(["HEXPIRE", "HPEXPIRE", "HEXPIREAT", "HPEXPIREAT"])
        return [name, key(), time(name.endswith("AT")), *conditions(), *counted()]

    def hsetex():
        options = some(["NX"], ["XX"], ["FNX"], ["fxx"], until(), until(), ["KEEPTTL"], *[["foo"]] * (rng.random() < 0.1))
        return ["HSETEX", key(), *options, *counted(2)]

    return [
        setter,
        setter,
        setter,
        hsetex,
        hsetex,
        lambda: ["HGETEX", key(), *some(until(), until(), ["PERSIST"], *[["foo"]] * (rng.random() < 0.1)), *counted()],
        lambda: ["HGETDEL", key(), *counted()],
        lambda: ["HPERSIST", key(), *counted()],
        lambda: [pick(["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"]), key(), *counted()],
        lambda: [pick(["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"]), key(), *counted()],
        lambda: ["HSCAN", key(), 0, "COUNT", 1000, "NOVALUES"],
    ]


def pairs_of(words):
    """Fields with their values, in an order of their own."""
    if words and isinstance(words[0], list):
        return sorted(words)
    return sorted(zip(words[::2], words[1::2]))


def same_random(words, theirs, ours) -> bool:
    if len(words) == 2:
        return (theirs is None) == (ours is None) or theirs == ours
    if not (isinstance(theirs, list) and isinstance(ours, list)) or len(theirs) != len(ours):
        return False
    return {type(part) for part in theirs} == {type(part) for part in ours}


def same_scan(words, theirs, ours) -> bool:
    both = isinstance(theirs, list) and isinstance(ours, list)
    if not both or theirs[0] != b"0" or ours[0] != b"0":
        # A part of a table, of which each server has its own.
        return both
    upper = [str(word).upper() for word in words]
    return (sorted if "NOVALUES" in upper else pairs_of)(theirs[1]) == (sorted if "NOVALUES" in upper else pairs_of)(ours[1])


def is_alike(words, theirs, ours) -> bool:
    """Whether results differ only in an order that nobody promises, in what chance chose, or by the moments between the two
    servers' clocks."""
    name = str(words[0]).upper()
    both = isinstance(theirs, list) and isinstance(ours, list)
    if name == "HGETALL":
        if isinstance(theirs, dict) and isinstance(ours, dict):
            theirs, ours, both = theirs["map"], ours["map"], True
        return both and pairs_of(theirs) == pairs_of(ours)
    if name in ("HKEYS", "HVALS"):
        return both and sorted(theirs) == sorted(ours)
    if name == "HRANDFIELD":
        return same_random(words, theirs, ours)
    if name == "HSCAN":
        return same_scan(words, theirs, ours)
    if name in ("HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME") and both and len(theirs) == len(ours):
        return all(abs(int(one[1:]) - int(other[1:])) < 2000 for one, other in zip(theirs, ours))
    # The compact form of a hash whose fields expire has a name of its own.
    return name == "OBJECT" and ours == b"listpackex"
