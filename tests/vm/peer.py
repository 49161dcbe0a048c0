#!/usr/bin/env python3
"""The other machine: asked by the virtual machine, it loads the server there from outside.

    tests/vm/peer.py ADDRESS PORT

It prints the port on which it can be asked. A question is one line of JSON, {"password": …, "clients": …, "requests": …}
(requests are those of each client; "seconds" in their place asks for a load of that time, and "command" and "reply" for another
one than PING); the answer is one line as well, {"replies": …, "seconds": …} or {"error": …}.
"""

import json
import socket
import sys
import threading
import time

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])
PIPELINE = 16


def serve_one(question, replies):
    """One client: it sends and reads, a pipeline at a time, and counts the replies that are right."""
    command = question.get("command", "PING").encode() + b"\r\n"
    reply = question.get("reply", "+PONG").encode() + b"\r\n"
    end = time.monotonic() + question.get("seconds", 0)
    rounds = range(question["requests"] // PIPELINE) if "requests" in question else iter(lambda: time.monotonic() < end, False)
    with socket.create_connection((ADDRESS, PORT), timeout=60) as connection:
        file = connection.makefile("rb")
        connection.sendall(b"AUTH \"%s\"\r\n" % question["password"].encode())
        assert file.readline() == b"+OK\r\n"
        for _ in rounds:
            connection.sendall(command * PIPELINE)
            for _ in range(PIPELINE):
                assert file.readline() == reply
            replies.append(PIPELINE)


def load(question):
    replies, errors = [], []

    def run():
        try:
            serve_one(question, replies)
        except (AssertionError, OSError) as error:
            errors.append(f"{type(error).__name__}: {error}")

    start = time.monotonic()
    clients = [threading.Thread(target=run) for _ in range(question["clients"])]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return {"error": errors[0]} if errors else {"replies": sum(replies), "seconds": time.monotonic() - start}


def main():
    with socket.create_server(("", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as file:
                line = file.readline()
                if line:
                    connection.sendall(json.dumps(load(json.loads(line))).encode() + b"\n")


main()
