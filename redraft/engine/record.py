"""How the value of a key is kept: one bytes object, of which this file is the grammar.

    record   = body | "T" deadline body
    deadline = 8 bytes, big endian: milliseconds since the epoch at which the key is gone
    body     = "$" length CRLF bytes CRLF      a string, as RESP writes it: a GET's reply as it stands
             | ":" decimal CRLF                a string that is a 64-bit integer: an INCR's reply
             | "r$" length CRLF bytes CRLF     a string that was edited in place (Redis's encoding "raw")
             | "e$" length CRLF bytes CRLF     a string computed as a fraction that came out whole
             | letter flags id size bytes more a collection ("h" hash, "l" list, "s" set, "z" sorted set,
                                               "x" stream): flags 1 byte, three numbers of 8 bytes

The first byte of a body names its type.  A collection's members are not in its record: the engine keeps
them by the id, which no other collection of the group ever had; there are `size` of them, whose names and
values have `bytes` bytes together; what flags and more mean is the type's business.  Deadlines compare as
bytes.  The same bytes stand in every engine and in snapshots.  What a string is: `payload`.
Nothing here knows keys, slots or the time.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

STRING: Final = ord("$")
INTEGER: Final = ord(":")
EDITED: Final = ord("r")
COMPUTED: Final = ord("e")
EXPIRING: Final = ord("T")

DEADLINE_BYTES: Final = 8
BODY_AT: Final = 1 + DEADLINE_BYTES
"""Where the body of an expiring record begins."""

HASH: Final = ord("h")
LIST: Final = ord("l")
SET: Final = ord("s")
ZSET: Final = ord("z")
STREAM: Final = ord("x")

STRINGS: Final = frozenset((STRING, INTEGER, EDITED, COMPUTED))
"""First bytes of the bodies that are strings."""

TYPE_NAMES: Final = {
    **dict.fromkeys(STRINGS, b"string"),
    HASH: b"hash",
    LIST: b"list",
    SET: b"set",
    ZSET: b"zset",
    STREAM: b"stream",
}
"""The name TYPE gives, by the first byte of a body."""

MEMBER_BYTES: Final = 150
"""What a member costs besides the bytes of its name and value (measured on the hash engine)."""

_HEAD: Final = struct.Struct(">BBQQQ")
HEAD_BYTES: Final = _HEAD.size
pack_head: Final = _HEAD.pack
"""(letter, flags, id, size, bytes) -> what the body of a collection begins with."""
unpack_head: Final = _HEAD.unpack_from
"""The body of a collection -> (letter, flags, id, size, bytes)."""

_WEIGHED: Final = struct.Struct(">QQ")
_ID_AT: Final = 2
_SIZE_AT: Final = 10


def expiring(body: bytes, deadline_ms: int) -> bytes:
    """Return the record of `body` with a deadline."""
    return b"T" + deadline_ms.to_bytes(DEADLINE_BYTES, "big") + body


def body_of(record: bytes) -> bytes:
    """Return a record's body."""
    return record[BODY_AT:] if record[0] == EXPIRING else record


def deadline_of(record: bytes) -> int | None:
    """Return a record's deadline in milliseconds, None when it has none."""
    return int.from_bytes(record[1:BODY_AT], "big") if record[0] == EXPIRING else None


def with_body_of(record: bytes, body: bytes) -> bytes:
    """Return a record of `body` that keeps the deadline, if any, of `record`."""
    return record[:BODY_AT] + body if record[0] == EXPIRING else body


def type_name(record: bytes) -> bytes:
    """Return the name of the record's type, as TYPE gives it."""
    return TYPE_NAMES[record[BODY_AT] if record[0] == EXPIRING else record[0]]


class Head(NamedTuple):
    """What the body of a collection begins with."""

    letter: int
    flags: int
    id: int
    size: int
    bytes: int


def collection_body(head: Head, more: bytes = b"") -> bytes:
    """Return the body of a collection."""
    return _HEAD.pack(*head) + more


def collection_of(body: bytes) -> tuple[Head, bytes]:
    """Return what the body of a collection begins with, and what its type adds."""
    return Head(*_HEAD.unpack_from(body)), body[HEAD_BYTES:]


def collection_id(record: bytes) -> int:
    """Return the id of the collection that a record is; 0 for a string."""
    at = BODY_AT if record[0] == EXPIRING else 0
    return 0 if record[at] in STRINGS else int.from_bytes(record[at + _ID_AT : at + _SIZE_AT], "big")


def collection_size(record: bytes) -> tuple[int, int]:
    """Return how many members a collection's record counts, and their bytes."""
    size, members_bytes = _WEIGHED.unpack_from(record, (BODY_AT if record[0] == EXPIRING else 0) + _SIZE_AT)
    return int(size), int(members_bytes)


def with_id(record: bytes, number: int) -> bytes:
    """Return a collection's record with another id."""
    at = (BODY_AT if record[0] == EXPIRING else 0) + _ID_AT
    return record[:at] + number.to_bytes(_SIZE_AT - _ID_AT, "big") + record[at + _SIZE_AT - _ID_AT :]


def weight(record: bytes) -> int:
    """Return the bytes that a record and the members it stands for take."""
    at = BODY_AT if record[0] == EXPIRING else 0
    if record[at] in STRINGS:
        return len(record)
    size, members_bytes = _WEIGHED.unpack_from(record, at + _SIZE_AT)
    return len(record) + int(members_bytes) + int(size) * MEMBER_BYTES


def string_body(payload: bytes) -> bytes:
    """Return the body of a string."""
    return b"$%d\r\n%b\r\n" % (len(payload), payload)


def edited_body(*pieces: bytes | bytearray | memoryview) -> bytes:
    """Return the body of a string that was edited in place, out of its pieces."""
    return b"".join((b"r$%d\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"))


def computed_body(payload: bytes) -> bytes:
    """Return the body of a string that was computed as a fraction and came out as an integer."""
    return b"e$%d\r\n%b\r\n" % (len(payload), payload)


def integer_body(number: int) -> bytes:
    """Return the body of a string that is a 64-bit integer."""
    return b":%d\r\n" % number


def payload(body: bytes) -> bytes:
    """Return the string a string's body stands for."""
    if body[0] == INTEGER:
        return body[1:-2]
    return body[body.index(b"\n") + 1 : -2]


def payload_view(record: bytes) -> memoryview:
    """Return the string a string's record stands for, without a copy."""
    at = BODY_AT if record[0] == EXPIRING else 0
    start = at + 1 if record[at] == INTEGER else record.index(b"\n", at) + 1
    return memoryview(record)[start:-2]
