"""Snapshots: ours loads in real servers and theirs here, with equal data; and what ends, failures and rules of `save` do.

Usage: snapshot.py PORT FOLDER

FOLDER is the server's dir. The peers are redis-server and what the variable PEERS names, separated by colons; those that
are not there are left out.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time

from resp.servers import Saving, Server, compare, contents, fill, peers, prints_alike, sums

ours_port, folder = int(sys.argv[1]), sys.argv[2]
rng = random.Random(7)


def wait_saved(call) -> None:
    for _ in range(600):
        if call.info("rdb_bgsave_in_progress") == "0":
            return
        time.sleep(0.05)
    raise SystemExit("a snapshot does not end")


ours = Saving(ours_port)
program = ours.info("executable")
fill(ours, rng)
# Writers of other keys go on while the snapshot is taken.
over = threading.Event()


def disturb(seed: int) -> None:
    call, dice = Saving(ours_port), random.Random(seed)
    call("SELECT", 5)
    while not over.is_set():
        call("SET", dice.randrange(10_000), "x" * 100)


writers = [threading.Thread(target=disturb, args=(seed,)) for seed in range(4)]
[writer.start() for writer in writers]
time.sleep(0.3)
assert ours("BGSAVE") == b"+Background saving started"
wait_saved(ours)
over.set()
[writer.join() for writer in writers]
assert ours.info("rdb_last_bgsave_status") == "ok" and ours.info("rdb_saves") != "0"
wanted = contents(ours)

for peer in peers:
    where = os.path.join(folder, "peer")
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    shutil.copy(os.path.join(folder, "dump.rdb"), where)
    theirs = Server(peer, where, "--save", "", "--appendonly", "no", "--enable-debug-command", "yes")
    compare(wanted, contents(theirs.client), f"ours in {peer}")
    alike = prints_alike(ours, theirs.client)
    # The sums of databases 0, 3 and 9, in which nobody has written since.
    compare(sums(ours, alike), sums(theirs.client, alike), f"the digests of ours in {peer}")
    # What it adds is of encodings that we may not write, and without a checksum.
    fill(theirs.client, rng)
    theirs.client("SELECT", 0)
    assert theirs.client("SAVE") == b"+OK"
    there, digests = contents(theirs.client), sums(theirs.client, alike)
    theirs.stop()
    back = Server(program, where, "--workers", "2")
    compare(contents(back.client), there, f"{peer}'s here")
    compare(sums(back.client, alike), digests, f"the digests of {peer}'s here")
    assert int(back.client.info("rdb_last_load_keys_loaded")) > 2000
    assert back.stop(signal.SIGTERM) == 0
    print(f"equal data by way of {peer}")

# Rules of `save`, and an end that saves.
where = os.path.join(folder, "own")
server = Server(program, where, "--save", "1", "1", "--workers", "2")
server.client("SET", "k", "v1")
time.sleep(2.5)
wait_saved(server.client)
assert os.path.exists(os.path.join(where, "dump.rdb")) and server.client.info("rdb_changes_since_last_save") == "0"
server.client("SET", "k", "v2")
assert server.stop(signal.SIGTERM) == 0
server = Server(program, where, "--save", "3600", "1")
assert server.client("GET", "k") == b"v2"

# A snapshot that fails keeps writes out until one does not, and the server running.
shutil.move(where, where + "-gone")
assert server.client("BGSAVE") == b"+Background saving started"
wait_saved(server.client)
assert server.client.info("rdb_last_bgsave_status") == "err"
refusal = server.client("SET", "k", "v3")
assert refusal.startswith(b"-MISCONF Redis is configured to save RDB snapshots"), refusal
assert server.client("PING").startswith(b"-MISCONF") and server.client("GET", "k") == b"v2"
assert server.client("SAVE") == b"-ERR"
assert server.client("SHUTDOWN", "SAVE") == b"-ERR Errors trying to SHUTDOWN. Check logs."
server.process.send_signal(signal.SIGTERM)
time.sleep(1)
assert server.client("GET", "k") == b"v2", "the end was not refused"
assert server.client("CONFIG", "SET", "stop-writes-on-bgsave-error", "no") == b"+OK"
assert server.client("SET", "k", "v3") == b"+OK"
shutil.move(where + "-gone", where)
assert server.client("BGSAVE", "SCHEDULE") == b"+Background saving started"
wait_saved(server.client)
assert server.client.info("rdb_last_bgsave_status") == "ok"
before = int(server.client("LASTSAVE")[1:])
assert abs(before - time.time()) < 60
server.client("SET", "k", "v4")
server.process.kill()
server.process.wait()
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v3"
server.client("SET", "k", "v5")
assert server.stop(signal.SIGTERM) == 0
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v3", "without rules nothing is saved"
server.client("SET", "k", "v6")
try:
    server.client("SHUTDOWN", "SAVE")
except AssertionError:
    pass
assert server.process.wait(60) == 0
server = Server(program, where, "--save", "")
assert server.client("GET", "k") == b"v6"
server.stop()
assert not [name for name in os.listdir(where) if name.startswith("temp-")]
print("rules, failures and ends of snapshots are as they should be")
