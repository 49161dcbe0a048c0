"""redis-py's Lock: threads that add by reading and writing, expiry, extension, a lock that is not one's own.

Usage: lock.py PORT FOLDER
"""

import sys
import threading
import time

import redis
from redis.exceptions import LockError, LockNotOwnedError

port = int(sys.argv[1])
for protocol in (2, 3):
    client = redis.Redis(port=port, protocol=protocol, decode_responses=True)
    client.flushall()

    def add(turns: int) -> None:
        own = redis.Redis(port=port, protocol=protocol)
        for _ in range(turns):
            with own.lock("lock", timeout=10, sleep=0.002):
                value = int(own.get("counter") or 0)
                own.set("counter", value + 1)

    threads = [threading.Thread(target=add, args=(25,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("counter") == "200" and not client.exists("lock")

    first = client.lock("short", timeout=0.3)
    assert first.acquire() and not client.lock("short").acquire(blocking=False)
    assert first.extend(5) and client.pttl("short") > 3000
    assert first.reacquire() and client.pttl("short") <= 300
    time.sleep(0.4)
    second = client.lock("short", timeout=10)
    assert second.acquire(blocking=False)
    for lost in (first.release, lambda: first.extend(1), first.reacquire):
        try:
            lost()
            raise AssertionError("a lock that ran out still counted")
        except LockNotOwnedError:
            first.local.token = first.local.token or b"again"
    assert second.owned()
    second.release()
    try:
        second.release()
        raise AssertionError("a lock was freed twice")
    except LockError:
        pass
print("redis-py: 200 additions under a lock, expiry, extension, RESP2 and RESP3")
