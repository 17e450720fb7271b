"""The cluster map that follows from a topology: what the rest of the node and its clients look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from redraft.control.slotmoves import GroupRecord
from redraft.control.topology import TOPOLOGY_GROUP, NodeRecord, Topology, topology_placement
from redraft.topology.cluster_map import ClusterMap, Group, Member
from redraft.topology.slots import owner_table, owner_table_after


class Seen(NamedTuple):
    """A topology, and the map that was made of it."""

    topology: Topology
    map: ClusterMap


def map_of(
    topology: Topology, cluster_id: str, met: Mapping[str, Member], before: Seen | None = None
) -> ClusterMap:
    """The map of a topology; ports that a member has not announced are as `met` (by hex id).

    With `before`, what has not changed since is the same object in both maps: of ten thousand groups one or
    two are others.
    """
    members = tuple(_member(node, met.get(node.hex_id)) for node in topology.nodes)
    if before is None or len(before.topology.groups) != len(topology.groups):
        groups = tuple(map(_group, topology.groups))
        owners = owner_table([(group.group_id, group.slots) for group in groups])
    else:
        groups, owners = _followed(topology, before)
    return ClusterMap(topology.epoch, cluster_id, members, groups, owners)


def changed_groups(before: ClusterMap, after: ClusterMap) -> list[Group]:
    """The groups of a map that are not the same in the one before."""
    if len(before.groups) != len(after.groups):
        return list(after.groups)
    return [new for old, new in zip(before.groups, after.groups, strict=True) if new is not old]


def _followed(topology: Topology, before: Seen) -> tuple[tuple[Group, ...], list[int]]:
    """The groups and the owners of slots, from those before."""
    known = zip(topology.groups, before.topology.groups, before.map.groups, strict=True)
    groups = tuple([group if record is old else _group(record) for record, old, group in known])
    pairs = zip(before.map.groups, groups, strict=True)
    moved = [(old, new) for old, new in pairs if new is not old and _owns(new) != _owns(old)]
    if not moved:
        return groups, before.map.group_of_slot
    lost, owned = [old.slots for old, _ in moved], [(new.group_id, new.slots) for _, new in moved]
    return groups, owner_table_after(before.map.group_of_slot, lost, owned)


def _owns(group: Group) -> tuple[int, tuple[tuple[int, int], ...]]:
    return group.group_id, group.slots


def topology_group(topology: Topology) -> Group:
    """The topology group in the shape of the others: it owns no slots."""
    return Group(TOPOLOGY_GROUP, (), topology_placement(topology)[0])


def _group(record: GroupRecord) -> Group:
    return Group(record.group_id, record.slots, record.voters, record.first)


def _member(node: NodeRecord, met: Member | None) -> Member:
    return Member(
        node.node_id,
        node.hex_id,
        node.host,
        node.client_port,
        node.primary_port or (met.primary_port if met else 0),
        node.replica_port or (met.replica_port if met else 0),
        node.peer_port or (met.peer_port if met else 0),
        node.announced,
    )
