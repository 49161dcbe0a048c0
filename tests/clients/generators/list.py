"""Lists and SORT: pushing, taking, moving and editing at both ends, and sorting by and getting what other keys say."""

KEYS = ["list1", "list2", "list3", "list3", "k0"]
NUMBERS = ["0", "1", "-1", "9223372036854775807", "-9223372036854775807", "9223372036854775808", "007", "+5", "x", "", "1.5"]


def is_alike(words, theirs, ours):
    """Redis knows one form of lists up to 7.0, and compares strings up to their first NUL where it sorts them for a reply."""
    if words[0] == "OBJECT":
        # How a large list is cut into nodes, and so when only one of them is left, is each server's own.
        return (theirs, ours) in ((b"listpack", b"quicklist"), (b"quicklist", b"listpack"))
    if words[0] not in ("SORT", "SORT_RO") or "ALPHA" not in words or not isinstance(theirs, list) or not isinstance(ours, list):
        return False
    return [one and one.split(b"\0")[0] for one in theirs] == [one and one.split(b"\0")[0] for one in ours]


def commands(rng):
    pick = rng.choice

    def key():
        return pick(KEYS)

    def element():
        dice = rng.random()
        if dice < 0.6:
            return pick(["a", "b", "c", "1", "2", "-3", "aa", ""])
        if dice < 0.8:
            return rng.randrange(-(10 ** rng.randrange(1, 12)), 10 ** rng.randrange(1, 12))
        if dice < 0.98:
            return bytes(pick([0, 255, 97, rng.randrange(256)]) for _ in range(rng.randrange(70)))
        return bytes([pick([0, 97])]) * pick([63, 64, 127, 128, 4095, 4096, 8000, 8191, 8192, 20000])

    def elements():
        return [element() for _ in range(pick([1, 1, 1, 2, 3, 10]))]

    def index():
        return pick(NUMBERS) if rng.random() < 0.1 else rng.randrange(-12, 12)

    def end():
        return pick(["foo", ""]) if rng.random() < 0.04 else pick(["LEFT", "RIGHT", "left"])

    def options(*choices):
        return [word for _ in range(pick([0, 0, 1, 1, 2, 3])) for word in pick(choices)]

    def many():
        """Beyond one chunk, so that the list becomes large; and it is shortened again by others."""
        return [pick(["RPUSH", "LPUSH"]), pick(KEYS[:2]), *(f"some longer element {rng.randrange(50)}" for _ in range(300))]

    def mpop():
        keys = [key() for _ in range(pick([1, 1, 2, 3]))]
        count = pick([["COUNT", index()], ["COUNT"], ["FOO"], ["COUNT", 1, "COUNT", 1]]) if rng.random() < 0.3 else []
        return ["LMPOP", pick([0, -1, "x", 9, 2**63 - 1]) if rng.random() < 0.06 else len(keys), *keys, end(), *count]

    def prepare():
        """What is sorted, and what it is sorted by: a weight of its own for each number, so that there are no ties."""
        numbers = rng.sample(range(-20, 20), pick([1, 5, 20]))
        kind = rng.random()
        if kind < 0.5:
            return ["RPUSH", pick(["sort1", "sort2"]), *numbers]
        if kind < 0.7:
            return ["MSET", *(word for number in numbers for word in (f"w{number}", pick([number * 7 % 40, f"{number}.5", number, "1e1"])))]
        if kind < 0.9:
            return ["MSET", *(word for number in numbers for word in (f"v{number}x", number * 3 % 40))]
        return ["DEL", pick(["sort1", "sort2", "w1", "w2", "v3x"])]

    def by():
        return ["BY", pick(["nosort", "w*", "v*x", "v*x", "v*x", "none*", "w*->f", "*->", "#", "*"])]

    def get():
        return ["GET", pick(["#", "w*", "v*x", "w*->f", "none", "v*", "*->f", "#*", "**"])]

    def limit():
        return ["LIMIT", index(), index()]

    def sort(name, *more):
        words = options(limit(), ["DESC"], ["ASC"], ["ALPHA"], get(), get(), by(), ["foo"] if rng.random() < 0.1 else ["asc"], *more)
        if "ALPHA" in words and "BY" in words and "LIMIT" in words:
            # Redis sorts a part of equal weights in no order.
            words = ["ALPHA"]
        # Newer servers do not take the empty string for a number.
        names = ["list3", "list3"] if "ALPHA" in words else ["sort1", "sort1"]
        return [name, pick([*names, "sort1", "sort2", "none", "k1"]), *words]

    return [
        lambda: [pick(["LPUSH", "RPUSH"]), key(), *elements()],
        lambda: [pick(["LPUSH", "RPUSH"]), key(), *elements()],
        lambda: [pick(["LPUSHX", "RPUSHX"]), key(), *elements()],
        lambda: many() if rng.random() < 0.1 else ["LLEN", key()],
        lambda: [pick(["LPOP", "RPOP"]), key(), *pick([[], [], [index()], [rng.randrange(400)], [1, 1]])],
        lambda: ["LRANGE", key(), index(), index()],
        lambda: ["LRANGE", key(), *pick([[0, -1], [100, 310], [-200, -100]])],
        lambda: ["LINDEX", key(), index()],
        # Redis from 7.2 on takes only the lower 32 bits of this index where the list is small.
        lambda: ["LSET", key(), pick(["x", "", "1.5", "9223372036854775808"]) if rng.random() < 0.05 else rng.randrange(-12, 12), element()],
        lambda: ["LINSERT", key(), pick(["BEFORE", "AFTER", "after", "before", "x"]), element(), element()],
        lambda: ["LREM", key(), index(), element()],
        lambda: ["LTRIM", key(), *pick([[index(), index()], [0, -2], [1, -1], [0, pick([20, 100, 200])], [-150, -1]])],
        lambda: ["LPOS", key(), element(), *options(["RANK", index()], ["COUNT", index()], ["MAXLEN", index()], ["foo"], ["RANK"])],
        lambda: ["LMOVE", key(), key(), end(), end()],
        lambda: ["RPOPLPUSH", key(), key()],
        lambda: mpop(),
        lambda: ["OBJECT", "ENCODING", pick(KEYS[:3])],
        lambda: [pick(["DEL", "TYPE", "EXISTS"]), key()],
        lambda: ["SET", "k0", element()] if rng.random() < 0.2 else ["DEL", "k0"],
        lambda: prepare(),
        lambda: prepare(),
        lambda: sort("SORT"),
        lambda: sort("SORT", ["STORE", "list3"]),
        lambda: sort("SORT_RO", ["STORE", "sort2"] if rng.random() < 0.1 else ["DESC"]),
    ]
