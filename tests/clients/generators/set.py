"""Sets: members coming and going, in every form of a set, and what several sets have in common or not."""

import os

KEYS = ["set1", "set2", "set3", "set4", "set5"]
# Only read: it is there to be of another type.
OTHER = "k0"
UNORDERED = ("SMEMBERS", "SINTER", "SUNION", "SDIFF", "SPOP")
ODD = ["", "-1", "007", "+5", "1.5", "32768", "-32769", "2147483648", "-9223372036854775808", "9223372036854775807", "9223372036854775808"]


def is_alike(words, theirs, ours):
    """The members of a reply have no order, and those chosen at random are any; Redis has no packed sets up to 7.0."""
    if words[0] == "OBJECT":
        return words[2] in KEYS and (theirs, ours) == (b"hashtable", b"listpack") and "REFERENCE" not in os.environ
    both = isinstance(theirs, list) and isinstance(ours, list)
    if words[0] == "SRANDMEMBER":
        if both:
            return len(theirs) == len(ours)
        # One member: text or the null, but no error.
        return len(words) == 2 and theirs is not None and ours is not None and ours[:9] != b"-WRONGTYP"
    if words[0] == "SSCAN":
        return both and theirs[0] == ours[0] and sorted(theirs[1]) == sorted(ours[1])
    return words[0] in UNORDERED and both and sorted(theirs) == sorted(ours)


def commands(rng):
    pick = rng.choice

    def key():
        return pick(KEYS)

    def any_key():
        return pick([OTHER, "none"]) if rng.random() < 0.06 else pick(KEYS)

    def keys():
        return [any_key() for _ in range(pick([1, 2, 2, 2, 3, 3, 5, 9]))]

    def member():
        dice = rng.random()
        if dice < 0.5:
            return rng.randrange(pick([10, 40, 1000]))
        if dice < 0.8:
            return f"w{rng.randrange(pick([10, 300]))}"
        if dice < 0.9:
            return pick(ODD)
        return bytes([pick([0, 255, 97, 13, 10])]) * pick([0, 1, 10, 64, 65, 100, 5000])

    def members():
        """Few, or so many that the set changes its form."""
        dice = rng.random()
        if dice < 0.06:
            start = rng.randrange(900)
            return range(start, start + pick([100, 200, 600]))
        if dice < 0.11:
            start = rng.randrange(300)
            return (f"w{number}" for number in range(start, start + pick([50, 100, 200])))
        return (member() for _ in range(pick([1, 1, 1, 2, 3, 5])))

    def cardinality():
        chosen = keys()
        count = len(chosen) if rng.random() < 0.9 else pick([0, -1, "x", len(chosen) + 1, len(chosen) - 1])
        limit = pick([[], [], ["LIMIT", pick([0, 1, 2, 5, 100, -1, "x"])], ["LIMIT"], ["foo", 1], ["limit", 1, "LIMIT", 3]])
        return ["SINTERCARD", count, *chosen, *limit]

    # Every call goes over the whole set, because what is where in a table differs.
    scanned = ["COUNT", 1000000]
    scans = [scanned, scanned, [*scanned, "MATCH", "*1*"], ["COUNT", 0], ["COUNT", "x"], ["MATCH"], ["TYPE", "set"], ["foo"]]
    sampled = [[], [0], [3], [100000], [-1], [-7], [-500], ["x"], [1, 1], [2**63 - 1], [-(2**63)]]
    # Popping some members would leave different ones.
    popped = [[100000], [0], [-1], ["x"], [1, 1], [2**63]]
    return [
        lambda: ["SADD", key(), *members()],
        lambda: ["SADD", key(), *members()],
        lambda: ["SADD", key(), *members()],
        lambda: ["SREM", any_key(), *members()],
        lambda: ["SISMEMBER", any_key(), member()],
        lambda: ["SMISMEMBER", any_key(), *members()],
        lambda: [pick(["SMEMBERS", "SCARD"]), any_key()],
        lambda: ["SMOVE", any_key(), key(), member()],
        lambda: [pick(["SINTER", "SUNION", "SDIFF"]), *keys()],
        lambda: [pick(["SINTER", "SUNION", "SDIFF"]), *keys()],
        lambda: [pick(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), key(), *keys()],
        cardinality,
        lambda: ["OBJECT", "ENCODING", key()],
        lambda: ["SPOP", any_key(), *pick(popped)],
        lambda: ["SRANDMEMBER", any_key(), *pick(sampled)],
        lambda: ["SSCAN", any_key(), pick([0, 0, 0, "+0", "x"]), *pick(scans)],
        lambda: ["DEL", key()],
        lambda: [pick(["SADD", "SREM", "SPOP", "SMOVE", "SINTER", "SINTERSTORE", "SSCAN", "SMEMBERS", "SINTERCARD"])],
    ]
