"""What peers say: a handler for each type of message.

What is about a group's log or its snapshots is taken here; the rest goes to the room it is about, a lane, the
node's liveness, its controller.  A message may be the first this node hears of a replica it should have:
only a leader's entries or snapshot make one.

Must not know: links, or the order in which what follows is carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Leads,
    Ping,
    Pong,
    RequestVote,
    Support,
    TimeoutNow,
    VoteReply,
    Withdraw,
)
from redraft.transport.messages import (
    ExpireRequest,
    ForwardPart,
    ForwardRead,
    LoadReport,
    PartReply,
    Published,
    ReadIndexReply,
    ReadIndexRequest,
    ReadReply,
)

if TYPE_CHECKING:
    from redraft.node.node import Node

Handler: TypeAlias = Callable[[int, int, Any], None]
"""Takes the peer, the group and the message."""


class Inbox:
    """One node's; `handlers` has one for each type of message."""

    __slots__ = ("_node", "handlers")

    def __init__(self, node: Node) -> None:
        self._node = node
        lanes = node.lanes
        self.handlers: dict[type, Handler] = {
            **dict.fromkeys((AppendEntries, AppendReply, RequestVote, VoteReply, TimeoutNow), self._on_raft),
            InstallSnapshot: self._on_install_snapshot,
            InstallSnapshotReply: self._on_install_snapshot_reply,
            **dict.fromkeys((Ping, Leads, Support, Withdraw), node.on_liveness),
            Pong: node.on_pong,
            ForwardPart: lambda peer, group, message: lanes[group].on_forward_part(peer, message),
            PartReply: lambda peer, group, message: lanes[group].on_part_reply(peer, message),
            ForwardRead: lambda peer, group, message: lanes[group].on_forward_read(peer, message),
            ReadReply: lambda _peer, group, message: lanes[group].on_read_reply(message),
            ReadIndexRequest: lambda peer, group, message: lanes[group].on_read_index_request(peer, message),
            ReadIndexReply: lambda _peer, group, message: lanes[group].on_read_index_reply(message),
            ExpireRequest: lambda _peer, group, _message: lanes[group].on_expire_request(),
            Published: node.publishing.heard,
            LoadReport: lambda peer, _group, message: node.controller.on_report(peer, message),
        }

    def _on_raft(self, peer: int, group: int, message: Any) -> None:
        node = self._node
        replica = node.replicas.get(group)
        if replica is None and isinstance(message, AppendEntries):
            replica = node.hosting.host(group)
        if replica is not None:
            replica.raft.step(peer, message, node.now_ms())
            node.stepped(replica)

    def _on_install_snapshot(self, peer: int, group: int, message: InstallSnapshot) -> None:
        node = self._node
        replica = node.replicas.get(group) or node.hosting.host(group)
        if replica is not None:
            if replica.raft.on_install_snapshot(peer, message, node.now_ms()):
                node.snapshots.on_chunk(peer, replica, message)
            node.stepped(replica)

    def _on_install_snapshot_reply(self, peer: int, group: int, message: InstallSnapshotReply) -> None:
        node = self._node
        replica = node.replicas.get(group)
        if replica is not None:
            if replica.raft.on_install_snapshot_reply(peer, message, node.now_ms()):
                node.snapshots.on_reply(peer, group, message)
            node.stepped(replica)
