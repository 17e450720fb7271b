"""A list in a payload.

    type 1      length element*              strings
    type 10     string                       a ziplist
    type 14     length string*               ziplists
    type 18     length (container string)*   container 1: one element as it is, 2: a listpack

Type 1 is what is written: any Redis reads it.
"""

from __future__ import annotations

from typing import Final

from redraft.commands.context import Context
from redraft.commands.elements import Elements, find_list
from redraft.commands.packed import read_listpack, read_ziplist
from redraft.commands.payload import FormatError, Reader, Store, written_length, written_string
from redraft.engine.record import LIST

_PLAIN, _ZIPLIST, _ZIPLISTS, _NODES = 1, 10, 14, 18
TYPES: Final = (_PLAIN, _ZIPLIST, _ZIPLISTS, _NODES)

_ONE, _PACKED = 1, 2


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored list."""
    found = find_list(ctx, key)
    assert found is not None
    values = found.values(0, found.size)
    return b"".join([bytes((_PLAIN,)), written_length(len(values)), *map(written_string, values)])


def read(type_: int, reader: Reader) -> Store:
    """Read a list; raises FormatError."""
    values: list[bytes] = []
    if type_ == _ZIPLIST:
        values = read_ziplist(reader.string())
    else:
        for _ in range(reader.count()):
            values += _read_part(type_, reader)
    if not values:
        raise FormatError

    def store(ctx: Context, key: bytes) -> None:
        made = Elements.new(ctx, key, LIST)
        for value in values:
            made.push(value, left=False)
        made.save()

    return store


def _read_part(type_: int, reader: Reader) -> list[bytes]:
    if type_ == _PLAIN:
        return [reader.string()]
    if type_ == _ZIPLISTS:
        return read_ziplist(reader.string())
    container, node = reader.length(), reader.string()
    if container not in {_ONE, _PACKED}:
        raise FormatError
    return [node] if container == _ONE else read_listpack(node)
