"""The topology group's state on a node: an applier whose commands change the topology.

Commands come in parts, as clients' requests do, so they are forwarded, retried and executed once by the same
rules.  The topology is kept as one record in a keyspace of its own, so that a snapshot of the group is a
snapshot like any other.

    request = { length u32, msgpack of a command (`topology.Command`) }        little-endian
    reply   = bulk: the topology, to Join | integer: the epoch | error: why it was refused
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from redraft.commands.keyspace import Keyspace
from redraft.control.topology import (
    Command,
    Join,
    Refused,
    Topology,
    apply,
    decode,
    decode_command,
    encode,
    encode_command,
)
from redraft.engine.hash import HashEngine
from redraft.engine.record import payload, string_body
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.replica.part import Part

SLOT: Final = 0
KEY: Final = b"topology"
_LENGTH: Final = struct.Struct("<I")


def encode_request(command: Command) -> bytes:
    """A command as a request to the topology group."""
    encoded = encode_command(command)
    return _LENGTH.pack(len(encoded)) + encoded


def decode_requests(data: bytes) -> Iterator[bytes]:
    """The encoded commands of a part."""
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        yield data[at : at + length]
        at += length
    assert at == len(data), "a command runs past its part"


class TopologyApplier(Applier):
    """Applies commands on the topology; before the first one it is the founding topology."""

    __slots__ = ("_founding", "_record", "_topology")

    def __init__(self, founding: Topology, log: LogView) -> None:
        super().__init__(Keyspace(HashEngine(), [SLOT]), log)
        self._founding = founding
        self._topology = founding
        self._record: bytes | None = None

    @property
    def topology(self) -> Topology:
        """The topology as of the last applied entry."""
        record = self.keyspace.engine.get(SLOT, KEY)
        if record is not self._record:  # a snapshot was loaded
            self._record = record
            self._topology = decode(payload(record)) if record is not None else self._founding
        return self._topology

    def _execute(self, part: Part) -> list[bytes]:
        """Carry out a part's commands in the entry that is being applied."""
        return [self._carry_out(encoded) for encoded in decode_requests(part.commands)]

    def _carry_out(self, encoded: bytes) -> bytes:
        try:
            command = decode_command(encoded)
        except msgspec.MsgspecError as error:
            return _error(f"this is no command on the topology ({error})")
        before = self.topology
        after, answer = apply(before, command, self.applied_index + 1)
        if after is not before:
            self._keep(after)
        if isinstance(answer, Refused):
            return _error(answer.reason)
        if isinstance(command, Join):
            told = encode(after)
            return b"$%d\r\n%s\r\n" % (len(told), told)
        return b":%d\r\n" % answer

    def _keep(self, topology: Topology) -> None:
        self._record = string_body(encode(topology))
        self._topology = topology
        self.keyspace.put(SLOT, KEY, self._record)
        self.keyspace.journal.clear()


def _error(reason: str) -> bytes:
    return b"-ERR %s\r\n" % reason.encode()


def reason_of(reply: bytes) -> str | None:
    """Why a request failed or was refused, None when it was carried out."""
    if not reply.startswith(b"-"):
        return None
    return reply[1:].removeprefix(b"ERR ").strip().decode(errors="replace")


def topology_of(reply: bytes) -> Topology:
    """The topology in the reply to Join."""
    return decode(reply.partition(b"\r\n")[2][:-2])
