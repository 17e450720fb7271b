"""The table's rows for streams."""

from __future__ import annotations

from functools import partial

from redraft.commands import streamclaims, streamgroups, streaminfo, streamread, streams
from redraft.commands.command import Command, row

_stream = partial(row, group="stream", since="5.0.0")
_ONE = (1, 1, 1)
_SECOND = (2, 2, 1)
_TRIM = "<MAXLEN|MINID> [=|~] threshold [LIMIT count]"
_BY_IDS = "O(N), N being the number of IDs given"
_BY_REPLY = "O(N), N being the number of entries returned"
_BY_DELETED = "O(N), N being the number of entries deleted"

_XGROUP = (
    _stream(
        "xgroup|create", -5, "write denyoom", _SECOND, "RW insert",
        summary="Make a consumer group of a stream",
        usage="key group <id|$> [MKSTREAM] [ENTRIESREAD entries-read]",
        handler=streamgroups.xgroup_create,
    ),
    _stream(
        "xgroup|createconsumer", 5, "write denyoom", _SECOND, "RW insert", since="6.2.0",
        summary="Make a consumer of a group", usage="key group consumer",
        handler=streamgroups.xgroup_createconsumer,
    ),
    _stream(
        "xgroup|delconsumer", 5, "write", _SECOND, "RW delete",
        summary="Delete a consumer of a group", usage="key group consumer",
        complexity="O(N), N being the number of entries pending for the consumer",
        handler=streamgroups.xgroup_delconsumer,
    ),
    _stream(
        "xgroup|destroy", 4, "write", _SECOND, "RW delete",
        summary="Delete a consumer group", usage="key group",
        complexity="O(N), N being the number of entries pending in the group",
        handler=streamgroups.xgroup_destroy,
    ),
    _stream("xgroup|help", 2, "loading stale", summary="What XGROUP can do",
            handler=streamgroups.xgroup_help),
    _stream(
        "xgroup|setid", -5, "write", _SECOND, "RW update",
        summary="Let a consumer group go on after another ID",
        usage="key group <id|$> [ENTRIESREAD entries-read]", handler=streamgroups.xgroup_setid,
    ),
)  # fmt: skip

_XINFO = (
    _stream(
        "xinfo|consumers", 4, "readonly", _SECOND, "RO access",
        summary="The consumers of a group", usage="key group", complexity="O(N), N being their number",
        tips="nondeterministic_output", handler=streaminfo.xinfo_consumers,
    ),
    _stream(
        "xinfo|groups", 3, "readonly", _SECOND, "RO access",
        summary="The consumer groups of a stream", usage="key", complexity="O(N), N being their number",
        handler=streaminfo.xinfo_groups,
    ),
    _stream("xinfo|help", 2, "loading stale", summary="What XINFO can do", handler=streaminfo.xinfo_help),
    _stream(
        "xinfo|stream", -3, "readonly", _SECOND, "RO access",
        summary="What a stream is like", usage="key [FULL [COUNT count]]",
        handler=streaminfo.xinfo_stream,
    ),
)  # fmt: skip

STREAMS: tuple[Command, ...] = (
    _stream(
        "xadd", -5, "write denyoom fast", _ONE, "RW update",
        summary="Add an entry to a stream",
        usage=f"key [NOMKSTREAM] [{_TRIM}] <*|id> <field value> [field value ...]",
        complexity="O(1), and O(N) to trim, N being the number of entries deleted",
        tips="nondeterministic_output", handler=streams.xadd,
    ),
    _stream(
        "xlen", 2, "readonly fast", _ONE, "RO",
        summary="The number of entries of a stream", usage="key", handler=streams.xlen,
    ),
    _stream(
        "xrange", -4, "readonly", _ONE, "RO access",
        summary="The entries of a stream from one ID to another", usage="key start end [COUNT count]",
        complexity=_BY_REPLY, handler=streams.xrange,
    ),
    _stream(
        "xrevrange", -4, "readonly", _ONE, "RO access",
        summary="The entries of a stream from one ID back to another", usage="key end start [COUNT count]",
        complexity=_BY_REPLY, handler=streams.xrevrange,
    ),
    _stream(
        "xdel", -3, "write fast", _ONE, "RW delete",
        summary="Delete entries of a stream", usage="key id [id ...]", complexity=_BY_IDS,
        handler=streams.xdel,
    ),
    _stream(
        "xtrim", -4, "write", _ONE, "RW delete",
        summary="Delete the oldest entries of a stream", usage=f"key {_TRIM}", complexity=_BY_DELETED,
        tips="nondeterministic_output", handler=streams.xtrim,
    ),
    _stream(
        "xsetid", -3, "write denyoom fast", _ONE, "RW update",
        summary="Set the last ID of a stream",
        usage="key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
        handler=streams.xsetid,
    ),
    _stream(
        "xack", -4, "write fast", _ONE, "RW update",
        summary="Acknowledge entries that a group was given", usage="key group id [id ...]",
        complexity=_BY_IDS, handler=streamgroups.xack,
    ),
    _stream(
        "xpending", -3, "readonly", _ONE, "RO access",
        summary="Entries that a group was given and has not acknowledged",
        usage="key group [[IDLE min-idle-time] start end count [consumer]]", complexity=_BY_REPLY,
        tips="nondeterministic_output", handler=streamclaims.xpending,
    ),
    _stream(
        "xclaim", -6, "write fast", _ONE, "RW update",
        summary="Take over pending entries of a group",
        usage="key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] "
        "[RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        complexity=_BY_IDS, tips="nondeterministic_output", handler=streamclaims.xclaim,
    ),
    _stream(
        "xautoclaim", -6, "write fast", _ONE, "RW delete", since="6.2.0",
        summary="Take over pending entries of a group that have waited too long",
        usage="key group consumer min-idle-time start [COUNT count] [JUSTID]",
        complexity="O(1) if COUNT is small", tips="nondeterministic_output",
        handler=streamclaims.xautoclaim,
    ),
    _stream(
        "xread", -4, "readonly blocking movablekeys",
        key_specs=(streamread.XREAD_KEYS,),
        summary="Entries of streams that come after an ID",
        usage="[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        complexity=_BY_REPLY, handler=streams.xread,
    ),
    _stream(
        "xreadgroup", -7, "write blocking movablekeys",
        key_specs=(streamread.XREADGROUP_KEYS,),
        summary="Entries of streams that a group has not been given yet, or that are pending for a consumer",
        usage="GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] "
        "STREAMS key [key ...] id [id ...]",
        complexity=_BY_REPLY, handler=streamgroups.xreadgroup,
    ),
    _stream("xgroup", -2, summary="Consumer groups", complexity="By subcommand", subcommands=_XGROUP),
    _stream("xinfo", -2, summary="What streams are like", complexity="By subcommand", subcommands=_XINFO),
)  # fmt: skip
