"""Who should lead what this node leads: facts gathered for `control.leaders`, its decisions carried out.

Owns no state.  Moves one group at a time, to a voter that is able and willing; a node that stops
hands over everything it leads.
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

log = logging.getLogger("redraft.node")


class Leadership:
    """The part of a node that gives leadership away."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def balance(self) -> None:
        """Hand one group to the voter that should lead it, if there is one."""
        node = self._node
        led = [replica.group for replica in node.replicas.values() if replica.leads and replica.proposes]
        move = choose_transfer(node.node_id, led, self._usable)
        if move is not None:
            group, target = move
            log.info("group %d: handing leadership to node %d, where it belongs", group.group_id, target)
            node.transfer(group, target)

    def hand_over(self) -> bool:
        """Hand every led group to a living voter; True once none is left that could be handed over."""
        node, done = self._node, True
        for replica in node.replicas.values():
            raft = replica.raft
            if raft.role is not Role.LEADER:
                continue
            match = {voter: progress.match_index for voter, progress in raft.progress.items()}
            successor = choose_successor(
                node.node_id,
                replica.group,
                match.__getitem__,
                lambda voter: bool(node.link_session(voter)),
            )
            if successor:
                done = False
                if not raft.transferring_to:
                    node.transfer(replica.group, successor)
        return done

    def _usable(self, voter: int, group: Group) -> bool:
        """Whether a voter may lead: linked for a while, caught up, willing, its clock near the median."""
        node = self._node
        if voter == node.node_id:
            return node.has_room(0) and self._near_median(0.0)
        if node.linked_for_ms(voter) < SETTLED_MS:
            return False
        raft = node.replicas[group.group_id].raft
        progress = raft.progress.get(voter)
        peer = node.liveness.peer_state(voter)
        willing = not peer.flags & (DISK_FULL | STOPPING) and self._near_median(peer.wall_offset_ms)
        return willing and progress is not None and progress.match_index >= raft.commit_index

    def _near_median(self, wall_offset_ms: float) -> bool:
        node = self._node
        return abs(wall_offset_ms - node.wall_offset_ms) <= node.config.clock_offset_max_ms
