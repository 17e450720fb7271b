"""A node's addresses as Redis Cluster's clients know nodes: each with an id and one role.

    primary port  master of the groups the node leads, under the node's own id
    replica port  replica of the groups it follows
    client port   replica of its own primary port; shown only to who asks there, as it can answer for all
                  slots, and `redis-cli --cluster` takes the port it asks for a node

A replica has one master in CLUSTER NODES.  A node that follows several leaders names the next one by
id, so that each master has one; SLOTS and SHARDS go by group and name them all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redraft.server.connection import Connection
    from redraft.server.pages import Overview
    from redraft.topology.cluster_map import Member


def _derived(member: Member, what: str) -> str:
    return hashlib.sha1(f"{member.hex_id} {what}".encode(), usedforsecurity=False).hexdigest()


def replica_id(member: Member) -> str:
    """The 40-hex id under which a node's replica port is known."""
    return _derived(member, "replica")


def client_id(member: Member) -> str:
    """The 40-hex id of a node's client port."""
    return _derived(member, "client")


def own_name(member: Member, port: str) -> str:
    """The 40-hex id of one of a node's ports, by the port's name."""
    return {"primary": member.hex_id, "replica": replica_id(member), "client": client_id(member)}[port]


@dataclass(frozen=True, slots=True)
class Shown:
    """One address: `master` is whose replica it is, None for a master; `slots`: what it leads."""

    name: str
    member: Member
    port: int
    master: Member | None
    slots: Sequence[str]
    myself: bool

    @property
    def shard(self) -> str:
        """The 40-hex id that a master and its replicas have in common."""
        return _derived(self.master or self.member, "shard")


def addresses(connection: Connection, overview: Overview) -> Iterator[Shown]:
    """All addresses as who asks by this connection is to see them, members by id, each one's master first."""
    node = connection.front.node
    members = {member.node_id: member for member in node.members}
    asked_at = connection.port.name
    for member in node.members:
        here = member.node_id == node.node_id
        ports = member.shown
        slots = overview.slots.get(member.node_id, ())
        yield Shown(member.hex_id, member, ports.primary_port, None, slots, here and asked_at == "primary")
        master = members.get(_next_master(overview, member.node_id))
        myself = here and asked_at == "replica"
        if master is not None or myself:
            yield Shown(replica_id(member), member, ports.replica_port, master or member, (), myself)
        if here and asked_at == "client":
            yield Shown(client_id(member), member, ports.client_port, member, (), True)


def own(connection: Connection, overview: Overview) -> Shown:
    """The address that was asked."""
    return next(each for each in addresses(connection, overview) if each.myself)


def _next_master(overview: Overview, node_id: int) -> int:
    """Of the leaders that a member follows the next one by id, after the last the first; 0 for none."""
    followed = overview.followed.get(node_id, ())
    return min(followed, key=lambda leader: (leader < node_id, leader), default=0)
