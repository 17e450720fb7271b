"""The peers' wire format after the handshake: one grammar that encoder and decoder share.

    frame  = length u32, type u8, flags u8, group u16, body          length: of the body; group 65535: none
    body   = by type; those of fixed size are rows of _FIXED, the others:
      APPEND_ENTRIES  term u64, prev_log_index u64, prev_log_term u64, commit_index u64, count u32,
                      { term u64, kind u8, length u32 } * count, data * count   (indexes go on from prev)
      INSTALL_SNAPSHOT  term u64, index u64, snapshot_term u64, size u64, offset u64, the piece's bytes
      LEADS           version u64, full u8, count u32, { group u16, term u64 } * count
      SUPPORT, WITHDRAW   count u32, { group u16, term u64 } * count
      FORWARD_PART    the part's bytes
      FORWARD_READ    request_id u64, count u32, { commands << 1 | RESP3 u32 } * count, requests
      PART_REPLY      origin_incarnation u64, sequence u64, outcome u8, replies
      READ_REPLY      request_id u64, outcome u8, replies
      PUBLISHED       shard u8, length u32 of the channel, channel, message
      LOAD_REPORT     msgpack (`redraft.control.reports`)
      replies         count u32, { length u32 } * count, reply * count
                      with flag SAME: count u32, one reply that stands for all
      CHUNK           with flag FIRST: total u64; then the next bytes of a frame of `total` bytes,
                      header included; flag LAST: its last ones

Little-endian.  A frame on the wire has at most CHUNK_BYTES of body; a larger one is cut into CHUNK
frames (`sendqueue`), between which others may go, and put together again (`receiver`).  What can't be
decoded raises FrameError: the peer's fault, never ours.  docs/peer-protocol.md is this page for readers.

Must not know: links, nodes, or what any message means.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from redraft.base.limits import FRAME_BYTES_MAX
from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Leads,
    LivenessMessage,
    Ping,
    Pong,
    RaftMessage,
    RequestVote,
    SnapshotMessage,
    Support,
    TimeoutNow,
    VoteReply,
    Withdraw,
)
from redraft.raft.types import Entry
from redraft.transport.messages import (
    ExpireRequest,
    ForwardPart,
    ForwardRead,
    LoadReport,
    NodeMessage,
    PartReply,
    Published,
    ReadIndexReply,
    ReadIndexRequest,
    ReadReply,
)

Message: TypeAlias = RaftMessage | SnapshotMessage | LivenessMessage | NodeMessage
Buffer: TypeAlias = bytes | memoryview
Frame: TypeAlias = bytes | list[Buffer]
"""An encoded frame: one piece when small, else pieces that share the message's own bytes."""

PROTOCOL_VERSION: Final = 1

HEADER: Final = struct.Struct("<IBBH")
FIRST: Final = 1
LAST: Final = 2
SAME: Final = 1
CHUNK: Final = 0x10
CHUNK_TOTAL: Final = struct.Struct("<Q")

APPEND_ENTRIES: Final = 0x22
INSTALL_SNAPSHOT: Final = 0x25
LEADS: Final = 0x32
SUPPORT: Final = 0x33
WITHDRAW: Final = 0x34
FORWARD_PART: Final = 0x40
PART_REPLY: Final = 0x41
FORWARD_READ: Final = 0x42
READ_REPLY: Final = 0x43
PUBLISHED: Final = 0x47
LOAD_REPORT: Final = 0x48

_FIXED: Final[tuple[tuple[int, type[Any], str], ...]] = (  # type, class, its fields as struct writes them
    (0x20, RequestVote, "Q?QQ?"),
    (0x21, VoteReply, "Q??"),
    (0x23, AppendReply, "Q?QQQ"),
    (0x24, TimeoutNow, "Q"),
    (0x26, InstallSnapshotReply, "QQQQ?"),
    (0x30, Ping, "QQQI"),
    (0x31, Pong, "QQQI"),
    (0x44, ReadIndexRequest, "Q"),
    (0x45, ReadIndexReply, "Q?QQ"),
    (0x46, ExpireRequest, "Q"),
)

URGENT: Final = frozenset({RequestVote, VoteReply, TimeoutNow, Ping, Pong, Leads, Support, Withdraw})
"""Messages that may overtake the others at the edge of a chunk; among themselves they keep their order."""

_APPEND: Final = struct.Struct("<QQQQI")
_ENTRY: Final = struct.Struct("<QBI")
_INSTALL: Final = struct.Struct("<QQQQQ")
_LEADS: Final = struct.Struct("<Q?I")
_COUNT: Final = struct.Struct("<I")
_PAIR: Final = struct.Struct("<HQ")
_READ: Final = struct.Struct("<QI")
_PART_REPLY: Final = struct.Struct("<QQB")
_READ_REPLY: Final = struct.Struct("<QB")
_PUBLISHED: Final = struct.Struct("<?I")
_JOIN_BYTES_MAX: Final = 64 * 1024  # copying less than this is cheaper than carrying pieces along


class FrameError(ValueError):
    """Bytes of a peer that are no frame; the sentence says in what way."""


class _Fixed(NamedTuple):
    kind: int
    message: type[Any]
    layout: struct.Struct
    frame: struct.Struct


_FIXED_BY_CLASS: Final = {
    message: _Fixed(kind, message, struct.Struct("<" + fields), struct.Struct("<IBBH" + fields))
    for kind, message, fields in _FIXED
}
_FIXED_BY_KIND: Final = {row.kind: row for row in _FIXED_BY_CLASS.values()}


def encode(group: int, message: Message) -> Frame:
    """Return the frame of a message for that group (0: none)."""
    fixed = _FIXED_BY_CLASS.get(type(message))
    if fixed is not None:
        return fixed.frame.pack(fixed.layout.size, fixed.kind, 0, group, *message)
    kind, flags, pieces = _ENCODERS[type(message)](message)
    length = sum(map(len, pieces))
    assert length <= FRAME_BYTES_MAX - HEADER.size, "what is too large to send must not be proposed"
    header = HEADER.pack(length, kind, flags, group)
    if length <= _JOIN_BYTES_MAX:
        return b"".join((header, *pieces))
    return [header, *pieces]


def decode(buffer: Buffer, start: int = 0, end: int | None = None) -> tuple[int, Message]:
    """Return the group and message of the one whole frame at `buffer[start:end]`; raises FrameError."""
    stop = len(buffer) if end is None else end
    try:
        length, kind, flags, group = HEADER.unpack_from(buffer, start)
        at = start + HEADER.size
        if at + length != stop:
            raise FrameError(f"a frame says {length} bytes and has {stop - at}")
        fixed = _FIXED_BY_KIND.get(kind)
        if fixed is not None:
            if length != fixed.layout.size:
                raise FrameError(f"a frame of type {kind:#x} has {length} bytes")
            return group, fixed.message(*fixed.layout.unpack_from(buffer, at))
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise FrameError(f"there is no frame of type {kind:#x}")
        return group, decoder(buffer, at, stop, flags)
    except struct.error as error:
        raise FrameError(f"a frame ends too early: {error}") from None


# ---- bodies: encoders return (type, flags, pieces) ----

_Encoded: TypeAlias = tuple[int, int, Sequence[bytes]]


def _encode_append_entries(message: AppendEntries) -> _Encoded:
    entries = message.entries
    assert not entries or entries[0].index == message.prev_log_index + 1
    head = _APPEND.pack(*message[:4], len(entries))
    heads = [_ENTRY.pack(entry.term, entry.kind, len(entry.data)) for entry in entries]
    return APPEND_ENTRIES, 0, [head, *heads, *[entry.data for entry in entries]]


def _encode_install_snapshot(message: InstallSnapshot) -> _Encoded:
    return INSTALL_SNAPSHOT, 0, (_INSTALL.pack(*message[:5]), message.data)


def _encode_leads(message: Leads) -> _Encoded:
    head = _LEADS.pack(message.version, message.full, len(message.groups))
    return LEADS, 0, [head, *[_PAIR.pack(*pair) for pair in message.groups]]


def _encode_support(message: Support) -> _Encoded:
    return SUPPORT, 0, [_COUNT.pack(len(message.pairs)), *[_PAIR.pack(*pair) for pair in message.pairs]]


def _encode_withdraw(message: Withdraw) -> _Encoded:
    return WITHDRAW, 0, [_COUNT.pack(len(message.pairs)), *[_PAIR.pack(*pair) for pair in message.pairs]]


def _encode_forward_part(message: ForwardPart) -> _Encoded:
    return FORWARD_PART, 0, (message.part,)


def _encode_forward_read(message: ForwardRead) -> _Encoded:
    marks = [count << 1 | (proto == 3) for count, proto in message.marks]
    head = _READ.pack(message.request_id, len(marks))
    return FORWARD_READ, 0, (head, struct.pack(f"<{len(marks)}I", *marks), message.data)


def _encode_part_reply(message: PartReply) -> _Encoded:
    head = _PART_REPLY.pack(message.origin_incarnation, message.sequence, message.outcome)
    flags, pieces = _encode_replies(message.replies)
    return PART_REPLY, flags, (head, *pieces)


def _encode_read_reply(message: ReadReply) -> _Encoded:
    flags, pieces = _encode_replies(message.replies)
    return READ_REPLY, flags, (_READ_REPLY.pack(message.request_id, message.outcome), *pieces)


def _encode_published(message: Published) -> _Encoded:
    head = _PUBLISHED.pack(message.shard, len(message.channel))
    return PUBLISHED, 0, (head, message.channel, message.message)


def _encode_load_report(message: LoadReport) -> _Encoded:
    return LOAD_REPORT, 0, (message.data,)


def _encode_replies(replies: list[bytes]) -> tuple[int, Sequence[bytes]]:
    count = len(replies)
    if count > 1 and replies[0] and replies[-1] == replies[0] and replies.count(replies[0]) == count:
        return SAME, (_COUNT.pack(count), replies[0])  # a pipeline of SETs
    lengths = array("I", map(len, replies))
    if sys.byteorder == "big":
        lengths.byteswap()
    return 0, (_COUNT.pack(count), lengths.tobytes(), *_joined(replies))


def _joined(replies: list[bytes]) -> Sequence[bytes]:
    return (b"".join(replies),) if len(replies) > 1 else replies


# ---- bodies: decoders take (buffer, start of the body, end, flags) and check that they end at the end ----


def _decode_append_entries(buffer: Buffer, at: int, end: int, _flags: int) -> AppendEntries:
    term, index, prev_log_term, commit_index, count = _APPEND.unpack_from(buffer, at)
    prev_log_index = index
    at += _APPEND.size
    entries: list[Entry] = []
    for entry_term, kind, start, stop in _entry_places(buffer, at, end, count):
        index += 1
        entries.append(Entry(entry_term, index, kind, bytes(buffer[start:stop])))
    return AppendEntries(term, prev_log_index, prev_log_term, commit_index, tuple(entries))


def _entry_places(buffer: Buffer, at: int, end: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    start = at + count * _ENTRY.size
    _check(start <= end)
    for term, kind, length in _ENTRY.iter_unpack(buffer[at:start]):
        stop = start + length
        _check(stop <= end)
        yield term, kind, start, stop
        start = stop
    _check(start == end)


def _decode_install_snapshot(buffer: Buffer, at: int, end: int, _flags: int) -> InstallSnapshot:
    term, index, snapshot_term, size, offset = _INSTALL.unpack_from(buffer, at)
    data = bytes(buffer[at + _INSTALL.size : end])
    return InstallSnapshot(term, index, snapshot_term, size, offset, data)


def _decode_leads(buffer: Buffer, at: int, end: int, _flags: int) -> Leads:
    version, full, count = _LEADS.unpack_from(buffer, at)
    return Leads(version, full, _decode_pairs(buffer, at + _LEADS.size, end, count))


def _decode_support(buffer: Buffer, at: int, end: int, _flags: int) -> Support:
    (count,) = _COUNT.unpack_from(buffer, at)
    return Support(_decode_pairs(buffer, at + _COUNT.size, end, count))


def _decode_withdraw(buffer: Buffer, at: int, end: int, _flags: int) -> Withdraw:
    (count,) = _COUNT.unpack_from(buffer, at)
    return Withdraw(_decode_pairs(buffer, at + _COUNT.size, end, count))


def _decode_pairs(buffer: Buffer, at: int, end: int, count: int) -> tuple[tuple[int, int], ...]:
    _check(at + count * _PAIR.size == end)
    return tuple(_PAIR.iter_unpack(buffer[at:end]))


def _decode_forward_part(buffer: Buffer, at: int, end: int, _flags: int) -> ForwardPart:
    return ForwardPart(bytes(buffer[at:end]))


def _decode_forward_read(buffer: Buffer, at: int, end: int, _flags: int) -> ForwardRead:
    request_id, count = _READ.unpack_from(buffer, at)
    at += _READ.size
    start = at + 4 * count
    _check(start <= end)
    marks = [(coded >> 1, 3 if coded & 1 else 2) for (coded,) in _COUNT.iter_unpack(buffer[at:start])]
    return ForwardRead(request_id, marks, bytes(buffer[start:end]))


def _decode_part_reply(buffer: Buffer, at: int, end: int, flags: int) -> PartReply:
    incarnation, sequence, outcome = _PART_REPLY.unpack_from(buffer, at)
    return PartReply(
        incarnation, sequence, outcome, _decode_replies(buffer, at + _PART_REPLY.size, end, flags)
    )


def _decode_read_reply(buffer: Buffer, at: int, end: int, flags: int) -> ReadReply:
    request_id, outcome = _READ_REPLY.unpack_from(buffer, at)
    return ReadReply(request_id, outcome, _decode_replies(buffer, at + _READ_REPLY.size, end, flags))


def _decode_published(buffer: Buffer, at: int, end: int, _flags: int) -> Published:
    shard, length = _PUBLISHED.unpack_from(buffer, at)
    start = at + _PUBLISHED.size
    middle = start + length
    _check(middle <= end)
    return Published(shard, bytes(buffer[start:middle]), bytes(buffer[middle:end]))


def _decode_load_report(buffer: Buffer, at: int, end: int, _flags: int) -> LoadReport:
    return LoadReport(bytes(buffer[at:end]))


def _decode_replies(buffer: Buffer, at: int, end: int, flags: int) -> list[bytes]:
    (count,) = _COUNT.unpack_from(buffer, at)
    at += _COUNT.size
    if flags & SAME:
        _check(count <= REPLIES_MAX)
        return [bytes(buffer[at:end])] * count
    start = at + 4 * count
    _check(start <= end)
    lengths = array("I")
    lengths.frombytes(buffer[at:start])
    if sys.byteorder == "big":
        lengths.byteswap()
    edges = list(accumulate(lengths, initial=start))
    _check(edges[-1] == end)
    if isinstance(buffer, bytes):
        return [buffer[low:high] for low, high in pairwise(edges)]
    return [bytes(buffer[low:high]) for low, high in pairwise(edges)]


def _check(holds: bool) -> None:
    if not holds:
        raise FrameError("a frame's counts and lengths contradict its size")


REPLIES_MAX: Final = 16 * 1024 * 1024
"""Replies that one frame may claim to carry with SAME, which costs the sender nothing."""

_ENCODERS: Final[dict[type[Any], Callable[[Any], _Encoded]]] = {
    AppendEntries: _encode_append_entries,
    InstallSnapshot: _encode_install_snapshot,
    Leads: _encode_leads,
    Support: _encode_support,
    Withdraw: _encode_withdraw,
    ForwardPart: _encode_forward_part,
    PartReply: _encode_part_reply,
    ForwardRead: _encode_forward_read,
    ReadReply: _encode_read_reply,
    Published: _encode_published,
    LoadReport: _encode_load_report,
}
_DECODERS: Final[dict[int, Callable[[Buffer, int, int, int], Message]]] = {
    APPEND_ENTRIES: _decode_append_entries,
    INSTALL_SNAPSHOT: _decode_install_snapshot,
    LEADS: _decode_leads,
    SUPPORT: _decode_support,
    WITHDRAW: _decode_withdraw,
    FORWARD_PART: _decode_forward_part,
    PART_REPLY: _decode_part_reply,
    FORWARD_READ: _decode_forward_read,
    READ_REPLY: _decode_read_reply,
    PUBLISHED: _decode_published,
    LOAD_REPORT: _decode_load_report,
}
