"""Who leads what, as this node's clients are told.

Who leads one group is asked of the node each time; what is made of all groups (`led`, `followed`) is
refreshed now and then, and before what goes by it as a whole.

A group's last known leader stays its leader here, so that a cluster client's map has no holes.  While it
does not answer and enough others do to elect a new one, clients are shown one of those in its stead, and a
request waits at whichever primary port it came to: clients see latency, not a connection refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Sequence

from redraft.server.backend import Node
from redraft.topology.cluster_map import Group, Member
from redraft.topology.slots import SLOTS


def acting(leader: int, voters: Sequence[int], answers: Callable[[int], bool]) -> int:
    """Where clients are sent for a group: its leader, or a voter in its stead while it does not answer."""
    if not leader or answers(leader):
        return leader
    living = [voter for voter in voters if answers(voter)]
    return living[0] if 2 * len(living) > len(voters) else leader


class Leaders:
    """A view of the node's cluster map and leaders; `refresh` says whether it changed."""

    __slots__ = (
        "_by_id",
        "_groups",
        "_known",
        "_members",
        "_node",
        "_owners",
        "_version",
        "all_groups",
        "followed",
        "group_of_slot",
        "groups",
        "led",
    )

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[int, int] = {}
        self._version = -1
        self._groups: Sequence[Group] = ()
        self._members: Sequence[Member] = ()
        self._by_id: dict[int, Member] = {}
        self.group_of_slot: Sequence[int] = ()
        self._owners = array("H")
        self.groups: dict[int, Group] = {}
        self.all_groups: tuple[int, ...] = ()
        self.led: tuple[int, ...] = ()
        self.followed: tuple[int, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Ask the node; True when anything is other than before."""
        node, known = self._node, self._known
        changed = node.group_of_slot is not self.group_of_slot or node.groups is not self._groups
        version = node.leaders_version
        if not changed and version == self._version:
            return False
        self._version = version
        if changed:
            if node.group_of_slot is not self.group_of_slot:
                self._owners = array("H", node.group_of_slot)
            self.group_of_slot = node.group_of_slot
            self._groups = node.groups
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

    def owners(self, wanted: Collection[int]) -> Sequence[int]:
        """The group of each slot, 0 for those that are not wanted; at the cost of those that are."""
        if len(wanted) == len(self.all_groups):
            return self._owners
        table = array("H", bytes(2 * SLOTS))
        for group in wanted:
            for first, last in self.groups[group].slots:
                table[first : last + 1] = self._owners[first : last + 1]
        return table

    def last(self, group: int) -> int:
        """The id of the last known leader of a group, 0 while none was known."""
        return self._node.leader_of(group) or self._known.get(group, 0)

    def of(self, group: int) -> Member | None:
        """Where clients are sent for a group: its leader, or who stands in; None while none was known."""
        return self._member(self._acting(group))

    def known(self, group: int) -> Member | None:
        """The last known leader of a group."""
        return self._member(self.last(group))

    def leads(self, group: int) -> bool:
        """Whether this node leads a group."""
        return self.last(group) == self._node.node_id

    def is_electing(self, group: int) -> bool:
        """Whether a group's leader does not answer while enough others do to elect another one."""
        return self._acting(group) != self.last(group)

    def _member(self, node_id: int) -> Member | None:
        members = self._node.members
        if members is not self._members:
            self._members = members
            self._by_id = {member.node_id: member for member in members}
        return self._by_id.get(node_id)

    def _acting(self, group: int) -> int:
        return acting(self.last(group), self.groups[group].voters, self._answers)

    def _answers(self, node_id: int) -> bool:
        return self._node.heartbeat.contact(node_id).answers
