"""CLUSTER: the map of the cluster as Redis Cluster's clients read it, on any port.

A node shows two addresses: its primary port, master of the groups it leads, under its own id; and its
replica port, replica of the groups it follows, under an id made from it.  A cluster client allows an
address one role.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from redraft.accel.scan import key_slot
from redraft.server.encode import Text, Value, encode_request
from redraft.server.local.outcome import Handler, Outcome
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.leaders import Leaders
    from redraft.topology.cluster_map import Member


def replica_id(member: Member) -> str:
    """The 40-hex id under which a node's replica port is known."""
    return hashlib.sha1(f"{member.hex_id} replica".encode(), usedforsecurity=False).hexdigest()


def _myself(connection: Connection) -> Member:
    node = connection.front.node
    return next(member for member in node.members if member.node_id == node.node_id)


def _myid(connection: Connection, _args: list[bytes]) -> Value:
    member = _myself(connection)
    return member.hex_id if connection.port.role == "master" else replica_id(member)


def _info(connection: Connection, _args: list[bytes]) -> Value:
    leaders = connection.front.leaders
    assigned = sum(1 for group in leaders.group_of_slot if group)
    served = sum(
        last - first + 1
        for number, group in leaders.groups.items()
        if leaders.of(number) is not None
        for first, last in group.slots
    )
    members = connection.front.node.members
    masters = {leader.node_id for number in leaders.groups if (leader := leaders.of(number)) is not None}
    fields = {
        "cluster_state": "ok" if served == SLOTS else "fail",
        "cluster_slots_assigned": assigned,
        "cluster_slots_ok": served,
        "cluster_slots_pfail": 0,
        "cluster_slots_fail": assigned - served,
        "cluster_known_nodes": len(members),
        "cluster_size": len(masters),
        "cluster_current_epoch": 1,
        "cluster_my_epoch": 1,
        "cluster_stats_messages_sent": 0,
        "cluster_stats_messages_received": 0,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    return Text("".join(f"{name}:{value}\r\n" for name, value in fields.items()))


def _nodes(connection: Connection, _args: list[bytes]) -> Value:
    leaders, here = connection.front.leaders, connection.front.node.node_id
    as_master = connection.port.role == "master"
    lines = []
    for member in connection.front.node.members:
        me = member.node_id == here
        led = _led_by(leaders, member)
        slots = "".join(f" {_range(*pair)}" for number in led for pair in leaders.groups[number].slots)
        flags = "myself,master" if me and as_master else "master"
        lines.append(
            f"{member.hex_id} {member.host}:{member.primary_port}@{member.peer_port} {flags} - 0 0 "
            f"{member.node_id} connected{slots}\n"
        )
        followed = _master_of(leaders, member)
        if followed is not None:
            flags = "myself,slave" if me and not as_master else "slave"
            lines.append(
                f"{replica_id(member)} {member.host}:{member.replica_port}@{member.peer_port} {flags} "
                f"{followed.hex_id} 0 0 {followed.node_id} connected\n"
            )
    return Text("".join(lines))


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _led_by(leaders: Leaders, member: Member) -> list[int]:
    return [number for number in leaders.all_groups if leaders.of(number) == member]


def _master_of(leaders: Leaders, member: Member) -> Member | None:
    """The master to name in CLUSTER NODES, which allows one: the leader of the first group followed."""
    for number in leaders.all_groups:
        if member in leaders.followers(number):
            return leaders.of(number)
    return None


def _slots(connection: Connection, _args: list[bytes]) -> Value:
    leaders = connection.front.leaders
    ranges: list[Value] = []
    for number in leaders.all_groups:
        leader = leaders.of(number)
        if leader is None:
            continue
        nodes: list[Value] = [[leader.host, leader.primary_port, leader.hex_id, {}]]
        nodes += [[each.host, each.replica_port, replica_id(each), {}] for each in leaders.followers(number)]
        ranges += [[first, last, *nodes] for first, last in leaders.groups[number].slots]
    return ranges


def _shards(connection: Connection, _args: list[bytes]) -> Value:
    leaders = connection.front.leaders
    shards: list[Value] = []
    for number in leaders.all_groups:
        leader = leaders.of(number)
        nodes: list[Value] = []
        if leader is not None:
            nodes.append(_shard_node(leader, leader.hex_id, leader.primary_port, "master"))
        nodes += [
            _shard_node(each, replica_id(each), each.replica_port, "replica")
            for each in leaders.followers(number)
        ]
        slots: list[Value] = [bound for pair in leaders.groups[number].slots for bound in pair]
        shards.append({"slots": slots, "nodes": nodes})
    return shards


def _shard_node(member: Member, name: str, port: int, role: str) -> dict[str, Value]:
    return {
        "id": name,
        "port": port,
        "ip": member.host,
        "endpoint": member.host,
        "role": role,
        "replication-offset": 0,
        "health": "online",
    }


def _keyslot(_connection: Connection, args: list[bytes]) -> Value:
    return key_slot(args[2])


def _ask_owner(connection: Connection, args: list[bytes]) -> Value | Outcome:
    """COUNTKEYSINSLOT and GETKEYSINSLOT are answered by the group that owns the slot."""
    two = len(args) == 4
    try:
        slot, count = int(args[2]), int(args[3]) if two else 0
    except ValueError:
        raise ReplyError("ERR value is not an integer or out of range") from None
    if not 0 <= slot < SLOTS or count < 0:
        raise ReplyError("ERR Invalid slot or number of keys" if two else "ERR Invalid slot")
    group = connection.front.node.group_of_slot[slot]
    if not group:
        return [] if two else 0
    connection.gather(
        [(group, encode_request(args))], write=False, then=lambda replies: connection.reply(replies[0])
    )
    return Outcome.LATER


SUBCOMMANDS: dict[bytes, Handler] = {
    b"countkeysinslot": _ask_owner,
    b"getkeysinslot": _ask_owner,
    b"info": _info,
    b"keyslot": _keyslot,
    b"myid": _myid,
    b"nodes": _nodes,
    b"shards": _shards,
    b"slots": _slots,
}
