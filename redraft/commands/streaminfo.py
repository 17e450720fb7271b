"""XINFO: what a stream, its groups and their consumers are like.

The tree that Redis keeps a stream in is not kept here: its keys are counted as if they were full.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.reply import (
    NIL,
    NO_SUCH_KEY,
    CommandError,
    array,
    bulk,
    help_text,
    integer,
    mapping,
    subcommand_syntax,
)
from redraft.commands.stream import UNKNOWN, Stream, show_entries, show_entry
from redraft.commands.streamgroup import NEVER, Consumer, Group, Pending, find_group, groups_of
from redraft.commands.streamid import shown
from redraft.commands.streamtrim import NODE_ENTRIES

_SHOWN: Final = 10
"""Entries, and pending entries of each kind, that FULL shows."""

_HELP: Final = help_text(b"XINFO", (
    b"CONSUMERS <key> <group>",
    b"    The consumers of a group.",
    b"GROUPS <key>",
    b"    The groups of a stream.",
    b"STREAM <key> [FULL [COUNT <count>]]",
    b"    A stream; with FULL its entries, groups, consumers and what is pending too.",
))  # fmt: skip

Pairs = list[tuple[bytes, bytes]]
"""Names and replies."""


def xinfo_help(_ctx: Context, _args: list[bytes]) -> bytes:
    """XINFO HELP."""
    return _HELP


def _map(ctx: Context, pairs: Pairs) -> bytes:
    return mapping(ctx.proto, [(bulk(name), reply) for name, reply in pairs])


def _found(ctx: Context, key: bytes) -> Stream:
    stream = Stream.find(ctx, key)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


# ---- XINFO STREAM ----


def xinfo_stream(ctx: Context, args: list[bytes]) -> bytes:
    """XINFO STREAM key [FULL [COUNT count]]."""
    stream = _found(ctx, args[2])
    nodes = -(-stream.length // NODE_ENTRIES)
    pairs = [
        (b"length", integer(stream.length)),
        (b"radix-tree-keys", integer(nodes)),
        (b"radix-tree-nodes", integer(nodes + 1)),
        (b"last-generated-id", shown(stream.last)),
        (b"max-deleted-entry-id", shown(stream.max_deleted)),
        (b"entries-added", integer(stream.added)),
        (b"recorded-first-entry-id", shown(stream.first)),
    ]
    if len(args) == 3:
        pairs += _edges(ctx, stream)
    else:
        limit = _full_limit(args)
        pairs += [
            (b"entries", show_entries(stream.entries(limit=limit))),
            (b"groups", array([_full_group(ctx, group, limit) for group in groups_of(stream)])),
        ]
    return _map(ctx, pairs)


def _edges(ctx: Context, stream: Stream) -> Pairs:
    first, last = stream.entries(limit=1), stream.entries(limit=1, reverse=True)
    return [
        (b"groups", integer(len(groups_of(stream)))),
        (b"first-entry", show_entry(first[0]) if first else NIL[ctx.proto]),
        (b"last-entry", show_entry(last[0]) if last else NIL[ctx.proto]),
    ]


def _full_limit(args: list[bytes]) -> int | None:
    """Return how much FULL shows of each list, None for all; raises CommandError."""
    if len(args) not in {4, 6} or args[3].lower() != b"full":
        raise CommandError(subcommand_syntax(b"XINFO", args[1]))
    if len(args) == 4:
        return _SHOWN
    if args[4].lower() != b"count":
        raise CommandError(subcommand_syntax(b"XINFO", args[1]))
    count = arguments.integer(args[5])
    if count < 0:
        return _SHOWN
    return count or None


def _full_group(ctx: Context, group: Group, limit: int | None) -> bytes:
    pending = [
        array([shown(one.id), bulk(one.consumer), *_delivery(one)]) for one in group.all_pending(limit=limit)
    ]
    consumers = [_full_consumer(ctx, group, consumer, limit) for consumer in group.all_consumers()]
    return _map(ctx, [
        (b"name", bulk(group.name)),
        (b"last-delivered-id", shown(group.last)),
        *_progress(ctx, group),
        (b"pel-count", integer(group.pending)),
        (b"pending", array(pending)),
        (b"consumers", array(consumers)),
    ])  # fmt: skip


def _full_consumer(ctx: Context, group: Group, consumer: Consumer, limit: int | None) -> bytes:
    pending = group.pending_of_consumer(consumer.name, limit=limit)
    return _map(ctx, [
        (b"name", bulk(consumer.name)),
        (b"seen-time", integer(consumer.seen_ms)),
        (b"active-time", integer(consumer.active_ms)),
        (b"pel-count", integer(consumer.pending)),
        (b"pending", array([array([shown(one.id), *_delivery(one)]) for one in pending])),
    ])  # fmt: skip


def _delivery(pending: Pending) -> tuple[bytes, bytes]:
    return integer(pending.delivered_ms), integer(pending.deliveries)


def _progress(ctx: Context, group: Group) -> Pairs:
    lag, nil = group.lag(), NIL[ctx.proto]
    return [
        (b"entries-read", integer(group.entries_read) if group.entries_read != UNKNOWN else nil),
        (b"lag", integer(lag) if lag is not None else nil),
    ]


# ---- XINFO GROUPS, XINFO CONSUMERS ----


def xinfo_groups(ctx: Context, args: list[bytes]) -> bytes:
    """XINFO GROUPS key."""
    return array([
        _map(ctx, [
            (b"name", bulk(group.name)),
            (b"consumers", integer(group.consumers)),
            (b"pending", integer(group.pending)),
            (b"last-delivered-id", shown(group.last)),
            *_progress(ctx, group),
        ])
        for group in groups_of(_found(ctx, args[2]))
    ])  # fmt: skip


def xinfo_consumers(ctx: Context, args: list[bytes]) -> bytes:
    """XINFO CONSUMERS key group."""
    group = find_group(_found(ctx, args[2]), args[3])
    if group is None:
        raise CommandError(b"NOGROUP No such consumer group '%b' for key name '%b'" % (args[3], args[2]))
    now_ms = ctx.now_ms
    return array([
        _map(ctx, [
            (b"name", bulk(consumer.name)),
            (b"pending", integer(consumer.pending)),
            (b"idle", integer(max(0, now_ms - consumer.seen_ms))),
            (b"inactive", integer(_inactive_ms(consumer, now_ms))),
        ])
        for consumer in group.all_consumers()
    ])  # fmt: skip


def _inactive_ms(consumer: Consumer, now_ms: int) -> int:
    return max(0, now_ms - consumer.active_ms) if consumer.active_ms != NEVER else NEVER
