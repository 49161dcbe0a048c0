"""Debian's redis-sentinel, unmodified, watching the server as a master without replicas, and two sentinels finding one another by it.

Usage: sentinel.py PORT FOLDER
"""

import os
import random
import subprocess
import sys
import time

import redis
from redis.sentinel import Sentinel

port, folder = int(sys.argv[1]), sys.argv[2]
ports = [random.randrange(20000, 32000) for _ in range(2)]
processes = []


def until(condition, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.1)


def master(sentinel: redis.Redis) -> dict:
    return sentinel.sentinel_master("main")


client = redis.Redis(port=port, decode_responses=True)
greetings = client.pubsub()
greetings.subscribe("__sentinel__:hello")
try:
    for number, own in enumerate(ports):
        path = os.path.join(folder, f"sentinel-{number}.conf")
        with open(path, "w") as file:
            file.write(f"port {own}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor main 127.0.0.1 {port} 2\n"
                       "sentinel down-after-milliseconds main 5000\n")
        log = open(os.path.join(folder, f"sentinel-{number}.log"), "w")
        processes.append(subprocess.Popen(["redis-sentinel", path], stdout=log, stderr=log))
    sentinels = [redis.Redis(port=own, decode_responses=True) for own in ports]
    for sentinel in sentinels:
        def up(sentinel=sentinel):
            try:
                return sentinel.ping()
            except redis.ConnectionError:
                return False

        until(up, "a sentinel that answers")

    # Each sentinel says hello by the server, and learns from that of the other.
    for sentinel in sentinels:
        until(lambda: master(sentinel)["num-other-sentinels"] == 1, "the sentinels know one another")
        # INFO is read every ten seconds; the run id stands in the table as soon as it was.
        run_id = client.info("server")["run_id"]
        until(lambda: master(sentinel)["runid"] == run_id, "INFO was read")
        state = master(sentinel)
        assert state["flags"] == "master", state
        assert state["role-reported"] == "master" and state["num-slaves"] == 0 and state["port"] == port
        # An error, had it none.
        sentinel.execute_command("SENTINEL CKQUORUM", "main")
    hello = [message["data"] for message in iter(lambda: greetings.get_message(timeout=0.5), None) if message["type"] == "message"]
    assert {int(text.split(",")[1]) for text in hello} == set(ports), hello
    assert all(text.split(",")[4:7] == ["main", "127.0.0.1", str(port)] for text in hello), hello

    found = Sentinel([("127.0.0.1", own) for own in ports], min_other_sentinels=1)
    assert found.discover_master("main") == ("127.0.0.1", port)
    through = found.master_for("main", decode_responses=True)
    assert through.set("by", "sentinel") and client.get("by") == "sentinel"

    # Each sentinel holds two connections, and named them.
    names = [entry["name"] for entry in client.client_list(_type="normal")] + [entry["name"] for entry in client.client_list(_type="pubsub")]
    assert sum(name.startswith("sentinel-") and name.endswith("-cmd") for name in names) == 2, names
    assert sum(name.startswith("sentinel-") and name.endswith("-pubsub") for name in names) == 2, names
finally:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(timeout=20)
print("Sentinel: two of Debian's watch the master, know one another by it, and name it to redis-py")
