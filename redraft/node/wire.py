"""A link as the node's logic knows it: messages in, frames out.

The numbers of sessions are given once in the life of the process, so that what was sent on an older
link to the same peer is known to be lost.  Liveness frames are urgent: they overtake large entries.
"""

from __future__ import annotations

from itertools import count

from redraft.transport.frames import Message, encode
from redraft.transport.link import Link

LIVENESS_GROUP = 0
_sessions = count(1)


class Wire:
    """One established link, in the shape of `node.PeerLink`."""

    __slots__ = ("_link", "flush", "session")

    def __init__(self, link: Link) -> None:
        self._link = link
        self.session = next(_sessions)
        self.flush = link.flush

    def send(self, group: int, message: Message) -> None:
        """Queue a message for the next flush."""
        self._link.send(encode(group, message), urgent=group == LIVENESS_GROUP)
