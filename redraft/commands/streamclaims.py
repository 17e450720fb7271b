"""Who has which entries, and taking them over: XPENDING, XCLAIM, XAUTOCLAIM.

Like Redis 7.2, XCLAIM and XAUTOCLAIM make the consumer they are called for whether it gets something or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from redraft.commands import arguments, streamid
from redraft.commands.arguments import INT64_MAX
from redraft.commands.context import Context
from redraft.commands.reply import (
    NIL,
    NULL_ARRAY,
    SYNTAX,
    CommandError,
    array,
    bulk,
    integer,
)
from redraft.commands.stream import Stream, show_entry
from redraft.commands.streamgroup import Consumer, Group, Pending, find_group
from redraft.commands.streamid import following, shown

LOOKED_AT_ONCE: Final = 1000
"""Pending entries that are listed before they are looked at."""

_ATTEMPTS: Final = 10
"""Times COUNT, so many pending entries XAUTOCLAIM looks at."""

_CLAIMED_MAX: Final = INT64_MAX // 16
"""XAUTOCLAIM's largest COUNT, as in Redis."""


def _open(ctx: Context, key: bytes, name: bytes) -> tuple[Stream, Group]:
    stream = Stream.find(ctx, key)
    group = find_group(stream, name) if stream is not None else None
    if stream is None or group is None:
        raise CommandError(b"NOGROUP No such key '%b' or consumer group '%b'" % (key, name))
    return stream, group


def _idle_argument(text: bytes, of: bytes) -> int:
    number = arguments.parse_integer(text)
    if number is None:
        raise CommandError(b"ERR Invalid %b" % of)
    return number


# ---- XPENDING ----


def xpending(ctx: Context, args: list[bytes]) -> bytes:
    """XPENDING key group [[IDLE min-idle-time] start end count [consumer]]."""
    if len(args) == 3:
        return _summary(ctx, _open(ctx, args[1], args[2])[1])
    if not 6 <= len(args) <= 9:
        raise CommandError(SYNTAX)
    words, idle_ms = args[3:], 0
    if words[0].lower() == b"idle":
        idle_ms = arguments.integer(words[1])
        if len(words) < 5:
            raise CommandError(SYNTAX)
        words = words[2:]
    count = arguments.integer(words[2])
    start, end = streamid.parse_start(words[0]), streamid.parse_end(words[1])
    _, group = _open(ctx, args[1], args[2])
    consumer = words[3] if len(words) > 3 else None
    found: list[Pending] = []
    at: bytes | None = start
    while at is not None and len(found) < count:
        limit = LOOKED_AT_ONCE if idle_ms else min(count - len(found), LOOKED_AT_ONCE)
        if consumer is None:
            some = group.all_pending(at, end, limit)
        else:
            some = group.pending_of_consumer(consumer, at, end, limit)
        found += [pending for pending in some if not idle_ms or _idle(ctx, pending) >= idle_ms]
        at = following(some[-1].id) if len(some) == limit else None
    return array([_show_pending(ctx, pending) for pending in found[: max(0, count)]])


def _idle(ctx: Context, pending: Pending) -> int:
    return ctx.now_ms - pending.delivered_ms


def _show_pending(ctx: Context, pending: Pending) -> bytes:
    return array([
        shown(pending.id),
        bulk(pending.consumer),
        integer(max(0, _idle(ctx, pending))),
        integer(pending.deliveries),
    ])  # fmt: skip


def _summary(ctx: Context, group: Group) -> bytes:
    if not group.pending:
        return array([integer(0), NIL[ctx.proto], NIL[ctx.proto], NULL_ARRAY[ctx.proto]])
    (first,) = group.all_pending(limit=1)
    (last,) = group.all_pending(limit=1, reverse=True)
    consumers = [
        array([bulk(consumer.name), bulk(b"%d" % consumer.pending)])
        for consumer in group.all_consumers()
        if consumer.pending
    ]
    return array([integer(group.pending), shown(first.id), shown(last.id), array(consumers)])


# ---- XCLAIM ----


@dataclass(slots=True)
class _Claim:
    """What an XCLAIM asks for; None is what it leaves open."""

    ids: list[bytes] = field(default_factory=list)
    delivered_ms: int | None = None
    deliveries: int | None = None
    last: bytes = streamid.MIN
    force: bool = False
    just_id: bool = False


def xclaim(ctx: Context, args: list[bytes]) -> bytes:
    """XCLAIM key group consumer min-idle-time id [id ...] and its options."""
    stream, group = _open(ctx, args[1], args[2])
    idle_ms = _idle_argument(args[4], b"min-idle-time argument for XCLAIM")
    claim = _parse_claim(args, ctx.now_ms)
    group.last = max(group.last, claim.last)
    consumer = _claimer(ctx, group, args[3])
    replies = []
    for entry_id in claim.ids:
        pending, fields = group.find_pending(entry_id), stream.entry(entry_id)
        if fields is None:
            if pending is not None:
                group.forget(pending)
        elif pending is None:
            if claim.force:
                _claim(ctx, group, consumer, claim, Pending(entry_id, consumer.name, ctx.now_ms, 1), None)
                replies.append(_show_claimed(entry_id, fields, just_id=claim.just_id))
        elif idle_ms <= 0 or _idle(ctx, pending) >= idle_ms:
            _claim(ctx, group, consumer, claim, pending, pending)
            replies.append(_show_claimed(entry_id, fields, just_id=claim.just_id))
    group.save()
    stream.save()
    return array(replies)


def _parse_claim(args: list[bytes], now_ms: int) -> _Claim:
    claim = _Claim()
    at = 5
    while at < len(args) and (entry_id := streamid.parse_if_valid(args[at])) is not None:
        claim.ids.append(entry_id)
        at += 1
    rest = iter(args[at:])
    for word in rest:
        option = word.lower()
        if option == b"force":
            claim.force = True
        elif option == b"justid":
            claim.just_id = True
        elif option not in _CLAIM_OPTIONS or (argument := next(rest, None)) is None:
            raise CommandError(b"ERR Unrecognized XCLAIM option '%b'" % word)
        elif option == b"lastid":
            claim.last = streamid.parse(argument)
        else:
            number = _idle_argument(argument, b"%b option argument for XCLAIM" % option.upper())
            if option == b"retrycount":
                claim.deliveries = number if number >= 0 else None
            else:
                claim.delivered_ms = now_ms - number if option == b"idle" else number
    return claim


_CLAIM_OPTIONS: Final = frozenset((b"idle", b"time", b"retrycount", b"lastid"))


def _claimer(ctx: Context, group: Group, name: bytes) -> Consumer:
    consumer = group.consumer(name) or group.make_consumer(name, ctx.now_ms)
    consumer.seen_ms = ctx.now_ms
    return consumer


def _claim(
    ctx: Context, group: Group, consumer: Consumer, claim: _Claim, pending: Pending, before: Pending | None
) -> None:
    """Make an entry a consumer's; a delivery that is said to be in the future, or before 1970, is now."""
    delivered_ms, deliveries = claim.delivered_ms, claim.deliveries
    if delivered_ms is None or not 0 <= delivered_ms <= ctx.now_ms:
        delivered_ms = ctx.now_ms
    if deliveries is None:
        deliveries = pending.deliveries + (not claim.just_id)
    group.hold(Pending(pending.id, consumer.name, delivered_ms, deliveries), consumer, before)
    consumer.active_ms = ctx.now_ms


def _show_claimed(entry_id: bytes, fields: bytes, *, just_id: bool) -> bytes:
    return shown(entry_id) if just_id else show_entry((entry_id, fields))


# ---- XAUTOCLAIM ----


def xautoclaim(ctx: Context, args: list[bytes]) -> bytes:
    """XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]."""
    idle_ms = _idle_argument(args[4], b"min-idle-time argument for XAUTOCLAIM")
    start = streamid.parse_start(args[5])
    count, just_id = _autoclaim_options(args[6:])
    stream, group = _open(ctx, args[1], args[2])
    consumer = _claimer(ctx, group, args[3])
    claim = _Claim(just_id=just_id)
    claimed: list[bytes] = []
    gone: list[bytes] = []
    at: bytes | None = start
    attempts = count * _ATTEMPTS
    while at is not None and attempts and len(claimed) + len(gone) < count:
        some = group.all_pending(at, limit=min(LOOKED_AT_ONCE, attempts, count - len(claimed) - len(gone)))
        attempts -= len(some)
        for pending in some:
            fields = stream.entry(pending.id)
            if fields is None:
                group.forget(pending)
                gone.append(shown(pending.id))
            elif idle_ms <= 0 or _idle(ctx, pending) >= idle_ms:
                _claim(ctx, group, consumer, claim, pending, pending)
                claimed.append(_show_claimed(pending.id, fields, just_id=just_id))
        at = following(some[-1].id) if some else None
    rest = group.all_pending(at, limit=1) if at is not None else []
    group.save()
    stream.save()
    return array([shown(rest[0].id if rest else streamid.MIN), array(claimed), array(gone)])


def _autoclaim_options(words: list[bytes]) -> tuple[int, bool]:
    """Return COUNT and JUSTID; raises CommandError."""
    count, just_id = 100, False
    rest = iter(words)
    for word in rest:
        option = word.lower()
        if option == b"justid":
            just_id = True
        elif option == b"count" and (argument := next(rest, None)) is not None:
            number = arguments.parse_integer(argument)
            if number is None or not 1 <= number <= _CLAIMED_MAX:
                raise CommandError(b"ERR COUNT must be > 0")
            count = number
        else:
            raise CommandError(SYNTAX)
    return count, just_id
