"""A connection that sends commands and returns replies as they came, for scripts that compare servers."""

import socket


class Connection:
    """Replies are bytes (of simple types with their sign), None, or lists; a map is a list under the key `map`."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.read()

    def read(self):
        line = self.file.readline()
        assert line, "the connection was closed"
        kind, rest = line[:1], line[1:-2]
        if kind in b"+-:_,#(":
            return line[:-2]
        if kind in b"$=":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind in b"*~>":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return self.pairs([self.read() for _ in range(2 * int(rest))])
        raise ValueError(line)

    def pairs(self, parts):
        return {"map": parts}
