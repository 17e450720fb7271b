"""Clients' messages to the listeners of other nodes: one frame to each peer, at most once.

There is no answer and no second try.  A peer that is not linked, or that has too much waiting for it, misses
the message: what clients publish must not cost a link, on which the groups depend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from redraft.base.limits import PUBLISHED_BYTES_MAX
from redraft.node.seams import PeerLink
from redraft.transport.messages import NO_GROUP, Published

if TYPE_CHECKING:
    from redraft.node.node import Node


class Publishing:
    """One node's; `missed` counts messages that were not sent to a peer because too much waits for it."""

    __slots__ = ("_links", "_node", "missed")

    def __init__(self, node: Node, links: Mapping[int, PeerLink]) -> None:
        self._node = node
        self._links = links
        self.missed = 0

    def tell(self, message: Published) -> None:
        """Send a message to all peers."""
        most = min(PUBLISHED_BYTES_MAX, self._node.config.peer_queue_bytes_max // 2)
        for link in self._links.values():
            if link.queued_bytes <= most:
                link.send(NO_GROUP, message)
            else:
                self.missed += 1

    def heard(self, _peer: int, _group: int, message: Published) -> None:
        """Pass on what a client of a peer has published."""
        self._node.clients.published(message)
