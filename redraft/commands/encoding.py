"""OBJECT: how Redis would store a value.

Nothing of it is how values are stored here; clients and their tests look at it all the same.  Uses
of keys are not recorded, so a key was always just used.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import hashes, lists, sets, sortedset, stream
from redraft.commands.arguments import parse_integer
from redraft.commands.context import Context
from redraft.commands.reply import NIL, ONE, ZERO, CommandError, bulk, help_text, integer
from redraft.engine.record import (
    COMPUTED,
    EDITED,
    HASH,
    LIST,
    SET,
    STREAM,
    STRINGS,
    ZSET,
    body_of,
    collection_of,
    payload,
)

_EMBEDDED_BYTES_MAX: Final = 44
_SHARED_INTEGERS: Final = 10000
_SHARED_REFERENCES: Final = 2**31 - 1

_HELP: Final = help_text(b"OBJECT", (
    b"ENCODING <key>",
    b"    How Redis would store the key's value.",
    b"FREQ <key>",
    b"    How often the key is used: not recorded.",
    b"IDLETIME <key>",
    b"    Seconds since the key was used: not recorded, 0.",
    b"REFCOUNT <key>",
    b"    The number of references Redis would have to the value.",
))  # fmt: skip


_OF_TYPE: Final = {
    HASH: hashes.encoding,
    LIST: lists.encoding,
    SET: sets.encoding,
    STREAM: stream.encoding,
    ZSET: sortedset.encoding,
}
"""What tells the encoding of a collection by its flags."""


def encoding(body: bytes) -> bytes:
    """Return Redis's name for the encoding of a value."""
    if body[0] not in STRINGS:
        return _OF_TYPE[body[0]](collection_of(body)[0].flags)
    if body[0] == EDITED:
        return b"raw"
    value = payload(body)
    if body[0] != COMPUTED and parse_integer(value) is not None:
        return b"int"
    return b"embstr" if len(value) <= _EMBEDDED_BYTES_MAX else b"raw"


def object_(ctx: Context, args: list[bytes]) -> bytes:
    """OBJECT ENCODING|FREQ|IDLETIME|REFCOUNT key, OBJECT HELP."""
    subcommand = args[1].lower()
    if subcommand == b"help":
        return _HELP
    record = ctx.keyspace.find(ctx.slot_of(args[2]), args[2])
    if record is None:
        return NIL[ctx.proto]
    body = body_of(record)
    if subcommand == b"encoding":
        return bulk(encoding(body))
    if subcommand == b"idletime":
        return ZERO
    if subcommand == b"refcount":
        if body[0] not in STRINGS:
            return ONE
        number = parse_integer(payload(body)) if encoding(body) == b"int" else None
        shared = number is not None and 0 <= number < _SHARED_INTEGERS
        return integer(_SHARED_REFERENCES) if shared else ONE
    raise CommandError(
        b"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
        b"switching between policies at runtime LRU and LFU data will take some time to adjust."
    )
