"""Runs all checks in their order and tells what they find. The machine turns itself off afterwards."""

from . import host, placement, service
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
for part in PARTS:
    report.section(part)
report.end()
