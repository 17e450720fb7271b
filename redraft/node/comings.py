"""Groups that come and go on a node, as the topology has them.

A group that appears gets a lane here, and a replica where this node is one of its founders (`hosting`).  One
that is gone loses both.  On the node that leads the topology group: a group that is dropping is forgotten
once every request that may have been on its way to it has been answered.

Always true: the lanes are those of the groups in the node's map, and of the topology group; what is left of a
group that is gone is marked on disk before the topology without it is.

Must not know why groups are made or dropped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from redraft.base.errors import DirectoryError
from redraft.control.groups import ForgetGroup, may_forget_group
from redraft.control.topology import TOPOLOGY_GROUP, Topology

if TYPE_CHECKING:
    from redraft.node.node import Node
    from redraft.topology.cluster_map import Group

FORGOTTEN_AFTER_MS: Final = 2000.0
"""A group is forgotten so much later than the longest that a request may wait for it: nodes learn at their
own pace that it has no slots any more."""

log = logging.getLogger("redraft.node")


class Comings:
    """The part of a node that follows which groups there are."""

    __slots__ = ("_empty_since_ms", "_node", "_unfounded")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._unfounded: dict[int, Group] = {}
        self._empty_since_ms: dict[int, float] = {}

    def learnt(self, topology: Topology) -> None:
        """A topology is about to be saved: mark what is gone with it."""
        node = self._node
        known = {group.group_id for group in topology.groups} | {TOPOLOGY_GROUP}
        for group in sorted(node.lanes.keys() - known):
            log.info("group %d is gone", group)
            node.hosting.bury(group)

    def follow(self) -> None:
        """The node has another map: let it have a lane for each group of it, and none for others."""
        node = self._node
        groups = {group.group_id: group for group in node.cluster.groups}
        for number in [number for number in node.lanes if number not in groups]:
            if number != TOPOLOGY_GROUP:
                self._unfounded.pop(number, None)
                node.remove(number)
        for number, group in groups.items():
            if number not in node.lanes:
                log.info("group %d is new, on nodes %s", number, ", ".join(map(str, group.voters)))
                node.add(group, None)
                self._found(group)

    def _found(self, group: Group) -> None:
        node, number = self._node, group.group_id
        self._unfounded.pop(number, None)
        if number in node.replicas:
            return  # its leader was faster
        try:
            replica = node.hosting.found(node.lanes[number].group)
        except DirectoryError as error:  # of an engine on disk
            node.hosting.tell_failure(error)
            self._unfounded[number] = group
            return
        if replica is not None:
            node.add(group, replica)

    def tick(self, now_ms: float) -> None:
        """Try again what failed, and forget what is dropped, as it becomes due."""
        for group in list(self._unfounded.values()):
            self._found(group)
        node = self._node
        if not node.replicas[TOPOLOGY_GROUP].proposes:
            self._empty_since_ms.clear()
            return
        topology, known = node.steering.roster.topology, self._empty_since_ms
        empty = [group.group_id for group in topology.groups if may_forget_group(group, topology.moves)]
        self._empty_since_ms = {group: known.get(group, now_ms) for group in empty}
        patience_ms = node.config.leader_wait_ms + node.config.request_timeout_ms + FORGOTTEN_AFTER_MS
        for number, since_ms in self._empty_since_ms.items():
            if now_ms - since_ms >= patience_ms:
                node.steering.put(ForgetGroup(number))
