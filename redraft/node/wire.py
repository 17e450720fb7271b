"""A link as the node's logic knows it: with a number, so that what an older link lost is known to be lost."""

from __future__ import annotations

from itertools import count

from redraft.transport.link import Link

_sessions = count(1)


class Wire:
    """One established link, in the shape of `seams.PeerLink`; `session` is given once in a process's life."""

    __slots__ = ("_link", "flush", "send", "session")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.session = next(_sessions)
        self.send = link.send
        self.flush = link.flush

    @property
    def queued_bytes(self) -> int:
        """Bytes not yet given to the kernel."""
        return self._link.queued_bytes
