"""What each row of the profile changes, as counts: under the same load with the row and without it.

A row that can be changed while the machine runs is taken back to the value that `roster tune` found, and then set again, in
turns. Rows of the kernel's command line take a boot each: that machine is told so by `roster.variant`.
"""

import json
import pathlib
import re
import socket
import subprocess
import time
import tomllib

from . import count, host, system
from .placement import ask_peer
from .service import DROP_IN
from .system import HOUSEKEEPING, WORKERS, connect, pid, read, ready, run

SECONDS, ROUNDS = 6, 2
BITS = 400_000
HOG = "while True: pass"
WRITER = "import os\nwhile True:\n f = open('/var/tmp/written', 'wb'); f.write(b'x' * (1 << 20)); os.fsync(f.fileno()); f.close()"


def serve(**settings):
    """Starts the server anew with some settings beside those of the profile, and without polled rings, which ent1-m has not."""
    words = " ".join(f"ROSTER_{name.upper()}={value}" for name, value in ({"sqpoll": "no"} | settings).items())
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(f"[Service]\nEnvironment={words}\nWatchdogSec=0\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "roster.service")
    client = ready()
    assert client("SETRANGE", "bits", BITS, "x") == b":%d" % (BITS + 1)


def network():
    """As many small requests as eight clients can send."""
    return ask_peer(seconds=SECONDS).get("replies")


def busy():
    """Workers that compute without a pause."""
    return ask_peer(seconds=SECONDS, command="BITCOUNT bits", reply=":4").get("replies")


def crowd():
    """The network's load while other programs want CPUs and the disk."""
    programs = [subprocess.Popen(["python3", "-c", HOG]) for _ in range(3)] + [subprocess.Popen(["python3", "-c", WRITER])]
    try:
        return network()
    finally:
        for program in programs:
            program.kill()
            program.wait()


def tell(report, row, side, work, counts):
    report.say(json.dumps({"row": row, "side": side, "work": work, **counts}))


def measure(report, row, side, *works):
    for work in works:
        tell(report, row, side, work.__name__, count.during(work))


def turns(report, row, without, with_it, *works):
    """Measures without the row and with it, in turns, and leaves it in force."""
    for _ in range(ROUNDS):
        without()
        measure(report, row, "without", *works)
        with_it()
        measure(report, row, "with", *works)


def write(path, value):
    pathlib.Path(path).write_text(value)


def recorded(words):
    """Functions that take back, and set again, what `roster tune` has written to the paths with one of these words in them."""
    changes = [one for one in tomllib.loads(host.RECORD.read_text())["change"] if any(word in one["path"] for word in words)]
    assert changes, f"nothing was changed for {words}"
    return [lambda key=key: [write(one["path"], one[key]) for one in changes] for key in ("old", "new")]


def place_interrupts():
    """Writes where each interrupt of the network belongs, as the row does."""
    for number, one in enumerate(system.interrupts(system.network()[1])):
        write(f"/proc/irq/{one.number}/smp_affinity_list", str(HOUSEKEEPING[number % len(HOUSEKEEPING)]))


def steer(mask, flows):
    """Receive packet steering to a mask of CPUs, and flow steering with as many entries."""
    write("/proc/sys/net/core/rps_sock_flow_entries", str(flows))
    for queue in pathlib.Path(f"/sys/class/net/{system.network()[0]}/queues").glob("rx-*"):
        write(queue / "rps_cpus", mask)
        write(queue / "rps_flow_cnt", str(flows))


def queues(number):
    run("ethtool", "-L", system.network()[0], "combined", str(number), check=False)
    place_interrupts()


def statistics():
    """What the kernel's network counts of all sockets, by name."""
    found = {}
    for path in ("/proc/net/netstat", "/proc/net/snmp"):
        rows = [line.split() for line in read(path).splitlines()]
        for names, values in zip(rows[::2], rows[1::2]):
            found |= {name: int(value) for name, value in zip(names[1:], values[1:])}
    return found


QUEUES = ("ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesSent", "RetransSegs", "TCPTimeouts")


def burst(clients, stopped):
    """So many clients connect at once, to a server that stands still meanwhile or not: what the kernel made of them."""
    server, before, sockets = pid(), statistics(), []
    if stopped:
        run("kill", "-STOP", str(server))
    for _ in range(clients):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", 6379))
        sockets.append(one)
    time.sleep(8)
    if stopped:
        run("kill", "-CONT", str(server))
    after = statistics()
    for one in sockets:
        one.close()
    time.sleep(3)
    return {name: after[name] - before[name] for name in QUEUES}


def after_idling():
    """The congestion window, in segments, of a connection that has sent a lot and then nothing for some seconds."""
    client = connect()
    assert client("SET", "large", b"x" * 400_000) == b"+OK"
    for _ in range(60):
        client("GET", "large")
    time.sleep(6)
    # The window is brought up to date by the next segment.
    client("PING")
    port = client.socket.getsockname()[1]
    return {"window": int(re.search(r"cwnd:(\d+)", run("ss", "-tinH", "sport", "=", ":6379", "dport", "=", f":{port}")).group(1))}


def memory():
    """Faults and huge pages for half a million records of 100 bytes."""
    client, before = connect(), count.of_workers()
    for start in range(0, 524_288, 1024):
        words = [word for key in range(start, start + 1024) for word in (f"record:{key}", b"v" * 70)]
        assert client("MSET", *words) == b"+OK"
    rollup = read(f"/proc/{pid()}/smaps_rollup")
    amounts = {name: int(re.search(rf"{name}: *(\d+)", rollup).group(1)) // 1024 for name in ("AnonHugePages", "Rss")}
    return {"faults": count.of_workers()["faults"] - before["faults"], "MiB on huge pages": amounts["AnonHugePages"], "MiB resident": amounts["Rss"]}


def sysctl(name):
    path = "/proc/sys/" + name.replace(".", "/")
    return lambda value: write(path, str(value))


def network_rows(report):
    """Rows of the network, changed while the machine runs"""
    device = system.network()[1]
    irqs = [f"/proc/irq/{one.number}/" for one in system.interrupts(device)]
    turns(report, "interrupts of the network", *recorded(irqs), network)
    try:
        steer("c", 0)
        report.fact("packets can be steered to the isolated CPUs", "yes")
    except OSError as error:
        report.fact("packets cannot be steered to the isolated CPUs", error)
    turns(report, "receive packet steering", lambda: steer("f", 0), lambda: steer("0", 0), network)
    turns(report, "receive flow steering", lambda: steer("f", 4096), lambda: steer("0", 0), network)
    turns(report, "queues of the network", lambda: queues(4), lambda: queues(len(HOUSEKEEPING)), network)


def kernel_rows(report):
    """Rows of the kernel and of threads, changed while the machine runs"""
    # With isolcpus the kernel has that mask by itself, so there is nothing that `roster tune` has changed.
    unbound = "/sys/devices/virtual/workqueue/cpumask"
    turns(report, "unbound kernel workers", lambda: write(unbound, "f"), lambda: write(unbound, "3"), crowd)
    turns(report, "statistics of virtual memory", *recorded(["stat_interval"]), network, busy)
    # What profiles of this kind often have, and this one not.
    migration = sysctl("kernel.timer_migration")
    turns(report, "timer_migration = 0", lambda: migration(1), lambda: migration(0), network, busy)
    migration(1)
    turns(report, "workers on their CPUs", lambda: serve(pin_workers="no"), serve, crowd)


def memory_and_queues(report):
    """Rows of memory and of connections"""
    for side, choice in (("without", "never"), ("with", "madvise")) * ROUNDS:
        write("/sys/kernel/mm/transparent_hugepage/enabled", choice)
        serve(appendonly="no")
        tell(report, "transparent huge pages", side, "memory", {"outcome": memory()})
        connect()("FLUSHALL")
    set_backlog, set_half = sysctl("net.core.somaxconn"), sysctl("net.ipv4.tcp_max_syn_backlog")
    for side, length in (("without", 128), ("with", 4096)) * ROUNDS:
        set_backlog(length)
        serve()
        tell(report, "queue of new connections", side, "burst of 900, workers stopped", {"outcome": burst(900, True)})
    # A client whose delays are known is let in by the kernel whatever the queue is.
    sysctl("net.ipv4.tcp_no_metrics_save")(1)
    run("ip", "tcp_metrics", "flush", "all")
    run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "300ms", "limit", "100000")
    set_cookies = sysctl("net.ipv4.tcp_syncookies")
    for cookies in (1, 0):
        set_cookies(cookies)
        for side, length in (("without", 128), ("with", 4096)) * ROUNDS:
            set_half(length)
            work = f"burst of 900 over 300 ms of delay, tcp_syncookies={cookies}"
            tell(report, "queue of half-open connections", side, work, {"outcome": burst(900, False)})
    set_cookies(1)
    run("tc", "qdisc", "del", "dev", "lo", "root")
    idle = sysctl("net.ipv4.tcp_slow_start_after_idle")
    for side, value in (("without", 1), ("with", 0)) * ROUNDS:
        idle(value)
        tell(report, "restart of slow idle connections", side, "6 s idle", {"outcome": after_idling()})


def booted(report):
    """The kernel's parameters"""
    variant = system.parameter("roster.variant")
    since = {name: sum(counts[cpu] for cpu in WORKERS) for name, counts in count.by_cpu().items() if "interrupts" in name}
    since["other devices"] = sum(
        counts[cpu] for name, owner, counts in count.lines("/proc/interrupts") if name.isdigit() and "virtio" not in owner for cpu in WORKERS
    )
    tell(report, "boot", variant, "on the workers' CPUs since the start", {"outcome": since})
    report.fact("RCU", [line for line in run("dmesg").splitlines() if "Offload RCU" in line])
    for _ in range(ROUNDS):
        measure(report, "boot", variant, network, busy, crowd)


def one_queue(report):
    """A network device of one queue: its packets on one CPU, or steered to both that are there for it"""
    turns(report, "steering one queue to the housekeeping CPUs", lambda: steer("0", 0), lambda: steer("3", 0), network)


VARIANTS = {"profile": [booted, network_rows, kernel_rows, memory_and_queues], "one-queue": [one_queue]}


def main(report):
    run("mount", "-t", "debugfs", "none", "/sys/kernel/debug", check=False)
    serve()
    for part in VARIANTS.get(system.parameter("roster.variant"), [booted]):
        report.section(part)
