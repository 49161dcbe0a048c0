"""The virtual machine as the checks see it: its programs, its units, its /proc, and the server in it."""

import json
import os
import pathlib
import subprocess
import time

from resp import Connection

PASSWORD = "open sesame"
PROFILE = "/etc/roster/profile.toml"
HOUSEKEEPING, WORKERS, POLLER = [0, 1], [2, 3], 1


def parameter(name):
    """A parameter of the kernel's command line that is meant for the checks."""
    words = pathlib.Path("/proc/cmdline").read_text().split()
    return next(word.partition("=")[2] for word in words if word.startswith(name + "="))


# How many times longer everything takes than on a machine of its own.
PACE = int(parameter("roster.pace"))


def run(*words, check=True):
    """The output of a program, standard error included."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120 * PACE)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout.strip()


def read(path):
    return pathlib.Path(path).read_text().strip()


def wait(what, condition, seconds=30):
    """Waits until a condition holds and returns what it returned."""
    deadline = time.monotonic() + seconds * PACE
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (OSError, AssertionError):
            pass
        time.sleep(0.02 * PACE)
    raise TimeoutError(f"{what} did not come about within {seconds * PACE} s")


def show(unit, name):
    """A property of a unit."""
    return run("systemctl", "show", "--property", name, "--value", unit)


def pid():
    return int(show("roster.service", "MainPID"))


def connect():
    """A client of the server that has given the password."""
    connection = Connection(6379)
    assert connection("AUTH", PASSWORD) == b"+OK"
    return connection


def ready():
    """Waits until the unit is active and the server answers."""
    wait("roster.service", lambda: show("roster.service", "ActiveState") == "active")
    return wait("the server", connect)


def cpus(text):
    """The numbers in a CPU list of the kernel."""
    found = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


class Thread:
    """A thread of a process: its name, where it may run and where it ran last."""

    def __init__(self, process, number):
        place = pathlib.Path(f"/proc/{process}/task/{number}")
        self.process, self.number = process, number
        self.name = read(place / "comm")
        lines = dict(line.split(":", 1) for line in read(place / "status").splitlines())
        self.allowed = cpus(lines["Cpus_allowed_list"])
        # After the name, which may hold anything but ends with the last bracket, come state, parent, … and processor.
        fields = read(place / "stat").rpartition(")")[2].split()
        self.parent, self.last, self.ticks = int(fields[1]), int(fields[36]), int(fields[11]) + int(fields[12])

    @property
    def is_poller(self):
        return self.name.startswith("iou-sqp-")

    @property
    def is_worker(self):
        return self.name.removeprefix("roster-").isdigit()


def threads(process):
    found = []
    for number in os.listdir(f"/proc/{process}/task"):
        try:
            found.append(Thread(process, int(number)))
        except FileNotFoundError:
            pass
    return sorted(found, key=lambda thread: thread.number)


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


class Interrupt:
    """A line of /proc/interrupts with a number."""

    def __init__(self, line, machine_cpus):
        number, _, rest = line.partition(":")
        words = rest.split()
        self.number, self.name = int(number), words[-1]
        self.counts = [int(word) for word in words[:machine_cpus]]
        self.where = cpus(read(f"/proc/irq/{self.number}/effective_affinity_list"))


def interrupts(start):
    """Those whose name starts so."""
    lines = read("/proc/interrupts").splitlines()
    numbered = [line for line in lines[1:] if line.partition(":")[0].strip().isdigit()]
    return [one for one in (Interrupt(line, len(lines[0].split())) for line in numbered) if one.name.startswith(start)]


def network():
    """The name of the network device, and that of the device below it."""
    for name in os.listdir("/sys/class/net"):
        device = pathlib.Path(f"/sys/class/net/{name}/device")
        if device.exists():
            return name, device.resolve().name
    raise RuntimeError("there is no network device")


def journal(*words):
    """Entries of the journal of this boot."""
    run("journalctl", "--sync")
    output = run("journalctl", "--boot", "--output=json", "--all", *words)
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def messages(*words):
    return [str(entry.get("MESSAGE", "")) for entry in journal(*words)]
