"""What a node tells of itself: one dictionary, from which `redraft status` and INFO are drawn.

Read-only views of the node's logic; JSON types only.  Shapes: `nodes` one per member, `groups` one
per group, `replicas` inside a group as its leader sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redraft.control.topology import TOPOLOGY_GROUP
from redraft.raft.core import Role

if TYPE_CHECKING:
    from redraft.node.lane import Lane
    from redraft.node.node import Node


def status_of(node: Node) -> dict[str, Any]:
    """Return the node's state now."""
    return {
        "node": node.node_id,
        "hex_id": node.cluster.member(node.node_id).hex_id,
        "cluster_id": node.cluster.cluster_id,
        "epoch": node.cluster.epoch,
        "incarnation": node.incarnation,
        "ready": node.ready,
        "stopping": node.stopping,
        "uptime_s": round((node.now_ms() - node.started_ms) / 1000, 3),
        "over_memory": node.health.over_memory,
        "disk_full": not node.has_room(0),
        "clock_offset_ms": round(node.wall_offset_ms, 1),
        "nodes": [_node_status(node, member.node_id) for member in node.cluster.members],
        "groups": [_group_status(node, node.lanes[group.group_id]) for group in node.cluster.groups],
        "topology": _group_status(node, node.lanes[TOPOLOGY_GROUP]),
        "moves": _moves_status(node),
        "next_move": node.steering.roster.topology.next_move_id,
    }


def _moves_status(node: Node) -> list[dict[str, Any]]:
    """The moves of slots under way; how far one is, only the node says that carries it out."""
    carried = {each["id"]: each for each in node.steering.moving.status()}
    return [
        {
            "id": move.move_id,
            "slots": [list(pair) for pair in move.slots],
            "source": move.source,
            "target": move.target,
            "cancelled": move.cancelled,
            "accepted": move.accepted,
            **carried.get(move.move_id, {}),
        }
        for move in node.steering.roster.topology.moves
    ]


def _node_status(node: Node, node_id: int) -> dict[str, Any]:
    member = node.cluster.member(node_id)
    own = node_id == node.node_id
    record = node.steering.roster.topology.node(node_id)
    linked = own or bool(node.link_session(node_id))
    rtt = 0.0 if own or not linked else node.liveness.peer_state(node_id).rtt_ms
    return {
        "id": node_id,
        "hex_id": member.hex_id,
        "address": member.address,
        "primary_port": member.primary_port,
        "replica_port": member.replica_port,
        "peer_port": member.peer_port,
        "alive": linked,
        "rtt_ms": round(rtt, 3),
        "leads": sum(node.leader_of(group.group_id) == node_id for group in node.cluster.groups),
        "leaving": record is not None and record.leaving,
        "draining": record is not None and record.draining,
    }


def _group_status(node: Node, lane: Lane) -> dict[str, Any]:
    group, replica = lane.group, lane.replica
    status: dict[str, Any] = {
        "id": group.group_id,
        "slots": [list(pair) for pair in group.slots],
        "voters": list(group.voters),
        "moving": node.steering.is_moving(group.group_id),
        "dropping": node.steering.is_dropping(group.group_id),
        "leader": node.leader_of(group.group_id),
    }
    if replica is None:
        return status | {"role": "none", "term": node.leader_claim(group.group_id)[1], "replicas": []}
    raft, applier = replica.raft, replica.applier
    return status | {
        "role": raft.role.name.lower(),
        "term": raft.term,
        "configuration": raft.configuration._asdict(),
        "commit_index": raft.commit_index,
        "applied_index": applier.applied_index,
        "last_index": raft.last_index,
        "first_index": raft.log.first_index,
        "keys": applier.keyspace.key_count,
        "expires": applier.keyspace.expiring_count,
        "used_bytes": applier.keyspace.used_bytes,
        "expired_keys": applier.expired_keys,
        "sessions": len(applier.sessions),
        "log_bytes": raft.log.bytes,
        **node.snapshot_status(group.group_id),
        "replicas": [
            {"node": peer, "match_index": progress.match_index, "state": progress.state.name.lower()}
            for peer, progress in sorted(raft.progress.items())
        ]
        if raft.role is Role.LEADER
        else [],
    }


def info_of(node: Node) -> dict[str, dict[str, object]]:
    """Return INFO's fields by section: sums over the replicas here, and a line per group under `raft`."""
    replicas = {group: replica for group, replica in node.replicas.items() if group != TOPOLOGY_GROUP}
    appliers = [replica.applier for replica in replicas.values()]
    keyspaces = [applier.keyspace for applier in appliers]
    raft: dict[str, object] = {
        "raft_node_id": node.node_id,
        "raft_groups": len(node.cluster.groups),
        "raft_groups_led": sum(replica.leads for replica in replicas.values()),
        "raft_peers_connected": sum(1 for _peer in node.linked()),
        "raft_clock_offset_ms": round(node.wall_offset_ms, 1),
    }
    for group_id, replica in replicas.items():
        core = replica.raft
        raft[f"raft_group_{group_id}"] = (
            f"role={core.role.name.lower()},leader={core.leader_id},term={core.term},"
            f"last_index={core.last_index},commit_index={core.commit_index},"
            f"last_applied={replica.applier.applied_index}"
        )
    return {
        "memory": {
            "used_memory": sum(keyspace.used_bytes for keyspace in keyspaces),
            "maxmemory": node.config.maxmemory,
            "maxmemory_policy": "noeviction",
        },
        "stats": {"expired_keys": sum(applier.expired_keys for applier in appliers)},
        "keyspace": {
            "keys": sum(keyspace.key_count for keyspace in keyspaces),
            "expires": sum(keyspace.expiring_count for keyspace in keyspaces),
        },
        "raft": raft,
    }
