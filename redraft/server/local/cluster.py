"""CLUSTER: the map of the cluster as Redis Cluster's clients read it, on any port.

Which addresses there are is `redraft.server.shown`'s.  What would change the cluster by Redis's means is
refused by `clusterchange`.  There is one configuration, the topology's, so every address has its epoch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from redraft.accel.scan import key_slot
from redraft.server.encode import Status, Text, Value, encode_request
from redraft.server.local.clusterchange import REFUSED
from redraft.server.local.migration import migration
from redraft.server.local.outcome import Handler, Outcome
from redraft.server.shown import Shown, addresses, own, replica_id
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.node.heartbeat import Contact
    from redraft.server.connection import Connection
    from redraft.topology.cluster_map import Member

FAIL_TIMEOUTS: Final = 2
"""A peer that is silent for so many election time-outs has failed: groups elect other leaders meanwhile."""


def _contact(connection: Connection, member: Member) -> Contact:
    return connection.front.node.heartbeat.contact(member.node_id)


def _has_failed(connection: Connection, contact: Contact) -> bool:
    config = connection.front.config
    return not contact.answers and contact.silent_ms > FAIL_TIMEOUTS * config.election_timeout_ms


def _myid(connection: Connection, _args: list[bytes]) -> Value:
    return own(connection).name


def _myshardid(connection: Connection, _args: list[bytes]) -> Value:
    return own(connection).shard


def _info(connection: Connection, _args: list[bytes]) -> Value:
    leaders, epoch = connection.front.leaders, connection.front.node.cluster.epoch
    assigned = sum(1 for group in leaders.group_of_slot if group)
    failing = failed = 0
    masters = set()
    for number, group in leaders.groups.items():
        leader = leaders.known(number)
        size = sum(last - first + 1 for first, last in group.slots)
        if leader is None or _has_failed(connection, _contact(connection, leader)):
            failed += size
        elif not _contact(connection, leader).answers:
            failing += size
        if leader is not None:
            masters.add(leader.node_id)
    fields = {
        "cluster_state": "ok" if assigned - failed == SLOTS else "fail",
        "cluster_slots_assigned": assigned,
        "cluster_slots_ok": assigned - failing - failed,
        "cluster_slots_pfail": failing,
        "cluster_slots_fail": failed,
        "cluster_known_nodes": sum(1 for _ in addresses(connection)),
        "cluster_size": len(masters),
        "cluster_current_epoch": epoch,
        "cluster_my_epoch": epoch,
        "cluster_stats_messages_sent": 0,
        "cluster_stats_messages_received": 0,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    return Text("".join(f"{name}:{value}\r\n" for name, value in fields.items()))


def _nodes(connection: Connection, _args: list[bytes]) -> Value:
    return Text("".join(f"{_line(connection, each)}\n" for each in addresses(connection)))


def _line(connection: Connection, shown: Shown, master: Member | None = None) -> str:
    """A line of CLUSTER NODES; of a replica of several masters `master` is the one that was asked for."""
    member, contact = shown.member, _contact(connection, shown.member)
    master = master or shown.master
    flags = ["myself"] if shown.myself else []
    flags.append("master" if master is None else "slave")
    if not contact.answers:
        flags.append("fail" if _has_failed(connection, contact) else "fail?")
    here = member.node_id == connection.front.node.node_id
    words = (
        shown.name,
        f"{member.shown.host}:{shown.port}@{member.peer_port}",
        ",".join(flags),
        master.hex_id if master is not None else "-",
        "0",
        "0" if here else str(int(time.time() * 1000 - contact.silent_ms)),
        str(connection.front.node.cluster.epoch),
        "connected" if contact.linked_ms or here else "disconnected",
        *(_range(*pair) for group in shown.groups for pair in group.slots),
    )
    return " ".join(words)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _named(connection: Connection, name: bytes) -> Shown:
    wanted = name.decode("ascii", "replace").lower()
    for each in addresses(connection):
        if each.name == wanted:
            return each
    raise ReplyError(b"ERR Unknown node %b" % name)


def _replicas(connection: Connection, args: list[bytes]) -> Value:
    """REPLICAS and SLAVES: the replicas of all groups that a master leads."""
    master = _named(connection, args[2])
    if master.master is not None:
        raise ReplyError("ERR The specified node is not a master")
    followers = {voter for group in master.groups for voter in group.voters} - {master.member.node_id}
    return [
        _line(connection, each, master.member)
        for each in addresses(connection)
        if each.name == replica_id(each.member) and each.member.node_id in followers
    ]


def _count_failure_reports(connection: Connection, args: list[bytes]) -> Value:
    """This node's own view is the one it knows."""
    return int(not _contact(connection, _named(connection, args[2]).member).answers)


def _links(connection: Connection, _args: list[bytes]) -> Value:
    """Two for each peer, as in Redis; one connection serves both directions."""
    node, links = connection.front.node, list[Value]()
    for member in node.members:
        contact = _contact(connection, member)
        if member.node_id == node.node_id or not contact.linked_ms:
            continue
        made = int(time.time() * 1000 - contact.linked_ms)
        for direction, queued in (("to", contact.queued_bytes), ("from", 0)):
            links.append({
                "direction": direction,
                "node": member.hex_id,
                "create-time": made,
                "events": "rw" if queued else "r",
                "send-buffer-allocated": queued,
                "send-buffer-used": queued,
            })  # fmt: skip
    return links


def _slots(connection: Connection, _args: list[bytes]) -> Value:
    """Replicas that do not answer are left out; a leader is not, until there is another one."""
    leaders = connection.front.leaders
    answering = {
        member.node_id for member in connection.front.node.members if _contact(connection, member).answers
    }
    ranges: list[Value] = []
    for number in leaders.all_groups:
        leader = leaders.of(number)
        if leader is None:
            continue
        nodes: list[Value] = [[leader.shown.host, leader.shown.primary_port, leader.hex_id, {}]]
        nodes += [
            [each.shown.host, each.shown.replica_port, replica_id(each), {}]
            for each in leaders.followers(number)
            if each.node_id in answering
        ]
        ranges += [[first, last, *nodes] for first, last in leaders.groups[number].slots]
    return ranges


def _shards(connection: Connection, _args: list[bytes]) -> Value:
    """A shard for each group."""
    leaders = connection.front.leaders
    shards: list[Value] = []
    for number in leaders.all_groups:
        leader = leaders.of(number)
        nodes: list[Value] = []
        if leader is not None:
            nodes.append(_shard_node(connection, leader, leader.hex_id, leader.shown.primary_port, "master"))
        nodes += [
            _shard_node(connection, each, replica_id(each), each.shown.replica_port, "replica")
            for each in leaders.followers(number)
        ]
        slots: list[Value] = [bound for pair in leaders.groups[number].slots for bound in pair]
        shards.append({"slots": slots, "nodes": nodes})
    return shards


def _shard_node(connection: Connection, member: Member, name: str, port: int, role: str) -> dict[str, Value]:
    host = member.shown.host
    return {
        "id": name,
        "port": port,
        "ip": host,
        "endpoint": host,
        "role": role,
        "replication-offset": 0,
        "health": "fail" if _has_failed(connection, _contact(connection, member)) else "online",
    }


def _keyslot(_connection: Connection, args: list[bytes]) -> Value:
    return key_slot(args[2])


def _bumpepoch(connection: Connection, _args: list[bytes]) -> Value:
    """No address has an epoch of its own, so none is behind."""
    return Status(f"STILL {connection.front.node.cluster.epoch}")


def _saveconfig(_connection: Connection, _args: list[bytes]) -> Value:
    """The topology is on disk before it is shown."""
    return Status("OK")


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
    b"bumpepoch": _bumpepoch,
    b"count-failure-reports": _count_failure_reports,
    b"countkeysinslot": _ask_owner,
    b"getkeysinslot": _ask_owner,
    b"info": _info,
    b"keyslot": _keyslot,
    b"links": _links,
    b"migration": migration,
    b"myid": _myid,
    b"myshardid": _myshardid,
    b"nodes": _nodes,
    b"replicas": _replicas,
    b"saveconfig": _saveconfig,
    b"shards": _shards,
    b"slaves": _replicas,
    b"slots": _slots,
    **REFUSED,
}
