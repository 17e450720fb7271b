"""Who leads what, as this node's clients are told.

Who leads one group is asked of the node each time; what is made of all groups (`led`, `followed`) is
refreshed now and then.

A group's last known leader stays its leader here, so that a cluster client's map has no holes.  While it
does not answer and enough others do to elect a new one, clients are shown one of those in its stead, and a
request waits at whichever primary port it came to: clients see latency, not a connection refused.
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
        """Where clients are sent for a group: its leader, or who stands in; None while none was known."""
        return self._member(self._acting(group))

    def known(self, group: int) -> Member | None:
        """The last known leader of a group."""
        return self._member(self._leader(group))

    def leads(self, group: int) -> bool:
        """Whether this node leads a group."""
        return self._leader(group) == self._node.node_id

    def is_electing(self, group: int) -> bool:
        """Whether a group's leader does not answer while enough others do to elect another one."""
        return self._acting(group) != self._leader(group)

    def _member(self, node_id: int) -> Member | None:
        return next((member for member in self._node.members if member.node_id == node_id), None)

    def _leader(self, group: int) -> int:
        return self._node.leader_of(group) or self._known.get(group, 0)

    def _acting(self, group: int) -> int:
        leader = self._leader(group)
        if not leader or self._answers(leader):
            return leader
        voters = self.groups[group].voters
        living = [voter for voter in voters if self._answers(voter)]
        return living[0] if 2 * len(living) > len(voters) else leader

    def _answers(self, node_id: int) -> bool:
        return self._node.heartbeat.contact(node_id).answers

    def by_leader(self) -> dict[int, tuple[Group, ...]]:
        """The groups for which clients are sent to each node."""
        led: dict[int, tuple[Group, ...]] = {}
        for number in self.all_groups:
            leader = self._acting(number)
            if leader:
                led[leader] = (*led.get(leader, ()), self.groups[number])
        return led

    def followers(self, group: int) -> list[Member]:
        """The members that have a replica of a group and do not lead it."""
        leader, voters = self._leader(group), self.groups[group].voters
        return [m for m in self._node.members if m.node_id in voters and m.node_id != leader]
