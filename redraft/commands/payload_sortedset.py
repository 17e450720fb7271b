"""A sorted set in a payload.

    type 3      length (member text)*        text: 1 byte of length and a number as text, or 253 for what is
                                             no number, 254 and 255 for the infinities
    type 5      length (member double)*      8 bytes, little endian
    type 12     string                       a ziplist of members and scores as text
    type 17     string                       a listpack of them

Type 5 is what is written.  A score that is no number is refused.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from redraft.commands import sortedset
from redraft.commands.context import Context
from redraft.commands.packed import distinct, pairs, read_listpack, read_ziplist
from redraft.commands.payload import FormatError, Reader, Store, written_length, written_string
from redraft.commands.scores import parse_score

_TEXTS, _DOUBLES, _ZIPLIST, _LISTPACK = 3, 5, 12, 17
TYPES: Final = (_TEXTS, _DOUBLES, _ZIPLIST, _LISTPACK)

_DOUBLE: Final = struct.Struct("<d")
_NAMED: Final = {253: math.nan, 254: math.inf, 255: -math.inf}


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored sorted set."""
    found = sortedset.find(ctx, key)
    assert found is not None
    parts = [bytes((_DOUBLES,)), written_length(found.elements)]
    for row in found.rows(0, found.elements, reverse=True):  # the highest first, as a server does
        parts += (written_string(sortedset.member_of(row)), _DOUBLE.pack(sortedset.score_of(row)))
    return b"".join(parts)


def read(type_: int, reader: Reader) -> Store:
    """Read a sorted set; raises FormatError."""
    if type_ in {_TEXTS, _DOUBLES}:
        take = _text if type_ == _TEXTS else _double
        elements = [(reader.string(), take(reader)) for _ in range(reader.count())]
        distinct([member for member, _ in elements])
    else:
        packed = reader.string()
        listed = pairs(read_ziplist(packed) if type_ == _ZIPLIST else read_listpack(packed))
        elements = [(member, _number(score)) for member, score in listed]
    if any(math.isnan(score) for _, score in elements):
        raise FormatError

    def store(ctx: Context, key: bytes) -> None:
        sortedset.store(ctx, key, elements)

    return store


def _double(reader: Reader) -> float:
    (score,) = reader.fields(_DOUBLE)
    return float(score)


def _text(reader: Reader) -> float:
    length = reader.byte()
    named = _NAMED.get(length)
    return named if named is not None else _number(reader.take(length).strip())


def _number(text: bytes) -> float:
    number = parse_score(text)
    if number is None:
        raise FormatError
    return number
