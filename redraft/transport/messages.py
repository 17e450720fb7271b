"""What nodes say to each other on behalf of clients: parts, reads and read indexes, messages of channels.

Owns the words only: the wire format is `frames`, what they mean to a group is `redraft.replica`.
Raft's RPCs and liveness are in `redraft.raft.messages`.  No message names its group or its sender:
the frame carries the one, the link the other.  Ids, incarnations, sequences and indexes are unsigned
64-bit numbers; `clock_ms` is a group's clock; replies are whole RESP replies, one per command.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from redraft.base.limits import GROUP_ID_MAX

NO_GROUP: Final = GROUP_ID_MAX + 1
"""The group number of frames that are about the pair of nodes, or about no group."""


class Outcome(IntEnum):
    """What became of a part or a read; the number is the one on the wire."""

    DONE = 0
    """`replies` has one reply per command."""
    NOT_LEADER = 1
    """Not taken: this node does not lead the group (now); `replies` is empty."""
    REFUSED = 2
    """Not taken: `replies` is the one error that every command gets."""


class ForwardPart(NamedTuple):
    """A part (`redraft.replica.part`, its frozen bytes) for the group's leader to propose."""

    part: bytes


class PartReply(NamedTuple):
    """Answers one part of the receiver's, named by incarnation and sequence."""

    origin_incarnation: int
    sequence: int
    outcome: int
    replies: list[bytes]


class ForwardRead(NamedTuple):
    """Reads for the leader to execute; `marks` are (commands, protocol) of each connection in turn."""

    request_id: int
    marks: Sequence[tuple[int, int]]
    data: bytes


class ReadReply(NamedTuple):
    """Answers a ForwardRead."""

    request_id: int
    outcome: int
    replies: list[bytes]


class ReadIndexRequest(NamedTuple):
    """A follower asks the leader for a read index (thesis §6.4); ids are never used twice."""

    request_id: int


class ReadIndexReply(NamedTuple):
    """What a follower must have applied before it reads, confirmed after the request came.

    `ok` is False when the asked node does not lead; the other fields are 0 then.
    """

    request_id: int
    ok: bool
    read_index: int
    clock_ms: int


class ExpireRequest(NamedTuple):
    """A read met a key past its deadline at `clock_ms`: the leader should log its removal."""

    clock_ms: int


class Published(NamedTuple):
    """A client's message for everybody who listens to a channel, or shard channel, at the receiver."""

    shard: bool
    channel: bytes
    message: bytes


class LoadReport(NamedTuple):
    """What a node tells the topology group's leader of its load (`redraft.control.reports`)."""

    data: bytes


NodeMessage: TypeAlias = (
    ForwardPart
    | PartReply
    | ForwardRead
    | ReadReply
    | ReadIndexRequest
    | ReadIndexReply
    | ExpireRequest
    | Published
    | LoadReport
)
