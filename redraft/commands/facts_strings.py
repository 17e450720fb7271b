"""The table's rows for strings."""

from __future__ import annotations

from functools import partial

from redraft.commands import lcs, strings
from redraft.commands.command import Command, row

_string = partial(row, group="string")
_ONE = (1, 1, 1)
_UPDATE = "RW access update"
_EXPIRY = "EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds"

STRINGS: tuple[Command, ...] = (
    _string(
        "get", 2, "readonly fast", _ONE, "RO access",
        since="1.0.0", summary="The value of a key", usage="key", handler=strings.get,
    ),
    _string(
        "set", -3, "write denyoom", _ONE, "RW access update variable_flags",
        since="1.0.0", summary="Give a key a string value",
        usage=f"key value [NX|XX] [GET] [{_EXPIRY}|KEEPTTL]", handler=strings.set_,
    ),
    _string(
        "incr", 2, "write denyoom fast", _ONE, _UPDATE,
        since="1.0.0", summary="Add one to a number", usage="key", handler=strings.incr,
    ),
    _string(
        "decr", 2, "write denyoom fast", _ONE, _UPDATE,
        since="1.0.0", summary="Take one from a number", usage="key", handler=strings.decr,
    ),
    _string(
        "incrby", 3, "write denyoom fast", _ONE, _UPDATE,
        since="1.0.0", summary="Add to a number", usage="key increment", handler=strings.incrby,
    ),
    _string(
        "decrby", 3, "write denyoom fast", _ONE, _UPDATE,
        since="1.0.0", summary="Take from a number", usage="key decrement", handler=strings.decrby,
    ),
    _string(
        "incrbyfloat", 3, "write denyoom fast", _ONE, _UPDATE,
        since="2.6.0", summary="Add to a number with a fraction", usage="key increment",
        handler=strings.incrbyfloat,
    ),
    _string(
        "getex", -2, "write fast", _ONE, _UPDATE,
        since="6.2.0", summary="The value of a key, and a new time to live for it",
        usage=f"key [{_EXPIRY}|PERSIST]", handler=strings.getex,
    ),
    _string(
        "getdel", 2, "write fast", _ONE, "RW access delete",
        since="6.2.0", summary="The value of a key, which is deleted", usage="key", handler=strings.getdel,
    ),
    _string(
        "getset", 3, "write denyoom fast", _ONE, _UPDATE,
        since="1.0.0", summary="The old value of a key that gets a new one", usage="key value",
        handler=strings.getset,
    ),
    _string(
        "setnx", 3, "write denyoom fast", _ONE, "OW insert",
        since="1.0.0", summary="Give a key a value unless it exists", usage="key value",
        handler=strings.setnx,
    ),
    _string(
        "setex", 4, "write denyoom", _ONE, "OW update",
        since="2.0.0", summary="Give a key a value and a time to live in seconds", usage="key seconds value",
        handler=strings.setex,
    ),
    _string(
        "psetex", 4, "write denyoom", _ONE, "OW update",
        since="2.6.0", summary="Give a key a value and a time to live in milliseconds",
        usage="key milliseconds value", handler=strings.psetex,
    ),
    _string(
        "append", 3, "write denyoom fast", _ONE, "RW insert",
        since="2.0.0", summary="Put bytes at the end of a value", usage="key value", handler=strings.append,
        complexity="O(N), N being the length of the new value",
    ),
    _string(
        "strlen", 2, "readonly fast", _ONE, "RO",
        since="2.2.0", summary="The length of a value", usage="key", handler=strings.strlen,
    ),
    _string(
        "setrange", 4, "write denyoom", _ONE, "RW update",
        since="2.2.0", summary="Overwrite a part of a value", usage="key offset value",
        complexity="O(N), N being the length of the new value", handler=strings.setrange,
    ),
    _string(
        "getrange", 4, "readonly", _ONE, "RO access",
        since="2.4.0", summary="A part of a value", usage="key start end",
        complexity="O(N), N being the length of the reply", handler=strings.getrange,
    ),
    _string(
        "substr", 4, "readonly", _ONE, "RO access",
        since="1.0.0", summary="A part of a value (the old name of GETRANGE)", usage="key start end",
        complexity="O(N), N being the length of the reply", handler=strings.getrange,
    ),
    _string(
        "mget", -2, "readonly fast", (1, -1, 1), "RO access",
        since="1.0.0", summary="The values of several keys", usage="key [key ...]",
        complexity="O(N), N being the number of keys", tips="request_policy:multi_shard",
        handler=strings.mget,
    ),
    _string(
        "mset", -3, "write denyoom", (1, -1, 2), "OW update",
        since="1.0.1", summary="Give several keys a value each", usage="key value [key value ...]",
        complexity="O(N), N being the number of keys",
        tips="request_policy:multi_shard response_policy:all_succeeded", handler=strings.mset,
    ),
    _string(
        "msetnx", -3, "write denyoom", (1, -1, 2), "OW insert",
        since="1.0.1", summary="Give several keys a value each, unless one of them exists",
        usage="key value [key value ...]", complexity="O(N), N being the number of keys",
        tips="request_policy:multi_shard response_policy:agg_min", handler=strings.msetnx,
    ),
    _string(
        "lcs", -3, "readonly", (1, 2, 1), "RO access",
        since="7.0.0", summary="The longest common subsequence of two values",
        usage="key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
        complexity="O(N*M), N and M being the lengths of the values", handler=lcs.lcs,
    ),
)  # fmt: skip
