"""What the machine of tests/vm/trial does after each of its boots: version 2 is on trial and good, 3 does not serve."""

import os
import pathlib
import shutil

from . import system
from .report import Report
from .system import connect, run, show, wait

KERNELS = pathlib.Path("/boot/EFI/Linux")
UPDATED = pathlib.Path("/var/lib/trial-updated")


def entries():
    return sorted(os.listdir(KERNELS))


def blessed(report):
    """A version that serves"""
    wait("the end of the trial", lambda: "roster_2.efi" in entries(), 120)
    report.equal("it is marked as good", entries(), ["roster_1.efi", "roster_2.efi"])
    report.equal("what said so", show("roster-health.service", "Result"), "success")
    assert connect()("SET", "kept", "over the trial") == b"+OK"


def returned(report):
    """After a version that does not serve"""
    report.equal("it was tried three times and left", entries(), ["roster_1.efi", "roster_2.efi", "roster_3+0-3.efi"])
    report.equal("the server serves", wait("the server", connect, 60)("GET", "kept"), b"over the trial")
    report.equal("and is not on trial again", show("roster-health.service", "ActiveState"), "inactive")


def main():
    version = system.parameter("roster.version")
    report = Report()
    report.say(f"boot of version {version}: {', '.join(entries())}")
    if version == "2" and not UPDATED.exists():
        report.section(blessed)
        shutil.copy("/boot/roster_3.efi", KERNELS / "roster_3+3-0.efi")
        UPDATED.write_text(f"{report.checks} {report.failed}")
        os.sync()
        run("systemctl", "--no-block", "reboot")
    elif version == "2":
        report.checks, report.failed = map(int, UPDATED.read_text().split())
        report.section(returned)
        report.end()
        run("systemctl", "--no-block", "poweroff")


main()
