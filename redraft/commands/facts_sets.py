"""The table's rows for sets."""

from __future__ import annotations

from functools import partial

from redraft.commands import setalgebra, sets
from redraft.commands.command import Command, row
from redraft.commands.keyspec import counted, plain, single

_set = partial(row, group="set")
_ONE = (1, 1, 1)
_ALL = (1, -1, 1)
_SOURCES = plain((2, -1, 1), "RO access")
_BY_MEMBERS = "O(N), N being the number of members given"
_BY_SIZE = "O(N), N being the size of the set"
_BY_SIZES = "O(N), N being the size of all the sets"
_BY_SMALLEST = "O(N * M), N being the size of the smallest set, M the number of sets"

SETS: tuple[Command, ...] = (
    _set(
        "sadd", -3, "write denyoom fast", _ONE, "RW insert",
        since="1.0.0", summary="Add members to a set", usage="key member [member ...]",
        complexity=_BY_MEMBERS, handler=sets.sadd,
    ),
    _set(
        "srem", -3, "write fast", _ONE, "RW delete",
        since="1.0.0", summary="Remove members from a set", usage="key member [member ...]",
        complexity=_BY_MEMBERS, handler=sets.srem,
    ),
    _set(
        "smembers", 2, "readonly", _ONE, "RO access",
        since="1.0.0", summary="All members of a set", usage="key", complexity=_BY_SIZE,
        tips="nondeterministic_output_order", handler=sets.smembers,
    ),
    _set(
        "sismember", 3, "readonly fast", _ONE, "RO",
        since="1.0.0", summary="Whether something is a member of a set", usage="key member",
        handler=sets.sismember,
    ),
    _set(
        "smismember", -3, "readonly fast", _ONE, "RO access",
        since="6.2.0", summary="Whether each of several things is a member of a set",
        usage="key member [member ...]", complexity=_BY_MEMBERS, handler=sets.smismember,
    ),
    _set(
        "scard", 2, "readonly fast", _ONE, "RO",
        since="1.0.0", summary="The number of members of a set", usage="key", handler=sets.scard,
    ),
    _set(
        "spop", -2, "write fast", _ONE, "RW access delete",
        since="1.0.0", summary="Take random members out of a set", usage="key [count]",
        complexity="O(N), N being the number of members taken", tips="nondeterministic_output",
        handler=sets.spop,
    ),
    _set(
        "srandmember", -2, "readonly", _ONE, "RO access",
        since="1.0.0", summary="Random members of a set", usage="key [count]",
        complexity="O(N), N being the number of members returned", tips="nondeterministic_output",
        handler=sets.srandmember,
    ),
    _set(
        "smove", 4, "write fast", (1, 2, 1), "RW access delete/RW insert",
        since="1.0.0", summary="Move a member from one set to another", usage="source destination member",
        handler=sets.smove,
    ),
    _set(
        "sscan", -3, "readonly", _ONE, "RO access",
        since="2.8.0", summary="The members of a set, some at a time",
        usage="key cursor [MATCH pattern] [COUNT count]", complexity="O(1) a call, O(N) for all N members",
        tips="nondeterministic_output", handler=sets.sscan,
    ),
    _set(
        "sinter", -2, "readonly", _ALL, "RO access",
        since="1.0.0", summary="What is in all of several sets", usage="key [key ...]",
        complexity=_BY_SMALLEST, tips="nondeterministic_output_order", handler=setalgebra.sinter,
    ),
    _set(
        "sinterstore", -3, "write denyoom", _ALL, key_specs=(single(1, "RW update"), *_SOURCES),
        since="1.0.0", summary="Store what is in all of several sets", usage="destination key [key ...]",
        complexity=_BY_SMALLEST, handler=setalgebra.sinterstore,
    ),
    _set(
        "sintercard", -3, "readonly movablekeys", key_specs=(counted(1, "RO access"),),
        since="7.0.0", summary="Count what is in all of several sets",
        usage="numkeys key [key ...] [LIMIT limit]", complexity=_BY_SMALLEST, handler=setalgebra.sintercard,
    ),
    _set(
        "sunion", -2, "readonly", _ALL, "RO access",
        since="1.0.0", summary="What is in any of several sets", usage="key [key ...]",
        complexity=_BY_SIZES, tips="nondeterministic_output_order", handler=setalgebra.sunion,
    ),
    _set(
        "sunionstore", -3, "write denyoom", _ALL, key_specs=(single(1, "OW update"), *_SOURCES),
        since="1.0.0", summary="Store what is in any of several sets", usage="destination key [key ...]",
        complexity=_BY_SIZES, handler=setalgebra.sunionstore,
    ),
    _set(
        "sdiff", -2, "readonly", _ALL, "RO access",
        since="1.0.0", summary="What is in the first of several sets alone", usage="key [key ...]",
        complexity=_BY_SIZES, tips="nondeterministic_output_order", handler=setalgebra.sdiff,
    ),
    _set(
        "sdiffstore", -3, "write denyoom", _ALL, key_specs=(single(1, "OW update"), *_SOURCES),
        since="1.0.0", summary="Store what is in the first of several sets alone",
        usage="destination key [key ...]", complexity=_BY_SIZES, handler=setalgebra.sdiffstore,
    ),
)  # fmt: skip
