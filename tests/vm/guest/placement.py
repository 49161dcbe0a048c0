"""Checks of who runs where, and on which memory, while another machine loads the server."""

import json
import re
import socket

from . import system
from .system import HOUSEKEEPING, PASSWORD, POLLER, WORKERS

CLIENTS, REQUESTS = 8, 6_000
VALUES, VALUE = 8_192, 4_096


def threads(report):
    """The threads of the server"""
    found = system.threads(system.pid())
    workers = [thread for thread in found if thread.is_worker]
    pollers = [thread for thread in found if thread.is_poller]
    others = [thread for thread in found if not thread.is_worker and not thread.is_poller]
    report.equal("each worker may run on one isolated CPU", sorted(thread.allowed for thread in workers), [[cpu] for cpu in WORKERS])
    report.equal("each ring is polled from the CPU that the profile names", [thread.allowed for thread in pollers], [[POLLER]] * len(workers))
    strays = {thread.name: thread.allowed for thread in others if set(thread.allowed) & set(WORKERS)}
    report.equal("other threads that may run on the workers' CPUs", strays, {})
    report.fact("other threads", ", ".join(sorted({thread.name for thread in others})))


def ask_peer(**question):
    """Has the other machine load the server, with what tests/vm/peer.py takes for a question; its answer."""
    address, _, port = system.parameter("roster.peer").partition(":")
    question = {"password": PASSWORD, "clients": CLIENTS} | (question or {"requests": REQUESTS // system.PACE})
    with socket.create_connection((address, int(port)), timeout=120 * system.PACE) as connection:
        connection.sendall(json.dumps(question).encode() + b"\n")
        return json.loads(connection.makefile("rb").readline())


def counted(report, work):
    """Does some work, and returns what interrupts each virtio device made meanwhile, by CPU."""
    before = {one.number: one for one in system.interrupts("virtio")}
    work()
    after = system.interrupts("virtio")
    grown = {one: [new - old for new, old in zip(one.counts, before[one.number].counts)] for one in after}
    for one, counts in grown.items():
        if any(counts):
            report.fact(one.name, f"on CPU {one.where}, interrupts by CPU {counts}")
    return grown


def of(grown, name, places):
    """The interrupts of devices whose name starts so, on some CPUs."""
    return sum(counts[cpu] for one, counts in grown.items() for cpu in places if one.name.startswith(name))


def load(report):
    """Load over the network"""
    # The kernel moves an interrupt when it comes next, so each has to come once.
    ask_peer()
    _, device = system.network()
    ticks = {thread.number: thread.ticks for thread in system.threads(system.pid())}
    answers = []
    grown = counted(report, lambda: answers.append(ask_peer()))
    expected = CLIENTS * (REQUESTS // system.PACE // 16 * 16)
    report.equal("replies that the other machine got", answers[0].get("replies", answers[0]), expected)
    report.fact("it took", f"{answers[0].get('seconds', 0):.2f} s")
    report.check("the network interrupts the housekeeping CPUs", of(grown, device, HOUSEKEEPING) > 0, of(grown, device, HOUSEKEEPING))
    report.equal("and the workers' CPUs never, nor does any other device", of(grown, "virtio", WORKERS), 0)
    places = {one.name: one.where for one in grown if one.name.startswith(device)}
    report.check("its interrupts are placed there", all(set(where) <= set(HOUSEKEEPING) for where in places.values()), places)

    found = system.threads(system.pid())
    where = {thread.name: thread.last for thread in found if thread.is_worker or thread.is_poller}
    report.equal("workers ran on", sorted(cpu for name, cpu in where.items() if name.startswith("roster-")), WORKERS)
    report.equal("polling threads ran on", {cpu for name, cpu in where.items() if name.startswith("iou-")}, {POLLER})
    busy = sorted(f"{one.name} {one.ticks - ticks[one.number]}" for one in found if one.number in ticks and one.ticks > ticks[one.number])
    report.fact("ticks of CPU time (10 ms)", ", ".join(busy))
    report.check("the polling threads did work", any(word.startswith("iou-sqp-") for word in busy))


def intruders(report):
    """Other programs on the workers' CPUs"""
    server, found = system.pid(), set()
    for process in system.processes():
        try:
            found.update(
                thread.name for thread in system.threads(process)
                # Threads of the kernel, whose parent is 2, may belong to a CPU.
                if process != server and 2 not in (thread.parent, process) and thread.last in WORKERS
            )
        except FileNotFoundError:
            pass
    report.equal("programs that ran there last", sorted(found), [])


def disk(report):
    """Writing to the disk"""
    client = system.connect()
    # Each of a disk's queues belongs to a CPU and interrupts it, isolated or not, but only for what that CPU has asked for:
    # for a worker's, the pages of the program that it is the first to touch, and not the log, which another thread writes.
    grown = counted(report, lambda: fill(client))
    here, there = of(grown, "virtio", HOUSEKEEPING), of(grown, "virtio", WORKERS)
    report.check("the disk interrupts the housekeeping CPUs", here >= VALUES // 1024, here)
    report.check("and the workers' CPUs hardly", there * 10 <= here, there)


def fill(client):
    """Stores the values of the following part, each batch of which is durable before its reply."""
    for start in range(0, VALUES, 1024):
        words = [word for key in range(start, start + 1024) for word in (f"page:{key}", b"v" * VALUE)]
        assert client("MSET", *words) == b"+OK"


def memory(report):
    """The memory of the server"""
    rollup = system.read(f"/proc/{system.pid()}/smaps_rollup")
    huge = int(re.search(r"AnonHugePages: *(\d+)", rollup).group(1)) // 1024
    resident = int(re.search(r"Rss: *(\d+)", rollup).group(1)) // 1024
    wanted = VALUES * VALUE >> 20
    report.check(f"{wanted} MiB of values lie on huge pages", huge >= wanted * 3 // 4, f"{huge} MiB of {resident} MiB resident")
    limits = system.read(f"/proc/{system.pid()}/limits")
    report.check("locked memory is not limited", re.search(r"Max locked memory +unlimited +unlimited", limits) is not None)
    assert system.connect()("FLUSHALL") == b"+OK"
