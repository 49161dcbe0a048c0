"""HyperLogLogs: adding, counting and merging, the bytes that they are kept as, and strings that only look like them."""

KEYS = ["hll1", "hll2", "hll3"]
# Only read: a string that a client made up, a string with an integer now and then, and one of any type.
OTHERS = ["forged", "n1", "k0", "none"]


def commands(rng):
    pick = rng.choice

    def any_key():
        return pick(OTHERS) if rng.random() < 0.08 else pick(KEYS)

    def elements():
        if rng.random() < 0.1:
            start = rng.randrange(20000)
            return range(start, start + pick([100, 1000]))
        return (pick([rng.randrange(100000), bytes([rng.randrange(256)]) * rng.randrange(40)]) for _ in range(pick([0, 1, 1, 2, 3])))

    def forged():
        """A header, valid or not, and runs that seldom add up to all registers."""
        runs = bytes(rng.randrange(256) for _ in range(rng.randrange(12))) + pick([b"", b"\x7f\xff", b"\x7f\xf0"])
        at = 0
        while at < len(runs):
            at += 2 if 0x40 <= runs[at] < 0x80 else 1
        # Redis reads the second byte of a run that the string's end cuts off from behind that end.
        runs += b"\0" * (at - len(runs))
        cached = pick([0, 5, 1 << 63]).to_bytes(8, "little")
        return ["SET", "forged", b"HYLL" + bytes([pick([0, 1, 1, 1, 2])]) + b"\0\0\0" + cached + runs]

    return [
        lambda: ["PFADD", pick(KEYS), *elements()],
        lambda: ["PFADD", pick(KEYS), *elements()],
        lambda: ["PFCOUNT", any_key()],
        lambda: ["PFCOUNT", *(any_key() for _ in range(pick([2, 3])))],
        lambda: ["PFMERGE", pick(KEYS), *(any_key() for _ in range(pick([0, 1, 1, 2])))],
        lambda: [pick(["GET", "STRLEN"]), pick(KEYS + ["forged"])],
        lambda: ["OBJECT", "ENCODING", pick(KEYS)],
        lambda: ["PFDEBUG", pick(["ENCODING", "decode", "TODENSE", "getreg", "foo"]), pick(KEYS)],
        forged,
        lambda: ["DEL", pick(KEYS)],
        lambda: [pick(["PFADD", "PFCOUNT", "PFMERGE", "PFDEBUG"]), *pick([[], [], ["k0"]])],
    ]
