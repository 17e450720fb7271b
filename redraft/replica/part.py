"""Parts and entry payloads: the bytes that travel from a connection through the log to apply.

    payload  = version u8, flags u8, parts u16, clock_ms u64, seed u64, { length u32, part }
    ended    = version u8, flags u8, 0 u16, clock_ms u64, seed u64, { origin u32 }
    part     = origin u32, incarnation u64, sequence u64, acknowledged_below u64, flags u8, marks u32,
               { mark u32 }, commands
    mark     = commands of one connection << 1 | (1 when the connection speaks RESP3)
    commands = the RESP requests as the clients sent them, connection after connection

Little-endian.  A part is what one node sends to one group in one go; its bytes are frozen at its
first send, whoever leads, so that it can be told from another and executed once (`sessions`).  The
payload is what the leader of the moment makes of the parts that are there: its clock and seed are
the only time and chance apply knows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

SEMANTICS_VERSION = 1
"""How apply reads an entry; a change of meaning gets a new number, so that old entries keep theirs."""

FLAG_DENY_OOM = 1
"""Payload: the leader was over `maxmemory`; commands that may grow memory answer -OOM, on every replica."""

FLAG_REGISTERS = 1
"""Part: it may open its origin's session; set until the group has answered the first part."""

PAYLOAD_HEADER = struct.Struct("<BBHQQ")
PART_HEADER = struct.Struct("<IQQQBI")
LENGTH = struct.Struct("<I")


class Part(NamedTuple):
    """One decoded part; `marks` are (commands, protocol) of each connection in turn."""

    origin: int
    incarnation: int
    sequence: int
    acknowledged_below: int
    registers: bool
    marks: list[tuple[int, int]]
    commands: bytes


class Payload(NamedTuple):
    """The header of an entry's payload."""

    version: int
    deny_oom: bool
    parts: int
    clock_ms: int
    seed: int


def encode_part(
    origin: int,
    incarnation: int,
    sequence: int,
    acknowledged_below: int,
    registers: bool,
    marks: Sequence[int],
    commands: Sequence[bytes],
) -> bytes:
    """Return a part's bytes; `marks` are encoded already (`mark`), one for each item of `commands`."""
    header = PART_HEADER.pack(
        origin, incarnation, sequence, acknowledged_below, FLAG_REGISTERS if registers else 0, len(marks)
    )
    return b"".join((header, struct.pack(f"<{len(marks)}I", *marks), *commands))


def mark(count: int, proto: int) -> int:
    """Return the mark of one connection's commands."""
    return count << 1 | (proto == 3)


def part_identity(part: bytes) -> tuple[int, int, int]:
    """Return (origin, incarnation, sequence) without decoding the rest."""
    origin, incarnation, sequence, _below, _flags, _marks = PART_HEADER.unpack_from(part)
    return origin, incarnation, sequence


def encode_payload(clock_ms: int, seed: int, deny_oom: bool, parts: Sequence[bytes]) -> bytes:
    """Return an entry's payload of these parts."""
    flags = FLAG_DENY_OOM if deny_oom else 0
    pieces = [PAYLOAD_HEADER.pack(SEMANTICS_VERSION, flags, len(parts), clock_ms, seed)]
    for part in parts:
        pieces.append(LENGTH.pack(len(part)))
        pieces.append(part)
    return b"".join(pieces)


def decode_header(payload: bytes) -> Payload:
    """Return a payload's header; an unknown semantics version is a bug or a node too old to go on."""
    version, flags, parts, clock_ms, seed = PAYLOAD_HEADER.unpack_from(payload)
    assert version == SEMANTICS_VERSION, f"entry of semantics version {version}: this node is too old"
    return Payload(version, bool(flags & FLAG_DENY_OOM), parts, clock_ms, seed)


def decode_parts(payload: bytes, count: int) -> Iterator[Part]:
    """Yield the `count` parts of a payload in order."""
    at = PAYLOAD_HEADER.size
    for _ in range(count):
        (length,) = LENGTH.unpack_from(payload, at)
        at += LENGTH.size
        end = at + length
        assert end <= len(payload), "a part runs past its entry"
        origin, incarnation, sequence, below, flags, marks = PART_HEADER.unpack_from(payload, at)
        at += PART_HEADER.size
        coded = struct.unpack_from(f"<{marks}I", payload, at)
        at += 4 * marks
        pairs = [(item >> 1, 3 if item & 1 else 2) for item in coded]
        yield Part(origin, incarnation, sequence, below, bool(flags & FLAG_REGISTERS), pairs, payload[at:end])
        at = end
    assert at == len(payload), "an entry has bytes behind its last part"


def encode_ended(clock_ms: int, origins: Sequence[int]) -> bytes:
    """Return the payload that ends the sessions of nodes that were removed."""
    return encode_payload(clock_ms, 0, False, []) + struct.pack(f"<{len(origins)}I", *origins)


def decode_ended(payload: bytes) -> tuple[int, ...]:
    """Return the nodes whose sessions a payload ends."""
    return struct.unpack(f"<{(len(payload) - PAYLOAD_HEADER.size) // 4}I", payload[PAYLOAD_HEADER.size :])
