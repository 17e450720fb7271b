"""The commands on a stream's entries: adding, reading, deleting, trimming.

XREAD with BLOCK answers at once, as inside MULTI: nothing here waits.
"""

from __future__ import annotations

from redraft.commands import arguments, streamid, streamtrim
from redraft.commands.context import Context
from redraft.commands.reply import (
    NIL,
    NO_SUCH_KEY,
    NULL_ARRAY,
    OK,
    SYNTAX,
    ZERO,
    CommandError,
    array,
    integer,
    wrong_arity,
)
from redraft.commands.stream import Stream, show_entries
from redraft.commands.streamread import parse_read, show_streams
from redraft.commands.streamtrim import Trimming

# ---- writing ----


def xadd(ctx: Context, args: list[bytes]) -> bytes:
    """XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT n]] *|id field value [field value ...]."""
    at, trimming, create = _parse_add(args)
    wanted, sequence_given = (None, False) if args[at] == b"*" else streamid.parse_new(args[at])
    if len(args) - at < 3 or (len(args) - at) % 2 == 0:
        raise CommandError(wrong_arity(b"xadd"))
    if wanted == streamid.MIN and sequence_given:
        raise CommandError(b"ERR The ID specified in XADD must be greater than 0-0")
    stream = Stream.open_(ctx, args[1]) if create else Stream.find(ctx, args[1])
    if stream is None:
        return NIL[ctx.proto]
    added = _new_id(stream.last, wanted, ctx.now_ms, sequence_given=sequence_given)
    stream.append(added, args[at + 1 :])
    if trimming is not None:
        trimming.apply(stream)
    stream.save()
    return streamid.shown(added)


def _parse_add(args: list[bytes]) -> tuple[int, Trimming | None, bool]:
    """Return where the ID stands, what to trim, and whether to make a stream; raises CommandError."""
    if args[2] == b"*":
        return 2, None, True
    options, create, at = streamtrim.Options(), True, 2
    while at < len(args) and args[at] != b"*":
        following = options.take(args, at)
        if following == at:
            if args[at].lower() != b"nomkstream":
                streamid.parse_new(args[at])
                break
            create, following = False, at + 1
        at = following
    trimming = options.trimming()
    if at == len(args):
        raise CommandError(wrong_arity(b"xadd"))
    return at, trimming, create


def _new_id(last: bytes, wanted: bytes | None, now_ms: int, *, sequence_given: bool) -> bytes:
    """Return the ID of an entry to be added: as wanted, or by the clock; raises CommandError."""
    next_id = streamid.following(last)
    if next_id is None:
        raise CommandError(b"ERR The stream has exhausted the last possible ID, unable to add more items")
    if wanted is None:
        return max(next_id, streamid.pack(now_ms, 0))
    if not sequence_given and wanted[:8] == last[:8]:
        wanted = next_id if next_id[:8] == wanted[:8] else last
    if wanted <= last:
        raise CommandError(
            b"ERR The ID specified in XADD is equal or smaller than the target stream top item"
        )
    return wanted


def xdel(ctx: Context, args: list[bytes]) -> bytes:
    """XDEL key id [id ...]."""
    stream = Stream.find(ctx, args[1])
    if stream is None:
        return ZERO
    deleted = stream.delete([streamid.parse(word) for word in args[2:]])
    if deleted:
        stream.save()
    return integer(deleted)


def xtrim(ctx: Context, args: list[bytes]) -> bytes:
    """XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]."""
    trimming = streamtrim.parse_trim(args)
    stream = Stream.find(ctx, args[1])
    if stream is None:
        return ZERO
    deleted = trimming.apply(stream)
    if deleted:
        stream.save()
    return integer(deleted)


def xsetid(ctx: Context, args: list[bytes]) -> bytes:
    """XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]."""
    last = streamid.parse(args[2])
    added, max_deleted = _parse_setid(args, last)
    stream = Stream.find(ctx, args[1])
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    if last < stream.max_deleted:
        raise CommandError(b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if stream.length and last < stream.top():
        raise CommandError(b"ERR The ID specified in XSETID is smaller than the target stream top item")
    if added is not None and added < stream.length:
        raise CommandError(
            b"ERR The entries_added specified in XSETID is smaller than the target stream length"
        )
    stream.last = last
    if added is not None:
        stream.added = added
    if max_deleted != streamid.MIN:
        stream.max_deleted = max_deleted
    stream.save()
    return OK


def _parse_setid(args: list[bytes], last: bytes) -> tuple[int | None, bytes]:
    """Return entries added and largest deleted ID, as far as they are given; raises CommandError."""
    added, max_deleted = None, streamid.MIN
    rest = iter(args[3:])
    for word in rest:
        option, argument = word.lower(), next(rest, None)
        if argument is not None and option == b"entriesadded":
            added = arguments.integer(argument)
            if added < 0:
                raise CommandError(b"ERR entries_added must be positive")
        elif argument is not None and option == b"maxdeletedid":
            max_deleted = streamid.parse(argument)
            if last < max_deleted:
                raise CommandError(
                    b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
                )
        else:
            raise CommandError(SYNTAX)
    return added, max_deleted


# ---- reading ----


def xlen(ctx: Context, args: list[bytes]) -> bytes:
    """XLEN key."""
    stream = Stream.find(ctx, args[1])
    return integer(stream.length) if stream is not None else ZERO


def xrange(ctx: Context, args: list[bytes]) -> bytes:
    """XRANGE key start end [COUNT count]."""
    return _range(ctx, args, args[2], args[3], reverse=False)


def xrevrange(ctx: Context, args: list[bytes]) -> bytes:
    """XREVRANGE key end start [COUNT count]."""
    return _range(ctx, args, args[3], args[2], reverse=True)


def _range(ctx: Context, args: list[bytes], start_text: bytes, end_text: bytes, *, reverse: bool) -> bytes:
    start, end = streamid.parse_start(start_text), streamid.parse_end(end_text)
    limit = None
    rest = iter(args[4:])
    for word in rest:
        argument = next(rest, None)
        if argument is None or word.lower() != b"count":
            raise CommandError(SYNTAX)
        limit = max(0, arguments.integer(argument))
    stream = Stream.find(ctx, args[1])
    if stream is None:
        return array([])
    if limit == 0:
        return NULL_ARRAY[ctx.proto]
    return show_entries(stream.entries(start, end, limit, reverse=reverse))


def xread(ctx: Context, args: list[bytes]) -> bytes:
    """XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]."""
    request = parse_read(args, ctx.now_ms)
    streams: list[tuple[bytes, Stream, bytes | None]] = []
    for key, text in request.wanted:
        stream = Stream.find(ctx, key)
        if text == b"$":
            after = stream.last if stream is not None else streamid.MIN
        elif text == b">":
            raise CommandError(
                b"ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
                b"<consumer> option."
            )
        else:
            after = streamid.parse(text)
        if stream is not None:
            streams.append((key, stream, streamid.following(after)))
    found = []
    for key, stream, start in streams:
        entries = stream.entries(start, limit=request.limit) if start is not None else []
        if entries:
            found.append((key, show_entries(entries)))
    return show_streams(ctx.proto, found)
