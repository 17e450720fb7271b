"""A stream in a payload.

    types 15, 19 and 21 = length node* entries last [first max-deleted added] length group*
    node     = string(ID of the master entry) string(listpack)
    listpack = entries deleted fields(number) field* 0, then for each entry
               flags ms seq [fields(number)] (field value)* or value* elements
    group    = string(name) last [entries-read] length (ID delivered deliveries)* length consumer*
    consumer = string(name) seen [active] length ID*

What stands in brackets came with type 19, but for `active`, which came with 21.  Numbers and the halves of
last, first and max-deleted are lengths; IDs are 16 bytes, big endian; times 8 bytes, little endian,
milliseconds.  An entry's ms and seq count from the master entry's ID; flag 1 is "deleted", flag 2 "has the
master entry's fields", and then only values follow.  Type 19 is what is written: it is Redis 7.0's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from redraft.commands.arguments import parse_integer
from redraft.commands.collection import Collection
from redraft.commands.context import Context
from redraft.commands.packed import read_listpack, write_listpack
from redraft.commands.payload import FormatError, Reader, Store, written_length, written_string
from redraft.commands.stream import UNKNOWN, Stream
from redraft.commands.streamgroup import Group, Pending, groups_of, make_group
from redraft.commands.streamid import ID_BYTES, MIN, UINT64_MAX, pack, unpack
from redraft.engine.record import STREAM

_FIRST, _COUNTED, _ACTIVE = 15, 19, 21
TYPES: Final = (_FIRST, _COUNTED, _ACTIVE)

_DELETED, _SAME_FIELDS = 1, 2
_NODE_ENTRIES_MAX: Final = 100
_NODE_BYTES_MAX: Final = 4096
"""Redis's defaults of stream-node-max-entries and stream-node-max-bytes, for what is written."""

_TIME: Final = struct.Struct("<q")
_SHOWN_BYTES: Final = 16
"""What a field or value may cost besides its bytes."""


@dataclass(slots=True)
class _Consumer:
    name: bytes
    seen_ms: int
    active_ms: int
    ids: list[bytes]


@dataclass(slots=True)
class _Group:
    name: bytes
    last: bytes
    entries_read: int | None
    pending: dict[bytes, tuple[int, int]]
    consumers: list[_Consumer]


@dataclass(slots=True)
class _Read:
    """A stream that was read: what `_store` makes a key of."""

    entries: list[tuple[bytes, list[bytes]]]
    last: bytes = MIN
    max_deleted: bytes = MIN
    added: int = 0
    groups: list[_Group] = field(default_factory=list)


# ---- writing ----


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored stream."""
    stream = Stream.find(ctx, key)
    assert stream is not None
    nodes = list(_nodes([(entry_id, _words(value)) for entry_id, value in stream.entries()]))
    groups = groups_of(stream)
    parts = [bytes((_COUNTED,)), written_length(len(nodes)), *nodes, written_length(stream.length)]
    parts += map(_written_id, (stream.last, stream.first, stream.max_deleted))
    parts += (written_length(stream.added), written_length(len(groups)))
    parts += map(_written_group, groups)
    return b"".join(parts)


def _words(value: bytes) -> list[bytes]:
    """Return the strings of an entry, which is stored as a RESP array."""
    words = []
    at = value.index(b"\n") + 1
    while at < len(value):
        start = value.index(b"\n", at) + 1
        end = start + int(value[at + 1 : start - 2])
        words.append(value[start:end])
        at = end + 2
    return words


def _nodes(entries: list[tuple[bytes, list[bytes]]]) -> Iterator[bytes]:
    """Yield the entries in nodes, as many in each as Redis would have put there."""
    node: list[tuple[bytes, list[bytes]]] = []
    size = 0
    for entry in entries:
        node.append(entry)
        size += sum(map(len, entry[1]))
        if size >= _NODE_BYTES_MAX or len(node) == _NODE_ENTRIES_MAX:
            yield _written_node(node)
            node, size = [], 0
    if node:
        yield _written_node(node)


def _written_node(entries: list[tuple[bytes, list[bytes]]]) -> bytes:
    master, words = entries[0]
    fields = words[::2]
    elements = [b"%d" % len(entries), b"0", b"%d" % len(fields), *fields, b"0"]
    for entry_id, each in entries:
        same = each[::2] == fields
        offsets = (_signed(a - b) for a, b in zip(unpack(entry_id), unpack(master), strict=True))
        elements += (b"%d" % (_SAME_FIELDS if same else 0), *(b"%d" % offset for offset in offsets))
        body = each[1::2] if same else [b"%d" % (len(each) // 2), *each]
        elements += (*body, b"%d" % (len(body) + 3))
    return written_string(master) + written_string(write_listpack(elements))


def _signed(number: int) -> int:
    """The 64 bits of a number, as a signed one."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _written_id(entry_id: bytes) -> bytes:
    return b"".join(map(written_length, unpack(entry_id)))


def _written_group(group: Group) -> bytes:
    pending = group.all_pending()
    held: dict[bytes, list[bytes]] = {}
    parts = [written_string(group.name), _written_id(group.last)]
    parts += (written_length(group.entries_read & UINT64_MAX), written_length(len(pending)))
    for each in pending:
        held.setdefault(each.consumer, []).append(each.id)
        parts += (each.id, _TIME.pack(each.delivered_ms), written_length(each.deliveries))
    consumers = group.all_consumers()
    parts.append(written_length(len(consumers)))
    for consumer in consumers:
        ids = held.get(consumer.name, [])
        parts += (written_string(consumer.name), _TIME.pack(consumer.seen_ms), written_length(len(ids)), *ids)
    return b"".join(parts)


# ---- reading ----


def read(type_: int, reader: Reader) -> Store:
    """Read a stream; raises FormatError."""
    found = _Read([])
    for _ in range(reader.length()):
        master, packed = reader.string(), reader.string()
        if len(master) != ID_BYTES:
            raise FormatError
        _read_node(reader, master, read_listpack(packed), found.entries)
    length = reader.length()
    found.last = _read_id(reader)
    if type_ == _FIRST:
        found.added = length
    else:
        _read_id(reader)  # the first entry's, which is known
        found.max_deleted = _read_id(reader)
        found.added = reader.length()
    ids = [entry_id for entry_id, _ in found.entries]
    if (
        length != len(ids)
        or found.added < length
        or max(found.max_deleted, *ids[-1:], MIN) > found.last
        or any(low >= high for low, high in pairwise(ids))
    ):
        raise FormatError
    found.groups = [_read_group(type_, reader) for _ in range(reader.length())]
    if len({group.name for group in found.groups}) != len(found.groups):
        raise FormatError
    return lambda ctx, key: _store(ctx, key, found)


def _read_node(
    reader: Reader, master: bytes, packed: list[bytes], entries: list[tuple[bytes, list[bytes]]]
) -> None:
    """Add the entries of a node to `entries`."""
    elements = _Elements(packed)
    count, deleted, width = elements.number(), elements.number(), elements.number()
    fields = elements.take(width)
    if elements.number():
        raise FormatError
    ms, seq = unpack(master)
    while elements.left:
        flags = elements.number()
        entry_id = pack((ms + elements.number()) & UINT64_MAX, (seq + elements.number()) & UINT64_MAX)
        if flags & _SAME_FIELDS:
            values = elements.take(width)
            words = [word for pair in zip(fields, values, strict=True) for word in pair]
            size = width + 3
        else:
            words = elements.take(2 * elements.number())
            size = len(words) + 4
        if not words or elements.number() != size or entry_id < master:
            raise FormatError
        if flags & _DELETED:
            deleted -= 1
        else:
            count -= 1
            reader.spend(sum(map(len, words)) + _SHOWN_BYTES * len(words))
            entries.append((entry_id, words))
    if count or deleted:
        raise FormatError


class _Elements:
    """Goes through the elements of a node's listpack."""

    def __init__(self, elements: list[bytes]) -> None:
        self._elements = elements
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._elements) - self._at

    def take(self, count: int) -> list[bytes]:
        if not 0 <= count <= self.left:
            raise FormatError
        start, self._at = self._at, self._at + count
        return self._elements[start : self._at]

    def number(self) -> int:
        number = parse_integer(self.take(1)[0])
        if number is None:
            raise FormatError
        return number


def _read_id(reader: Reader) -> bytes:
    return pack(reader.length(), reader.length())


def _read_time(reader: Reader, least: int = 0) -> int:
    (time_ms,) = reader.fields(_TIME)
    if time_ms < least:
        raise FormatError
    return int(time_ms)


def _read_group(type_: int, reader: Reader) -> _Group:
    group = _Group(reader.string(), _read_id(reader), None, {}, [])
    if type_ != _FIRST:
        group.entries_read = _signed(reader.length())
        if group.entries_read < UNKNOWN:
            raise FormatError
    for _ in range(reader.length()):
        entry_id = reader.take(ID_BYTES)
        if entry_id in group.pending:
            raise FormatError
        group.pending[entry_id] = (_read_time(reader), reader.length())
    for _ in range(reader.length()):
        name, seen_ms = reader.string(), _read_time(reader)
        active_ms = _read_time(reader, least=-1) if type_ == _ACTIVE else seen_ms
        ids = [reader.take(ID_BYTES) for _ in range(reader.length())]
        group.consumers.append(_Consumer(name, seen_ms, active_ms, ids))
    held = [entry_id for consumer in group.consumers for entry_id in consumer.ids]
    if (
        len({consumer.name for consumer in group.consumers}) != len(group.consumers)
        or len(held) != len(group.pending)
        or set(held) != group.pending.keys()
    ):
        raise FormatError
    return group


def _store(ctx: Context, key: bytes, found: _Read) -> None:
    """Make a key of a stream that was read."""
    stream = Stream(Collection.new(ctx, key, STREAM))
    for entry_id, words in found.entries:
        stream.append(entry_id, words)
    stream.last, stream.max_deleted, stream.added = found.last, found.max_deleted, found.added
    for each in found.groups:
        read = each.entries_read
        group = make_group(
            stream, each.name, each.last, read if read is not None else stream.entries_up_to(each.last)
        )
        for one in each.consumers:
            consumer = group.make_consumer(one.name, one.seen_ms)
            consumer.active_ms = one.active_ms
            for entry_id in one.ids:
                group.hold(Pending(entry_id, one.name, *each.pending[entry_id]), consumer, None)
        group.save()
    stream.save()
