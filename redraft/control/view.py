"""The cluster map that follows from a topology: what the rest of the node and its clients look at."""

from __future__ import annotations

from collections.abc import Mapping

from redraft.control.topology import TOPOLOGY_GROUP, NodeRecord, Topology, topology_placement
from redraft.topology.cluster_map import ClusterMap, Group, Member
from redraft.topology.slots import owner_table


def map_of(topology: Topology, cluster_id: str, met: Mapping[str, Member]) -> ClusterMap:
    """The map of a topology; ports that a member has not announced are as `met` (by hex id)."""
    members = tuple(_member(node, met.get(node.hex_id)) for node in topology.nodes)
    groups = tuple(Group(group.group_id, group.slots, group.voters, group.first) for group in topology.groups)
    owners = owner_table([(group.group_id, group.slots) for group in groups])
    return ClusterMap(topology.epoch, cluster_id, members, groups, owners)


def topology_group(topology: Topology) -> Group:
    """The topology group in the shape of the others: it owns no slots."""
    return Group(TOPOLOGY_GROUP, (), topology_placement(topology)[0])


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
