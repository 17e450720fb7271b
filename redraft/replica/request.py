"""What the client side hands down: the commands of one connection for one group, as the client sent them.

A request is answered once, by `complete` with exactly `count` replies in order.  A connection has at
most one unanswered request per group, so nothing a retry does can reorder it (docs: exactly once).
"""

from __future__ import annotations


class Request:
    """Whole RESP requests of one connection for one group; subclasses deliver the replies.

    `data` holds `count` well-formed commands; `proto` is 2 or 3; `write` is False only when every
    command is a read.  `submitted_ms` is set on submission, on the node's monotonic clock.
    """

    __slots__ = ("count", "data", "group", "proto", "submitted_ms", "write")

    def __init__(self, group: int, data: bytes, count: int, proto: int, write: bool) -> None:
        self.group = group
        self.data = data
        self.count = count
        self.proto = proto
        self.write = write
        self.submitted_ms = 0.0

    def complete(self, replies: list[bytes]) -> None:
        """Deliver `count` replies in the order of the commands; called exactly once."""
        raise NotImplementedError

    def fail(self, error: bytes) -> None:
        """Answer every command with the same error reply (whole RESP line, CRLF included)."""
        self.complete([error] * self.count)
