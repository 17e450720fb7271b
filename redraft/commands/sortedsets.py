"""The commands on single members of a sorted set: adding, taking, and what is known of one.

Ranges are in `sortedranges.py`, several sorted sets at once in `sortedalgebra.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Final

from redraft.commands import arguments, sortedset
from redraft.commands.arguments import INT64_MAX
from redraft.commands.chance import pick, pick_many, random_count
from redraft.commands.collection import Collection
from redraft.commands.context import Context
from redraft.commands.memberscan import scan_members
from redraft.commands.reply import (
    NIL,
    NULL_ARRAY,
    SYNTAX,
    ZERO,
    CommandError,
    array,
    bulk,
    bulk_array,
    double,
    integer,
    wrong_arity,
)
from redraft.commands.scores import score as parsed_score
from redraft.commands.scores import unpack
from redraft.commands.sortedset import COMPACT_MEMBERS_MAX, LARGE, Row, SortedSet, find, member_of, score_of
from redraft.engine.record import ZSET

_WHOLE_MAX: Final = 1 << 62
_NOT_A_NUMBER: Final = b"ERR resulting score is not a number (NaN)"


def elements_reply(proto: int, elements: Iterable[tuple[bytes, float]]) -> bytes:
    """Return members with their scores: pairs (RESP3), one behind the other (RESP2)."""
    if proto == 3:
        return array([b"*2\r\n" + bulk(name) + double(proto, score) for name, score in elements])
    spelled = [(name, b"%.17g" % score) for name, score in elements]
    shown = [b"$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(a), a, len(b), b) for a, b in spelled]
    return b"*%d\r\n%b" % (2 * len(shown), b"".join(shown))


def elements_of(rows: Iterable[Row]) -> list[tuple[bytes, float]]:
    """Return members and scores of rows."""
    return [(member_of(row), score_of(row)) for row in rows]


# ---- adding ----


@dataclass(frozen=True, slots=True)
class Adding:
    """What ZADD's options ask for."""

    absent: bool = False
    """NX: leave members alone."""
    present: bool = False
    """XX: add no members."""
    greater: bool = False
    less: bool = False
    """GT, LT: give members only greater, or lesser, scores."""
    changed: bool = False
    """CH: count changes."""
    increment: bool = False
    """INCR: add to the score."""


_PLAIN: Final = Adding()
_INCREMENT: Final = Adding(increment=True)
_OPTIONS: Final = {
    b"nx": "absent",
    b"xx": "present",
    b"gt": "greater",
    b"lt": "less",
    b"ch": "changed",
    b"incr": "increment",
}


def add_one(found: SortedSet, adding: Adding, member: bytes, score: float) -> tuple[bool, bool, float | None]:
    """Add a member or change its score, and don't save; return (added, changed, score).

    The score is None where the options forbid to do anything.  Raises CommandError for one that would be NaN.
    """
    if adding is _PLAIN:
        old = found.give(member, score)
        return old is None, old is not None and old != score, score
    old = found.score(member)
    if old is None:
        if adding.present:
            return False, False, None
        found.give(member, score)
        return True, False, score
    if adding.absent:
        return False, False, None
    if adding.increment:
        score += old
        if isnan(score):
            raise CommandError(_NOT_A_NUMBER)
    if (adding.less and score >= old) or (adding.greater and score <= old):
        return False, False, None
    if score == old:
        return False, False, score
    found.give(member, score)
    return False, True, score


def add(
    ctx: Context, key: bytes, adding: Adding, elements: list[tuple[float, bytes]]
) -> tuple[int, int, float | None]:
    """Add members by (score, member): see `add_one`; the score is that of the last one."""
    found = sortedset.open_(ctx, key)
    if adding.present and not found.size:
        return 0, 0, None
    flags = found.flags
    if len(elements) > COMPACT_MEMBERS_MAX:
        found.flags |= LARGE
    added = changed = 0
    last = None
    for score, member in elements:
        new, other, last = add_one(found, adding, member, score)
        added += new
        changed += other
    if added or changed or found.flags != flags:
        found.save()
    return added, changed, last


def parse_adding(words: list[bytes], at: int) -> tuple[Adding, int]:
    """Return the options that begin at a position, and where they end."""
    chosen = {}
    while at < len(words) and (option := _OPTIONS.get(words[at].lower())) is not None:
        chosen[option] = True
        at += 1
    return Adding(**chosen) if chosen else _PLAIN, at


def check_adding(adding: Adding) -> None:
    """Raise CommandError for options that contradict each other."""
    if adding.absent and adding.present:
        raise CommandError(b"ERR XX and NX options at the same time are not compatible")
    if adding.absent + adding.greater + adding.less > 1:
        raise CommandError(b"ERR GT, LT, and/or NX options at the same time are not compatible")


def zadd(ctx: Context, args: list[bytes]) -> bytes:
    """ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]."""
    adding, at = parse_adding(args, 2)
    pairs = len(args) - at
    if not pairs or pairs % 2:
        raise CommandError(SYNTAX)
    if adding is not _PLAIN:
        check_adding(adding)
        if adding.increment and pairs > 2:
            raise CommandError(b"ERR INCR option supports a single increment-element pair")
    elements = [(parsed_score(args[n]), args[n + 1]) for n in range(at, len(args), 2)]
    added, changed, last = add(ctx, args[1], adding, elements)
    if adding.increment:
        return double(ctx.proto, last) if last is not None else NIL[ctx.proto]
    return integer(added + changed if adding.changed else added)


def zincrby(ctx: Context, args: list[bytes]) -> bytes:
    """ZINCRBY key increment member."""
    _, _, score = add(ctx, args[1], _INCREMENT, [(parsed_score(args[2]), args[3])])
    assert score is not None
    return double(ctx.proto, score)


# ---- taking ----


def zrem(ctx: Context, args: list[bytes]) -> bytes:
    """ZREM key member [member ...]."""
    found = find(ctx, args[1])
    if found is None:
        return ZERO
    deleted = sum([found.drop(member) for member in args[2:]])
    if deleted:
        found.save()
    return integer(deleted)


def _pop(ctx: Context, args: list[bytes], *, reverse: bool) -> bytes:
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count = arguments.positive(args[2]) if len(args) == 3 else 1
    found = find(ctx, args[1])
    if found is None or not count:
        return array([])
    rows = found.rows(0, count, reverse=reverse)
    found.drop_rows(rows)
    if len(args) == 3:
        return elements_reply(ctx.proto, elements_of(rows))
    return array([bulk(member_of(rows[0])), double(ctx.proto, score_of(rows[0]))])


def zpopmin(ctx: Context, args: list[bytes]) -> bytes:
    """ZPOPMIN key [count]."""
    return _pop(ctx, args, reverse=False)


def zpopmax(ctx: Context, args: list[bytes]) -> bytes:
    """ZPOPMAX key [count]."""
    return _pop(ctx, args, reverse=True)


def zmpop(ctx: Context, args: list[bytes]) -> bytes:
    """ZMPOP numkeys key [key ...] <MIN|MAX> [COUNT count]."""
    end = 2 + _movable_key_count(args)
    where = args[end].lower()
    if where not in {b"min", b"max"}:
        raise CommandError(SYNTAX)
    count = _pop_count(args[end + 1 :])
    for key in args[2:end]:
        found = find(ctx, key)
        if found is not None:
            rows = found.rows(0, count, reverse=where == b"max")
            found.drop_rows(rows)
            pairs = [array([bulk(member), double(ctx.proto, score)]) for member, score in elements_of(rows)]
            return array([bulk(key), array(pairs)])
    return NULL_ARRAY[ctx.proto]


def _movable_key_count(args: list[bytes]) -> int:
    """Return the number of keys of a request that has a word behind them; raises CommandError."""
    number = arguments.parse_integer(args[1])
    if number is None or number <= 0:
        raise CommandError(b"ERR numkeys should be greater than 0")
    if number > len(args) - 3:
        raise CommandError(SYNTAX)
    return number


def _pop_count(words: list[bytes]) -> int:
    if not words:
        return 1
    if len(words) == 1 or words[0].lower() != b"count":
        raise CommandError(SYNTAX)
    count = arguments.parse_integer(words[1])
    if count is None or count <= 0:
        raise CommandError(b"ERR count should be greater than 0")
    if len(words) > 2:
        raise CommandError(SYNTAX)
    return count


# ---- reading ----


def zcard(ctx: Context, args: list[bytes]) -> bytes:
    """ZCARD key."""
    found = find(ctx, args[1])
    return integer(found.elements) if found is not None else ZERO


def zscore(ctx: Context, args: list[bytes]) -> bytes:
    """ZSCORE key member."""
    found = find(ctx, args[1])
    score = found.score(args[2]) if found is not None else None
    return double(ctx.proto, score) if score is not None else NIL[ctx.proto]


def zmscore(ctx: Context, args: list[bytes]) -> bytes:
    """ZMSCORE key member [member ...]."""
    found, nil = find(ctx, args[1]), NIL[ctx.proto]
    if found is None:
        return array([nil] * (len(args) - 2))
    return array([
        double(ctx.proto, score) if score is not None else nil for score in found.scores(args[2:])
    ])  # fmt: skip


def _rank(ctx: Context, args: list[bytes], *, reverse: bool) -> bytes:
    if len(args) > 4:
        raise CommandError(wrong_arity(args[0].lower()))
    if len(args) == 4 and args[3].lower() != b"withscore":
        raise CommandError(SYNTAX)
    found = find(ctx, args[1])
    score = found.score(args[2]) if found is not None else None
    if found is None or score is None:
        return NULL_ARRAY[ctx.proto] if len(args) == 4 else NIL[ctx.proto]
    rank = found.rank(args[2], score)
    place = integer(found.elements - 1 - rank if reverse else rank)
    return array([place, double(ctx.proto, score)]) if len(args) == 4 else place


def zrank(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANK key member [WITHSCORE]."""
    return _rank(ctx, args, reverse=False)


def zrevrank(ctx: Context, args: list[bytes]) -> bytes:
    """ZREVRANK key member [WITHSCORE]."""
    return _rank(ctx, args, reverse=True)


def zrandmember(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANDMEMBER key [count [WITHSCORES]]: a negative count may give a member twice."""
    if len(args) == 2:
        found = find(ctx, args[1])
        return bulk(pick(ctx, found)[0]) if found is not None else NIL[ctx.proto]
    count = random_count(args[2])
    with_scores = len(args) == 4 and args[3].lower() == b"withscores"
    if len(args) > 4 or (len(args) == 4 and not with_scores):
        raise CommandError(SYNTAX)
    if with_scores and not -(INT64_MAX // 2) <= count <= INT64_MAX // 2:
        raise CommandError(b"ERR value is out of range")
    found = find(ctx, args[1])
    chosen = pick_many(ctx, found, count) if found is not None else []
    if not with_scores:
        return bulk_array([member for member, _ in chosen])
    return elements_reply(ctx.proto, [(member, unpack(packed)) for member, packed in chosen])


def zscan(ctx: Context, args: list[bytes]) -> bytes:
    """ZSCAN key cursor [MATCH pattern] [COUNT count]."""
    return scan_members(ctx, args, ZSET, _scanned, SortedSet)


def _scanned(found: Collection, member: bytes, packed: bytes) -> tuple[bytes, bytes]:
    """Show a member to ZSCAN: Redis's compact form spells whole numbers as such."""
    score = unpack(packed)
    if not found.flags & LARGE and abs(score) <= _WHOLE_MAX and score == int(score):
        return bulk(member), bulk(b"%d" % int(score))
    return bulk(member), double(2, score)
