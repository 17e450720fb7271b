"""The commands of Redis 7.2 that are not in the table, and why: for docs/commands.md.

A name that has come into the table is left out there by itself, so a row may name what is on its way.
"""

from __future__ import annotations

from typing import Final

ABSENT: Final = (
    (
        "lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset ltrim rpop rpoplpush"
        " rpush rpushx blmove blmpop blpop brpop brpoplpush",
        "lists are not there yet",
    ),
    (
        "sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember"
        " smove spop srandmember srem sscan sunion sunionstore",
        "sets are not there yet",
    ),
    (
        "zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop"
        " zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem"
        " zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore"
        " zrevrank zscan zscore zunion zunionstore bzmpop bzpopmax bzpopmin",
        "sorted sets are not there yet",
    ),
    (
        "geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro"
        " geosearch geosearchstore",
        "they stand on sorted sets",
    ),
    (
        "eval eval_ro evalsha evalsha_ro script|debug script|exists script|flush script|help"
        " script|kill script|load fcall fcall_ro function|delete function|dump function|flush"
        " function|help function|kill function|list function|load function|restore function|stats",
        "scripts are not there yet",
    ),
    (
        "acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log"
        " acl|save acl|setuser acl|users acl|whoami",
        "there is one user, with one password",
    ),
    (
        "client|caching client|getredir client|tracking client|trackinginfo",
        "reads are not tracked for clients that keep copies",
    ),
    ("client|pause client|unpause client|unblock", "not there yet"),
    ("move swapdb", "there is one database, as in Redis Cluster"),
    ("migrate restore-asking", "slots don't move between groups"),
    (
        "wait waitaof",
        "a write that is answered is on the disks of a quorum",
    ),
    (
        "bgrewriteaof bgsave save lastsave",
        "the log and its snapshots are written all the time",
    ),
    (
        "replicaof slaveof psync sync replconf failover role",
        "groups replicate by Raft and choose their leaders themselves",
    ),
    ("memory|stats", "`INFO memory` has what a node knows of its memory"),
    (
        "slowlog|get slowlog|help slowlog|len slowlog|reset latency|doctor latency|graph latency|help"
        " latency|histogram latency|history latency|latest latency|reset monitor",
        "not there yet",
    ),
    ("shutdown", "a node is stopped by a signal, by whoever started it"),
    ("module|help module|list module|load module|loadex module|unload", "there are no modules"),
    ("debug pfdebug pfselftest", "they are for tests of Redis itself"),
)
"""(names as in the table, why)"""
