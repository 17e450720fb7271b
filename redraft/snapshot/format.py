"""What a snapshot looks like: a magic number, then blocks; the same bytes on disk and on the wire.

    snapshot = "rdrsnap1" HEADER [ OWNERSHIP ] { KEYS | MEMBERS | SESSION | MODIFIED } END
    block    = crc u32, length u32 (of the payload), type u8, 3 zeros, payload
    HEADER   = msgpack of `Header`
    KEYS     = slot u32, count u32, { key length u32 }, { record length u32 }, keys, records
    MEMBERS  = collection id u64, and the rest as in KEYS, with names and values
    SESSION  = msgpack of `SessionState`; a session with many replies takes several
    MODIFIED = msgpack of `Modified`; none when nothing was written yet
    OWNERSHIP = `Owned.state`; none when the group never took part in a move of slots
    END      = msgpack of `End`

Little-endian.  The crc is CRC-32C of all that follows it in the block, going on from the crc of the block
before (of the first: from 0): so a block that is damaged, missing, doubled or from another snapshot shows
at once, and an END that fits vouches for all.  Engines don't matter: records are as in
`redraft.engine.record`, in no order.  Knows nothing of files.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

import msgspec

from redraft.accel.record import crc32c
from redraft.engine.capture import Run

MAGIC: Final = b"rdrsnap1"
HEADER, KEYS, SESSION, END, MEMBERS, MODIFIED, OWNERSHIP = 1, 2, 3, 4, 5, 6, 7
BLOCK_BYTES: Final = 256 * 1024
"""Records are gathered into blocks of about this size; a larger record has a block of its own."""
BLOCK_BYTES_MAX: Final = (1 << 30) + (64 << 20)

_BLOCK: Final = struct.Struct("<IIB3x")
_KEYS: Final = struct.Struct("<II")
_ID: Final = struct.Struct("<Q")


class SnapshotDamagedError(Exception):
    """The bytes are no snapshot, or not all of one; says what is wrong, and at which offset."""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """Whose state this is, and as of when: entry `index` of `term` was the last one applied."""

    group: int
    index: int
    term: int
    configuration: bytes
    """The group's configuration as of that entry (`redraft.raft.configuration`)."""
    clock_ms: int
    expired_keys: int
    collections_made: int = 0


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """One session (`redraft.replica.sessions`), or a part of its replies."""

    origin: int
    incarnation: int
    acknowledged_below: int
    replies: dict[int, list[bytes]]


class Modified(msgspec.Struct, frozen=True, array_like=True):
    """For each slot that was ever written to: the index of the last entry that changed something there."""

    index_by_slot: dict[int, int]


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """The slots a group owns and the moves it takes part in (`redraft.commands.ownership`)."""

    state: bytes


class End(msgspec.Struct, frozen=True, array_like=True):
    """What must have come before."""

    keys: int
    blocks: int


Item = Header | Owned | Run | SessionState | Modified | End


class Encoder:
    """Makes the blocks of one snapshot, in order."""

    __slots__ = ("_blocks", "_crc", "_keys")

    def __init__(self) -> None:
        self._crc = 0
        self._blocks = 0
        self._keys = 0

    def header(self, header: Header) -> bytes:
        """Return the snapshot's beginning."""
        return MAGIC + self._block(HEADER, msgspec.msgpack.encode(header))

    def items(self, items: Iterable[Item]) -> Iterator[bytes]:
        """Yield the blocks of items that are no keys, and not the end."""
        for item in items:
            if isinstance(item, Header):
                yield self.header(item)
            elif isinstance(item, SessionState):
                yield from self.session(item)
            elif isinstance(item, Modified):
                yield self.modified(item)
            elif isinstance(item, Owned):
                yield self._block(OWNERSHIP, item.state)

    def run(self, run: Run) -> Iterator[bytes]:
        """Yield the blocks for some keys of a slot, or some members of a collection."""
        keys, records = run.keys, run.records
        count = len(keys)
        begin = 0
        while begin < count:
            end, size = begin, 0
            while end < count and (end == begin or size + len(keys[end]) + len(records[end]) <= BLOCK_BYTES):
                size += len(keys[end]) + len(records[end])
                end += 1
            yield self._keys_block(run.slot, keys[begin:end], records[begin:end], run.id)
            begin = end

    def session(self, state: SessionState) -> Iterator[bytes]:
        """Yield the blocks of one session; the replies of one part stay together."""
        gathered: dict[int, list[bytes]] = {}
        size = 0
        for sequence, replies in state.replies.items():
            gathered[sequence] = replies
            size += sum(map(len, replies))
            if size > BLOCK_BYTES:
                yield self._session_block(state, gathered)
                gathered, size = {}, 0
        yield self._session_block(state, gathered)

    def modified(self, modified: Modified) -> bytes:
        """Return the block that says when slots were changed."""
        return self._block(MODIFIED, msgspec.msgpack.encode(modified))

    def end(self) -> bytes:
        """Return the last block."""
        return self._block(END, msgspec.msgpack.encode(End(self._keys, self._blocks)))

    def _session_block(self, state: SessionState, replies: dict[int, list[bytes]]) -> bytes:
        part = SessionState(state.origin, state.incarnation, state.acknowledged_below, replies)
        return self._block(SESSION, msgspec.msgpack.encode(part))

    def _keys_block(self, slot: int, keys: Sequence[bytes], records: Sequence[bytes], number: int) -> bytes:
        self._keys += len(keys)
        lengths = array("I", map(len, keys))
        lengths.extend(map(len, records))
        payload = b"".join((_KEYS.pack(slot, len(keys)), lengths.tobytes(), *keys, *records))
        return self._block(MEMBERS, _ID.pack(number) + payload) if number else self._block(KEYS, payload)

    def _block(self, of_type: int, payload: bytes) -> bytes:
        block = _BLOCK.pack(0, len(payload), of_type) + payload
        self._crc = crc32c(memoryview(block)[4:], self._crc)
        self._blocks += 1
        return struct.pack("<I", self._crc) + block[4:]


class Decoder:
    """Takes a snapshot's bytes in pieces of any size, and gives back what they say.

    Every item is checked before it is given; the snapshot is whole once `ended`.
    """

    __slots__ = ("_blocks", "_buffer", "_crc", "_keys", "ended", "offset")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._crc = 0
        self._blocks = 0
        self._keys = 0
        self.offset = 0
        """Of the block that comes next."""
        self.ended = False

    def feed(self, data: bytes) -> Iterator[Item]:
        """Yield what is complete with these bytes; raises SnapshotDamagedError."""
        buffer = self._buffer
        buffer += data
        at = 0
        if self.offset == 0:
            if len(buffer) < len(MAGIC):
                return
            if not buffer.startswith(MAGIC):
                raise SnapshotDamagedError("it does not begin like a snapshot (offset 0)")
            at = self.offset = len(MAGIC)
        with memoryview(buffer) as view:
            while len(view) - at >= _BLOCK.size:
                crc, length, of_type = _BLOCK.unpack_from(view, at)
                end = at + _BLOCK.size + length
                if length > BLOCK_BYTES_MAX or self.ended:
                    raise SnapshotDamagedError(f"there is no block at offset {self.offset}")
                if end > len(view):
                    break
                with view[at + 4 : end] as checked:
                    self._crc = crc32c(checked, self._crc)
                if crc != self._crc:
                    raise SnapshotDamagedError(f"a checksum is wrong at offset {self.offset}")
                yield self._item(of_type, bytes(view[at + _BLOCK.size : end]))
                self._blocks += 1
                self.offset += end - at
                at = end
        del buffer[:at]

    def _item(self, of_type: int, payload: bytes) -> Item:
        try:
            if of_type == KEYS:
                return self._run(payload)
            if of_type == MEMBERS:
                return self._run(payload[_ID.size :], *_ID.unpack_from(payload))
            if of_type == SESSION:
                return msgspec.msgpack.decode(payload, type=SessionState)
            if of_type == MODIFIED:
                return msgspec.msgpack.decode(payload, type=Modified)
            if of_type == OWNERSHIP:
                return Owned(payload)
            if of_type == HEADER and not self._blocks:
                return msgspec.msgpack.decode(payload, type=Header)
            if of_type == END:
                end = msgspec.msgpack.decode(payload, type=End)
                if end == End(self._keys, self._blocks):
                    self.ended = True
                    return end
        except (msgspec.MsgspecError, struct.error, ValueError):
            pass
        raise SnapshotDamagedError(f"there is no such block at offset {self.offset}")

    def _run(self, payload: bytes, number: int = 0) -> Run:
        slot, count = _KEYS.unpack_from(payload)
        start = _KEYS.size + 8 * count
        lengths = array("I", payload[_KEYS.size : start])
        edges = list(accumulate(lengths, initial=start))
        if len(lengths) != 2 * count or edges[-1] != len(payload):
            raise ValueError
        parts = [payload[low:high] for low, high in pairwise(edges)]
        self._keys += count
        return Run(slot, parts[:count], parts[count:], number)
