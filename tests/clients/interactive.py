"""redis-cli as a person uses it: in a terminal, with hints from COMMAND DOCS.

Usage: interactive.py PORT FOLDER
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

port = sys.argv[1]


class Terminal:
    def __init__(self) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            # A terminal without a size would be asked for one.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
            os.execvp("redis-cli", ["redis-cli", "-p", port])
        self.screen = b""

    def type(self, text: str) -> None:
        # linenoise treats what comes in one piece as pasted and shows no hint for it.
        for letter in text:
            os.write(self.fd, letter.encode())
            time.sleep(0.02)

    def expect(self, text: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while text.encode() not in self.screen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} on the screen: {self.screen[-2000:]!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.screen += os.read(self.fd, 65536)
        self.screen = b""


terminal = Terminal()
terminal.expect(f"127.0.0.1:{port}>")
terminal.type("getrange ")
terminal.expect("key start end")
terminal.type("x 0 1\r")
terminal.expect('""')
terminal.type("set greeting hello\r")
terminal.expect("OK")
terminal.type("get greeting\r")
terminal.expect('"hello"')
terminal.type("help lcs\r")
terminal.expect("longest common subsequence of two strings")
terminal.type("quit\r")
assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 0
print("interactive: hints, replies and help are shown")
