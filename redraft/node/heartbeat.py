"""What a node concludes from its peers' answers at every heartbeat: what it still leads, and the time.

CheckQuorum (thesis §6.2) asks of every group led whether a quorum supports it.  A thousand groups need not
be counted each time: as long as nothing changed that could cost one its supporters, the oldest of the
peers' last answers is good enough for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from redraft.raft.core import NEVER_MS, Role
from redraft.replica.replica import Replica

if TYPE_CHECKING:
    from redraft.node.node import Node

MISSED_MAX: Final = 2
"""A peer that left more heartbeats unanswered is not counted on."""
FRESH_HEARTBEATS: Final = 2
"""With a peer whose last answer is older, groups are counted one by one: most may do without it."""


class Heartbeat:
    """One node's."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

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
        offsets = sorted([0.0, *(liveness.peer_state(peer).wall_offset_ms for peer in linked)])
        node.wall_offset_ms = offsets[(len(offsets) - 1) // 2]

    def in_touch(self, peer: int) -> bool:
        """Whether a peer answers: a link may stand long after the network behind it is gone."""
        node = self._node
        silent_ms = node.now_ms() - node.liveness.peer_state(peer).contact_ms
        return silent_ms <= node.config.heartbeat_ms * (MISSED_MAX + 1)
