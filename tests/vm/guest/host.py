"""Checks of the host: what the kernel was told, what the doctor says, and that tuning comes and goes."""

import json
import pathlib
import tomllib

from .system import HOUSEKEEPING, PROFILE, WORKERS, cpus, network, read, run, show

RECORD = pathlib.Path("/var/lib/roster-tune/record.toml")


def boot(report):
    """The boot"""
    report.fact("kernel", run("uname", "-r", "-v"))
    report.fact("systemd", run("systemctl", "--version").splitlines()[0])
    report.fact("command line", read("/proc/cmdline"))
    for unit in ("roster-tune.service", "roster.service"):
        report.fact(f"{unit} was ready", f"{int(show(unit, 'ActiveEnterTimestampMonotonic')) / 1e6:.1f} s after the kernel's start")
    wanted = run("roster", "tune", "--profile", PROFILE, "--kernel-parameters").split()
    given = read("/proc/cmdline").split()
    report.check("the kernel has the profile's parameters", wanted and set(wanted) <= set(given), " ".join(wanted))
    for name in ("isolated", "nohz_full"):
        report.equal(f"CPUs in {name}", cpus(read(f"/sys/devices/system/cpu/{name}")), WORKERS)
    told = [line.partition("from CPUs:")[2].strip(" .") for line in run("dmesg").splitlines() if "Offload RCU callbacks" in line]
    report.equal("CPUs whose RCU callbacks run elsewhere", [cpus(text) for text in told], [WORKERS])
    for unit in ("roster-tune.service", "roster.service"):
        report.equal(unit, show(unit, "ActiveState"), "active")
    report.equal("units that failed", run("systemctl", "--failed", "--no-legend", "--plain"), "")
    bad = [line for line in run("dmesg").splitlines() if any(word in line for word in ("BUG:", "WARNING:", "Oops"))]
    report.equal("faults of the kernel", bad, [])


def doctor(report):
    """The doctor after the boot"""
    page = json.loads(run("roster", "doctor", "--json"))
    report.equal("the profile that it found in force", page["profile"], "vm")
    for finding in page["findings"]:
        state = finding["state"]
        seen = f"{finding['current']}{' (does not apply)' if state == 'absent' else ''}"
        report.check(finding["condition"], state != "differs", seen)
    report.check("it passes", page["passed"])
    for line in run("roster", "doctor", check=False).splitlines():
        report.say("        | " + line)


def exposure(report):
    """The exposure of the units"""
    for unit in ("roster.service", "roster-tune.service"):
        line = run("systemd-analyze", "security", "--no-pager", unit).splitlines()[-1]
        report.check(unit, " OK" in line, line.split(":", 1)[-1].strip())


def values(changes):
    """What the kernel's files hold now, as `roster tune` writes them: a choice without its brackets."""
    found = {}
    for change in changes:
        text = read(change["path"])
        found[change["path"]] = text.partition("[")[2].partition("]")[0] if "[" in text else text
    return found


def is_same(path, seen, wanted):
    """Masks come back with their zeros."""
    mask = path.endswith(("cpumask", "_cpus"))
    return seen.replace(",", "").lstrip("0") == wanted.replace(",", "").lstrip("0") if mask else seen == wanted


def hold(report, name, changes, key):
    """Checks that the files hold the old or the new values of the changes."""
    seen = values(changes)
    wrong = [f"{one['path']} is {seen[one['path']]}" for one in changes if not is_same(one["path"], seen[one["path"]], one[key])]
    report.check(name, not wrong, ", ".join(wrong) or f"{len(changes)} values")


def tuning(report):
    """Tuning, its repetition and its end"""
    changes = tomllib.loads(RECORD.read_text())["change"]
    hold(report, "after the boot the new values are in force", changes, "new")
    run("systemctl", "stop", "roster-tune.service")
    hold(report, "stopping the unit writes back what was there", changes, "old")
    report.check("and forgets the record", not RECORD.exists())

    run("sysctl", "-w", "net.core.somaxconn=128")
    spoilt = json.loads(run("roster", "doctor", "--profile", PROFILE, "--json", check=False))
    differing = {finding["condition"] for finding in spoilt["findings"] if finding["state"] == "differs"}
    expected = {"queue of new connections", "swappiness", "interrupts of the network"}
    report.check("the doctor finds what is not tuned", not spoilt["passed"] and expected <= differing, ", ".join(sorted(differing)))
    first = run("roster", "tune", "--profile", PROFILE, "--apply")
    for line in first.splitlines():
        report.say("        | " + line)
    recorded = tomllib.loads(RECORD.read_text())["change"]
    report.equal("a value spoilt on purpose is one more", len(recorded), len(changes) + 1)
    hold(report, "the first apply wrote its values", recorded, "new")
    text = RECORD.read_text()
    report.equal("the second apply", run("roster", "tune", "--profile", PROFILE, "--apply"), "nothing to change: everything holds")
    report.check("leaves the record as it is", RECORD.read_text() == text)
    refused = run("roster", "tune", "--profile", "small", "--apply", check=False)
    report.check("another profile is refused meanwhile", "take it back first" in refused, refused)
    run("roster", "tune", "--revert")
    hold(report, "revert wrote the old values back", recorded, "old")
    again = run("roster", "tune", "--revert")
    report.equal("the second revert", again, "nothing to take back: no profile was applied")

    run("roster", "tune", "--profile", "small", "--apply")
    small = json.loads(run("roster", "doctor", "--json"))
    report.check("the profile small holds as well", small["passed"] and small["profile"] == "small")
    run("roster", "tune", "--revert")
    run("sysctl", "-w", "net.core.somaxconn=4096")
    run("systemctl", "start", "roster-tune.service")
    report.check("the unit applies its profile again", json.loads(run("roster", "doctor", "--json"))["passed"])


def queues(report):
    """The network device"""
    name, _ = network()
    lines = [line.split() for line in run("ethtool", "-l", name, check=False).splitlines() if "Combined" in line]
    report.fact("device", f"{name}, queues at most and in use: {', '.join(line[-1] for line in lines)}")
    if lines:
        report.check("as many queues as housekeeping CPUs, or fewer", int(lines[-1][-1]) <= len(HOUSEKEEPING), lines[-1][-1])
