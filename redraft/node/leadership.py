"""Who should lead what this node leads: facts gathered for `control.leaders`, its decisions carried out.

Moves a few groups at a time, to voters that are able and willing and answered just now; a node that
stops hands over everything it leads.  A hand-over stops the group until it is taken up or given up,
so an heir that did not take it is left alone for a while: in an idle group it looks whole for ever.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from redraft.control.leaders import choose_successor, choose_transfer
from redraft.raft.core import Role
from redraft.raft.messages import DISK_FULL, STOPPING
from redraft.topology.cluster_map import Group

if TYPE_CHECKING:
    from redraft.node.node import Node

SETTLED_MS = 1500.0
"""How long a link must stand before its node is trusted with leadership again."""

RETRY_MS = 5000.0
"""How long a voter that was offered a group by this node is not offered it again."""
GROUPS_PER_MOVE = 32
"""With so many groups led, one more is handed over at a time."""

log = logging.getLogger("redraft.node")


class Leadership:
    """The part of a node that gives leadership away."""

    __slots__ = ("_node", "_offered_ms")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._offered_ms: dict[tuple[int, int], float] = {}
        """(group, voter): when it was last offered that group."""

    def balance(self) -> None:
        """Hand groups to the voters that should lead them, a few at a time."""
        node = self._node
        led = [replica.group for replica in node.replicas.values() if replica.leads and replica.proposes]
        for _ in range(1 + len(led) // GROUPS_PER_MOVE):
            move = choose_transfer(node.node_id, led, self._usable)
            if move is None:
                return
            group, target = move
            log.info("group %d: handing leadership to node %d, where it belongs", group.group_id, target)
            self._offered_ms[group.group_id, target] = node.now_ms()
            led.remove(group)
            node.transfer(group, target)

    def step_aside(self, group: Group) -> bool:
        """Hand a group to whoever has room for what this node has not; False when nobody has."""
        node = self._node
        raft = node.replicas[group.group_id].raft
        if raft.transferring_to:
            return True
        voters = raft.configuration.voters  # the placement may be ahead of it
        able = [voter for voter in raft.progress if voter in voters and self._has_room(voter, group)]
        if not able:
            return False
        target = max(able, key=lambda voter: raft.progress[voter].match_index)
        log.info("group %d: handing leadership to node %d, which has room", group.group_id, target)
        self._offered_ms[group.group_id, target] = node.now_ms()
        node.transfer(group, target)
        return True

    def hand_over(self) -> bool:
        """Hand every led group to a living voter; True once none is left that could be handed over."""
        node, done = self._node, True
        for replica in node.replicas.values():
            raft = replica.raft
            if raft.role is not Role.LEADER:
                continue
            heirs = {
                voter: progress.match_index
                for voter, progress in raft.progress.items()
                if voter in raft.configuration.voters and node.heartbeat.in_touch(voter)
            }
            successor = choose_successor(node.node_id, heirs, heirs.__getitem__, heirs.__contains__)
            if successor:
                done = False
                if not raft.transferring_to:
                    node.transfer(replica.group, successor)
        return done

    def _usable(self, voter: int, group: Group) -> bool:
        """Whether a voter may lead: in touch for a while, caught up, willing, its clock right."""
        node = self._node
        if voter == node.node_id:
            return node.has_room(0) and self._near_median(0.0)
        if node.linked_for_ms(voter) < SETTLED_MS or not node.heartbeat.in_touch(voter):
            return False
        if self._offered(voter, group):
            return False
        raft = node.replicas[group.group_id].raft
        if voter not in raft.configuration.voters:
            return False  # not yet, or not any more: the placement is ahead of the configuration
        progress = raft.progress.get(voter)
        peer = node.liveness.peer_state(voter)
        willing = not peer.flags & (DISK_FULL | STOPPING) and self._near_median(peer.wall_offset_ms)
        return willing and progress is not None and progress.match_index >= raft.commit_index

    def _has_room(self, voter: int, group: Group) -> bool:
        """Whether a voter that is in touch may take writes, and was not asked to already."""
        flags = self._node.liveness.peer_state(voter).flags
        return (
            self._node.heartbeat.in_touch(voter)
            and not flags & (DISK_FULL | STOPPING)
            and not self._offered(voter, group)
        )

    def _offered(self, voter: int, group: Group) -> bool:
        """Whether a voter was offered the group a short while ago."""
        offered_ms = self._offered_ms.get((group.group_id, voter))
        return offered_ms is not None and self._node.now_ms() - offered_ms < RETRY_MS

    def _near_median(self, wall_offset_ms: float) -> bool:
        node = self._node
        return abs(wall_offset_ms - node.wall_offset_ms) <= node.config.clock_offset_max_ms
