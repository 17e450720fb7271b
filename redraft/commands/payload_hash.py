"""A hash in a payload.

    type 4      length (field value)*        both strings
    type 13     string                       a ziplist of fields and values
    type 16     string                       a listpack of them

Type 4 is what is written: any Redis reads it.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import hashes
from redraft.commands.collection import PLACE_BYTES, Collection
from redraft.commands.context import Context
from redraft.commands.packed import pairs, read_listpack, read_ziplist
from redraft.commands.payload import Reader, Store, written_length, written_string
from redraft.engine.record import HASH

_PLAIN, _ZIPLIST, _LISTPACK = 4, 13, 16
TYPES: Final = (_PLAIN, _ZIPLIST, _LISTPACK)


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored hash."""
    found = Collection.find(ctx, key, HASH)
    assert found is not None
    parts = [bytes((_PLAIN,)), written_length(found.size)]
    for name, value in found.members.range():
        parts += (written_string(name[PLACE_BYTES:]), written_string(value))
    return b"".join(parts)


def read(type_: int, reader: Reader) -> Store:
    """Read a hash; raises FormatError."""
    if type_ == _PLAIN:
        fields = pairs([reader.string() for _ in range(2 * reader.count())])
    else:
        packed = reader.string()
        fields = pairs(read_ziplist(packed) if type_ == _ZIPLIST else read_listpack(packed))

    def store(ctx: Context, key: bytes) -> None:
        made = Collection.new(ctx, key, HASH)
        for field, value in fields:
            hashes.set_field(made, field, value)
        hashes.save(made)

    return store
