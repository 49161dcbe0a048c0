"""The jobs of rq_round.py, in a module that RQ's workers can import."""

import time

import redis


def add(first, second):
    return first + second


def boom():
    raise RuntimeError("boom")


def flaky(port, key):
    attempt = redis.Redis(port=port).incr(key)
    if attempt < 3:
        raise RuntimeError("not yet")
    return attempt


def linger(port, key):
    """Stays only the first time."""
    if redis.Redis(port=port).incr(key) == 1:
        time.sleep(60)
    return "done"
