"""What a node tells the topology group's leader, once a second: how busy it is, what its groups hold.

    report = msgpack [cpu, full, [group, ...]]
    group  = [group_id, term, keys, bytes, writes, reads, [voter, ...]]

Reads are executed wherever they are asked for, so each node tells its own and they are added up; all else
of a group only its leader tells (`term` is 0 for others, who tell of a group only when it is read there).

Must not know: who measures, how a report travels, what follows from it.
"""

from __future__ import annotations

from typing import Final

import msgspec


class GroupReport(msgspec.Struct, frozen=True, array_like=True):
    """A group as one node has it; rates are commands per second."""

    group_id: int
    term: int
    """In which this node leads it, 0 if it does not."""
    keys: int = 0
    bytes: int = 0
    writes: float = 0.0
    reads: float = 0.0
    voters: tuple[int, ...] = ()
    """Raft's present voters, of both halves while joint."""


class NodeReport(msgspec.Struct, frozen=True, array_like=True):
    """A node and its groups."""

    cpu: float
    """The share of its core that is in use, 0 to 1."""
    full: bool
    """It holds as much as it may, or nearly."""
    groups: tuple[GroupReport, ...] = ()


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(NodeReport)


def encode_report(report: NodeReport) -> bytes:
    """A report as it travels."""
    return _encoder.encode(report)


def decode_report(data: bytes) -> NodeReport:
    """What `encode_report` made; raises msgspec.MsgspecError for anything else."""
    report: NodeReport = _decoder.decode(data)
    return report
