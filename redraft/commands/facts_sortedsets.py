"""The table's rows for sorted sets."""

from __future__ import annotations

from functools import partial

from redraft.commands import sortedalgebra, sortedranges, sortedsets
from redraft.commands.command import Command, row
from redraft.commands.keyspec import counted, single

_sorted = partial(row, group="sorted-set")
_ONE = (1, 1, 1)
_COUNTED = (counted(1, "RO access"),)
_STORED = (single(1, "OW update"), counted(2, "RO access"))
_WEIGHED = "[WEIGHTS <weight [weight ...]>] [AGGREGATE <SUM|MIN|MAX>]"
_RANGE = "O(log(N) + M), M being the number of members in the range"
_COMBINED = "O(N) + O(M * log(M)), N being the size of all the sets, M that of the result"

SORTED_SETS: tuple[Command, ...] = (
    _sorted(
        "zadd", -4, "write denyoom fast", _ONE, "RW update",
        since="1.2.0", summary="Give members of a sorted set a score each",
        usage="key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]",
        complexity="O(log(N)) for each member", handler=sortedsets.zadd,
    ),
    _sorted(
        "zincrby", 4, "write denyoom fast", _ONE, "RW access update",
        since="1.2.0", summary="Add to the score of a member", usage="key increment member",
        complexity="O(log(N))", handler=sortedsets.zincrby,
    ),
    _sorted(
        "zrem", -3, "write fast", _ONE, "RW delete",
        since="1.2.0", summary="Remove members from a sorted set", usage="key member [member ...]",
        complexity="O(log(N)) for each member", handler=sortedsets.zrem,
    ),
    _sorted(
        "zcard", 2, "readonly fast", _ONE, "RO",
        since="1.2.0", summary="The number of members of a sorted set", usage="key",
        handler=sortedsets.zcard,
    ),
    _sorted(
        "zscore", 3, "readonly fast", _ONE, "RO access",
        since="1.2.0", summary="The score of a member", usage="key member", handler=sortedsets.zscore,
    ),
    _sorted(
        "zmscore", -3, "readonly fast", _ONE, "RO access",
        since="6.2.0", summary="The scores of several members", usage="key member [member ...]",
        complexity="O(N), N being the number of members given", handler=sortedsets.zmscore,
    ),
    _sorted(
        "zrank", -3, "readonly fast", _ONE, "RO access",
        since="2.0.0", summary="The place of a member by rising scores", usage="key member [WITHSCORE]",
        complexity="O(log(N))", handler=sortedsets.zrank,
    ),
    _sorted(
        "zrevrank", -3, "readonly fast", _ONE, "RO access",
        since="2.0.0", summary="The place of a member by falling scores", usage="key member [WITHSCORE]",
        complexity="O(log(N))", handler=sortedsets.zrevrank,
    ),
    _sorted(
        "zpopmin", -2, "write fast", _ONE, "RW access delete",
        since="5.0.0", summary="Take the members with the lowest scores", usage="key [count]",
        complexity="O(log(N)) for each member", handler=sortedsets.zpopmin,
    ),
    _sorted(
        "zpopmax", -2, "write fast", _ONE, "RW access delete",
        since="5.0.0", summary="Take the members with the highest scores", usage="key [count]",
        complexity="O(log(N)) for each member", handler=sortedsets.zpopmax,
    ),
    _sorted(
        "zmpop", -4, "write movablekeys", key_specs=(counted(1, "RW access delete"),),
        since="7.0.0", summary="Take members out of the first of several sorted sets that has any",
        usage="numkeys key [key ...] <MIN|MAX> [COUNT count]",
        complexity="O(K) + O(M * log(N)) for M members taken, K being the number of keys",
        handler=sortedsets.zmpop,
    ),
    _sorted(
        "zrandmember", -2, "readonly", _ONE, "RO access",
        since="6.2.0", summary="Random members of a sorted set", usage="key [count [WITHSCORES]]",
        complexity="O(N), N being the number of members returned", tips="nondeterministic_output",
        handler=sortedsets.zrandmember,
    ),
    _sorted(
        "zscan", -3, "readonly", _ONE, "RO access",
        since="2.8.0", summary="The members of a sorted set and their scores, some at a time",
        usage="key cursor [MATCH pattern] [COUNT count]", complexity="O(1) a call, O(N) for all N members",
        tips="nondeterministic_output", handler=sortedsets.zscan,
    ),
    _sorted(
        "zcount", 4, "readonly fast", _ONE, "RO access",
        since="2.0.0", summary="Count the members in a range of scores", usage="key min max",
        complexity="O(log(N))", handler=sortedranges.zcount,
    ),
    _sorted(
        "zlexcount", 4, "readonly fast", _ONE, "RO access",
        since="2.8.9", summary="Count the members in a range of members", usage="key min max",
        complexity="O(log(N))", handler=sortedranges.zlexcount,
    ),
    _sorted(
        "zrange", -4, "readonly", _ONE, "RO access",
        since="1.2.0", summary="The members in a range",
        usage="key min max [BYSCORE|BYLEX] [REV] [LIMIT <offset count>] [WITHSCORES]", complexity=_RANGE,
        handler=sortedranges.zrange,
    ),
    _sorted(
        "zrangestore", -5, "write denyoom", (1, 2, 1), "OW update/RO access",
        since="6.2.0", summary="Store the members in a range",
        usage="destination source min max [BYSCORE|BYLEX] [REV] [LIMIT <offset count>]", complexity=_RANGE,
        handler=sortedranges.zrangestore,
    ),
    _sorted(
        "zrevrange", -4, "readonly", _ONE, "RO access",
        since="1.2.0", summary="The members in a range of ranks, by falling scores",
        usage="key start stop [WITHSCORES]", complexity=_RANGE, handler=sortedranges.zrevrange,
    ),
    _sorted(
        "zrangebyscore", -4, "readonly", _ONE, "RO access",
        since="1.0.5", summary="The members in a range of scores",
        usage="key min max [WITHSCORES] [LIMIT <offset count>]", complexity=_RANGE,
        handler=sortedranges.zrangebyscore,
    ),
    _sorted(
        "zrevrangebyscore", -4, "readonly", _ONE, "RO access",
        since="2.2.0", summary="The members in a range of scores, by falling scores",
        usage="key max min [WITHSCORES] [LIMIT <offset count>]", complexity=_RANGE,
        handler=sortedranges.zrevrangebyscore,
    ),
    _sorted(
        "zrangebylex", -4, "readonly", _ONE, "RO access",
        since="2.8.9", summary="The members in a range of members",
        usage="key min max [LIMIT <offset count>]", complexity=_RANGE, handler=sortedranges.zrangebylex,
    ),
    _sorted(
        "zrevrangebylex", -4, "readonly", _ONE, "RO access",
        since="2.8.9", summary="The members in a range of members, the last one first",
        usage="key max min [LIMIT <offset count>]", complexity=_RANGE, handler=sortedranges.zrevrangebylex,
    ),
    _sorted(
        "zremrangebyrank", 4, "write", _ONE, "RW delete",
        since="2.0.0", summary="Remove the members in a range of ranks", usage="key start stop",
        complexity=_RANGE, handler=sortedranges.zremrangebyrank,
    ),
    _sorted(
        "zremrangebyscore", 4, "write", _ONE, "RW delete",
        since="1.2.0", summary="Remove the members in a range of scores", usage="key min max",
        complexity=_RANGE, handler=sortedranges.zremrangebyscore,
    ),
    _sorted(
        "zremrangebylex", 4, "write", _ONE, "RW delete",
        since="2.8.9", summary="Remove the members in a range of members", usage="key min max",
        complexity=_RANGE, handler=sortedranges.zremrangebylex,
    ),
    _sorted(
        "zunion", -3, "readonly movablekeys", key_specs=_COUNTED,
        since="6.2.0", summary="What is in any of several sorted sets",
        usage=f"numkeys key [key ...] {_WEIGHED} [WITHSCORES]", complexity=_COMBINED,
        handler=sortedalgebra.zunion,
    ),
    _sorted(
        "zinter", -3, "readonly movablekeys", key_specs=_COUNTED,
        since="6.2.0", summary="What is in all of several sorted sets",
        usage=f"numkeys key [key ...] {_WEIGHED} [WITHSCORES]", complexity=_COMBINED,
        handler=sortedalgebra.zinter,
    ),
    _sorted(
        "zdiff", -3, "readonly movablekeys", key_specs=_COUNTED,
        since="6.2.0", summary="What is in the first of several sorted sets alone",
        usage="numkeys key [key ...] [WITHSCORES]", complexity=_COMBINED, handler=sortedalgebra.zdiff,
    ),
    _sorted(
        "zunionstore", -4, "write denyoom movablekeys", _ONE, key_specs=_STORED,
        since="2.0.0", summary="Store what is in any of several sorted sets",
        usage=f"destination numkeys key [key ...] {_WEIGHED}", complexity=_COMBINED,
        handler=sortedalgebra.zunionstore,
    ),
    _sorted(
        "zinterstore", -4, "write denyoom movablekeys", _ONE, key_specs=_STORED,
        since="2.0.0", summary="Store what is in all of several sorted sets",
        usage=f"destination numkeys key [key ...] {_WEIGHED}", complexity=_COMBINED,
        handler=sortedalgebra.zinterstore,
    ),
    _sorted(
        "zdiffstore", -4, "write denyoom movablekeys", _ONE, key_specs=_STORED,
        since="6.2.0", summary="Store what is in the first of several sorted sets alone",
        usage="destination numkeys key [key ...]", complexity=_COMBINED, handler=sortedalgebra.zdiffstore,
    ),
    _sorted(
        "zintercard", -3, "readonly movablekeys", key_specs=_COUNTED,
        since="7.0.0", summary="Count what is in all of several sorted sets",
        usage="numkeys key [key ...] [LIMIT limit]",
        complexity="O(N * M), N being the size of the smallest set, M the number of sets",
        handler=sortedalgebra.zintercard,
    ),
)  # fmt: skip
