#!/usr/bin/env python3
"""Runs nixos/first-boot.sh against a stand-in of the cloud's metadata service: tests/nix/first-boot.py PROGRAM."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

SCRIPT = pathlib.Path(__file__).parents[2] / "nixos" / "first-boot.sh"
PROGRAM = os.path.abspath(sys.argv[1])


def key(name, folder):
    path = pathlib.Path(folder, name)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


def boot(answers, old=None):
    """The keys, the settings and the output of a boot at which the service answers so; None where no file is there."""
    asked = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.client_address[1]))
            status, text = answers.get(self.path, (404, "Not Found"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode() if isinstance(text, str) else text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        keys, settings = pathlib.Path(folder, "ssh", "keys"), pathlib.Path(folder, "run", "roster.env")
        if old:
            keys.parent.mkdir()
            keys.write_text(old)
        port = server.server_address[1] if answers is not None and answers.get("up", True) else 9
        environment = {
            **os.environ, "METADATA": f"http://127.0.0.1:{port}", "KEYS": str(keys), "SETTINGS": str(settings),
            "PORTS": "20000-29999", "TRIES": "2", "CHECK": PROGRAM,
        }
        run = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run
        server.shutdown()
        assert all(20000 <= port < 30000 for _, port in asked), asked
        read = lambda path: path.read_text() if path.exists() else None
        if settings.exists():
            assert settings.stat().st_mode & 0o77 == 0, "settings may hold a password"
        return read(keys), read(settings), run.stdout + run.stderr


CONF, USER = "/conf?format=json", "/user_data/cloud-init"
count = 0


def check(name, condition, *shown):
    global count
    assert condition, (name, *shown)
    count += 1
    print("ok", name)


with tempfile.TemporaryDirectory() as folder:
    first, second = key("first", folder), key("second", folder)
    conf = json.dumps({"ssh_public_keys": [{"key": first}], "tags": ["x", "AUTHORIZED_KEY=" + second.replace(" ", "_")]})
    user = '#cloud-config\n[other]\nport = 1\n[roster]\n# mine\nport = 6380\nmaxclients=77\nrequirepass = "open sesame"\n[more]\nport = 2\n'
    keys, settings, said = boot({CONF: (200, conf), USER: (200, user)})
    check("keys of the project and of tags", keys == f"{first}\n{second}\n", keys, said)
    check("the section of the server", settings == 'ROSTER_PORT="6380"\nROSTER_MAXCLIENTS="77"\nROSTER_REQUIREPASS="open sesame"\n', settings, said)
    keys, settings, said = boot({"up": False}, old="kept\n")
    check("no service leaves the keys alone", (keys, settings) == ("kept\n", None) and "no metadata" in said, said)
    keys, settings, said = boot({CONF: (500, "oops"), USER: (500, "")})
    check("a service that fails", (keys, settings) == (None, None) and "status 500" in said, said)
    for text in ["", "{", "[1]", "null", "<html>"]:
        keys, settings, said = boot({CONF: (200, text)}, old="kept\n")
        check(f"no JSON object: {text!r}", keys == "kept\n" and "no JSON object" in said, keys, said)
    for text in ['{"ssh_public_keys": null}', '{"ssh_public_keys": 7, "tags": {"a": 1}}', '{"ssh_public_keys": [null, {}, {"key": 3}]}', "{}"]:
        keys, _, said = boot({CONF: (200, text)})
        check(f"no keys: {text}", keys == "", keys, said)
    bad = json.dumps({"ssh_public_keys": [{"key": "ssh-ed25519 AAAA"}, {"key": "command=\"x\""}, {"key": first}]})
    keys, _, said = boot({CONF: (200, bad)})
    check("what is no key is left out", keys == first + "\n" and said.count("left out") == 2, keys, said)
    for text, words in [
        ("[roster]\nnonsense\n", "not name = value"), ("[roster]\nport = $(reboot)\n", "not name = value"),
        ("[roster]\nPORT = 1\n", "not name = value"), ("[roster]\nport = 99999999\n", "left out"),
        ("[roster]\nno-such-setting = 1\n", "left out"), ("#cloud-config\n", "no [roster] section"), ("", "no [roster] section"),
        ("\x00\xff" * 99, "no [roster] section"),
    ]:
        _, settings, said = boot({CONF: (200, conf), USER: (200, text)})
        check(f"user data {text[:30]!r}", settings is None and words in said, settings, said)
    _, settings, said = boot({CONF: (200, conf)})
    check("no user data", settings is None and "no user data (status 404)" in said, said)

print(f"{count} passed, 0 failed")
