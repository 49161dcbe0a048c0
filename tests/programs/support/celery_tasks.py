"""The tasks of the Celery scripts, and their worker."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import redis
from celery import Celery

PORT = int(os.environ.get("CELERY_PORT") or (sys.argv[1] if len(sys.argv) > 1 and sys.argv[1].isdigit() else 0))
VISIBILITY = 3
URL = f"redis://127.0.0.1:{PORT}"

app = Celery("tasks", broker=f"{URL}/1", backend=f"{URL}/2")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    # A message whose worker is gone is delivered again after the visibility timeout; the worker looks for such every second.
    broker_transport_options={
        "visibility_timeout": VISIBILITY,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)


def redis_client() -> redis.Redis:
    return redis.Redis(port=PORT, db=1, decode_responses=True)


@app.task
def add(first, second):
    return first + second


@app.task(bind=True, max_retries=5)
def flaky(self, key):
    attempt = redis_client().incr(key)
    if attempt < 3:
        raise self.retry(countdown=0.2)
    return attempt


@app.task
def countdown_stamp():
    return time.time()


@app.task
def crash_once(key):
    if redis_client().incr(key) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def slow(key):
    """Takes longer than the first worker lives, and tells when it began and that it ended."""
    client = redis_client()
    if client.incr(f"{key}:begun") == 1:
        time.sleep(60)
    client.incr(f"{key}:ended")
    return "done"


@contextlib.contextmanager
def worker(name, processes=2):
    """A worker in a session of its own, so that it can be killed with its processes; yields the `Popen`."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "celery_tasks", "worker", "-n", f"{name}@test",
               "-c", str(processes), "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    here = os.path.dirname(os.path.abspath(__file__))
    log = open(os.path.join(sys.argv[2], f"celery-{name}.log"), "w+")
    process = subprocess.Popen(command, cwd=here, env={**os.environ, "CELERY_PORT": str(PORT), "C_FORCE_ROOT": "1"},
                               stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    except BaseException:
        log.seek(0)
        sys.stderr.write(log.read()[-4000:])
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        log.close()
