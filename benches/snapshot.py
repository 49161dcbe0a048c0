"""Saving and loading a snapshot beside another server, in turns, on whatever CPUs this process may use.

Usage: snapshot.py ROSTER PEER [KEYS [BYTES [ROUNDS]]]

Prints for each server the medians of: SAVE, as the client sees it; the server's CPU time for it; the file; and the time from
the start of the process to the first answer with all keys.
"""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

roster, peer = sys.argv[1:3]
keys, size, rounds = (int(word) for word in (sys.argv[3:] + ["2000000", "64", "3"][len(sys.argv) - 3 :]))


def start(program: str, folder: str):
    port = random.randrange(20000, 32000)
    began = time.time()
    server = subprocess.Popen([program, "--port", str(port), "--dir", folder, "--save", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", port))
            # Some answer while they load, but not with this.
            client.sendall(b"DBSIZE\r\n")
            if client.recv(100).startswith(b":"):
                return server, client, time.time() - began
            client.close()
        except OSError:
            assert server.poll() is None, program
        time.sleep(0.005)


def fill(client: socket.socket) -> None:
    reader = client.makefile("rb")
    for first in range(0, keys, 1000):
        batch = []
        for number in range(first, min(first + 1000, keys)):
            key = b"key:%012d" % number
            batch.append(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, size, random.randbytes(size // 2).hex().encode()))
        client.sendall(b"".join(batch))
        for _ in batch:
            assert reader.readline() == b"+OK\r\n"


def cpu_seconds(server) -> float:
    fields = open(f"/proc/{server.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


folders, results = {}, {}
for program in (roster, peer):
    folders[program] = tempfile.mkdtemp()
    server, client, _ = start(program, folders[program])
    fill(client)
    for _ in range(rounds):
        before, began = cpu_seconds(server), time.time()
        client.sendall(b"SAVE\r\n")
        assert client.recv(100) == b"+OK\r\n"
        results.setdefault((program, "save"), []).append(time.time() - began)
        results.setdefault((program, "CPU of save"), []).append(cpu_seconds(server) - before)
    server.kill()
    server.wait()
for _ in range(rounds):
    for program in (roster, peer):
        server, client, took = start(program, folders[program])
        client.sendall(b"DBSIZE\r\n")
        assert client.recv(100) == b":%d\r\n" % keys
        results.setdefault((program, "load"), []).append(took)
        results.setdefault((program, "CPU of load"), []).append(cpu_seconds(server))
        server.kill()
        server.wait()
for (program, what), times in sorted(results.items(), key=lambda item: item[0][1]):
    median = statistics.median(times)
    print(f"{what:12} {os.path.basename(program):10} {median:.3f} s  {keys / median / 1e6:.2f} M keys/s  {[round(t, 3) for t in times]}")
for program, folder in folders.items():
    print(f"{os.path.basename(program)}: a file of {os.path.getsize(folder + '/dump.rdb') / 1e6:.1f} MB")
    shutil.rmtree(folder)
