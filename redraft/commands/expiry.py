"""The commands that give keys a time to live, and tell it."""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments
from redraft.commands.arguments import INT64_MAX, INT64_MIN
from redraft.commands.context import Context
from redraft.commands.reply import ONE, ZERO, CommandError, integer, invalid_expire_time
from redraft.engine.record import body_of, deadline_of
from redraft.engine.record import expiring as expiring_record

_MISSING: Final = integer(-2)
_FOREVER: Final = integer(-1)


def _conditions(words: list[bytes]) -> set[bytes]:
    """Read NX, XX, GT and LT."""
    seen: set[bytes] = set()
    for word in words:
        option = word.lower()
        if option not in {b"nx", b"xx", b"gt", b"lt"}:
            raise CommandError(b"ERR Unsupported option %b" % word)
        seen.add(option)
    if b"nx" in seen and len(seen) > 1:
        raise CommandError(b"ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"gt", b"lt"} <= seen:
        raise CommandError(b"ERR GT and LT options at the same time are not compatible")
    return seen


def _hold(conditions: set[bytes], current_ms: int | None, deadline_ms: int) -> bool:
    """Whether a deadline may replace the current one; no deadline counts as one that never comes."""
    if b"nx" in conditions and current_ms is not None:
        return False
    if b"xx" in conditions and current_ms is None:
        return False
    if b"gt" in conditions and (current_ms is None or deadline_ms <= current_ms):
        return False
    return not (b"lt" in conditions and current_ms is not None and deadline_ms >= current_ms)


def _expire(ctx: Context, args: list[bytes], name: bytes, unit_ms: int, base_ms: int) -> bytes:
    conditions = _conditions(args[3:])
    deadline_ms = arguments.integer(args[2]) * unit_ms
    if not INT64_MIN <= deadline_ms <= INT64_MAX - base_ms:
        raise CommandError(invalid_expire_time(name))
    deadline_ms += base_ms
    key, slot = args[1], ctx.slot_of(args[1])
    record = ctx.keyspace.find(slot, key)
    if record is None or not _hold(conditions, deadline_of(record), deadline_ms):
        return ZERO
    if deadline_ms <= ctx.now_ms:
        ctx.keyspace.remove(slot, key)
    else:
        ctx.keyspace.put(slot, key, expiring_record(body_of(record), deadline_ms))
    return ONE


def expire(ctx: Context, args: list[bytes]) -> bytes:
    """EXPIRE key seconds [NX|XX|GT|LT]."""
    return _expire(ctx, args, b"expire", 1000, ctx.now_ms)


def pexpire(ctx: Context, args: list[bytes]) -> bytes:
    """PEXPIRE key milliseconds [NX|XX|GT|LT]."""
    return _expire(ctx, args, b"pexpire", 1, ctx.now_ms)


def expireat(ctx: Context, args: list[bytes]) -> bytes:
    """EXPIREAT key unix-time-seconds [NX|XX|GT|LT]."""
    return _expire(ctx, args, b"expireat", 1000, 0)


def pexpireat(ctx: Context, args: list[bytes]) -> bytes:
    """PEXPIREAT key unix-time-milliseconds [NX|XX|GT|LT]."""
    return _expire(ctx, args, b"pexpireat", 1, 0)


def _time(ctx: Context, key: bytes, unit_ms: int, base_ms: int) -> bytes:
    """Reply a key's deadline counted from `base_ms`, rounded to the unit as Redis does."""
    record = ctx.keyspace.find(ctx.slot_of(key), key)
    if record is None:
        return _MISSING
    deadline_ms = deadline_of(record)
    if deadline_ms is None:
        return _FOREVER
    return integer((deadline_ms - base_ms + unit_ms // 2) // unit_ms)


def ttl(ctx: Context, args: list[bytes]) -> bytes:
    """TTL key."""
    return _time(ctx, args[1], 1000, ctx.now_ms)


def pttl(ctx: Context, args: list[bytes]) -> bytes:
    """PTTL key."""
    return _time(ctx, args[1], 1, ctx.now_ms)


def expiretime(ctx: Context, args: list[bytes]) -> bytes:
    """EXPIRETIME key."""
    return _time(ctx, args[1], 1000, 0)


def pexpiretime(ctx: Context, args: list[bytes]) -> bytes:
    """PEXPIRETIME key."""
    return _time(ctx, args[1], 1, 0)


def persist(ctx: Context, args: list[bytes]) -> bytes:
    """PERSIST key."""
    key, slot = args[1], ctx.slot_of(args[1])
    record = ctx.keyspace.find(slot, key)
    if record is None or deadline_of(record) is None:
        return ZERO
    ctx.keyspace.put(slot, key, body_of(record))
    return ONE
