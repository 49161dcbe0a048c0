"""What the checks tell: lines on the second serial port, which is the standard output of tests/vm/boot on the other side."""

import time
import traceback
import tty

PORT = "/dev/ttyS1"


class Report:
    def __init__(self):
        self.port = open(PORT, "w", buffering=1)
        tty.setraw(self.port)
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
