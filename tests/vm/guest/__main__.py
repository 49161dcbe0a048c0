"""Runs all checks in their order, or counts what the rows of the profile change, and tells what it finds. The machine turns
itself off afterwards."""

from . import host, knobs, placement, service, system
from .report import Report

PARTS = [
    host.boot,
    host.queues,
    host.doctor,
    host.exposure,
    service.log,
    service.secrets,
    placement.threads,
    placement.load,
    placement.intruders,
    placement.disk,
    placement.memory,
    host.tuning,
    service.watchdog,
    service.alone,
    service.restored,
    service.killed,
    service.drained,
    service.activated,
]

report = Report()
if "roster.variant=" in system.read("/proc/cmdline"):
    knobs.main(report)
else:
    for part in PARTS:
        report.section(part)
report.end()
