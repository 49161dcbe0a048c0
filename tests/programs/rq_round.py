"""RQ: results, retries, dependencies, a failing job, a killed worker whose job is found abandoned.

Usage: rq_round.py PORT FOLDER
"""

import os
import signal
import subprocess
import sys
import time

import redis
from rq import Queue, Retry, SimpleWorker, Worker
from rq.job import JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry
from rq.results import Result
from rq_jobs import add, boom, flaky, linger

port = int(sys.argv[1])
client = redis.Redis(port=port)
queue = Queue("round", connection=client)


def drain() -> None:
    SimpleWorker([queue], connection=client).work(burst=True, logging_level="CRITICAL")


jobs = [queue.enqueue(add, number, number) for number in range(100)]
assert len(queue) == 100
drain()
assert [job.return_value() for job in jobs] == [2 * number for number in range(100)]
assert len(queue) == 0 and len(FinishedJobRegistry(queue=queue)) == 100

tries = queue.enqueue(flaky, port, "tries", retry=Retry(max=4))
failing = queue.enqueue(boom)
base = queue.enqueue(add, 1, 2)
after = queue.enqueue(add, 10, 20, depends_on=base)
assert after.get_status() == JobStatus.DEFERRED
drain()
assert tries.return_value() == 3 and int(client.get("tries")) == 3
assert failing.get_status(refresh=True) == JobStatus.FAILED and failing.id in FailedJobRegistry(queue=queue)
assert failing.latest_result().type == Result.Type.FAILED and "boom" in failing.latest_result().exc_string
assert base.return_value() == 3 and after.return_value() == 30

# A worker of its own that forks for each job; it and its fork are killed in the midst of one.
job = queue.enqueue(linger, port, "lingers")
worker = subprocess.Popen(
    [os.path.join(os.path.dirname(sys.executable), "rq"), "worker", "--url", f"redis://127.0.0.1:{port}", "--quiet", "round"],
    env={**os.environ, "PYTHONPATH": os.environ["PYTHONPATH"]}, start_new_session=True,
    stdout=open(os.path.join(sys.argv[2], "rq.log"), "w"), stderr=subprocess.STDOUT)
try:
    deadline = time.monotonic() + 30
    while client.get("lingers") != b"1":
        assert time.monotonic() < deadline, "the job never began"
        time.sleep(0.05)
    assert job.id in StartedJobRegistry(queue=queue)
    assert len(Worker.all(connection=client)) == 1
finally:
    # The fork has a process group of its own.
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(worker.pid)], capture_output=True, text=True).stdout.split()
    for process in [worker.pid, *map(int, children)]:
        os.kill(process, signal.SIGKILL)
    worker.wait()

# Its execution runs out; a cleanup as every worker does it finds the job and puts it among the failed.
registry = StartedJobRegistry(queue=queue)
registry.cleanup(timestamp=time.time() + 10_000)
assert job.get_status(refresh=True) == JobStatus.FAILED and job.id in FailedJobRegistry(queue=queue)
FailedJobRegistry(queue=queue).requeue(job)
drain()
assert job.get_status(refresh=True) == JobStatus.FINISHED and client.get("lingers") == b"2"
print("RQ: 100 results, retries, dependencies, a failure, a killed worker's job found and run again")
