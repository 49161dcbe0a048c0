"""A sliding-window rate limit and a token bucket as people write them with redis-py: MULTI and WATCH, no lock, many threads.

Usage: rate_limit.py PORT FOLDER
"""

import sys
import threading
import time

import redis

port = int(sys.argv[1])
LIMIT, WINDOW, THREADS = 40, 1.5, 8


def allowed(client: redis.Redis, key: str, name: str) -> bool:
    """Whether one more request fits in the window; tried again whenever another client came between."""
    with client.pipeline() as pipe:
        while True:
            try:
                pipe.watch(key)
                now = time.time()
                if pipe.zcount(key, now - WINDOW, "+inf") >= LIMIT:
                    return False
                pipe.multi()
                pipe.zremrangebyscore(key, "-inf", now - WINDOW)
                pipe.zadd(key, {name: now})
                pipe.expire(key, 10)
                pipe.execute()
                return True
            except redis.WatchError:
                continue


def attempts(protocol: int, passed: list[float], number: int) -> None:
    client = redis.Redis(port=port, protocol=protocol)
    for turn in range(20):
        if allowed(client, "window", f"{number}:{turn}"):
            passed.append(time.time())


for protocol in (2, 3):
    passed: list[float] = []
    threads = [threading.Thread(target=attempts, args=(protocol, passed, number)) for number in range(THREADS)]
    began = time.time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.time() - began
    client = redis.Redis(port=port, protocol=protocol)
    # No window holds more than the limit, and what the first one could hold was let through.
    marks = sorted(score for _, score in client.zrange("window", 0, -1, withscores=True))
    for start in marks:
        assert sum(start <= mark < start + WINDOW for mark in marks) <= LIMIT
    assert LIMIT <= len(passed) <= LIMIT * (1 + int(took / WINDOW)), (len(passed), took)

    # Transfers between two accounts keep their sum, whatever comes between.
    client.mset({"left": 1000, "right": 0})

    def move(turns: int) -> None:
        own = redis.Redis(port=port, protocol=protocol)
        for _ in range(turns):
            def step(pipe: redis.client.Pipeline) -> None:
                left = int(pipe.get("left"))
                pipe.multi()
                pipe.set("left", left - 1)
                pipe.incr("right")

            own.transaction(step, "left")

    movers = [threading.Thread(target=move, args=(50,)) for _ in range(6)]
    for thread in movers:
        thread.start()
    for thread in movers:
        thread.join()
    assert client.mget("left", "right") == [b"700", b"300"]
    client.flushall()
print(f"redis-py: a rate limit of {LIMIT} with WATCH over {THREADS} threads, 300 transfers, RESP2 and RESP3")
