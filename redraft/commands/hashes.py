"""The commands on hashes: a member per field, named by the field's place, with the field's value.

`LARGE` says that Redis would have given up its compact form (OBJECT ENCODING), for good.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments, longdouble
from redraft.commands.arguments import INT64_MAX, INT64_MIN
from redraft.commands.chance import pick, pick_many, random_count
from redraft.commands.collection import PLACE_BYTES, Collection, placed
from redraft.commands.context import Context
from redraft.commands.memberscan import scan_members
from redraft.commands.reply import (
    NIL,
    NOT_FLOAT,
    OK,
    ONE,
    SYNTAX,
    ZERO,
    CommandError,
    array,
    bulk,
    integer,
    mapping,
    wrong_arity,
)
from redraft.engine.record import HASH

LARGE: Final = 1
COMPACT_FIELDS_MAX: Final = 512
COMPACT_BYTES_MAX: Final = 64
"""Redis's defaults of hash-max-listpack-entries and hash-max-listpack-value."""


def set_field(found: Collection, field: bytes, value: bytes) -> bool:
    """Give a field a value; return whether it is new."""
    if len(value) > COMPACT_BYTES_MAX or len(field) > COMPACT_BYTES_MAX:
        found.flags |= LARGE
    return found.put(placed(field), value) is None


def save(found: Collection) -> None:
    """Save a hash that was written."""
    if found.size > COMPACT_FIELDS_MAX:
        found.flags |= LARGE
    found.save()


def encoding(flags: int) -> bytes:
    """Return Redis's name for how it would store the hash."""
    return b"hashtable" if flags & LARGE else b"listpack"


# ---- writing ----


def hset(ctx: Context, args: list[bytes]) -> bytes:
    """HSET key field value [field value ...]."""
    if len(args) % 2:
        raise CommandError(wrong_arity(args[0].lower()))
    found = Collection.open_(ctx, args[1], HASH)
    added = 0
    for at in range(2, len(args), 2):
        added += set_field(found, args[at], args[at + 1])
    save(found)
    return integer(added)


def hmset(ctx: Context, args: list[bytes]) -> bytes:
    """HMSET key field value [field value ...]."""
    hset(ctx, args)
    return OK


def hsetnx(ctx: Context, args: list[bytes]) -> bytes:
    """HSETNX key field value."""
    found = Collection.open_(ctx, args[1], HASH)
    if found.members.get(placed(args[2])) is not None:
        return ZERO
    set_field(found, args[2], args[3])
    save(found)
    return ONE


def hdel(ctx: Context, args: list[bytes]) -> bytes:
    """HDEL key field [field ...]."""
    found = Collection.find(ctx, args[1], HASH)
    if found is None:
        return ZERO
    deleted = sum(found.delete(placed(field)) is not None for field in args[2:])
    if deleted:
        found.save()
    return integer(deleted)


def hincrby(ctx: Context, args: list[bytes]) -> bytes:
    """HINCRBY key field increment."""
    increment = arguments.integer(args[3])
    found = Collection.open_(ctx, args[1], HASH)
    text = found.members.get(placed(args[2]))
    value = arguments.parse_integer(text) if text is not None else 0
    if value is None:
        raise CommandError(b"ERR hash value is not an integer")
    value += increment
    if not INT64_MIN <= value <= INT64_MAX:
        raise CommandError(b"ERR increment or decrement would overflow")
    set_field(found, args[2], b"%d" % value)
    save(found)
    return integer(value)


def hincrbyfloat(ctx: Context, args: list[bytes]) -> bytes:
    """HINCRBYFLOAT key field increment."""
    increment = longdouble.parse(args[3])
    if increment is None:
        raise CommandError(NOT_FLOAT)
    if increment.infinite:
        raise CommandError(b"ERR value is NaN or Infinity")
    found = Collection.open_(ctx, args[1], HASH)
    text = found.members.get(placed(args[2]))
    number = longdouble.parse(text if text is not None else b"0")
    if number is None:
        raise CommandError(b"ERR hash value is not a float")
    total = longdouble.add(number, increment)
    if total is None:
        raise CommandError(b"ERR increment would produce NaN or Infinity")
    spelled = longdouble.spell(total)
    set_field(found, args[2], spelled)
    save(found)
    return bulk(spelled)


# ---- reading ----


def hget(ctx: Context, args: list[bytes]) -> bytes:
    """HGET key field."""
    found = Collection.find(ctx, args[1], HASH)
    value = found.members.get(placed(args[2])) if found is not None else None
    return bulk(value) if value is not None else NIL[ctx.proto]


def hmget(ctx: Context, args: list[bytes]) -> bytes:
    """HMGET key field [field ...]."""
    found, nil = Collection.find(ctx, args[1], HASH), NIL[ctx.proto]
    if found is None:
        return array([nil] * (len(args) - 2))
    values = found.members.get_many([placed(field) for field in args[2:]])
    return array([bulk(value) if value is not None else nil for value in values])


def hexists(ctx: Context, args: list[bytes]) -> bytes:
    """HEXISTS key field."""
    found = Collection.find(ctx, args[1], HASH)
    return integer(found is not None and found.members.get(placed(args[2])) is not None)


def hlen(ctx: Context, args: list[bytes]) -> bytes:
    """HLEN key."""
    found = Collection.find(ctx, args[1], HASH)
    return integer(found.size) if found is not None else ZERO


def hstrlen(ctx: Context, args: list[bytes]) -> bytes:
    """HSTRLEN key field."""
    found = Collection.find(ctx, args[1], HASH)
    return integer(len(found.members.get(placed(args[2])) or b"")) if found is not None else ZERO


def _pairs(ctx: Context, key: bytes) -> list[tuple[bytes, bytes]]:
    found = Collection.find(ctx, key, HASH)
    return found.members.range() if found is not None else []


def hgetall(ctx: Context, args: list[bytes]) -> bytes:
    """HGETALL key."""
    pairs = [(bulk(name[PLACE_BYTES:]), bulk(value)) for name, value in _pairs(ctx, args[1])]
    return mapping(ctx.proto, pairs)


def hkeys(ctx: Context, args: list[bytes]) -> bytes:
    """HKEYS key."""
    return array([bulk(name[PLACE_BYTES:]) for name, _ in _pairs(ctx, args[1])])


def hvals(ctx: Context, args: list[bytes]) -> bytes:
    """HVALS key."""
    return array([bulk(value) for _, value in _pairs(ctx, args[1])])


def hscan(ctx: Context, args: list[bytes]) -> bytes:
    """HSCAN key cursor [MATCH pattern] [COUNT count]."""
    return scan_members(ctx, args, HASH, lambda _found, name, value: (bulk(name), bulk(value)))


def hrandfield(ctx: Context, args: list[bytes]) -> bytes:
    """HRANDFIELD key [count [WITHVALUES]]: a negative count may give a field twice."""
    if len(args) == 2:
        found = Collection.find(ctx, args[1], HASH)
        return bulk(pick(ctx, found)[0]) if found is not None else NIL[ctx.proto]
    count = random_count(args[2])
    values = len(args) == 4 and args[3].lower() == b"withvalues"
    if len(args) > 4 or (len(args) == 4 and not values):
        raise CommandError(SYNTAX)
    if values and not -(INT64_MAX // 2) <= count <= INT64_MAX // 2:
        raise CommandError(b"ERR value is out of range")
    found = Collection.find(ctx, args[1], HASH)
    chosen = pick_many(ctx, found, count) if found is not None else []
    if not values:
        return array([bulk(name) for name, _ in chosen])
    if ctx.proto == 2:
        return array([bulk(part) for pair in chosen for part in pair])
    return array([array([bulk(name), bulk(value)]) for name, value in chosen])
