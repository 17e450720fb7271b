"""CLUSTER SLOTS and SHARDS: made once for all clients that ask before anything in them changes.

A cluster of 10,000 groups has replies of megabytes, and many clients ask at once when something has changed.
So an address is written once for a reply, and a reply once for a state of the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from redraft.server.encode import Encoded, Value, encode
from redraft.server.leaders import Whole
from redraft.server.shown import replica_id
from redraft.topology.cluster_map import Group, Member

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.leaders import Leaders

FAIL_TIMEOUTS: Final = 2
"""A peer that is silent for so many election time-outs has failed: groups elect other leaders meanwhile."""


class Kept:
    """The replies of one node, by name and protocol, each with what it was made of."""

    __slots__ = ("_replies",)

    def __init__(self) -> None:
        self._replies: dict[tuple[str, int], tuple[object, Encoded]] = {}

    def get(self, name: str, proto: int, state: object, make: Callable[[], bytes]) -> Encoded:
        """The reply, made anew if the state is another."""
        known = self._replies.get((name, proto))
        if known is None or known[0] != state:
            known = self._replies[name, proto] = state, Encoded(make())
        return known[1]


def slots(connection: Connection, _args: list[bytes]) -> Value:
    """CLUSTER SLOTS: replicas that do not answer are left out, leaders not before there is another one."""
    front, proto = connection.front, connection.proto
    contact = front.node.heartbeat.contact
    answering = frozenset(node for node in front.leaders.members() if contact(node).answers)
    state = (*_state(connection), answering)
    return front.kept.get("slots", proto, state, lambda: _slots(front.leaders, proto))


def _slots(leaders: Leaders, proto: int) -> bytes:
    whole = leaders.whole()
    masters = {node: _address(member, proto) for node, member in whole.members.items()}
    replicas = {
        node: _address(member, proto, replica=True)
        for node, member in whole.members.items()
        if node in whole.answering
    }
    rows: list[bytes] = []
    for number in leaders.all_groups:
        leader, acting = whole.sent[number]
        if acting:
            group = leaders.groups[number]
            nodes = [masters[acting], *_of_followers(group, leader, replicas, whole)]
            tail, count = b"".join(nodes), 2 + len(nodes)
            rows += [b"*%d\r\n:%d\r\n:%d\r\n%b" % (count, first, last, tail) for first, last in group.slots]
    return b"*%d\r\n%b" % (len(rows), b"".join(rows))


def _address(member: Member, proto: int, *, replica: bool = False) -> bytes:
    shown = member.shown
    port, name = (shown.replica_port, replica_id(member)) if replica else (shown.primary_port, member.hex_id)
    return encode([shown.host, port, name, {}], proto)


def _of_followers(group: Group, leader: int, written: dict[int, bytes], whole: Whole) -> list[bytes]:
    """The replicas of a group that are written, in the order of the members."""
    voters = sorted((voter for voter in group.voters if voter in written), key=whole.order.__getitem__)
    return [written[voter] for voter in voters if voter != leader]


def shards(connection: Connection, _args: list[bytes]) -> Value:
    """CLUSTER SHARDS: a shard for each group."""
    front, proto = connection.front, connection.proto
    contact, silent_ms = front.node.heartbeat.contact, FAIL_TIMEOUTS * front.config.election_timeout_ms
    contacts = {node: contact(node) for node in front.leaders.members()}
    failed = frozenset(
        node for node, each in contacts.items() if not each.answers and each.silent_ms > silent_ms
    )
    answering = frozenset(node for node, each in contacts.items() if each.answers)
    state = (*_state(connection), answering, failed)
    return front.kept.get("shards", proto, state, lambda: _shards(front.leaders, failed, proto))


def _shards(leaders: Leaders, failed: frozenset[int], proto: int) -> bytes:
    whole = leaders.whole()
    masters, replicas = (
        {
            node: _shard_node(member, node in failed, proto, replica=replica)
            for node, member in whole.members.items()
        }
        for replica in (False, True)
    )
    head = b"%2\r\n$5\r\nslots\r\n" if proto == 3 else b"*4\r\n$5\r\nslots\r\n"
    rows = []
    for number in leaders.all_groups:
        group, (leader, acting) = leaders.groups[number], whole.sent[number]
        nodes = [masters[acting]] if acting else []
        nodes += _of_followers(group, leader, replicas, whole)
        bounds = b"".join([b":%d\r\n:%d\r\n" % pair for pair in group.slots])
        rows.append(
            b"%b*%d\r\n%b$5\r\nnodes\r\n*%d\r\n%b"
            % (head, 2 * len(group.slots), bounds, len(nodes), b"".join(nodes))
        )
    return b"*%d\r\n%b" % (len(rows), b"".join(rows))


def _shard_node(member: Member, has_failed: bool, proto: int, *, replica: bool) -> bytes:
    shown = member.shown
    node: dict[str, Value] = {
        "id": replica_id(member) if replica else member.hex_id,
        "port": shown.replica_port if replica else shown.primary_port,
        "ip": shown.host,
        "endpoint": shown.host,
        "role": "replica" if replica else "master",
        "replication-offset": 0,
        "health": "fail" if has_failed else "online",
    }
    return encode(node, proto)


def _state(connection: Connection) -> tuple[object, ...]:
    """What a reply is made of, as far as it is the map and who leads."""
    front = connection.front
    return front.leaders.generation, front.node.leaders_version, front.node.members
