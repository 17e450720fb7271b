"""The commands by which consumer groups are made, read through and acknowledged to: XGROUP, XREADGROUP, XACK.

Like Redis 7.2, XREADGROUP makes the consumer it is called for whether there is something for it or not.
XREADGROUP with BLOCK answers at once, as inside MULTI: nothing here waits.
"""

from __future__ import annotations

from typing import Final

from redraft.commands import arguments, streamid
from redraft.commands.context import Context
from redraft.commands.reply import (
    NULL_ARRAY,
    OK,
    ONE,
    ZERO,
    CommandError,
    array,
    help_text,
    integer,
    subcommand_syntax,
)
from redraft.commands.stream import UNKNOWN, Stream, show_entries, show_entry
from redraft.commands.streamgroup import Consumer, Group, Pending, find_group, make_group
from redraft.commands.streamid import following, shown
from redraft.commands.streamread import ReadRequest, parse_read, show_streams

_HELP: Final = help_text(b"XGROUP", (
    b"CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
    b"    Make a group that reads entries after an ID.",
    b"CREATECONSUMER <key> <group> <consumer>",
    b"    Make a consumer of a group.",
    b"DELCONSUMER <key> <group> <consumer>",
    b"    Delete a consumer and what is pending for it.",
    b"DESTROY <key> <group>",
    b"    Delete a group.",
    b"SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
    b"    Let a group go on after another ID.",
))  # fmt: skip

# ---- XGROUP ----


def xgroup_create(ctx: Context, args: list[bytes]) -> bytes:
    """XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]."""
    make_stream, entries_read = _group_options(args)
    stream = _stream_of_group(ctx, args[2]) if not make_stream else Stream.open_(ctx, args[2])
    _check_length(args, 8)
    last = stream.last if args[4] == b"$" else streamid.parse(args[4])
    if find_group(stream, args[3]) is not None:
        raise CommandError(b"BUSYGROUP Consumer Group name already exists")
    make_group(stream, args[3], last, entries_read).save()
    stream.save()
    return OK


def xgroup_setid(ctx: Context, args: list[bytes]) -> bytes:
    """XGROUP SETID key group id|$ [ENTRIESREAD entries-read]."""
    _, entries_read = _group_options(args)
    stream, group = _existing_group(ctx, args)
    _check_length(args, 7)
    group.last = stream.last if args[4] == b"$" else streamid.parse_or_end(args[4])
    group.entries_read = entries_read
    group.save()
    stream.save()
    return OK


def _group_options(args: list[bytes]) -> tuple[bool, int]:
    """Return MKSTREAM and ENTRIESREAD; raises CommandError."""
    make_stream, entries_read = False, UNKNOWN
    rest = iter(args[5:])
    for word in rest:
        option = word.lower()
        if option == b"mkstream" and args[1].lower() == b"create":
            make_stream = True
        elif option == b"entriesread" and (argument := next(rest, None)) is not None:
            entries_read = arguments.integer(argument)
            if entries_read < 0 and entries_read != UNKNOWN:
                raise CommandError(b"ERR value for ENTRIESREAD must be positive or -1")
        else:
            raise CommandError(subcommand_syntax(b"XGROUP", args[1]))
    return make_stream, entries_read


def _check_length(args: list[bytes], words_max: int) -> None:
    if len(args) > words_max:
        raise CommandError(subcommand_syntax(b"XGROUP", args[1]))


def xgroup_destroy(ctx: Context, args: list[bytes]) -> bytes:
    """XGROUP DESTROY key group."""
    stream = _stream_of_group(ctx, args[2])
    group = find_group(stream, args[3])
    if group is None:
        return ZERO
    group.destroy()
    stream.save()
    return ONE


def xgroup_createconsumer(ctx: Context, args: list[bytes]) -> bytes:
    """XGROUP CREATECONSUMER key group consumer."""
    stream, group = _existing_group(ctx, args)
    if group.consumer(args[4]) is not None:
        return ZERO
    group.make_consumer(args[4], ctx.now_ms)
    group.save()
    stream.save()
    return ONE


def xgroup_delconsumer(ctx: Context, args: list[bytes]) -> bytes:
    """XGROUP DELCONSUMER key group consumer: how many entries were pending for it."""
    stream, group = _existing_group(ctx, args)
    consumer = group.consumer(args[4])
    if consumer is None:
        return ZERO
    group.delete_consumer(consumer)
    group.save()
    stream.save()
    return integer(consumer.pending)


def xgroup_help(_ctx: Context, _args: list[bytes]) -> bytes:
    """XGROUP HELP."""
    return _HELP


def _stream_of_group(ctx: Context, key: bytes) -> Stream:
    stream = Stream.find(ctx, key)
    if stream is None:
        raise CommandError(
            b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use "
            b"the MKSTREAM option to create an empty stream automatically."
        )
    return stream


def _existing_group(ctx: Context, args: list[bytes]) -> tuple[Stream, Group]:
    stream = _stream_of_group(ctx, args[2])
    group = find_group(stream, args[3])
    if group is None:
        raise CommandError(b"NOGROUP No such consumer group '%b' for key name '%b'" % (args[3], args[2]))
    return stream, group


# ---- XREADGROUP ----


def xreadgroup(ctx: Context, args: list[bytes]) -> bytes:
    """XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS key [key ...] id [id ...]."""
    request = parse_read(args, ctx.now_ms)
    opened = _open_groups(ctx, request)
    starts = [_history_start(text) for _, text in request.wanted]
    found = []
    for (key, _), start in zip(request.wanted, starts, strict=True):
        entries = _read_for(ctx, request, *opened[key], start)
        if entries is not None:
            found.append((key, entries))
    for stream, group in opened.values():
        group.save()
        stream.save()
    return show_streams(ctx.proto, found)


def _open_groups(ctx: Context, request: ReadRequest) -> dict[bytes, tuple[Stream, Group]]:
    """Return stream and group by key, one of each however often a key is named; raises CommandError."""
    assert request.group is not None
    opened: dict[bytes, tuple[Stream, Group]] = {}
    for key, text in request.wanted:
        if key not in opened:
            stream = Stream.find(ctx, key)
            group = find_group(stream, request.group) if stream is not None else None
            if stream is None or group is None:
                raise CommandError(
                    b"NOGROUP No such key '%b' or consumer group '%b' in XREADGROUP with GROUP option"
                    % (key, request.group)
                )
            opened[key] = stream, group
        _history_start(text)
    return opened


def _history_start(text: bytes) -> bytes | None:
    """Return where in a consumer's history to begin, None for new entries; raises CommandError."""
    if text == b">":
        return None
    if text == b"$":
        raise CommandError(
            b"ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this "
            b"consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just "
            b"return an empty result set."
        )
    return following(streamid.parse(text))


def _read_for(
    ctx: Context, request: ReadRequest, stream: Stream, group: Group, start: bytes | None
) -> bytes | None:
    """Return what a consumer is given of one stream, as a reply; None when there is nothing new."""
    consumer = group.consumer(request.consumer) or group.make_consumer(request.consumer, ctx.now_ms)
    consumer.seen_ms = ctx.now_ms
    if start is not None:
        return _history(ctx, stream, group, consumer, start, request.limit)
    start = following(group.last)
    entries = stream.entries(start, limit=request.limit) if start is not None else []
    for entry_id, _ in entries:
        group.read_up_to(entry_id)
        if not request.no_ack:
            group.deliver(entry_id, consumer, ctx.now_ms)
    return show_entries(entries) if entries else None


def _history(
    ctx: Context, stream: Stream, group: Group, consumer: Consumer, start: bytes, limit: int | None
) -> bytes:
    """Return what is pending for a consumer, noting that it was delivered once more."""
    shown_entries = []
    for pending in group.pending_of_consumer(consumer.name, start, limit=limit):
        fields = stream.entry(pending.id)
        if fields is None:
            shown_entries.append(array([shown(pending.id), NULL_ARRAY[ctx.proto]]))
            continue
        again = Pending(pending.id, consumer.name, ctx.now_ms, pending.deliveries + 1)
        group.hold(again, consumer, pending)
        shown_entries.append(show_entry((pending.id, fields)))
    return array(shown_entries)


# ---- XACK ----


def xack(ctx: Context, args: list[bytes]) -> bytes:
    """XACK key group id [id ...]."""
    stream = Stream.find(ctx, args[1])
    group = find_group(stream, args[2]) if stream is not None else None
    if stream is None or group is None:
        return ZERO
    ids = [streamid.parse(word) for word in args[3:]]
    acknowledged = 0
    for entry_id in ids:
        pending = group.find_pending(entry_id)
        if pending is not None:
            group.forget(pending)
            acknowledged += 1
    if acknowledged:
        group.save()
        stream.save()
    return integer(acknowledged)
