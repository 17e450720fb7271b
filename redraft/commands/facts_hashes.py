"""The table's rows for hashes."""

from __future__ import annotations

from functools import partial

from redraft.commands import hashes
from redraft.commands.command import Command, row

_hash = partial(row, group="hash")
_ONE = (1, 1, 1)
_BY_FIELDS = "O(N), N being the number of fields given"
_BY_SIZE = "O(N), N being the size of the hash"

HASHES: tuple[Command, ...] = (
    _hash(
        "hset", -4, "write denyoom fast", _ONE, "RW update",
        since="2.0.0", summary="Give fields of a hash a value each",
        usage="key <field value> [field value ...]", complexity=_BY_FIELDS, handler=hashes.hset,
    ),
    _hash(
        "hmset", -4, "write denyoom fast", _ONE, "RW update",
        since="2.0.0", summary="Give fields of a hash a value each",
        usage="key <field value> [field value ...]", complexity=_BY_FIELDS, handler=hashes.hmset,
    ),
    _hash(
        "hsetnx", 4, "write denyoom fast", _ONE, "RW insert",
        since="2.0.0", summary="Give a field of a hash a value unless it exists", usage="key field value",
        handler=hashes.hsetnx,
    ),
    _hash(
        "hget", 3, "readonly fast", _ONE, "RO access",
        since="2.0.0", summary="The value of a field of a hash", usage="key field", handler=hashes.hget,
    ),
    _hash(
        "hmget", -3, "readonly fast", _ONE, "RO access",
        since="2.0.0", summary="The values of several fields of a hash", usage="key field [field ...]",
        complexity=_BY_FIELDS, handler=hashes.hmget,
    ),
    _hash(
        "hdel", -3, "write fast", _ONE, "RW delete",
        since="2.0.0", summary="Delete fields of a hash", usage="key field [field ...]",
        complexity=_BY_FIELDS, handler=hashes.hdel,
    ),
    _hash(
        "hexists", 3, "readonly fast", _ONE, "RO",
        since="2.0.0", summary="Whether a hash has a field", usage="key field", handler=hashes.hexists,
    ),
    _hash(
        "hlen", 2, "readonly fast", _ONE, "RO",
        since="2.0.0", summary="The number of fields of a hash", usage="key", handler=hashes.hlen,
    ),
    _hash(
        "hstrlen", 3, "readonly fast", _ONE, "RO",
        since="3.2.0", summary="The length of the value of a field of a hash", usage="key field",
        handler=hashes.hstrlen,
    ),
    _hash(
        "hincrby", 4, "write denyoom fast", _ONE, "RW access update",
        since="2.0.0", summary="Add to a number in a hash", usage="key field increment",
        handler=hashes.hincrby,
    ),
    _hash(
        "hincrbyfloat", 4, "write denyoom fast", _ONE, "RW access update",
        since="2.6.0", summary="Add to a number with a fraction in a hash", usage="key field increment",
        handler=hashes.hincrbyfloat,
    ),
    _hash(
        "hgetall", 2, "readonly", _ONE, "RO access",
        since="2.0.0", summary="All fields and values of a hash", usage="key", complexity=_BY_SIZE,
        tips="nondeterministic_output_order", handler=hashes.hgetall,
    ),
    _hash(
        "hkeys", 2, "readonly", _ONE, "RO access",
        since="2.0.0", summary="All fields of a hash", usage="key", complexity=_BY_SIZE,
        tips="nondeterministic_output_order", handler=hashes.hkeys,
    ),
    _hash(
        "hvals", 2, "readonly", _ONE, "RO access",
        since="2.0.0", summary="All values of a hash", usage="key", complexity=_BY_SIZE,
        tips="nondeterministic_output_order", handler=hashes.hvals,
    ),
    _hash(
        "hscan", -3, "readonly", _ONE, "RO access",
        since="2.8.0", summary="The fields and values of a hash, some at a time",
        usage="key cursor [MATCH pattern] [COUNT count]", complexity="O(1) a call, O(N) for all N fields",
        tips="nondeterministic_output", handler=hashes.hscan,
    ),
    _hash(
        "hrandfield", -2, "readonly", _ONE, "RO access",
        since="6.2.0", summary="Random fields of a hash", usage="key [count [WITHVALUES]]",
        complexity="O(N), N being the number of fields returned", tips="nondeterministic_output",
        handler=hashes.hrandfield,
    ),
)  # fmt: skip
