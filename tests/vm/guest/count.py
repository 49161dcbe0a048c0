"""Counts of what the kernel does on each CPU, for the time of some work: emulation changes times, and not these."""

import os
import pathlib
import re
import time

from . import system
from .system import HOUSEKEEPING, WORKERS, read

# What the kernel calls its interrupts between CPUs and of its timers.
NAMES = {"LOC": "timer interrupts", "RES": "rescheduling interrupts", "CAL": "function-call interrupts", "IWI": "work interrupts"}
SOFT = ("TIMER", "NET_TX", "NET_RX", "BLOCK", "SCHED", "HRTIMER", "RCU")


def lines(path):
    """What /proc/interrupts and /proc/softirqs count: its name and the counts by CPU."""
    head, *rest = read(path).splitlines()
    places = len(head.split())
    for line in rest:
        name, _, text = line.partition(":")
        words = text.split()
        if len(words) >= places and all(word.isdigit() for word in words[:places]):
            yield name.strip(), words[-1], [int(word) for word in words[:places]]


def by_cpu():
    """All that is counted by CPU."""
    device = system.network()[1]
    found = {}

    def add(name, counts):
        found[name] = [old + new for old, new in zip(found.get(name, [0] * len(counts)), counts)]

    for name, owner, counts in lines("/proc/interrupts"):
        if name in NAMES:
            add(NAMES[name], counts)
        elif owner.startswith("virtio"):
            add("network interrupts" if owner.startswith(device) else "disk interrupts", counts)
    for name, _, counts in lines("/proc/softirqs"):
        if name in SOFT:
            add(f"softirq {name}", counts)
    switches = re.findall(r"^ *\.nr_switches *: *(\d+)", read("/sys/kernel/debug/sched/debug"), re.MULTILINE)
    add("switches of tasks", [int(count) for count in switches])
    return found


def of_workers():
    """All that is counted for the workers' threads, summed up."""
    found = dict.fromkeys(("voluntary switches", "involuntary switches", "migrations", "faults", "µs waited for a CPU", "µs run"), 0)
    server = system.pid()
    for thread in system.threads(server):
        if thread.is_worker:
            place = pathlib.Path(f"/proc/{server}/task/{thread.number}")
            status = dict(line.split(":", 1) for line in read(place / "status").splitlines())
            run, waited, _ = map(int, read(place / "schedstat").split())
            found["voluntary switches"] += int(status["voluntary_ctxt_switches"])
            found["involuntary switches"] += int(status["nonvoluntary_ctxt_switches"])
            found["migrations"] += int(re.search(r"se\.nr_migrations *: *(\d+)", read(place / "sched")).group(1))
            found["faults"] += int(read(place / "stat").rpartition(")")[2].split()[7])
            found["µs waited for a CPU"] += waited // 1000
            found["µs run"] += run // 1000
    return found


def strangers():
    """Threads of anybody but the workers, and how often each was switched to."""
    found = {}
    server = system.pid()
    for process in system.processes():
        for number in os.listdir(f"/proc/{process}/task") if os.path.exists(f"/proc/{process}/task") else []:
            try:
                thread = system.Thread(process, int(number))
                slices = int(read(f"/proc/{process}/task/{number}/schedstat").split()[2])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if not (process == server and thread.is_worker):
                found[thread.number] = (thread.name, thread.last, slices)
    return found


def during(work):
    """Does some work; returns what was counted meanwhile, on the workers' CPUs, on the others, and of the workers themselves."""
    others, cpus, own, start = strangers(), by_cpu(), of_workers(), time.monotonic()
    outcome = work()
    seconds, own_after, cpus_after, others_after = time.monotonic() - start, of_workers(), by_cpu(), strangers()
    grown = {name: [new - old for new, old in zip(counts, cpus[name])] for name, counts in cpus_after.items()}
    seen = {}
    for number, (name, last, slices) in others_after.items():
        more = slices - others.get(number, (name, last, 0))[2]
        if last in WORKERS and more > 0:
            seen[name] = seen.get(name, 0) + more
    return {
        "seconds": round(seconds, 2),
        "outcome": outcome,
        "workers' CPUs": {name: sum(counts[cpu] for cpu in WORKERS) for name, counts in grown.items()},
        "other CPUs": {name: [counts[cpu] for cpu in HOUSEKEEPING] for name, counts in grown.items()},
        "workers": {name: own_after[name] - own[name] for name in own},
        "strangers": seen,
    }
