"""Places on earth: adding, asking, and searching, with the edges of the map and options in any order."""

KEYS = ["geo1", "geo2", "geo3", "k0"]
MEMBERS = [f"m{number}" for number in range(40)] + ["7", "-12", "", "x" * 65]
EDGES = [-180, 180, -179.999999, 179.999999, 0, 1e-9, -1e-9, 85.05112878, -85.05112878, 84.9, -84.9, 90, -90, 66, 80]
WRONG = ["x", "", "nan", "inf", "-inf", "1e400", "181", "-86", " 1"]
UNITS = ["m", "km", "ft", "mi", "KM", "Mi"]


def commands(rng):
    pick = rng.choice

    def key():
        return pick(KEYS)

    def coordinate(limit, wrong):
        dice = rng.random()
        if dice < wrong:
            return pick(WRONG)
        if dice < 0.15:
            return pick(EDGES)
        if dice < 0.6:
            # Near one another, so that searches find some and not all.
            return round(10 + rng.gauss(0, 1), pick([1, 3, 6]))
        return round(rng.uniform(-limit, limit), pick([0, 3, 6]))

    def place(wrong=0.02):
        return [coordinate(180, wrong), coordinate(85, wrong)]

    def unit():
        return pick(["yd", "", "x"]) if rng.random() < 0.03 else pick(UNITS)

    def length():
        if rng.random() < 0.05:
            return pick(["x", "-1", "-0", "0", "inf", "nan", "1e300", "1e-300", ""])
        return round(10 ** rng.uniform(-2, 8), 2)

    def origin():
        return ["FROMMEMBER", pick(MEMBERS)] if rng.random() < 0.5 else ["FROMLONLAT", *place()]

    def area():
        return ["BYRADIUS", length(), unit()] if rng.random() < 0.5 else ["BYBOX", length(), length(), unit()]

    def count():
        number = pick(["0", "-1", "x", 2**63 - 1]) if rng.random() < 0.05 else rng.randrange(1, 50)
        return ["COUNT", number, *pick([[], [], ["ANY"]])]

    def common():
        choices = [["ASC"], ["DESC"], ["WITHCOORD"], ["WITHDIST"], ["WITHHASH"], count(), count()]
        return [pick(choices) for _ in range(pick([0, 0, 1, 2, 3]))] + pick([[]] * 19 + [[["ANY"]], [["foo"]], [["COUNT"]]])

    def shuffled(*groups):
        groups = list(groups)
        rng.shuffle(groups)
        return [word for group in groups for word in group]

    def told(words):
        """With distances where a limit chooses, so that ties are known for what they are."""
        return words + ["WITHDIST"] if "COUNT" in words and "ANY" not in words else words

    def settled(command):
        """Mostly stores beside the searched keys, which else were soon empty, and always where a limit chooses: of members of
        the same distance, Redis may store others."""
        return command(pick([None, "limited", "stored", "stored"]))

    def radius_options(target):
        groups = [group for group in common() if target == "limited" or group[:1] != ["COUNT"] or "ANY" in group]
        if target or rng.random() < 0.4:
            store = [pick(["STORE", "STOREDIST", "store"]), target or key()]
            return shuffled(*groups, store if rng.random() < 0.97 else ["STORE"])
        return told(shuffled(*groups, *pick([[], [], [count()]])))

    def search():
        groups = [origin(), area(), *common()]
        if rng.random() < 0.04:
            groups.append(pick([origin(), area(), ["STOREDIST"], ["STORE", key()]]))
        if rng.random() < 0.04:
            groups.pop(rng.randrange(2))
        return told(shuffled(*groups))

    def search_store(target):
        orders = pick([[], [["ASC"]], [["DESC"]], [["COUNT", rng.randrange(1, 9), "ANY"]], [["ANY"]], [["WITHHASH"]]])
        limit = [count()] if target == "limited" else []
        words = shuffled(origin(), area(), *orders, *limit, *pick([[], [["STOREDIST"]]]))
        return ["GEOSEARCHSTORE", target or key(), key(), *words]

    def add():
        options = [pick(["NX", "XX", "CH", "ch"]) for _ in range(pick([0, 0, 0, 0, 1, 1, 2]))]
        places = [word for _ in range(pick([1, 3, 10, 30])) for word in (*place(0.001), pick(MEMBERS))]
        return ["GEOADD", key(), *options, *places, *pick([[]] * 30 + [["x"]])]

    return [
        *[add] * 6,
        lambda: ["GEOADD", key(), *[word for number in range(140) for word in (number, number / 2, f"many{number}")]],
        lambda: ["GEOPOS", key(), *(pick(MEMBERS) for _ in range(rng.randrange(4)))],
        lambda: ["GEOHASH", key(), *(pick(MEMBERS) for _ in range(rng.randrange(4)))],
        lambda: ["GEODIST", key(), pick(MEMBERS), pick(MEMBERS), *pick([[], [unit()], [unit()], [unit(), "m"]])],
        lambda: ["GEOSEARCH", key(), *search()],
        lambda: ["GEOSEARCH", key(), *search()],
        lambda: settled(search_store),
        lambda: settled(lambda to: ["GEORADIUS", key(), *place(), length(), unit(), *radius_options(to)]),
        lambda: settled(lambda to: ["GEORADIUSBYMEMBER", key(), pick(MEMBERS), length(), unit(), *radius_options(to)]),
        lambda: ["GEORADIUS_RO", key(), *place(), length(), unit(), *told(shuffled(*common()))],
        lambda: ["GEORADIUSBYMEMBER_RO", key(), pick(MEMBERS), length(), unit(), *told(shuffled(*common()))],
        lambda: [pick(["DEL", "TYPE", "EXISTS", "TYPE", "EXISTS"]), key()],
        lambda: ["OBJECT", "ENCODING", pick([*KEYS, "stored", "limited"])],
        lambda: [pick(["GEOPOS", "GEOHASH"]), "stored", *(pick(MEMBERS) for _ in range(4))],
    ]


def is_alike(words, theirs, ours) -> bool:
    """Whether results differ only in which of the members of the same distance come first, or at all where a limit chooses.
    Redis sorts the first few of many by a method that exchanges equals."""
    upper = [str(word).upper() for word in words]
    if isinstance(theirs, bytes) and theirs.startswith(b"-ERR member ") and ours == b"-ERR could not decode requested zset member":
        # Valkey 9 names the member that is missing.
        return True
    if isinstance(theirs, bytes) and b"BYPOLYGON" in theirs:
        # Valkey 9 lists a shape that no Redis has; the error is the same.
        return theirs.replace(b"BYRADIUS, BYBOX and BYPOLYGON", b"BYRADIUS and BYBOX") == ours
    limited = upper[0].startswith(("GEOSEARCH", "GEORADIUS")) and "COUNT" in upper and "WITHDIST" in upper
    both = isinstance(theirs, list) and isinstance(ours, list)
    return limited and both and [row[1] for row in theirs] == [row[1] for row in ours]
