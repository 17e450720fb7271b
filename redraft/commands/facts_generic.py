"""The table's rows for commands on keys of any type, and on the keyspace as a whole."""

from __future__ import annotations

from functools import partial

from redraft.commands import encoding, expiry, generic, memory, serialise, sort, whole
from redraft.commands.command import Command, row
from redraft.commands.keyspec import searched, single

_generic = partial(row, group="generic")
_server = partial(row, group="server")
_ONE = (1, 1, 1)
_PAIR = (1, 2, 1)
_ALL = (1, -1, 1)
_BY_KEYS = "O(N), N being the number of keys"
_SUM = "request_policy:multi_shard response_policy:agg_sum"
_EVERYWHERE = "request_policy:all_shards response_policy:all_succeeded"
_COMPARE = "[NX|XX|GT|LT]"

_OBJECT = (
    _generic(
        "object|encoding", 3, "readonly", (2, 2, 1), "RO",
        since="2.2.3", summary="How the value of a key is stored", usage="key",
        tips="nondeterministic_output", handler=encoding.object_,
    ),
    _generic(
        "object|freq", 3, "readonly", (2, 2, 1), "RO",
        since="4.0.0", summary="How often a key is used", usage="key",
        tips="nondeterministic_output", handler=encoding.object_,
    ),
    _generic("object|help", 2, "loading stale", since="6.2.0", summary="What OBJECT can do",
             handler=encoding.object_),
    _generic(
        "object|idletime", 3, "readonly", (2, 2, 1), "RO",
        since="2.2.3", summary="Seconds since a key was last used", usage="key",
        tips="nondeterministic_output", handler=encoding.object_,
    ),
    _generic(
        "object|refcount", 3, "readonly", (2, 2, 1), "RO",
        since="2.2.3", summary="The number of references to a value", usage="key",
        tips="nondeterministic_output", handler=encoding.object_,
    ),
)  # fmt: skip

_SORT = "[BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC|DESC] [ALPHA]"
_SORTED = (single(1, "RO access"), searched(sort.pattern_positions, "RO access"))
_MEMORY_EVERYWHERE = "nondeterministic_output request_policy:all_shards response_policy:special"
_MEMORY = (
    _server("memory|doctor", 2, since="4.0.0", summary="Where to look for what takes memory",
            tips=_MEMORY_EVERYWHERE, handler=memory.memory),
    _server("memory|help", 2, "loading stale", since="4.0.0", summary="What MEMORY can do",
            handler=memory.memory),
    _server("memory|malloc-stats", 2, since="4.0.0", summary="What the allocator tells",
            tips=_MEMORY_EVERYWHERE, handler=memory.memory),
    _server("memory|purge", 2, since="4.0.0", summary="Ask the allocator to give memory back",
            tips=_EVERYWHERE, handler=memory.memory),
    _server(
        "memory|usage", -3, "readonly", (2, 2, 1), "RO",
        since="4.0.0", summary="The bytes that a key takes, an estimate", usage="key [SAMPLES count]",
        handler=memory.memory,
    ),
)  # fmt: skip

GENERIC: tuple[Command, ...] = (
    _generic(
        "del", -2, "write", _ALL, "RM delete",
        since="1.0.0", summary="Delete keys", usage="key [key ...]", complexity=_BY_KEYS, tips=_SUM,
        handler=generic.delete,
    ),
    _generic(
        "unlink", -2, "write fast", _ALL, "RM delete",
        since="4.0.0", summary="Delete keys", usage="key [key ...]", complexity=_BY_KEYS, tips=_SUM,
        handler=generic.delete,
    ),
    _generic(
        "exists", -2, "readonly fast", _ALL, "RO",
        since="1.0.0", summary="How many of the keys exist", usage="key [key ...]", complexity=_BY_KEYS,
        tips=_SUM, handler=generic.exists,
    ),
    _generic(
        "touch", -2, "readonly fast", _ALL, "RO",
        since="3.2.1", summary="How many of the keys exist, which counts as a use of them",
        usage="key [key ...]", complexity=_BY_KEYS, tips=_SUM, handler=generic.exists,
    ),
    _generic(
        "type", 2, "readonly fast", _ONE, "RO",
        since="1.0.0", summary="The type of the value of a key", usage="key", handler=generic.type_,
    ),
    _generic(
        "rename", 3, "write", _PAIR, "RW access delete/OW update",
        since="1.0.0", summary="Give a key another name, overwriting a key that has it",
        usage="key newkey", handler=generic.rename,
    ),
    _generic(
        "renamenx", 3, "write fast", _PAIR, "RW access delete/OW insert",
        since="1.0.0", summary="Give a key another name unless it is taken", usage="key newkey",
        handler=generic.renamenx,
    ),
    _generic(
        "copy", -3, "write denyoom", _PAIR, "RO access/OW update",
        since="6.2.0", summary="Copy the value of a key to another key",
        usage="source destination [DB destination-db] [REPLACE]", handler=generic.copy,
    ),
    _generic(
        "expire", -3, "write fast", _ONE, "RW update",
        since="1.0.0", summary="Give a key a time to live in seconds", usage=f"key seconds {_COMPARE}",
        handler=expiry.expire,
    ),
    _generic(
        "pexpire", -3, "write fast", _ONE, "RW update",
        since="2.6.0", summary="Give a key a time to live in milliseconds",
        usage=f"key milliseconds {_COMPARE}", handler=expiry.pexpire,
    ),
    _generic(
        "expireat", -3, "write fast", _ONE, "RW update",
        since="1.2.0", summary="Let a key expire at a time given in seconds",
        usage=f"key unix-time-seconds {_COMPARE}", handler=expiry.expireat,
    ),
    _generic(
        "pexpireat", -3, "write fast", _ONE, "RW update",
        since="2.6.0", summary="Let a key expire at a time given in milliseconds",
        usage=f"key unix-time-milliseconds {_COMPARE}", handler=expiry.pexpireat,
    ),
    _generic(
        "ttl", 2, "readonly fast", _ONE, "RO access",
        since="1.0.0", summary="The time a key has to live, in seconds", usage="key",
        tips="nondeterministic_output", handler=expiry.ttl,
    ),
    _generic(
        "pttl", 2, "readonly fast", _ONE, "RO access",
        since="2.6.0", summary="The time a key has to live, in milliseconds", usage="key",
        tips="nondeterministic_output", handler=expiry.pttl,
    ),
    _generic(
        "expiretime", 2, "readonly fast", _ONE, "RO access",
        since="7.0.0", summary="When a key expires, in seconds", usage="key", handler=expiry.expiretime,
    ),
    _generic(
        "pexpiretime", 2, "readonly fast", _ONE, "RO access",
        since="7.0.0", summary="When a key expires, in milliseconds", usage="key",
        handler=expiry.pexpiretime,
    ),
    _generic(
        "persist", 2, "write fast", _ONE, "RW update",
        since="2.2.0", summary="Take a key's time to live away", usage="key", handler=expiry.persist,
    ),
    _generic(
        "object", -2, since="2.2.3", summary="What is known about the value of a key",
        complexity="Depends on the subcommand", subcommands=_OBJECT, handler=encoding.object_,
    ),
    _server(
        "memory", -2, since="4.0.0", summary="What keys take of the memory",
        complexity="Depends on the subcommand", subcommands=_MEMORY, handler=memory.memory,
    ),
    _generic(
        "dump", 2, "readonly", _ONE, "RO access",
        since="2.6.0", summary="The value of a key in serialised form", usage="key",
        complexity="O(N), N being the size of the value", tips="nondeterministic_output",
        handler=serialise.dump,
    ),
    _generic(
        "restore", -4, "write denyoom", _ONE, "OW update",
        since="2.6.0", summary="Make a key of a serialised value",
        usage="key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        complexity="O(N), N being the size of the value", handler=serialise.restore,
    ),
    _generic(
        "sort", -2, "write denyoom movablekeys", _ONE,
        key_specs=(*_SORTED, searched(sort.store_position, "OW update")),
        since="1.0.0", summary="The elements of a list, set or sorted set in an order, or store them",
        usage=f"key {_SORT} [STORE destination]", complexity="O(N*log(N)), N being the number of elements",
        handler=sort.sort,
    ),
    _generic(
        "sort_ro", -2, "readonly movablekeys", _ONE, key_specs=_SORTED,
        since="7.0.0", summary="The elements of a list, set or sorted set in an order",
        usage=f"key {_SORT}", complexity="O(N*log(N)), N being the number of elements",
        handler=sort.sort_ro,
    ),
    _generic(
        "keys", 2, "readonly", since="1.0.0", summary="All keys that match a pattern", usage="pattern",
        complexity="O(N), N being the number of keys stored", whole=True,
        tips="request_policy:all_shards nondeterministic_output_order", handler=whole.keys,
    ),
    _generic(
        "scan", -2, "readonly", since="2.8.0", summary="The keys, some at a time",
        usage="cursor [MATCH pattern] [COUNT count] [TYPE type]",
        complexity="O(1) a call, O(N) for all N keys stored", whole=True,
        tips="nondeterministic_output request_policy:special", handler=whole.scan,
    ),
    _generic(
        "randomkey", 1, "readonly", since="1.0.0", summary="Any one key", whole=True,
        tips="request_policy:all_shards nondeterministic_output", handler=whole.randomkey,
    ),
    _server(
        "dbsize", 1, "readonly fast", since="1.0.0", summary="The number of keys", whole=True,
        tips="request_policy:all_shards response_policy:agg_sum", handler=whole.dbsize,
    ),
    _server(
        "flushall", -1, "write", since="1.0.0", summary="Delete all keys", usage="[ASYNC|SYNC]",
        complexity="O(N), N being the number of keys", whole=True, tips=_EVERYWHERE, handler=whole.flush,
    ),
    _server(
        "flushdb", -1, "write", since="1.0.0", summary="Delete all keys of the database",
        usage="[ASYNC|SYNC]", complexity="O(N), N being the number of keys", whole=True, tips=_EVERYWHERE,
        handler=whole.flush,
    ),
)  # fmt: skip
