"""Celery where it needs Lua: a chord, and a whole worker killed in a task that is delivered again to another one.

Usage: celery_killed.py PORT FOLDER
"""

import os
import signal
import time

from celery import chord
from celery_tasks import add, redis_client, slow, total, worker

client = redis_client()
with worker("first") as first:
    assert chord(add.s(number, number) for number in range(50))(total.s()).get(timeout=30) == 2450

    result = slow.delay("slow")
    deadline = time.monotonic() + 20
    while client.get("slow:begun") != "1":
        assert time.monotonic() < deadline, "the task never began"
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
assert client.get("slow:ended") is None
assert client.hlen("unacked") == 1, "the killed worker's message is unacknowledged"

with worker("second"):
    assert result.get(timeout=40) == "done"
assert client.get("slow:begun") == "2" and client.get("slow:ended") == "1"
assert client.hlen("unacked") == 0
print("celery: a chord of 50, a killed worker's task delivered again")
