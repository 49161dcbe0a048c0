"""Keys of any type, and what is done to keys whatever their type is: copied, renamed, moved, sorted, expired, and told apart."""

import os

KEYS = ["any1", "any2", "any3", "any4"]
# Sorted sets and weights that nothing else is stored at.
RANKED, WEIGHTS = "ranked", ["weight_1", "weight_2", "weight_3", "weight_a"]
# How Redis up to 7.0 names what it keeps otherwise than later versions.
OLD_NAMES = [(b"quicklist", b"listpack"), (b"hashtable", b"listpack"), (b"skiplist", b"listpack")]
# Valkey embeds longer strings than Redis.
NEW_NAMES = [(b"embstr", b"raw"), (b"skiplist", b"listpack")]


def is_alike(words, theirs, ours) -> bool:
    """Sets have an order of their own on each server; sizes in memory are the server's own; Redis up to 7.0 has no packed sets
    and lists; which members of a set a limit leaves is chance where nothing is sorted; Valkey refuses types that it does not
    know; SORT turns small sorted sets into large ones where Roster leaves them."""
    name, both = words[0], isinstance(theirs, list) and isinstance(ours, list)
    if name == "OBJECT" and words[1] == "ENCODING":
        if "REFERENCE" in os.environ:
            return (theirs, ours) in NEW_NAMES
        return words[2] in (*KEYS, "absent") and (theirs, ours) in OLD_NAMES
    if name == "MEMORY":
        numbers = isinstance(theirs, bytes) and isinstance(ours, bytes)
        return numbers and theirs[:1] == ours[:1] == b":" and int(theirs[1:]) > 0 and int(ours[1:]) > 0
    if name == "SCAN":
        if isinstance(theirs, bytes) and theirs.startswith(b"-ERR unknown type name"):
            return both is False and ours == [b"0", []]
        return both and theirs[0] == ours[0] == b"0" and sorted(theirs[1]) == sorted(ours[1])
    if name in ("SMEMBERS", "KEYS", "HKEYS"):
        return both and sorted(theirs) == sorted(ours)
    if name in ("SORT", "SORT_RO") and "nosort" in words:
        return both and (len(theirs) == len(ours) if "LIMIT" in words else sorted(theirs) == sorted(ours))
    if name == "HGETALL":
        theirs, ours = (reply["map"] if isinstance(reply, dict) else reply for reply in (theirs, ours))
        both = isinstance(theirs, list) and isinstance(ours, list)
        return both and sorted(zip(theirs[::2], theirs[1::2])) == sorted(zip(ours[::2], ours[1::2]))
    return False


def commands(rng):
    pick = rng.choice

    def key():
        return pick([*KEYS, *KEYS, "absent"])

    def member():
        return pick(["a", "b", "1", "2", "3", "10", "-7", "3.5", "x" * 70])

    def members():
        return [member() for _ in range(pick([1, 2, 3, 5]))]

    def many():
        return [f"member{number}" for number in range(140)]

    def texts():
        return many() if rng.random() < 0.05 else members()

    def make():
        name = pick(KEYS)
        return pick(
            [
                lambda: ["SET", name, pick(["12", "text", "y" * 60])],
                lambda: ["RPUSH", name, *texts()],
                lambda: ["SADD", name, *texts()],
                lambda: ["SADD", name, *(rng.randrange(-9, 999) for _ in range(pick([1, 5, 9])))],
                lambda: ["HSET", name, *(word for one in texts() for word in (one, member()))],
                lambda: ["ZADD", name, *(word for one in texts() for word in (rng.randrange(9), one))],
                lambda: ["XADD", name, "*" if rng.random() < 0 else f"{rng.randrange(1, 10**6)}-1", "f", member()],
                lambda: ["PFADD", name, *members()],
                lambda: ["XGROUP", "CREATE", name, "group", "0", "MKSTREAM"],
                lambda: ["XREADGROUP", "GROUP", "group", "one", "COUNT", "2", "STREAMS", name, ">"],
            ]
        )()

    def shrink():
        return pick(
            [
                ["LPOP", key()],
                ["LREM", key(), 0, member()],
                ["SREM", key(), *members()],
                ["HDEL", key(), *members()],
                ["ZREM", key(), *members()],
                ["ZPOPMIN", key()],
                ["SMOVE", key(), key(), member()],
                ["RPOPLPUSH", key(), key()],
                ["XTRIM", key(), "MAXLEN", "1"],
            ]
        )

    def look():
        return pick(
            [
                ["GET", key()],
                ["STRLEN", key()],
                ["LRANGE", key(), 0, -1],
                ["SMEMBERS", key()],
                ["HGETALL", key()],
                ["ZRANGE", key(), 0, -1],
                ["XRANGE", key(), "-", "+"],
                ["XPENDING", key(), "group"],
                ["PFCOUNT", key(), key()],
                ["LLEN", key()],
                ["SCARD", key()],
                ["HLEN", key()],
                ["ZCARD", key()],
                ["XLEN", key()],
            ]
        )

    def combine():
        return [
            pick(["SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE"]),
            pick(KEYS),
            *(key() for _ in range(pick([1, 2, 2, 3]))),
        ]

    def combine_sorted():
        keys = [key() for _ in range(pick([1, 2, 2]))]
        return [pick(["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]), pick(KEYS), len(keys), *keys]

    def limit():
        return pick([[], [], ["LIMIT", pick([0, 0, 1, -1]), pick([0, 2, 5, -1])]])

    def gets():
        return [word for _ in range(pick([0, 0, 1, 2])) for word in ("GET", pick(["#", "weight_*", "any*", "any*->1", "x", "any1->*"]))]

    def sort():
        """Numbers by numbers, or texts as such: what is equal has one order then."""
        order = pick([["ALPHA"], ["ALPHA"], ["ALPHA", "DESC"], ["BY", "weight_*"], ["BY", "any*->1", "DESC"], ["DESC"], []])
        words = [*order, *limit()]
        name = pick([*KEYS, RANKED, "absent"])
        if rng.random() < 0.3:
            # What is missing would be stored as the empty string, which Valkey 9 takes for no number when that is sorted.
            return ["SORT", name, *words, *pick([[], ["GET", "#"]]), "STORE", pick(KEYS)]
        words += gets()
        return pick([["SORT", name, *words, *pick([[], [], ["FOO"]])], ["SORT_RO", name, *words, *pick([[], [], ["STORE", "any1"]])]])

    def unsorted():
        return ["SORT", key(), "BY", "nosort", *limit(), *pick([[], ["DESC"]])]

    def condition():
        return pick([[], [], ["NX"], ["XX"], ["GT"], ["LT"]])

    def expire():
        # Never the same time twice, which would be another moment for GT and LT if a millisecond passed between.
        return [pick(["EXPIRE", "PEXPIRE"]), key(), pick([rng.randrange(10**6, 10**9)] * 3 + [-1, 0]), *condition()]

    return [
        *[make] * 12,
        *[shrink] * 4,
        *[look] * 6,
        lambda: combine() if rng.random() < 0.6 else combine_sorted(),
        *[sort] * 4,
        unsorted,
        lambda: ["SORT", RANKED, "BY", "nosort", *limit(), *pick([[], ["DESC"]]), *gets()],
        lambda: ["ZADD", RANKED, *(word for one in members() for word in (rng.randrange(9), one))],
        lambda: ["SET", pick(WEIGHTS), pick([1, 2, -3, "1.5", "text"] if rng.random() < 0.1 else [1, 2, -3])],
        lambda: ["DEL", pick([RANKED, *WEIGHTS])] if rng.random() < 0.2 else ["TYPE", RANKED],
        lambda: ["COPY", key(), key(), *pick([[], ["REPLACE"], ["REPLACE"], ["DB", 1], ["DB", 1, "REPLACE"], ["DB", 0]])],
        lambda: [pick(["RENAME", "RENAMENX"]), key(), key()],
        lambda: ["MOVE", key(), pick([0, 1])],
        lambda: [pick(["DEL", "UNLINK"]), *(key() for _ in range(pick([1, 1, 2])))],
        lambda: [pick(["EXISTS", "TOUCH"]), *(key() for _ in range(3))],
        lambda: ["TYPE", key()],
        lambda: [pick(["PERSIST", "TTL", "EXPIRETIME"]), key()],
        expire,
        lambda: ["OBJECT", pick(["ENCODING", "ENCODING", "ENCODING", "FREQ"]), key()],
        lambda: ["MEMORY", "USAGE", key(), *pick([[], [], ["SAMPLES", pick([0, 5, -1, "x"])], ["FOO"]])],
        lambda: ["SCAN", 0, "COUNT", 100000, *pick([[], ["MATCH", "any*"]]), *pick([[], ["TYPE", pick(["string", "LIST", "set", "zset", "hash", "stream", "nosuch"])]])],
        lambda: ["KEYS", pick(["any*", "any[1-2]", "*"])],
        lambda: ["SELECT", pick([0, 0, 0, 1])],
    ]
