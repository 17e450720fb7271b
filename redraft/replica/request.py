"""What the client side hands down: the commands of one connection for one group, as the client sent them.

A request is answered once, by `complete` with exactly `count` replies in order.  A connection has at
most one unanswered request per group, so nothing a retry does can reorder it (docs: exactly once).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from redraft.commands.reply import REFUSED

TRYAGAIN = b"-TRYAGAIN The slots of this command are on their way to another group; not executed\r\n"


class Request:
    """Whole RESP requests of one connection for one group; subclasses deliver the replies.

    `data` holds `count` well-formed commands; `proto` is 2 or 3; `write` is False only when every
    command is a read.  `submitted_ms` is set on submission, on the node's monotonic clock.
    """

    __slots__ = ("count", "data", "group", "proto", "submitted_ms", "write")

    reroutes = True
    """Whether commands that a group refused are to be sent on; if not, `complete` gets REFUSED as replies."""

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


Refuse = Callable[[Request, list[bytes]], None]
"""Takes a request with its replies, of which at least the last is REFUSED, and sees to its completion."""


def deliver(requests: Iterable[Request], replies: list[bytes], refuse: Refuse) -> None:
    """Hand each request its replies.

    A group that refuses a command refuses all later ones of its connection too: a look at the last is enough.
    """
    at = 0
    for request in requests:
        end = at + request.count
        own = replies[at:end]
        at = end
        if own[-1] == REFUSED and request.reroutes:
            refuse(request, own)
        else:
            request.complete(own)
    assert at == len(replies), "as many replies as commands"


def not_executed(request: Request, replies: list[bytes]) -> None:
    """Where nobody sends refused commands on: say of them what is true."""
    request.complete([TRYAGAIN if reply == REFUSED else reply for reply in replies])
