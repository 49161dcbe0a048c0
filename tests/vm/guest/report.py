"""What the checks tell: lines on a port of the virtual machine, whose other end is the standard output of tests/vm/boot."""

import os
import stat
import time
import traceback

PORT = "/dev/virtio-ports/report"


class Report:
    def __init__(self):
        # The port is made by udev. Opened too early, it would become a plain file that nobody reads.
        while not (os.path.exists(PORT) and stat.S_ISCHR(os.stat(PORT).st_mode)):
            time.sleep(0.1)
        self.port = open(PORT, "w", buffering=1)
        self.checks = self.failed = 0

    def say(self, line):
        self.port.write(line + "\n")

    def fact(self, name, value):
        """Something to know that is neither right nor wrong."""
        self.say(f"        {name}: {value}")

    def check(self, name, holds, seen=""):
        self.checks += 1
        self.failed += not holds
        self.say(f"{'  ok  ' if holds else '  FAIL'}  {name}{f': {seen}' if seen != '' else ''}")

    def equal(self, name, seen, expected):
        self.check(name, seen == expected, seen if seen == expected else f"{seen!r} instead of {expected!r}")

    def section(self, part):
        """One group of checks. What goes wrong in it in another way than by a check fails it, and the others go on."""
        start = time.monotonic()
        self.say(f"\n{part.__doc__.splitlines()[0]}")
        try:
            part(self)
        except Exception as error:  # noqa: BLE001
            self.check(f"{part.__name__} came to its end", False, f"{type(error).__name__}: {error}")
            for line in traceback.format_exc().splitlines():
                self.say("        " + line)
        self.fact("took", f"{time.monotonic() - start:.1f} s")

    def end(self):
        self.say(f"\n{self.checks} checks, {self.failed} failed")
        self.port.close()
