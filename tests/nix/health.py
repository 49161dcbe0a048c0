#!/usr/bin/env python3
"""Runs nixos/health.sh against a real server, one that is not there, and faults of the host: tests/nix/health.py PROGRAM."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

SCRIPT = pathlib.Path(__file__).parents[2] / "nixos" / "health.sh"
PROGRAM = os.path.abspath(sys.argv[1])
count = 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def health(folder, port, doctor=0, state="indeterminate", **more):
    """The status and the output of the script, and whether it would have started the machine anew."""
    doctors, restarted = pathlib.Path(folder, "doctor"), pathlib.Path(folder, "restarted")
    doctors.write_text(f'#!/bin/sh\n[ "$1" = doctor ] && exit {doctor}\n')
    doctors.chmod(0o755)
    restarted.unlink(missing_ok=True)
    environment = {
        **os.environ, "ADDRESS": "127.0.0.1", "PORT": str(port), "PROGRAM": str(doctors), "STATUS": f"echo {state}",
        "REBOOT": f"touch {restarted}", "SECONDS_MAX": "2", **more,
    }
    run = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
    return run.returncode, restarted.exists(), run.stdout + run.stderr


def check(name, seen, status, restarted, words):
    global count
    assert seen[:2] == (status, restarted) and words in seen[2], (name, *seen)
    count += 1
    print("ok", name)


with tempfile.TemporaryDirectory() as folder:
    for password in ("", "open sesame"):
        port = free_port()
        more = ["--requirepass", password] if password else []
        command = [PROGRAM, "--port", str(port), "--bind", "127.0.0.1", "--workers", "1", "--dir", folder, *more]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.2)
        try:
            what = "a server with a password" if password else "a server"
            check(f"{what} that answers", health(folder, port, SECONDS_MAX="20"), 0, False, "the server answers")
            check(f"{what}, where the cloud says its port", health(folder, 1, ROSTER_PORT=str(port)), 0, False, "the server answers")
            check(f"{what} on a host with faults", health(folder, port, doctor=1), 1, True, "starting anew")
            check(f"{what}, and faults after a good boot", health(folder, port, doctor=1, state="good"), 1, False, "finds faults")
        finally:
            server.terminate()
            server.wait()
    check("no server", health(folder, port), 1, True, "no answer from")
    check("no server after a good boot", health(folder, port, state="clean"), 1, False, "no answer from")
    check("tries are used up", health(folder, port, state="bad"), 1, False, "no answer from")
    check("a server without a port", health(folder, 0), 0, False, "the server answers")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        check("something that says nothing", health(folder, silent.getsockname()[1]), 1, True, "no answer from")

print(f"{count} passed, 0 failed")
