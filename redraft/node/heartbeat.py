"""What a node concludes from its peers' answers at every heartbeat: what it still leads, and the time.

CheckQuorum (thesis §6.2) asks of every group led whether a quorum supports it.  A thousand groups need not
be counted each time: as long as nothing changed that could cost one its supporters, the oldest of the
peers' last answers is good enough for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from redraft.node.seams import PeerLink
from redraft.raft.core import NEVER_MS, Role
from redraft.replica.replica import Replica

if TYPE_CHECKING:
    from redraft.node.node import Node

MISSED_MAX: Final = 2
"""A peer that left more heartbeats unanswered is not counted on."""
FRESH_HEARTBEATS: Final = 2
"""With a peer whose last answer is older, groups are counted one by one: most may do without it."""


class Contact(NamedTuple):
    """How this node gets on with a peer; with itself it always does."""

    linked_ms: float
    """How long the link stands; 0 without one."""
    silent_ms: float
    """How long ago the last heartbeat that it answered was sent; at most as long as this node runs."""
    queued_bytes: int
    """What waits to be sent to it."""
    answers: bool
    """Whether there is a link, and heartbeats are answered on it."""


class Heartbeat:
    """One node's."""

    __slots__ = ("_answered", "_links", "_node")

    def __init__(self, node: Node, links: Mapping[int, PeerLink]) -> None:
        self._node = node
        self._links = links
        self._answered: dict[int, float] = {}  # outlives a link, unlike what `liveness` knows

    def beat(self, led: Mapping[int, Replica], linked: Iterable[int], now_ms: float) -> None:
        """Tell the groups that are led when their quorum answered; set the clock by the median."""
        node = self._node
        liveness = node.liveness
        floor_ms, changes = liveness.contact_floor(), liveness.changes
        fresh = now_ms - floor_ms <= FRESH_HEARTBEATS * node.config.heartbeat_ms
        for group, replica in list(led.items()):
            raft = replica.raft
            known = (changes, raft.configuration_index)
            if fresh and replica.contact_known == known:
                contact_ms = floor_ms
            else:
                contact_ms = liveness.quorum_contact(group, raft.configuration)
                replica.contact_known = known if contact_ms > NEVER_MS else None
            raft.quorum_contact(contact_ms, now_ms)
            if raft.role is not Role.LEADER:
                node.stepped(replica)
        for peer in linked:
            answered_ms = liveness.peer_state(peer).contact_ms
            if answered_ms > NEVER_MS:
                self._answered[peer] = answered_ms
        offsets = sorted([0.0, *(liveness.peer_state(peer).wall_offset_ms for peer in linked)])
        node.wall_offset_ms = offsets[(len(offsets) - 1) // 2]

    def in_touch(self, peer: int) -> bool:
        """Whether a peer answers: a link may stand long after the network behind it is gone."""
        node = self._node
        silent_ms = node.now_ms() - node.liveness.peer_state(peer).contact_ms
        return silent_ms <= node.config.heartbeat_ms * (MISSED_MAX + 1)

    def contact(self, peer: int) -> Contact:
        """What this node has seen of a peer lately, as of the last heartbeat."""
        node = self._node
        if peer == node.node_id:
            return Contact(node.now_ms() - node.started_ms, 0.0, 0, True)
        silent_ms = node.now_ms() - self._answered.get(peer, node.started_ms)
        link = self._links.get(peer)
        if link is None:
            return Contact(0.0, silent_ms, 0, False)
        return Contact(node.linked_for_ms(peer), silent_ms, link.queued_bytes, self.in_touch(peer))
