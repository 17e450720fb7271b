"""A set in a payload.

    type 2      length member*               strings
    type 11     string                       an intset
    type 20     string                       a listpack of members

Type 2 is what is written: any Redis reads it.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import sets
from redraft.commands.collection import PLACE_BYTES, Collection, placed
from redraft.commands.context import Context
from redraft.commands.packed import distinct, read_intset, read_listpack
from redraft.commands.payload import Reader, Store, written_length, written_string
from redraft.engine.record import SET

_PLAIN, _INTSET, _LISTPACK = 2, 11, 20
TYPES: Final = (_PLAIN, _INTSET, _LISTPACK)


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored set."""
    found = Collection.find(ctx, key, SET)
    assert found is not None
    parts = [bytes((_PLAIN,)), written_length(found.size)]
    parts += [written_string(name[PLACE_BYTES:]) for name, _ in found.members.range()]
    return b"".join(parts)


def read(type_: int, reader: Reader) -> Store:
    """Read a set; raises FormatError."""
    if type_ == _PLAIN:
        members = [reader.string() for _ in range(reader.count())]
    else:
        packed = reader.string()
        members = read_intset(packed) if type_ == _INTSET else read_listpack(packed)
    names = [placed(member) for member in distinct(members)]

    def store(ctx: Context, key: bytes) -> None:
        sets.store(ctx, key, names)

    return store
