"""Sorted sets against redis-server, byte for byte; what Redis 7.2 does otherwise is tested by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.scores import from_sortable, pack, sortable, unpack
from tests.commands.oracle import (
    Oracle,
    compare,
    context,
    execute_one,
    generated,
    requests_of,
    without_small_sets,
)
from tests.commands.strategies import ANY_KEY, KEYS, joined, options, request, sequences, word

LONG = "x" * 65
NUMBERS = """
    0 -0 +0 1 -1 +1 01 1.0 1. .5 -.5 . + - e 1e 1e1 1E1 1e+1 1e-1 1ee1 1e1.5 0.1 0.3 3.14159 100 1e5 1e15
    1e16 1e17 123456789012345678 9007199254740993 4503599627370497 1e20 1e21 1e22 1e300 1e308 1e309
    1.7976931348623157e308 1.7976931348623159e308 4.9e-324 2e-324 1e-310 2.2250738585072014e-308 0e999999
    0.0e-999999 -0.0e5 0x 0x1 0X1P3 0x.8 0x1.8p-1 0x1p 0x1p1024 0x1p-1080 0x0p99999 0xg 1x inf -inf +inf INF
    infinity -Infinity infinit in nan -nan NAN nan(1) 1_0 {sp}1 1{sp} {} {sp} 123456789.123456789 0.000001
    0.0000123 99999999999999999999 -5e-5 179769313486231570e291
"""
SCRIPTS: dict[str, str] = {
    "add": """
        ZADD z 1 a 2 b|ZADD z 1 a|ZADD z 3 a 4 c|ZRANGE z 0 -1 WITHSCORES|ZADD z CH 5 a 6 d
        ZADD z NX 9 a 9 e
        ZADD z XX 7 a 7 none|ZADD z XX CH 8 a|ZADD z GT 1 a|ZADD z GT CH 10 a 20 new|ZADD z LT CH 100 a 1 b
        ZADD z LT 0 a|ZADD z GT XX CH 50 a|ZADD z INCR 1 a|ZADD z NX INCR 1 a|ZADD z NX INCR 1 g
        ZADD z XX INCR 1 none|ZADD z GT INCR -1 a|ZADD z GT INCR 0 a|ZADD z LT INCR -1 a|ZADD z XX INCR 1 a
        ZRANGE z 0 -1 WITHSCORES|ZADD none XX 1 a|ZADD none XX INCR 1 a|EXISTS none|ZADD z 1 q 2 q 3 q
        ZSCORE z q|ZADD z CH 1 q 2 q|ZADD z NX 1 r 2 r|ZSCORE z r|ZADD e 1 a|EXPIRE e 100|ZADD e 2 a 3 b
        TTL e
        zadd Z nx ch 1 a|zscore Z a|ZADD z 1 {}|ZSCORE z {}|ZCARD z|ZCARD none|TYPE z""",
    "add_refused": """
        ZADD|ZADD z|ZADD z 1|ZADD z 1 a 2|ZADD z a 1|ZADD z 1 a x b|EXISTS z|ZADD z NX XX 1 a
        ZADD z GT LT 1 a
        ZADD z GT NX 1 a|ZADD z LT NX 1 a|ZADD z NX XX GT 1 a|ZADD z INCR 1 a 2 b|ZADD z NX XX|ZADD z XX
        ZADD z CH INCR 1 a 2|ZADD z FOO 1 a|ZADD z NX|ZADD z NX XX INCR 1 a 2 b|ZADD z INCR x a
        ZADD z GT LT x a|ZADD z 1 a NX|ZADD z nan a|ZADD z INCR nan a|EXISTS z|ZADD z inf a
        ZADD z INCR -inf a
        ZINCRBY z -inf a|ZINCRBY z nan a|ZINCRBY z x a|ZINCRBY z 1|ZINCRBY z 1 a b|ZADD z XX INCR -inf a
        ZADD z NX INCR -inf a|ZADD z GT INCR -inf a|ZSCORE z a|ZINCRBY z 1 a|ZINCRBY z 5 b|ZINCRBY z 0.5 b
        ZINCRBY z -6 b|ZINCRBY z 1e300 big|ZINCRBY z 1e308 huge|ZINCRBY z 1e308 huge
        ZINCRBY z -1e-320 huge""",
    "ranks": """
        ZADD z 1 a 2 b 3 c 4 d 5 e|ZRANGE z 0 -1|ZRANGE z 1 2|ZRANGE z -2 -1|ZRANGE z -100 100|ZRANGE z 3 1
        ZRANGE z 5 10|ZRANGE z 4 10|ZRANGE z -100 -99|ZRANGE z 0 -6|ZRANGE z 0 0|ZRANGE z 0 1 WITHSCORES
        ZRANGE z 0 1 REV|ZRANGE z 0 1 REV WITHSCORES|ZREVRANGE z 0 1|ZREVRANGE z 0 -1 WITHSCORES
        ZREVRANGE z -1 0|ZREVRANGE z 3 100|ZRANGE z x 1|ZRANGE z 0 x|ZRANGE z 0 1.5|ZREVRANGE z x 1
        ZRANGE none 0 -1|ZRANGE none x 1|ZRANGE z 0 1 FOO|ZRANGE z 0 1 withscores rev|ZREVRANGE z 0 1 REV
        ZRANGE z 0 1 LIMIT 0 1|ZRANGE z 0 1 LIMIT 0 -1|ZRANGE z 0 1 LIMIT 0|ZRANGE z 0 1 LIMIT x 1
        ZREVRANGE z 0 1 LIMIT 0 1|ZRANGE z 0|ZRANGE|ZREVRANGE z 0|ZRANGE z 0 9223372036854775807
        ZRANGE z -9223372036854775808 -1|ZRANGE z 0 9223372036854775808
        ZREVRANGE z 0 1 WITHSCORES WITHSCORES
        ZRANK z a|ZRANK z e|ZRANK z none|ZRANK none a|ZREVRANK z a|ZREVRANK z e|ZREVRANK z none|ZRANK z
        ZREVRANK none a|ZRANK|ZMSCORE z a none b|ZMSCORE none a b|ZMSCORE z|ZSCORE z a|ZSCORE z none
        ZSCORE z
        ZSCORE none a""",
    "score_ranges": """
        ZADD z 1 a 2 b 2 bb 3 c 4 d|ZRANGEBYSCORE z 2 3 WITHSCORES|ZREVRANGEBYSCORE z 3 2 WITHSCORES
        ZREVRANGEBYSCORE z 2 3|ZRANGEBYSCORE z -inf inf LIMIT 1 2|ZRANGEBYSCORE z -inf inf LIMIT 1 -1
        ZRANGEBYSCORE z -inf inf LIMIT -1 2|ZRANGEBYSCORE z -inf inf LIMIT 0 0|ZRANGEBYSCORE z 1 2 LIMIT 9 1
        ZREVRANGEBYSCORE z inf -inf LIMIT 1 2|ZRANGEBYSCORE z 1 2 LIMIT 1|ZRANGEBYSCORE z 1 2 LIMIT x 1
        ZRANGEBYSCORE z 1 2 LIMIT 1 x|ZRANGEBYSCORE z 1 2 REV|ZRANGEBYSCORE z 1 2 BYSCORE|ZRANGEBYSCORE z 1
        ZRANGEBYSCORE z 1 5 LIMIT 1 2 WITHSCORES|ZRANGEBYSCORE z 1 5 WITHSCORES LIMIT 1 2 LIMIT 0 1
        ZRANGE z 2 3 BYSCORE|ZRANGE z (2 3 BYSCORE WITHSCORES|ZRANGE z 3 2 BYSCORE REV
        ZRANGE z 2 3 BYSCORE REV
        ZRANGE z 1 5 BYSCORE LIMIT 1 2|ZRANGE z 5 1 BYSCORE REV LIMIT 1 2 WITHSCORES|ZRANGE z a b BYSCORE
        ZRANGE z 1 2 BYSCORE BYSCORE|ZRANGE z 1 2 BYSCORE BYLEX|ZRANGE z 1 2 REV REV|ZRANGE none a b BYSCORE
        ZRANGE z 1 2 BYSCORE LIMIT 1|ZRANGEBYSCORE none 1 2|ZRANGEBYSCORE none x 2|ZREVRANGEBYSCORE z x 2
        ZCOUNT z 1 2|ZCOUNT z (1 (3|ZCOUNT z 3 1|ZCOUNT none 1 2|ZCOUNT none x 2|ZCOUNT z 1|ZCOUNT z 1 2 3
        ZRANGEBYSCORE z 1 5 LIMIT 9223372036854775807 1|ZRANGEBYSCORE z 1 5 LIMIT 0 9223372036854775807
        ZRANGEBYSCORE z 1 5 LIMIT 1 9223372036854775808|ZRANGEBYSCORE z 1 5 LIMIT -9223372036854775808 1""",
    "member_ranges": """
        ZADD z 0 a 0 b 0 c 0 d 0 {} 0 aa|ZRANGEBYLEX z - +|ZRANGEBYLEX z + -|ZRANGEBYLEX z - -
        ZRANGEBYLEX z + +
        ZRANGEBYLEX z [a [c|ZRANGEBYLEX z (a [c|ZRANGEBYLEX z [a (c|ZRANGEBYLEX z (a (c|ZRANGEBYLEX z (a (a
        ZRANGEBYLEX z [a [a|ZRANGEBYLEX z [c [a|ZRANGEBYLEX z [ [b|ZRANGEBYLEX z ( (b|ZRANGEBYLEX z - (
        ZRANGEBYLEX z - [|ZRANGEBYLEX z a b|ZRANGEBYLEX z -x +|ZRANGEBYLEX z - +x|ZRANGEBYLEX z {} +
        ZRANGEBYLEX z - + LIMIT 1 2|ZRANGEBYLEX z - + LIMIT 1 -5|ZRANGEBYLEX z - + LIMIT -1 5
        ZRANGEBYLEX z - + WITHSCORES|ZREVRANGEBYLEX z + -|ZREVRANGEBYLEX z [c [a|ZREVRANGEBYLEX z [a [c
        ZREVRANGEBYLEX z (c - LIMIT 1 1|ZREVRANGEBYLEX z + - WITHSCORES|ZREVRANGEBYLEX z x -
        ZRANGE z [a [c BYLEX|ZRANGE z [c [a BYLEX REV|ZRANGE z - + BYLEX WITHSCORES|ZRANGE z - + BYLEX REV
        ZRANGE z - + BYLEX LIMIT 1 2|ZRANGE z + - BYLEX REV LIMIT 1 2|ZRANGE z a b BYLEX
        ZRANGE none a b BYLEX
        ZRANGEBYLEX none - +|ZRANGEBYLEX none a b|ZLEXCOUNT z - +|ZLEXCOUNT z [a (c|ZLEXCOUNT z + -
        ZLEXCOUNT none - +|ZLEXCOUNT none x +|ZLEXCOUNT z x +|ZLEXCOUNT z -|ZREMRANGEBYLEX z [b (d
        ZRANGE z 0 -1|ZREMRANGEBYLEX z x +|ZREMRANGEBYLEX none x +|ZREMRANGEBYLEX none - +
        ZREMRANGEBYLEX z + -|ZREMRANGEBYLEX z - +|EXISTS z|ZADD m 1 c 2 a 3 d 4 b|ZRANGEBYLEX m - +
        ZRANGEBYLEX m [b +|ZRANGEBYLEX m [b [c|ZREVRANGEBYLEX m [c [b|ZRANGEBYLEX m [d [d|ZRANGEBYLEX m (b +
        ZREVRANGEBYLEX m + (b|ZREVRANGEBYLEX m (d -|ZLEXCOUNT m [b +|ZLEXCOUNT m [a [b|ZRANGEBYLEX m - (c
        ZREMRANGEBYLEX m (b (d|ZRANGE m 0 -1""",
    "store": """
        ZADD z 1 a 2 b 3 c|ZRANGESTORE d z 0 1|ZRANGE d 0 -1 WITHSCORES|ZRANGESTORE d z 0 1 REV
        ZRANGE d 0 -1 WITHSCORES|ZRANGESTORE d z 2 3 BYSCORE|ZRANGE d 0 -1
        ZRANGESTORE d z (1 inf BYSCORE LIMIT 1 1
        ZRANGE d 0 -1|ZRANGESTORE d z - [b BYLEX|ZRANGE d 0 -1|ZRANGESTORE d z 5 9|EXISTS d
        ZRANGESTORE d none 0 1
        ZRANGESTORE z z 0 1|ZRANGE z 0 -1|ZRANGESTORE d z 0 1 WITHSCORES|ZRANGESTORE d z x 1
        ZRANGESTORE d z 0
        ZRANGESTORE d z 0 1 LIMIT 0 1|ZRANGESTORE z none 0 1|EXISTS z|SET s v|ZRANGESTORE d s 0 1|ZADD z 1 a
        ZRANGESTORE s z 0 1|TYPE s|EXPIRE s 100|ZRANGESTORE s z 0 1|TTL s|ZRANGESTORE d z 0 1 FOO""",
    "remove": f"""
        ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g|ZREM z a none b a|ZREM none a|ZREM z|ZREMRANGEBYRANK z 0 0
        ZREMRANGEBYRANK z -1 -1|ZRANGE z 0 -1|ZREMRANGEBYSCORE z (4 5|ZRANGE z 0 -1|ZREMRANGEBYRANK z x 1
        ZREMRANGEBYRANK none x 1|ZREMRANGEBYRANK none 0 1|ZREMRANGEBYRANK z 5 1|ZREMRANGEBYSCORE z x 1
        ZREMRANGEBYSCORE none x 1|ZREMRANGEBYSCORE none 0 1|ZREMRANGEBYSCORE z 9 1|ZREMRANGEBYRANK z 0
        ZREMRANGEBYSCORE z 0|ZREMRANGEBYSCORE z -inf +inf|EXISTS z|ZADD z 1 a|EXPIRE z 100|ZREM z a|TTL z
        ZADD z 1 a 2 b 3 c|ZREMRANGEBYRANK z 0 -1|EXISTS z|ZADD z 1 a 1 {LONG}|OBJECT ENCODING z
        ZREM z {LONG}
        OBJECT ENCODING z|ZRANGE z 0 -1""",
    "pop": """
        ZADD z 1 a 2 b 3 c 4 d 5 e 6 f|ZPOPMIN z|ZPOPMAX z|ZPOPMIN z 1|ZPOPMAX z 1|ZPOPMIN z 0|ZPOPMIN z -1
        ZPOPMIN z x|ZPOPMIN z 1 2|ZPOPMIN none|ZPOPMIN none 1|ZPOPMIN none x|ZPOPMAX none -1|ZPOPMIN z 100
        EXISTS z|ZADD z 1 a 2 b 3 c|ZPOPMAX z 2|ZPOPMAX z|EXISTS z|ZPOPMIN|ZADD z 1 a 2 b 3 c 4 d 5 e
        ZMPOP 1 z MIN|ZMPOP 1 z MAX|ZMPOP 2 none z MIN COUNT 2|ZMPOP 1 none MIN|ZMPOP 1 z max count 10
        EXISTS z
        ZMPOP 0 z MIN|ZMPOP -1 z MIN|ZMPOP x z MIN|ZMPOP 2 z MIN|ZMPOP 1 z|ZMPOP 1 z FOO|ZMPOP 1 z MIN COUNT
        ZMPOP 1 z MIN COUNT 0|ZMPOP 1 z MIN COUNT x|ZMPOP 1 z MIN FOO 1|ZMPOP 1 z MIN COUNT 1 COUNT 1
        ZMPOP 1 z MIN COUNT x 1|ZMPOP 9223372036854775807 z MIN|ZMPOP 1 z MIN MIN|ZADD z 1.5 a -0.1 b
        ZMPOP 3 none z z MAX|SET s v|ZMPOP 2 none s MIN|ZMPOP 2 z s MIN|ZMPOP 2 s z MIN|ZMPOP|ZMPOP 1
        ZADD i inf a -inf b 0.1 c|ZPOPMAX i|ZPOPMIN i|ZPOPMIN i""",
    "random": """
        ZADD z 1 a|ZRANDMEMBER z|ZRANDMEMBER z 1|ZRANDMEMBER z 5|ZRANDMEMBER z -3|ZRANDMEMBER z 0
        ZRANDMEMBER z x
        ZRANDMEMBER z 5 WITHSCORES|ZRANDMEMBER z -2 WITHSCORES|ZRANDMEMBER z 1 FOO
        ZRANDMEMBER z 1 WITHSCORES x
        ZRANDMEMBER none|ZRANDMEMBER none 1|ZRANDMEMBER none 1 WITHSCORES|ZRANDMEMBER none x|ZRANDMEMBER
        ZRANDMEMBER z 9223372036854775807|ZRANDMEMBER z 9223372036854775807 WITHSCORES
        ZRANDMEMBER z -9223372036854775808|ZRANDMEMBER z -9223372036854775808 WITHSCORES|ZRANDMEMBER z x FOO
        ZSCAN z 0|ZSCAN z 0 MATCH b*|ZSCAN z 0 COUNT 0|ZSCAN z 0 FOO 1|ZSCAN z abc|ZSCAN none 0|ZSCAN z
        ZADD y 0.1 a|ZSCAN y 0|ZADD x inf a|ZSCAN x 0|ZADD w 1e17 a|ZSCAN w 0|ZADD z 2 b 3 c
        ZRANDMEMBER z 3""",
    "algebra": """
        ZADD a 1 x 2 y 3 z|ZADD b 10 y 20 z 30 w|SADD s y z q|ZUNION 2 a b|ZUNION 2 a b WITHSCORES
        ZINTER 2 a b WITHSCORES|ZDIFF 2 a b WITHSCORES|ZDIFF 2 b a|ZDIFF 1 a|ZDIFF 2 a a|ZDIFF 2 none a
        ZDIFF 2 a none WITHSCORES|ZUNION 3 a b s WITHSCORES|ZINTER 3 a b s WITHSCORES|ZDIFF 2 s a WITHSCORES
        ZDIFF 2 a s WITHSCORES|ZUNION 1 none|ZINTER 2 a none|ZUNION 2 a none WITHSCORES
        ZINTER 2 a a WITHSCORES
        ZUNION 2 a a WITHSCORES|ZUNION 2 a b WEIGHTS 2 0.5 WITHSCORES|ZINTER 2 a b WEIGHTS 2 0.5 WITHSCORES
        ZUNION 2 a b AGGREGATE MIN WITHSCORES|ZUNION 2 a b AGGREGATE max WITHSCORES|ZINTER 1 s WITHSCORES
        ZINTER 2 a b AGGREGATE MIN WITHSCORES|ZINTER 2 a b AGGREGATE MAX WITHSCORES|ZUNION 1 s WITHSCORES
        ZUNION 2 a b WEIGHTS inf -inf WITHSCORES|ZUNION 2 a b WEIGHTS 0 0 WITHSCORES|ZUNION 1 a WEIGHTS -1
        ZUNIONSTORE d 2 a b|ZRANGE d 0 -1 WITHSCORES|ZINTERSTORE d 2 a b WEIGHTS 1 2
        ZRANGE d 0 -1 WITHSCORES
        ZDIFFSTORE d 2 a b|ZRANGE d 0 -1 WITHSCORES|ZDIFFSTORE d 2 a a|EXISTS d|ZINTERSTORE d 2 a none
        EXISTS d
        ZUNIONSTORE a 2 a s AGGREGATE SUM|ZRANGE a 0 -1 WITHSCORES|ZINTERSTORE s 2 s b|TYPE s
        ZINTERCARD 2 a b
        ZINTERCARD 2 a b LIMIT 1|ZINTERCARD 2 a b LIMIT 0|ZINTERCARD 1 a LIMIT 9|ZINTERCARD 1 none
        ZINTERCARD 2 a none|EXPIRE b 100|ZUNIONSTORE b 1 b|TTL b|ZUNIONSTORE a 1 none|EXISTS a""",
    "algebra_refused": """
        ZADD a 1 x|ZADD b 1 x|SET s v|ZUNION 0 a|ZUNION -1 a|ZUNION x a|ZUNION 2 a|ZUNION 1.5 a|ZUNION 1
        ZUNION 9223372036854775807 a|ZUNION 9223372036854775808 a|zinter 0 a|ZDIFF 0 a|ZUNIONSTORE d 0 a
        ZINTERSTORE d 0 a|ZDIFFSTORE d 0 a|ZINTERCARD 0 a|ZINTERCARD x a|ZINTERCARD 2 a|ZUNION 1 a FOO
        ZUNION 1 a WEIGHTS|ZUNION 1 a WEIGHTS x|ZUNION 1 a WEIGHTS nan|ZUNION 2 a b WEIGHTS 1
        ZUNION 1 a AGGREGATE
        ZUNION 1 a AGGREGATE FOO|ZUNION 1 a WITHSCORES WITHSCORES|ZUNION 1 a WEIGHTS 1 WEIGHTS 2 WITHSCORES
        ZUNION 1 a AGGREGATE MIN AGGREGATE MAX|ZDIFF 1 a WEIGHTS 1|ZDIFF 1 a AGGREGATE MIN|ZDIFF 1 a LIMIT 1
        ZUNIONSTORE d 1 a WITHSCORES|ZDIFFSTORE d 1 a WITHSCORES|ZINTERCARD 1 a WITHSCORES
        ZINTERCARD 1 a LIMIT
        ZINTERCARD 1 a LIMIT -1|ZINTERCARD 1 a LIMIT x|ZINTERCARD 1 a WEIGHTS 1|ZINTERCARD 1 a b|ZUNION 1 s
        ZUNION 2 a s|ZINTER 2 none s|ZINTER 2 none s FOO|ZDIFF 2 none s|ZUNION 1 s FOO|ZUNIONSTORE d 1 s
        ZUNIONSTORE s 1 a|TYPE s|ZINTERCARD 1 s|ZINTERSTORE d 1 d|ZUNION|ZUNIONSTORE d 1
        ZINTER 1 a LIMIT 1""",
    "not_a_number": """
        ZADD a inf x|ZADD b -inf x|ZUNION 2 a b WITHSCORES|ZINTER 2 a b WITHSCORES
        ZUNION 1 a WEIGHTS 0 WITHSCORES
        ZINTER 1 a WEIGHTS 0 WITHSCORES|ZADD c 5 x|ZUNION 2 c a WEIGHTS 1 0 WITHSCORES
        ZINTER 2 c a WEIGHTS 1 0 WITHSCORES|ZINTER 2 a c WEIGHTS 0 1 WITHSCORES
        ZUNION 2 a c WEIGHTS 0 1 WITHSCORES
        ZINTER 2 c a WEIGHTS 1 0 AGGREGATE MIN WITHSCORES|ZINTER 2 c a WEIGHTS 1 0 AGGREGATE MAX WITHSCORES
        ZUNION 2 c a WEIGHTS 1 0 AGGREGATE MAX WITHSCORES|ZUNION 2 a b AGGREGATE MIN WITHSCORES
        ZUNION 1 c WEIGHTS -0 WITHSCORES|ZUNIONSTORE d 1 c WEIGHTS -0|ZRANGE d 0 -1 WITHSCORES
        ZADD p 0.1 x|ZADD q 0.2 x 1 y|ZADD r 0.3 x 1 y 2 z|ZUNION 3 p q r WITHSCORES
        ZUNION 3 r q p WITHSCORES
        ZINTER 3 r q p WITHSCORES|ZINTER 3 q r p WITHSCORES""",
    "wrong_type": """
        SET s v|ZADD s 1 a|ZADD s x a|ZINCRBY s 1 a|ZREM s a|ZCARD s|ZSCORE s a|ZMSCORE s a|ZRANK s a
        ZREVRANK s a
        ZPOPMIN s|ZPOPMAX s 1|ZPOPMIN s x|ZRANDMEMBER s|ZRANDMEMBER s 1|ZSCAN s 0|ZCOUNT s 1 2|ZCOUNT s x 2
        ZLEXCOUNT s - +|ZRANGE s 0 1|ZRANGE s x 1|ZREVRANGE s 0 1|ZRANGEBYSCORE s 1 2|ZREVRANGEBYSCORE s 1 2
        ZRANGEBYLEX s - +|ZREVRANGEBYLEX s + -|ZREMRANGEBYRANK s 0 1|ZREMRANGEBYSCORE s 0 1
        ZREMRANGEBYLEX s - +
        ZMPOP 1 s MIN|ZADD s XX 1 a|ZADD s INCR 1 a|ZPOPMIN s 0|SADD z x|ZADD z 1 a|SET z v|DEL z|ZADD z 1 a
        GET z|APPEND z x|SADD z a|HSET z f v|SINTER z|INCR z|TYPE z|SET z v|GET z""",
    "other_commands": f"""
        ZADD z 1 a 2 b|OBJECT ENCODING z|OBJECT REFCOUNT z|COPY z y|ZADD y 3 a|ZRANGE y 0 -1 WITHSCORES
        ZRANGE z 0 -1 WITHSCORES|RENAME y {{z}}y|ZRANGE {{z}}y 0 -1|ZADD z 1 {LONG}|OBJECT ENCODING z
        ZREM z {LONG}|OBJECT ENCODING z|ZRANGESTORE w z 0 -1|OBJECT ENCODING w|ZADD v 1 {LONG}
        OBJECT ENCODING v
        ZUNIONSTORE w 2 z v|OBJECT ENCODING w|ZDIFFSTORE w 2 w v|OBJECT ENCODING w|COPY v u
        OBJECT ENCODING u
        DEL z v|EXISTS z v|ZADD z XX 1 {LONG}|FLUSHALL|ZCARD w""",
    "negative_zero": f"""
        ZADD z -0 a|ZSCORE z a|ZADD z 0 b -0 c|ZRANGE z 0 -1 WITHSCORES|ZADD z INCR -0 d|ZADD z INCR -0 a
        ZSCORE z a
        ZADD l 1 {LONG}|ZADD l -0 a 0 b -0 c|ZRANGE l 0 -1 WITHSCORES|ZSCORE l a|ZADD l 0 a
        ZADD l CH 0 a -0 b
        ZSCORE l a|ZSCORE l b|ZINCRBY l 0 a|ZSCORE l a|ZINCRBY l 0 b|ZADD l 1 a|ZADD l -0 a|ZSCORE l a
        ZPOPMIN l
        ZRANGEBYSCORE l -0 0 WITHSCORES|ZRANGEBYSCORE l 0 -0 WITHSCORES|ZCOUNT l (-0 (0|ZRANK l b
        ZRANGEBYLEX l - [b
        ZREM l {LONG}|ZADD l -0 x|ZRANGEBYLEX l - +|ZREM l x|ZUNION 1 l WITHSCORES|ZUNION 1 l WEIGHTS -1
        ZINTER 1 l WEIGHTS -1 WITHSCORES|ZUNIONSTORE d 1 l WEIGHTS -1|ZRANGE d 0 -1 WITHSCORES|ZREM l b
        ZSCAN l 0|ZREM l c|ZCARD l""",
    "many": "|".join(
        [f"ZADD z {number * 7 % 1000} m{number}" for number in range(600)]
        + ["OBJECT ENCODING z", "ZCARD z", "ZRANGE z 0 -1 WITHSCORES", "ZRANGE z 100 -100 REV", "ZRANK z m77"]
        + ["ZREVRANK z m77", "ZCOUNT z 100 (500", "ZRANGEBYSCORE z (100 500 WITHSCORES LIMIT 50 20"]
        + ["ZREVRANGEBYSCORE z 500 (100 LIMIT 50 20", "ZREMRANGEBYSCORE z 900 inf", "ZREMRANGEBYRANK z 0 99"]
        + ["ZPOPMAX z 5", "ZPOPMIN z 5", "ZCARD z", "ZRANGE z 0 -1", "ZUNIONSTORE y 1 z", "OBJECT ENCODING y"]
        + ["ZREMRANGEBYRANK z 100 -1", "OBJECT ENCODING z", "ZRANGESTORE x z 0 -1", "OBJECT ENCODING x"]
        + [f"ZADD w {number} m{number}" for number in range(128)]
        + ["OBJECT ENCODING w", "ZADD w 5 m5", "OBJECT ENCODING w", "ZADD w 5 new", "OBJECT ENCODING w"]
        + ["ZINTER 2 z y WITHSCORES", "ZDIFF 2 y z", "ZINTERCARD 2 z y LIMIT 50", "ZINTERCARD 2 z y"]
    ),
}
ENDS = (
    "1,2|(1,2|1,(2|(1,(2|(1,(1|2,1|-inf,+inf|(-inf,(+inf|(inf,inf|inf,inf|-inf,-inf|{},2|(,2|(,(|{sp}1,2|1{sp},2"
    "|1,2{sp}|{sp},2|(nan,2|nan,2|1,nan|((1,2|([1,2|[1,2|x,2|1,x|1e999,inf|-1e999,2|1e-999,2|(0,2|(-0,2|-0,0"
    "|0,-0|(0,0|0,(0|0x1,0x2|(0x1p0,3|1,2x|+1,+2|({sp}1,3|({sp},3|(inf,(inf|-0,(0|(1e-999,1"
)
SCRIPTS["ends"] = "ZADD z 1 a 2 b 2.5 c 3 d -inf low inf high 0 zero|" + "|".join(
    f"ZRANGEBYSCORE z {low} {high}|ZREVRANGEBYSCORE z {high} {low}|ZCOUNT z {low} {high}"
    for low, high in (pair.split(",") for pair in ENDS.split("|"))
)
SCRIPTS["numbers"] = "|".join(
    f"ZADD z {text} a|ZSCORE z a|ZADD z {text} {LONG}|ZSCORE z {LONG}|ZINCRBY n {text} a|ZINCRBY n {text} a"
    f"|ZRANGEBYSCORE z {text} inf WITHSCORES|ZCOUNT z ({text} +inf|ZADD z INCR 0.1 a|DEL z n"
    for text in NUMBERS.split()
)
MEMBERS = st.sampled_from([b"a", b"b", b"c", b"", b"aa", b"\xff\x00", b"x" * 65])
SCORES = st.sampled_from(
    [b"0", b"-0", b"1", b"2", b"0.1", b"-7", b"1e17", b"inf", b"-inf", b"nan", b"3.5e-5"]
)
RANKS = st.sampled_from([b"0", b"1", b"-1", b"-2", b"3", b"100", b"-100", b"x"])
LOWS = st.sampled_from([b"-inf", b"0", b"(0", b"1", b"(1", b"-7", b"inf", b"x"])
HIGHS = st.sampled_from([b"+inf", b"0", b"(2", b"1", b"(1", b"(1e17", b"-inf", b""])
NAMES = st.sampled_from([b"-", b"+", b"[a", b"(a", b"[b", b"(b", b"[", b"(c", b"[x", b"b"])
LIMIT = request(b"LIMIT", RANKS, RANKS)
WITH = word(b"WITHSCORES")
COUNTS = st.sampled_from([b"1", b"2", b"3"])
COMBINED = options(
    request(b"WEIGHTS", SCORES, SCORES),
    request(b"AGGREGATE", st.sampled_from([b"SUM", b"MIN", b"max"])),
    WITH,
)
REQUESTS = st.one_of(
    *[
        joined(
            joined(request(b"ZADD", KEYS), options(word(b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))),
            st.lists(st.tuples(SCORES, MEMBERS).map(list), min_size=1, max_size=3).map(
                lambda pairs: [part for pair in pairs for part in pair]
            ),
        )
    ]
    * 4,
    request(b"ZINCRBY", KEYS, SCORES, MEMBERS),
    request(b"ZREM", KEYS, MEMBERS, MEMBERS),
    request(b"ZCARD", KEYS),
    request(b"ZSCORE", KEYS, MEMBERS),
    request(b"ZMSCORE", KEYS, MEMBERS, MEMBERS),
    request(b"ZRANK", KEYS, MEMBERS),
    request(b"ZREVRANK", KEYS, MEMBERS),
    request(b"ZCOUNT", KEYS, LOWS, HIGHS),
    request(b"ZLEXCOUNT", KEYS, NAMES, NAMES),
    joined(request(b"ZRANGE", KEYS, RANKS, RANKS), options(word(b"REV"), WITH, LIMIT)),
    joined(
        request(b"ZRANGE", KEYS, LOWS, HIGHS),
        joined(word(b"BYSCORE"), options(word(b"REV", b"BYLEX"), WITH, LIMIT)),
    ),
    joined(request(b"ZRANGE", KEYS, NAMES, NAMES), joined(word(b"BYLEX"), options(word(b"REV"), LIMIT))),
    joined(request(b"ZRANGESTORE", KEYS, KEYS, LOWS, HIGHS), joined(word(b"BYSCORE"), options(LIMIT))),
    joined(request(b"ZRANGESTORE", KEYS, KEYS, RANKS, RANKS), options(word(b"REV"))),
    joined(request(b"ZREVRANGE", KEYS, RANKS, RANKS), options(WITH)),
    joined(request(b"ZRANGEBYSCORE", KEYS, LOWS, HIGHS), options(WITH, LIMIT)),
    joined(request(b"ZREVRANGEBYSCORE", KEYS, HIGHS, LOWS), options(WITH, LIMIT)),
    joined(request(b"ZRANGEBYLEX", KEYS, NAMES, NAMES), options(LIMIT)),
    joined(request(b"ZREVRANGEBYLEX", KEYS, NAMES, NAMES), options(LIMIT)),
    request(b"ZREMRANGEBYRANK", KEYS, RANKS, RANKS),
    request(b"ZREMRANGEBYSCORE", KEYS, LOWS, HIGHS),
    request(b"ZREMRANGEBYLEX", KEYS, NAMES, NAMES),
    joined(request(b"ZPOPMIN", KEYS), options(RANKS.map(lambda count: [count]))),
    joined(request(b"ZPOPMAX", KEYS), options(RANKS.map(lambda count: [count]))),
    joined(
        request(b"ZMPOP", COUNTS, KEYS, KEYS, st.sampled_from([b"MIN", b"MAX"])),
        options(request(b"COUNT", RANKS)),
    ),
    request(b"ZRANDMEMBER", KEYS, st.sampled_from([b"0", b"100", b"nan"])),
    joined(request(b"ZUNION", COUNTS, KEYS, KEYS), COMBINED),
    joined(request(b"ZINTER", COUNTS, KEYS, KEYS), COMBINED),
    joined(request(b"ZDIFF", COUNTS, KEYS, KEYS), options(WITH)),
    joined(request(b"ZUNIONSTORE", KEYS, COUNTS, KEYS, KEYS), COMBINED),
    joined(request(b"ZINTERSTORE", KEYS, COUNTS, KEYS, KEYS), COMBINED),
    request(b"ZDIFFSTORE", KEYS, COUNTS, KEYS, KEYS),
    joined(request(b"ZINTERCARD", COUNTS, KEYS, KEYS), options(request(b"LIMIT", RANKS))),
    request(b"SADD", KEYS, MEMBERS),
    ANY_KEY,
)  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_sorted_set_script_gets_redis_replies(oracle: Oracle, proto: int, name: str) -> None:
    """Every reply of the script is Redis's."""
    compare(oracle, requests_of(SCRIPTS[name]), proto)


@generated
@given(requests=sequences(REQUESTS))
def test_generated_sorted_set_sequence_gets_redis_replies(
    oracle: Oracle, proto: int, requests: list[list[bytes]]
) -> None:
    """Whatever the sequence, every reply is Redis's."""
    compare(oracle, requests, proto, without_small_sets)


def test_zrank_gives_the_score_as_well(proto: int) -> None:
    """WITHSCORE, which Redis 7.0 has not."""
    ctx = context()
    ctx.proto = proto
    execute_one(ctx, [b"ZADD", b"z", b"1", b"a", b"2.5", b"b"])

    def asked(line: str) -> bytes:
        return execute_one(ctx, [part.encode() for part in line.split()])

    score = b"$3\r\n2.5\r\n" if proto == 2 else b",2.5\r\n"
    nothing = b"*-1\r\n" if proto == 2 else b"_\r\n"
    assert asked("ZRANK z b WITHSCORE") == b"*2\r\n:1\r\n" + score
    assert asked("ZREVRANK z b withscore") == b"*2\r\n:0\r\n" + score
    assert asked("ZRANK z none WITHSCORE") == asked("ZRANK none a WITHSCORE") == nothing
    assert asked("ZRANK z b FOO") == b"-ERR syntax error\r\n"
    assert asked("ZRANK z b WITHSCORE x") == b"-ERR wrong number of arguments for 'zrank' command\r\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ZADD z" + "".join(f" 1 m{number}" for number in range(128)), b"listpack"),
        ("ZADD z" + " 1 a" * 128, b"listpack"),
        ("ZADD z" + " 1 a" * 129, b"skiplist"),
        ("ZADD z 1 " + LONG, b"skiplist"),
    ],
)
def test_sorted_set_has_the_encoding_of_redis_7_2(line: str, expected: bytes) -> None:
    """Which goes by the number of members given, new or not."""
    ctx = context()
    execute_one(ctx, requests_of(line)[0])
    assert execute_one(ctx, [b"OBJECT", b"ENCODING", b"z"]) == b"$%d\r\n%b\r\n" % (len(expected), expected)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 1000])
def test_zscan_gives_every_member_once(size: int) -> None:
    """From cursor to cursor until it is 0."""
    ctx = context()
    for number in range(size):
        execute_one(ctx, [b"ZADD", b"z", b"%d" % number, b"m%d" % number])
    cursor, found = b"0", []
    while True:
        reply = execute_one(ctx, [b"ZSCAN", b"z", cursor, b"COUNT", b"7"]).split(b"\r\n")
        cursor = reply[2]
        found += list(zip(reply[5::4], reply[7::4], strict=False))
        if cursor == b"0":
            break
    assert sorted(found) == sorted((b"m%d" % number, b"%d" % number) for number in range(size))


@pytest.mark.parametrize("size", [1, 5, 600, 3000])
def test_zrandmember_gives_members_that_are_there(size: int) -> None:
    """One, several different ones, all, and with repetitions; with their scores."""
    ctx = context()
    names = {b"m%d" % number for number in range(size)}
    for name in names:
        execute_one(ctx, [b"ZADD", b"z", name[1:], name])
    assert execute_one(ctx, [b"ZRANDMEMBER", b"z"]).split(b"\r\n")[1] in names
    for count in (1, 3, size // 2, size + 10):
        chosen = execute_one(ctx, [b"ZRANDMEMBER", b"z", b"%d" % count]).split(b"\r\n")[2::2]
        assert len(chosen) == len(set(chosen)) == min(count, size)
        assert names.issuperset(chosen)
    repeated = execute_one(ctx, [b"ZRANDMEMBER", b"z", b"-50", b"WITHSCORES"]).split(b"\r\n")[2::2]
    assert len(repeated) == 100
    assert names.issuperset(repeated[::2])
    assert [b"m" + score for score in repeated[1::2]] == repeated[::2]


@given(scores=st.lists(st.floats(allow_nan=False), min_size=2))
def test_sortable_bytes_sort_like_scores(scores: list[float]) -> None:
    """And come back; 0 and -0 are one."""
    assert sorted(map(sortable, scores)) == list(map(sortable, sorted(scores)))
    for score in scores:
        assert from_sortable(b"x" + sortable(score), 1) == score
        assert unpack(pack(score)) == score
    assert sortable(0.0) == sortable(-0.0)
