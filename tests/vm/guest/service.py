"""Checks of the service: its log in the journal, and what the service manager and it tell each other."""

import json
import pathlib
import socket
import subprocess
import threading
import time

from . import system
from .system import PACE, connect, messages, pid, ready, run, show, wait

KEYS = 300
DROP_IN = pathlib.Path("/etc/systemd/system/roster.service.d/check.conf")


def restored(report):
    """The server with the profile's settings again"""
    DROP_IN.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "roster.service")
    ready()
    page = json.loads(run("roster", "doctor", "--json"))
    report.check("the doctor finds nothing", page["passed"] and all(one["state"] != "differs" for one in page["findings"]))


def log(report):
    """The journal"""
    entries = system.journal("--unit", "roster.service", "_COMM=roster")
    report.fact("first messages", " | ".join(str(entry.get("MESSAGE")) for entry in entries[:3]))
    ready_entry = next((entry for entry in entries if "serves" in str(entry.get("MESSAGE"))), {})
    report.fact("fields of one", ", ".join(sorted(name for name in ready_entry if not name.startswith("_"))))
    report.equal("its identifier", ready_entry.get("SYSLOG_IDENTIFIER"), "roster")
    report.equal("its transport", ready_entry.get("_TRANSPORT"), "journal")
    report.check("its place in the source", str(ready_entry.get("CODE_FILE", "")).startswith("src/"), ready_entry.get("CODE_FILE", ""))
    priorities = {entry.get("PRIORITY") for entry in entries}
    report.check("priorities are those of syslog", priorities <= set("34567"), sorted(map(str, priorities)))


def secrets(report):
    """The password, which is a credential"""
    client = system.Connection(6379)
    report.check("without it nothing is served", client("PING").startswith(b"-NOAUTH"))
    environment = system.read(f"/proc/{pid()}/environ") + system.read(f"/proc/{pid()}/cmdline")
    report.check("it is in no environment and on no command line", system.PASSWORD not in environment)
    report.check("the server is not root", not system.read(f"/proc/{pid()}/status").split("Uid:")[1].split()[0] == "0")


def watchdog(report):
    """The watchdog"""
    first = int(show("roster.service", "WatchdogTimestampMonotonic"))
    wait("a sign of life", lambda: int(show("roster.service", "WatchdogTimestampMonotonic")) > first)
    report.check("the server reports to the service manager", True)
    seconds = 3 * PACE
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(f"[Service]\nWatchdogSec={seconds}\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "roster.service")
    client = ready()
    assert client("SET", "kept", "over the watchdog") == b"+OK"
    before, restarts = pid(), int(show("roster.service", "NRestarts"))
    start = time.monotonic()
    # The worker of this connection stands still; the others serve on until the end.
    client.socket.sendall(b"DEBUG SLEEP 600\r\n")
    wait("the restart", lambda: int(show("roster.service", "NRestarts")) > restarts, 60)
    report.check("a worker that stands still is ended and the server started anew", True, f"after {time.monotonic() - start:.1f} s of WatchdogSec={seconds}")
    client = ready()
    report.check("it is another process", pid() != before)
    report.equal("its data is there", client("GET", "kept"), b"over the watchdog")
    said = [entry for entry in system.journal("--unit", "roster.service") if "makes no progress" in str(entry.get("MESSAGE"))]
    report.equal("it said in the journal which worker it was", {entry.get("PRIORITY") for entry in said}, {"3"})
    report.fact("message", said[-1]["MESSAGE"] if said else "")
    report.check("so did the service manager", any("atchdog timeout" in line for line in messages("--unit", "roster.service")))


def alone(report):
    """The server without the profile's settings"""
    DROP_IN.write_text("[Service]\nEnvironment=ROSTER_WORKERS=auto ROSTER_SQPOLL=no\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "roster.service")
    ready()
    found = system.threads(pid())
    places = sorted(thread.allowed for thread in found if thread.is_worker)
    report.equal("it finds the isolated CPUs by itself", places, [[cpu] for cpu in system.WORKERS])
    report.check("nothing polls its rings", not any(thread.is_poller for thread in found))
    page = json.loads(run("roster", "doctor", "--json", check=False))
    missed = [finding["condition"] for finding in page["findings"] if finding["state"] == "differs"]
    report.equal("which the doctor misses", missed, ["polling of the rings"])


def killed(report):
    """kill -9"""
    client = connect()
    for number in range(KEYS):
        assert client("SET", f"key:{number}", f"value {number}") == b"+OK"
    before, restarts = pid(), int(show("roster.service", "NRestarts"))
    start = time.monotonic()
    run("kill", "-9", str(before))
    wait("the restart", lambda: int(show("roster.service", "NRestarts")) > restarts)
    client = ready()
    report.check("it is started anew", pid() != before, f"it served again after {time.monotonic() - start:.2f} s")
    lost = [number for number in range(KEYS) if client("GET", f"key:{number}") != b"value %d" % number]
    report.equal(f"keys lost of {KEYS} whose storing was answered", len(lost), 0)
    report.equal("keys there are", client("DBSIZE"), b":%d" % (KEYS + 1))


def drained(report):
    """SIGTERM"""
    client = connect()
    value = b"x" * 100_000
    assert client("SET", "large", value) == b"+OK"
    # The clients' time to read everything is that of a machine of its own.
    assert client("CONFIG", "SET", "shutdown-timeout", 10 * PACE) == b"+OK"
    before = len(messages("--unit", "roster.service"))
    # More than all buffers on the way hold, so that most of it is still in the server when the signal comes.
    replies = 300
    client.socket.sendall(b"GET large\r\n" * replies)
    time.sleep(0.3 * PACE)
    start = time.monotonic()
    stop = subprocess.Popen(["systemctl", "stop", "roster.service"])
    wait("the end to begin", lambda: show("roster.service", "ActiveState") == "deactivating")
    time.sleep(0.3 * PACE)
    whole = 0
    try:
        while whole < replies and client.read() == value:
            whole += 1
    except (AssertionError, OSError) as error:
        report.fact("after the last reply", error)
    report.equal(f"replies of the {replies} that were on their way, whole", whole, replies)
    report.equal("after them the connection ends", client.file.read(), b"")
    report.equal("the stop", stop.wait(60 * PACE), 0)
    report.fact("it took", f"{time.monotonic() - start:.2f} s")
    report.equal("the server's status", (show("roster.service", "Result"), show("roster.service", "ExecMainStatus")), ("success", "0"))
    for line in messages("--unit", "roster.service")[before:]:
        report.say("        | " + line)
    run("systemctl", "start", "roster.service")
    report.equal("the data after the next start", ready()("STRLEN", "large"), b":%d" % len(value))


def activated(report):
    """Socket activation"""
    run("systemctl", "stop", "roster.service")
    run("systemctl", "start", "roster.socket")
    client = connect()
    report.equal("the first client starts the server", client("PING"), b"+PONG")
    local = socket.socket(socket.AF_UNIX)
    local.connect("/run/roster.sock")
    local.sendall(b"PING\r\n")
    report.check("the unix socket is the unit's too", local.recv(64).startswith(b"-NOAUTH"))
    outcomes, ended = [], threading.Event()

    def keep_coming():
        while not ended.is_set():
            try:
                outcomes.append(connect()("PING") == b"+PONG")
            except OSError as error:
                outcomes.append(type(error).__name__)
            except AssertionError:
                # It was accepted by the server that ended and had sent nothing yet.
                outcomes.append("closed")

    comer = threading.Thread(target=keep_coming)
    comer.start()
    run("systemctl", "restart", "roster.service")
    time.sleep(0.5 * PACE)
    ended.set()
    comer.join()
    report.equal("clients refused over a restart", outcomes.count("ConnectionRefusedError"), 0)
    report.fact("clients meanwhile", {str(kind): outcomes.count(kind) for kind in set(outcomes)})
    run("systemctl", "stop", "roster.socket", "roster.service")
    run("systemctl", "start", "roster.service")
    report.equal("without it the server listens itself", ready()("PING"), b"+PONG")
