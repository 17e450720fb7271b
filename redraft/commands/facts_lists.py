"""The table's rows for lists."""

from __future__ import annotations

from functools import partial

from redraft.commands import lists
from redraft.commands.command import Command, row
from redraft.commands.keyspec import counted

_list = partial(row, group="list")
_ONE = (1, 1, 1)
_BY_ADDED = "O(N), N being the number of elements added"
_BY_TAKEN = "O(N), N being the number of elements taken"
_BY_SIZE = "O(N), N being the length of the list"

LISTS: tuple[Command, ...] = (
    _list(
        "lpush", -3, "write denyoom fast", _ONE, "RW insert",
        since="1.0.0", summary="Add elements before the first one of a list",
        usage="key element [element ...]", complexity=_BY_ADDED, handler=lists.lpush,
    ),
    _list(
        "rpush", -3, "write denyoom fast", _ONE, "RW insert",
        since="1.0.0", summary="Add elements behind the last one of a list",
        usage="key element [element ...]", complexity=_BY_ADDED, handler=lists.rpush,
    ),
    _list(
        "lpushx", -3, "write denyoom fast", _ONE, "RW insert",
        since="2.2.0", summary="Add elements before the first one of a list that exists",
        usage="key element [element ...]", complexity=_BY_ADDED, handler=lists.lpushx,
    ),
    _list(
        "rpushx", -3, "write denyoom fast", _ONE, "RW insert",
        since="2.2.0", summary="Add elements behind the last one of a list that exists",
        usage="key element [element ...]", complexity=_BY_ADDED, handler=lists.rpushx,
    ),
    _list(
        "lpop", -2, "write fast", _ONE, "RW access delete",
        since="1.0.0", summary="Take the first elements of a list", usage="key [count]",
        complexity=_BY_TAKEN, handler=lists.lpop,
    ),
    _list(
        "rpop", -2, "write fast", _ONE, "RW access delete",
        since="1.0.0", summary="Take the last elements of a list", usage="key [count]",
        complexity=_BY_TAKEN, handler=lists.rpop,
    ),
    _list(
        "lmpop", -4, "write movablekeys", key_specs=(counted(1, "RW access delete"),),
        since="7.0.0", summary="Take elements of the first of several lists that has some",
        usage="numkeys key [key ...] <LEFT|RIGHT> [COUNT count]",
        complexity="O(N + M), N being the number of keys, M of elements taken", handler=lists.lmpop,
    ),
    _list(
        "lmove", 5, "write denyoom", (1, 2, 1), "RW access delete/RW insert",
        since="6.2.0", summary="Take an element of a list and add it to another",
        usage="source destination <LEFT|RIGHT> <LEFT|RIGHT>", handler=lists.lmove,
    ),
    _list(
        "rpoplpush", 3, "write denyoom", (1, 2, 1), "RW access delete/RW insert",
        since="1.2.0", summary="Take the last element of a list and add it before the first one of another",
        usage="source destination", handler=lists.rpoplpush,
    ),
    _list(
        "llen", 2, "readonly fast", _ONE, "RO",
        since="1.0.0", summary="The length of a list", usage="key", handler=lists.llen,
    ),
    _list(
        "lrange", 4, "readonly", _ONE, "RO access",
        since="1.0.0", summary="The elements of a part of a list", usage="key start stop",
        complexity="O(N), N being the number of elements returned", handler=lists.lrange,
    ),
    _list(
        "lindex", 3, "readonly", _ONE, "RO access",
        since="1.0.0", summary="The element at an index of a list", usage="key index", handler=lists.lindex,
    ),
    _list(
        "lpos", -3, "readonly", _ONE, "RO access",
        since="6.0.6", summary="The indexes of the elements of a list that equal a value",
        usage="key element [RANK rank] [COUNT num-matches] [MAXLEN len]", complexity=_BY_SIZE,
        handler=lists.lpos,
    ),
    _list(
        "lset", 4, "write denyoom", _ONE, "RW update",
        since="1.0.0", summary="Put an element in the place of another", usage="key index element",
        handler=lists.lset,
    ),
    _list(
        "linsert", 5, "write denyoom", _ONE, "RW insert",
        since="2.2.0", summary="Add an element before or behind another one of a list",
        usage="key <BEFORE|AFTER> pivot element", complexity=_BY_SIZE, handler=lists.linsert,
    ),
    _list(
        "lrem", 4, "write", _ONE, "RW delete",
        since="1.0.0", summary="Delete elements of a list that equal a value", usage="key count element",
        complexity=_BY_SIZE, handler=lists.lrem,
    ),
    _list(
        "ltrim", 4, "write", _ONE, "RW delete",
        since="1.0.0", summary="Delete all elements of a list but those of a part", usage="key start stop",
        complexity="O(N), N being the number of elements deleted", handler=lists.ltrim,
    ),
)  # fmt: skip
