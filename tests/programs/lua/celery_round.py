"""Celery with Roster as broker and result backend: results, retries, a countdown, groups, and a worker process that dies in a task.
Kombu takes a lock in Redis for what was not acknowledged, and frees it by Lua.

Usage: celery_round.py PORT FOLDER
"""

import time

from celery_tasks import add, countdown_stamp, crash_once, flaky, redis_client, worker


def main() -> None:
    with worker("plain"):
        assert add.delay(2, 3).get(timeout=30) == 5

        results = [add.delay(number, number) for number in range(200)]
        assert [result.get(timeout=30) for result in results] == [2 * number for number in range(200)]

        # The third attempt succeeds; each one is counted in Redis by the task itself.
        assert flaky.delay("tries").get(timeout=30) == 3
        assert int(redis_client().get("tries")) == 3

        # A task with a countdown waits in the worker, unacknowledged, until it is due.
        sent = time.time()
        assert countdown_stamp.apply_async(countdown=2).get(timeout=30) - sent >= 2

        # The process that runs the task kills itself: the task is late to acknowledge, so it is delivered again.
        assert crash_once.delay("crashes").get(timeout=40) == "survived"
        assert int(redis_client().get("crashes")) == 2

    # Nothing is left in the queue or unacknowledged.
    client = redis_client()
    assert client.llen("celery") == 0
    assert client.hlen("unacked") == 0 and client.zcard("unacked_index") == 0
    print("celery: 200 results, retries, countdown, a crashed worker process")


main()
