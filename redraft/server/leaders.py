"""Who leads what, as this node's clients are told: refreshed from the node, stable in between.

During an election a group's last known leader stays its leader here, so that a cluster client's map
has no holes; a request to it is redirected or waits, but is not refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.backend import Node
from redraft.topology.cluster_map import Group, Member


class Leaders:
    """A view of the node's cluster map and leaders; `refresh` says whether it changed."""

    __slots__ = ("_known", "_node", "_version", "all_groups", "followed", "group_of_slot", "groups", "led")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[int, int] = {}
        self._version = -1
        self.group_of_slot: Sequence[int] = ()
        self.groups: dict[int, Group] = {}
        self.all_groups: tuple[int, ...] = ()
        self.led: tuple[int, ...] = ()
        self.followed: tuple[int, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Ask the node; True when anything is other than before."""
        node, known = self._node, self._known
        changed = node.group_of_slot is not self.group_of_slot
        version = node.leaders_version
        if not changed and version == self._version:
            return False
        self._version = version
        if changed:
            self.group_of_slot = node.group_of_slot
            self.groups = {group.group_id: group for group in node.groups}
            self.all_groups = tuple(sorted(self.groups))
        for group in self.all_groups:
            leader = node.leader_of(group)
            if leader and leader != known.get(group, 0):
                known[group] = leader
                changed = True
        if changed:
            here = node.node_id
            self.led = tuple(group for group in self.all_groups if known.get(group) == here)
            led = frozenset(self.led)
            self.followed = tuple(
                number for number, group in self.groups.items() if here in group.voters and number not in led
            )
        return changed

    def of(self, group: int) -> Member | None:
        """The member that leads a group, None while that was never known."""
        leader = self._known.get(group, 0)
        return next((member for member in self._node.members if member.node_id == leader), None)

    def by_leader(self) -> dict[int, tuple[Group, ...]]:
        """The groups that each node leads, as far as is known."""
        led: dict[int, tuple[Group, ...]] = {}
        for number in self.all_groups:
            leader = self._known.get(number, 0)
            if leader:
                led[leader] = (*led.get(leader, ()), self.groups[number])
        return led

    def followers(self, group: int) -> list[Member]:
        """The members that have a replica of a group and do not lead it."""
        leader, voters = self._known.get(group, 0), self.groups[group].voters
        return [m for m in self._node.members if m.node_id in voters and m.node_id != leader]
