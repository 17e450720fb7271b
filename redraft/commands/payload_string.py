"""A string in a payload: type 0, `string`."""

from __future__ import annotations

from typing import Final

from redraft.commands.context import Context
from redraft.commands.payload import Reader, Store, written_string
from redraft.engine.record import body_of, payload, string_body

TYPES: Final = (0,)


def write(ctx: Context, key: bytes) -> bytes:
    """Return the type and value of a stored string."""
    record = ctx.keyspace.find(ctx.slot_of(key), key)
    assert record is not None
    return b"\0" + written_string(payload(body_of(record)))


def read(_type: int, reader: Reader) -> Store:
    """Read a string; raises FormatError."""
    body = string_body(reader.string())
    return lambda ctx, key: ctx.keyspace.put(ctx.slot_of(key), key, body)
