"""TLS by redis-py and redis-cli: both versions, certificates of clients, pipelines, big values, messages, blocking commands, reload.

Usage: tls.py PORT FOLDER, with TLS_PORT in the environment and in FOLDER/tls the files that tests/clients/run makes.
"""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
import time

import redis
import redis.asyncio

plain_port, folder, port = int(sys.argv[1]), os.path.join(sys.argv[2], "tls"), int(os.environ["TLS_PORT"])
files = {"ssl_ca_certs": f"{folder}/ca.crt", "ssl_certfile": f"{folder}/client.crt", "ssl_keyfile": f"{folder}/client.key"}


def connect(**options):
    return redis.Redis(host="localhost", port=port, ssl=True, decode_responses=True, **{**files, **options})


plain = redis.Redis(port=plain_port, decode_responses=True)
plain.flushall()
for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
    for protocol in [2, 3]:
        client = connect(ssl_min_version=version, protocol=protocol)
        assert client.ping() and client.set("k", "v") and plain.get("k") == "v"
        with client.pipeline(transaction=False) as pipe:
            for number in range(10_000):
                pipe.set(f"key:{number}", number)
                pipe.get(f"key:{number}")
            replies = pipe.execute()
        assert replies[1::2] == [str(number) for number in range(10_000)]
        big = "x" * (16 << 20)
        assert client.set("big", big) and client.get("big") == big and plain.strlen("big") == 16 << 20
        client.close()

# Messages and waits.
client = connect()
listener = client.pubsub(ignore_subscribe_messages=True)
listener.subscribe("news")
while listener.get_message(timeout=0.1):
    pass
for number in range(100):
    plain.publish("news", number)
received = []
while len(received) < 100 and (message := listener.get_message(timeout=5)):
    received.append(message["data"])
assert received == [str(number) for number in range(100)], received
waiter = threading.Thread(target=lambda: received.append(connect().blpop("list", timeout=20)))
waiter.start()
while plain.info("clients")["blocked_clients"] == 0:
    time.sleep(0.01)
plain.rpush("list", "element")
waiter.join()
assert received[-1] == ("list", "element")


async def many():
    pool = redis.asyncio.Redis(host="localhost", port=port, ssl=True, **files)
    await asyncio.gather(*(pool.incr("counter") for _ in range(500)))
    await pool.aclose()

asyncio.run(many())
assert plain.get("counter") == "500"

# Who shows no certificate, or one of another authority, is not served; neither is who speaks no TLS.
for options in [{"ssl_certfile": None, "ssl_keyfile": None}, {"ssl_certfile": f"{folder}/stranger.crt", "ssl_keyfile": f"{folder}/stranger.key"}]:
    try:
        connect(**options).ping()
    except redis.ConnectionError:
        pass
    else:
        raise AssertionError(f"served: {options}")
try:
    redis.Redis(port=port).ping()
except redis.ConnectionError:
    pass
else:
    raise AssertionError("served without TLS")

# A new certificate for whoever comes from now on.
shown = lambda: subprocess.run(
    ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", f"{folder}/ca.crt", "-verify_return_error"],
    input=b"", capture_output=True, check=False).stdout
assert b"CN = server" in shown() and b"Verify return code: 0 (ok)" in shown()
plain.config_set("tls-cert-file", f"{folder}/second.crt", "tls-key-file", f"{folder}/second.key")
assert b"CN = second" in shown()
assert client.ping() and connect().ping()

cli = ["redis-cli", "-p", str(port), "--tls", "--cacert", files["ssl_ca_certs"], "--cert", files["ssl_certfile"], "--key", files["ssl_keyfile"]]
run = lambda *words, given=None: subprocess.run([*cli, *words], input=given, capture_output=True, check=True, text=True, timeout=60).stdout
assert run("ping") == "PONG\n" and run("get", "k") == "v\n"
commands = "".join(f"SET pipe:{number} {number}\n" for number in range(2000))
assert "errors: 0, replies: 2000" in run("--pipe", given=commands)
assert len(run("--scan", "--pattern", "pipe:*").split()) == 2000
print("tls: redis-py, redis-cli and openssl agree")
