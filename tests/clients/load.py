"""A million mixed commands by `redis-cli --pipe`, then every key verified by redis-py in RESP2 and RESP3.

Usage: load.py PORT FOLDER [COMMANDS [SEED]]
"""

import random
import subprocess
import sys
import time

import redis

port, folder = int(sys.argv[1]), sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(2**32)
print(f"load: {count} commands, seed {seed}")
rng = random.Random(seed)

model: dict[bytes, bytes] = {}
deadlines: dict[bytes, int] = {}
FAR = int(time.time()) + 86_400


def frame(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def value() -> bytes:
    kind = rng.random()
    if kind < 0.3:
        return b"%d" % rng.randint(-(2**63), 2**63 - 1)
    if kind < 0.98:
        return rng.randbytes(rng.randint(0, 100))
    return rng.randbytes(rng.randint(1000, 5000))


def forget(key: bytes) -> None:
    model.pop(key, None)
    deadlines.pop(key, None)


def command() -> bytes:
    key = b"key:%d" % rng.randrange(count // 3)
    other = b"key:%d" % rng.randrange(count // 3)
    dice = rng.random()
    if dice < 0.45:
        model[key] = value()
        deadlines.pop(key, None)
        return frame(b"SET", key, model[key])
    if dice < 0.55:
        model[key], model[other] = value(), value()
        first, second = model[key], model[other]
        if key == other:
            first = second
        deadlines.pop(key, None), deadlines.pop(other, None)
        return frame(b"MSET", key, first, other, second)
    if dice < 0.65:
        tail = rng.randbytes(rng.randint(1, 20))
        model[key] = model.get(key, b"") + tail
        return frame(b"APPEND", key, tail)
    if dice < 0.72:
        at, part = rng.randint(0, 200), rng.randbytes(rng.randint(1, 20))
        old = model.get(key, b"").ljust(at, b"\0")
        model[key] = old[:at] + part + old[at + len(part) :]
        return frame(b"SETRANGE", key, b"%d" % at, part)
    if dice < 0.78:
        counter = b"counter:%d" % rng.randrange(1000)
        step = rng.randint(-(2**40), 2**40)
        model[counter] = b"%d" % (int(model.get(counter, b"0")) + step)
        return frame(b"INCRBY", counter, b"%d" % step)
    if dice < 0.84:
        deadline = FAR + rng.randrange(10_000)
        if key in model:
            deadlines[key] = deadline
        return frame(b"EXPIREAT", key, b"%d" % deadline)
    if dice < 0.88:
        deadlines.pop(key, None)
        return frame(b"PERSIST", key)
    if dice < 0.93:
        forget(key), forget(other)
        return frame(rng.choice([b"DEL", b"UNLINK"]), key, other)
    if dice < 0.96:
        if key in model and key != other:
            forget(other)
            model[other] = model.pop(key)
            if key in deadlines:
                deadlines[other] = deadlines.pop(key)
            return frame(b"RENAME", key, other)
        return frame(b"EXISTS", key)
    if dice < 0.98:
        forget(key)
        return frame(b"GETDEL", key)
    bit = rng.randrange(2000)
    old = bytearray(model.get(key, b"").ljust(bit // 8 + 1, b"\0"))
    old[bit // 8] |= 0x80 >> bit % 8
    model[key] = bytes(old)
    return frame(b"SETBIT", key, b"%d" % bit, b"1")


redis.Redis(port=port).flushall()
with open(f"{folder}/load.resp", "wb") as file:
    for _ in range(count):
        file.write(command())
with open(f"{folder}/load.resp", "rb") as file:
    done = subprocess.run(["redis-cli", "-p", str(port), "--pipe"], stdin=file, capture_output=True, text=True, check=True)
assert f"errors: 0, replies: {count}" in done.stdout, done.stdout + done.stderr

keys = list(model)
for protocol in (2, 3):
    client = redis.Redis(port=port, protocol=protocol)
    assert client.dbsize() == len(model), (client.dbsize(), len(model))
    for start in range(0, len(keys), 5000):
        part = keys[start : start + 5000]
        pipe = client.pipeline(transaction=False)
        for key in part:
            pipe.get(key)
            pipe.expiretime(key)
        replies = pipe.execute()
        for at, key in enumerate(part):
            assert replies[2 * at] == model[key], (key, replies[2 * at], model[key])
            assert replies[2 * at + 1] == deadlines.get(key, -1), (key, replies[2 * at + 1], deadlines.get(key))
    seen = set(client.scan_iter(count=1000))
    assert seen == set(keys), f"SCAN: {len(seen)} of {len(keys)}"
    print(f"load: {len(keys)} keys verified in RESP{protocol}")
redis.Redis(port=port).flushall()
