"""CLUSTER: the map of the cluster as Redis Cluster's clients read it, on any port.

Which addresses there are is `redraft.server.shown`'s; what is said of all groups is made by `pages`.  What
would change the cluster by Redis's means is refused by `clusterchange`.  There is one configuration, the
topology's, so every address has its epoch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from redraft.accel.scan import key_slot
from redraft.server.encode import Encoded, Status, Text, Value, encode, encode_request
from redraft.server.local.clusterchange import REFUSED
from redraft.server.local.migration import migration
from redraft.server.outcome import Handler, Outcome
from redraft.server.pages import Overview, OverviewPage, ShardsPage, SlotsPage
from redraft.server.shown import Shown, addresses, own, own_name, replica_id
from redraft.server.survey import Content, Page, Render
from redraft.server.words import ReplyError
from redraft.topology.slots import SLOTS

if TYPE_CHECKING:
    from redraft.node.heartbeat import Contact
    from redraft.server.connection import Connection
    from redraft.topology.cluster_map import Member


def _contact(connection: Connection, member: Member) -> Contact:
    return connection.front.node.heartbeat.contact(member.node_id)


def _surveyed(kind: type[Page[Content]], render: Render[Content]) -> Handler:
    """The handler of what is answered from a page of all groups."""

    def handle(connection: Connection, args: list[bytes]) -> Value | Outcome:
        return connection.front.survey.ask(kind, connection, args, render)

    return handle


def _as_it_is(_connection: Connection, _args: list[bytes], content: Encoded) -> Value:
    return content


def _myid(connection: Connection, _args: list[bytes]) -> Value:
    node = connection.front.node
    member = next(each for each in node.members if each.node_id == node.node_id)
    return own_name(member, connection.port.name)


def _myshardid(connection: Connection, _args: list[bytes], overview: Overview) -> Value:
    return own(connection, overview).shard


def _info(connection: Connection, _args: list[bytes], overview: Overview) -> Value:
    epoch, view, sizes = connection.front.node.cluster.epoch, overview.view, overview.sizes
    members = {member.node_id for member in view.cluster.members}
    lost = view.failed | (sizes.keys() - members)
    assigned = sum(sizes.values())
    failed = sum(size for leader, size in sizes.items() if leader in lost)
    failing = sum(size for leader, size in sizes.items() if leader not in view.answering) - failed
    fields = {
        "cluster_state": "ok" if assigned - failed == SLOTS else "fail",
        "cluster_slots_assigned": assigned,
        "cluster_slots_ok": assigned - failing - failed,
        "cluster_slots_pfail": failing,
        "cluster_slots_fail": failed,
        "cluster_known_nodes": sum(1 for _ in addresses(connection, overview)),
        "cluster_size": len(sizes.keys() & members),
        "cluster_current_epoch": epoch,
        "cluster_my_epoch": epoch,
        "cluster_stats_messages_sent": 0,
        "cluster_stats_messages_received": 0,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    return Text("".join(f"{name}:{value}\r\n" for name, value in fields.items()))


def _nodes(connection: Connection, _args: list[bytes], overview: Overview) -> Value:
    front = connection.front
    asked = connection.port.name, connection.proto
    made_ms, text = overview.texts.get(asked, (-1.0, None))
    if text is None or made_ms != front.now_ms:
        lines = (f"{_line(connection, overview, each)}\n" for each in addresses(connection, overview))
        text = Encoded(encode(Text("".join(lines)), connection.proto))
        overview.texts[asked] = front.now_ms, text
    return text


def _line(connection: Connection, overview: Overview, shown: Shown, master: Member | None = None) -> str:
    """A line of CLUSTER NODES; of a replica of several masters `master` is the one that was asked for."""
    member, contact = shown.member, _contact(connection, shown.member)
    master = master or shown.master
    flags = ["myself"] if shown.myself else []
    flags.append("master" if master is None else "slave")
    if member.node_id not in overview.view.answering:
        flags.append("fail" if member.node_id in overview.view.failed else "fail?")
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
        *shown.slots,
    )
    return " ".join(words)


def _named(connection: Connection, overview: Overview, name: bytes) -> Shown:
    wanted = name.decode("ascii", "replace").lower()
    for each in addresses(connection, overview):
        if each.name == wanted:
            return each
    raise ReplyError(b"ERR Unknown node %b" % name)


def _replicas(connection: Connection, args: list[bytes], overview: Overview) -> Value:
    """REPLICAS and SLAVES: the replicas of all groups that a master leads."""
    master = _named(connection, overview, args[2])
    if master.master is not None:
        raise ReplyError("ERR The specified node is not a master")
    followers = overview.followers.get(master.member.node_id, ())
    return [
        _line(connection, overview, each, master.member)
        for each in addresses(connection, overview)
        if each.name == replica_id(each.member) and each.member.node_id in followers
    ]


def _count_failure_reports(connection: Connection, args: list[bytes], overview: Overview) -> Value:
    """This node's own view is the one it knows."""
    return int(_named(connection, overview, args[2]).member.node_id not in overview.view.answering)


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


def _keyslot(_connection: Connection, args: list[bytes]) -> Value:
    return key_slot(args[2])


def _bumpepoch(connection: Connection, _args: list[bytes]) -> Value:
    """No address has an epoch of its own, so none is behind."""
    return Status(f"STILL {connection.front.node.cluster.epoch}")


def _saveconfig(connection: Connection, _args: list[bytes]) -> Value:
    """All of the topology is on disk before the node goes by it, but for whose the slots are."""
    try:
        connection.front.node.save_topology()
    except OSError as error:
        raise ReplyError(f"ERR error saving the cluster node config: {error.strerror}") from None
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
    b"count-failure-reports": _surveyed(OverviewPage, _count_failure_reports),
    b"countkeysinslot": _ask_owner,
    b"getkeysinslot": _ask_owner,
    b"info": _surveyed(OverviewPage, _info),
    b"keyslot": _keyslot,
    b"links": _links,
    b"migration": migration,
    b"myid": _myid,
    b"myshardid": _surveyed(OverviewPage, _myshardid),
    b"nodes": _surveyed(OverviewPage, _nodes),
    b"replicas": _surveyed(OverviewPage, _replicas),
    b"saveconfig": _saveconfig,
    b"shards": _surveyed(ShardsPage, _as_it_is),
    b"slaves": _surveyed(OverviewPage, _replicas),
    b"slots": _surveyed(SlotsPage, _as_it_is),
    **REFUSED,
}
