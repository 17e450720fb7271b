"""The cluster map: who is a member, which groups there are, where their replicas stand, which slots they own.

A map is immutable; a change is a new map with a higher epoch.  Until the topology group exists the
map follows from the first configuration alone, so that every node computes the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from redraft.base.announced import NOTHING, Announced
from redraft.topology.placement import place_replicas
from redraft.topology.slots import contiguous_ranges, owner_table


@dataclass(frozen=True, slots=True)
class Member:
    """One node as the others know it: its small id (1..n), its 40-hex id, and where its ports are."""

    node_id: int
    hex_id: str
    host: str
    client_port: int
    primary_port: int
    replica_port: int
    peer_port: int
    announced: Announced = NOTHING

    @property
    def shown(self) -> Announced:
        """Where clients are told to find it."""
        if self.announced.host:
            return self.announced
        return Announced(self.host, self.client_port, self.primary_port, self.replica_port)

    @property
    def address(self) -> str:
        """The client address, HOST:PORT, by which people know the node."""
        return f"{self.host}:{self.client_port}"


@dataclass(frozen=True, slots=True)
class Group:
    """One Raft group: its slots as inclusive ranges and its voters, the preferred leader first.

    `first_slots` are those it had before its log began, None while they are still the same.
    """

    group_id: int
    slots: tuple[tuple[int, int], ...]
    voters: tuple[int, ...]
    first_slots: tuple[tuple[int, int], ...] | None = None

    @property
    def slots_at_first(self) -> list[int]:
        """Each slot that the group owned before its first entry: where its state begins."""
        first = self.slots if self.first_slots is None else self.first_slots
        return [slot for low, high in first for slot in range(low, high + 1)]


@dataclass(frozen=True)
class ClusterMap:
    """Members and groups at one epoch; `group_of_slot` has 16384 group ids."""

    epoch: int
    cluster_id: str
    members: tuple[Member, ...]
    groups: tuple[Group, ...]
    group_of_slot: list[int] = field(repr=False)

    def member(self, node_id: int) -> Member:
        """Return the member of that id; KeyError when there is none."""
        for member in self.members:
            if member.node_id == node_id:
                return member
        raise KeyError(node_id)


def first_map(
    cluster_id: str, members: Sequence[Member], *, groups: int, replication_factor: int
) -> ClusterMap:
    """Return the map every node derives from the first configuration: contiguous slots, rotated voters."""
    ids = [member.node_id for member in members]
    made = tuple(
        Group(number, (slots,), place_replicas(number, ids, replication_factor))
        for number, slots in enumerate(contiguous_ranges(groups), start=1)
    )
    owned = [(group.group_id, group.slots) for group in made]
    return ClusterMap(1, cluster_id, tuple(members), made, owner_table(owned))
