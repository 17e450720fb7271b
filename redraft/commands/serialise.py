"""DUMP and RESTORE: keys in the form Redis serialises them.

Which types of value there are stands here; what a payload is made of in `redraft.commands.payload`.
RESTORE reads a payload to its end before it writes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from redraft.commands import (
    arguments,
    payload_hash,
    payload_list,
    payload_set,
    payload_sortedset,
    payload_stream,
    payload_string,
)
from redraft.commands.arguments import INT64_MAX
from redraft.commands.context import Context
from redraft.commands.payload import FormatError, Reader, Store, sealed, unsealed
from redraft.commands.reply import NIL, OK, SYNTAX, CommandError, bulk, invalid_expire_time
from redraft.engine.record import HASH, LIST, SET, STREAM, STRINGS, ZSET, body_of, expiring

_WRITERS: Final[dict[int, Callable[[Context, bytes], bytes]]] = {
    **dict.fromkeys(STRINGS, payload_string.write),
    HASH: payload_hash.write,
    LIST: payload_list.write,
    SET: payload_set.write,
    STREAM: payload_stream.write,
    ZSET: payload_sortedset.write,
}
"""What serialises a key, by the first byte of its body."""

_READERS: Final[dict[int, Callable[[int, Reader], Store]]] = {
    **dict.fromkeys(payload_string.TYPES, payload_string.read),
    **dict.fromkeys(payload_hash.TYPES, payload_hash.read),
    **dict.fromkeys(payload_list.TYPES, payload_list.read),
    **dict.fromkeys(payload_set.TYPES, payload_set.read),
    **dict.fromkeys(payload_sortedset.TYPES, payload_sortedset.read),
    **dict.fromkeys(payload_stream.TYPES, payload_stream.read),
}
"""What reads a payload, by its type."""


def read_payload(data: bytes) -> Store:
    """Read a payload; raises CommandError when it is none, or none that can be read here."""
    contents = unsealed(data)
    if contents is None:
        raise CommandError(b"ERR DUMP payload version or checksum are wrong")
    reader = Reader(contents)
    try:
        type_ = reader.byte()
        if type_ not in _READERS:
            raise FormatError
        return _READERS[type_](type_, reader)
    except FormatError:
        raise CommandError(b"ERR Bad data format") from None


def dump(ctx: Context, args: list[bytes]) -> bytes:
    """DUMP key."""
    record = ctx.keyspace.find(ctx.slot_of(args[1]), args[1])
    if record is None:
        return NIL[ctx.proto]
    return bulk(sealed(_WRITERS[body_of(record)[0]](ctx, args[1])))


def restore(ctx: Context, args: list[bytes]) -> bytes:
    """RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]."""
    seen: set[bytes] = set()
    rest = iter(args[4:])
    for word in rest:
        option = word.lower()
        if option in {b"replace", b"absttl"}:
            seen.add(option)
        elif option == b"idletime" and b"freq" not in seen and (argument := next(rest, None)) is not None:
            if arguments.integer(argument) < 0:
                raise CommandError(b"ERR Invalid IDLETIME value, must be >= 0")
            seen.add(option)
        elif option == b"freq" and b"idletime" not in seen and (argument := next(rest, None)) is not None:
            if not 0 <= arguments.integer(argument) <= 255:
                raise CommandError(b"ERR Invalid FREQ value, must be >= 0 and <= 255")
            seen.add(option)
        else:
            raise CommandError(SYNTAX)
    key, slot = args[1], ctx.slot_of(args[1])
    if b"replace" not in seen and ctx.keyspace.find(slot, key) is not None:
        raise CommandError(b"BUSYKEY Target key name already exists.")
    time_ms = arguments.integer(args[2])
    if time_ms < 0:
        raise CommandError(b"ERR Invalid TTL value, must be >= 0")
    store = read_payload(args[3])
    if time_ms and b"absttl" not in seen:
        time_ms += ctx.now_ms
        if time_ms > INT64_MAX:
            raise CommandError(invalid_expire_time(b"restore"))
    store(ctx, key)
    if time_ms:
        record = ctx.keyspace.engine.get(slot, key)
        assert record is not None
        ctx.keyspace.put(slot, key, expiring(record, time_ms))
    return OK
