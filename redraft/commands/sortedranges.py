"""Ranges of a sorted set: by rank, by score, by member; the commands that show, count, store or remove them.

A range of scores or of members is half open here, whatever its brackets: what comes next is one more than a
score, and a member with a zero byte behind it.  Ranges by member mean something only where all scores are the
same; where they are not, what is found is what a walk from one end to the other finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import dropwhile, takewhile
from typing import Final

from redraft.commands import arguments, sortedset
from redraft.commands.context import Context
from redraft.commands.reply import SYNTAX, ZERO, CommandError, bulk_array, integer
from redraft.commands.scores import SCORE_BYTES, at_bits, parse_bound, rank_bits
from redraft.commands.sortedset import BY_SCORE, Row, SortedSet, find, member_of
from redraft.commands.sortedsets import elements_of, elements_reply

NOT_A_SCORE_RANGE: Final = b"ERR min or max is not a float"
NOT_A_MEMBER_RANGE: Final = b"ERR min or max not valid string range item"

Ends = tuple[bytes, bytes | None]
"""Where a range begins, and where it ends; None is the end of everything."""

_NOTHING: Final[Ends] = (b"", b"")


class By(Enum):
    """What a range goes by."""

    RANK = auto()
    SCORE = auto()
    MEMBER = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: a range, from which end, and how much of it.

    `low` and `high` are as given, `low` being the end at the lower scores.
    """

    by: By
    low: bytes
    high: bytes
    reverse: bool = False
    offset: int = 0
    limit: int = -1
    """A negative one is none."""
    scores: bool = False
    """Whether the scores are to be shown."""


# ---- ends ----


def score_ends(low: bytes, high: bytes) -> Ends:
    """Return the names between two ends that are scores; raises CommandError."""
    low_open, high_open = low[:1] == b"(", high[:1] == b"("
    first, last = parse_bound(low[low_open:]), parse_bound(high[high_open:])
    if first is None or last is None:
        raise CommandError(NOT_A_SCORE_RANGE)
    return ends_between(first, last, low_open=low_open, high_open=high_open)


def ends_between(low: float, high: float, *, low_open: bool = False, high_open: bool = False) -> Ends:
    """Return the names between two scores, these included or, where it is open, left out."""
    first, last = rank_bits(low) + low_open, rank_bits(high) + (not high_open)
    return (BY_SCORE + at_bits(first), BY_SCORE + at_bits(last)) if first < last else _NOTHING


def member_ends(low: bytes, high: bytes) -> Ends:
    """Return the members between two ends that are members; raises CommandError."""
    first, last = _member_end(low, beyond=b"("), _member_end(high, beyond=b"[")
    if first is None or (last is not None and first >= last):
        return _NOTHING
    return first, last


def _member_end(text: bytes, *, beyond: bytes) -> bytes | None:
    """Return the first member at an end, or behind it if its bracket is `beyond`; None behind all members."""
    kind = text[:1]
    if kind in (b"(", b"["):
        return text[1:] + b"\0" if kind == beyond else text[1:]
    if text == b"-":
        return b""
    if text == b"+":
        return None
    raise CommandError(NOT_A_MEMBER_RANGE)


def rank_ends(low: bytes, high: bytes) -> tuple[int, int]:
    """Return two ends that are ranks; raises CommandError."""
    return arguments.integer(low), arguments.integer(high)


# ---- rows ----


def rows_by_rank(found: SortedSet, first: int, last: int, *, reverse: bool = False) -> list[Row]:
    """Return the rows from rank to rank; negative ranks count from the end."""
    size = found.elements
    first = max(first + size, 0) if first < 0 else first
    last = last + size if last < 0 else min(last, size - 1)
    return found.rows(first, last - first + 1, reverse=reverse) if first <= last else []


def rows_by_score(
    found: SortedSet, ends: Ends, *, reverse: bool = False, offset: int = 0, limit: int = -1
) -> list[Row]:
    """Return rows between two ends (of `score_ends`); a negative limit is none, a negative offset too far."""
    if ends == _NOTHING or offset < 0 or offset >= found.elements:
        return []
    most = None if limit < 0 else min(limit, found.elements)
    return found.members.range(*ends, offset=offset, limit=most, reverse=reverse)


def rows_by_member(
    found: SortedSet, ends: Ends, *, reverse: bool = False, offset: int = 0, limit: int = -1
) -> list[Row]:
    """Return rows between two ends (of `member_ends`), see `rows_by_score`."""
    names = _one_score(found, ends)
    if names is not None:
        return rows_by_score(found, names, reverse=reverse, offset=offset, limit=limit)
    if offset < 0:
        return []
    rows = _walked(found, ends, reverse=reverse)
    return rows[offset:] if limit < 0 else rows[offset : offset + limit]


def _one_score(found: SortedSet, ends: Ends) -> Ends | None:
    """Return the names between two ends in a set whose members all have one score; None in another set."""
    (first,), (last,) = found.rows(0, 1), found.rows(0, 1, reverse=True)
    prefix = first[0][: len(BY_SCORE) + SCORE_BYTES]
    if not last[0].startswith(prefix):
        return None
    low, high = ends
    if ends == _NOTHING:
        return ends
    return prefix + low, prefix + high if high is not None else None


def _walked(found: SortedSet, ends: Ends, *, reverse: bool) -> list[Row]:
    """Return what a walk through a set with different scores finds.

    It looks at both ends first, begins at the first member that is not before the range, and ends at the
    first one that is behind it.
    """
    low, high = ends
    rows = found.rows(0, found.elements)
    if ends == _NOTHING or member_of(rows[-1]) < low or (high is not None and member_of(rows[0]) >= high):
        return []

    def above(row: Row) -> bool:
        return high is not None and member_of(row) >= high

    def below(row: Row) -> bool:
        return member_of(row) < low

    before, behind = (above, below) if reverse else (below, above)
    walk = reversed(rows) if reverse else iter(rows)
    return list(takewhile(lambda row: not behind(row), dropwhile(before, walk)))


# ---- requests ----


def parse_asked(words: list[bytes], asked: Asked | None, *, storing: bool = False) -> Asked:
    """Return what [min max option ...] asks for; raises CommandError.

    `asked` is what the command's name has said, None for ZRANGE, which has options for it.
    """
    given = asked if asked is not None else Asked(By.RANK, b"", b"")
    changes: dict[str, By | bool | int] = {}
    at = 2
    while at < len(words):
        option = words[at].lower()
        if option == b"withscores" and not storing:
            changes["scores"] = True
        elif option == b"limit" and len(words) - at > 2:
            changes["offset"] = arguments.integer(words[at + 1])
            changes["limit"] = arguments.integer(words[at + 2])
            at += 2
        elif option == b"rev" and asked is None and "reverse" not in changes:
            changes["reverse"] = True
        elif option in _BY and asked is None and "by" not in changes:
            changes["by"] = _BY[option]
        else:
            raise CommandError(SYNTAX)
        at += 1
    given = replace(given, **changes)  # type: ignore[arg-type]
    _check(given)
    swapped = given.reverse and given.by is not By.RANK
    low, high = (words[1], words[0]) if swapped else (words[0], words[1])
    return replace(given, low=low, high=high)


_BY: Final = {b"byscore": By.SCORE, b"bylex": By.MEMBER}


def _check(asked: Asked) -> None:
    if asked.limit != -1 and asked.by is By.RANK:
        raise CommandError(
            b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        )
    if asked.scores and asked.by is By.MEMBER:
        raise CommandError(b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")


def rows_asked(ctx: Context, key: bytes, asked: Asked) -> list[Row]:
    """Return the rows that are asked for; raises CommandError."""
    if asked.by is By.RANK:
        first, last = rank_ends(asked.low, asked.high)
        found = find(ctx, key)
        return rows_by_rank(found, first, last, reverse=asked.reverse) if found is not None else []
    by_score = asked.by is By.SCORE
    ends = score_ends(asked.low, asked.high) if by_score else member_ends(asked.low, asked.high)
    found = find(ctx, key)
    if found is None:
        return []
    rows = rows_by_score if by_score else rows_by_member
    return rows(found, ends, reverse=asked.reverse, offset=asked.offset, limit=asked.limit)


def _show(ctx: Context, args: list[bytes], asked: Asked | None = None) -> bytes:
    wanted = parse_asked(args[2:], asked)
    rows = rows_asked(ctx, args[1], wanted)
    if wanted.scores:
        return elements_reply(ctx.proto, elements_of(rows))
    return bulk_array([member_of(row) for row in rows])


_REVERSED: Final = Asked(By.RANK, b"", b"", reverse=True)
_SCORES: Final = Asked(By.SCORE, b"", b"")
_SCORES_REVERSED: Final = Asked(By.SCORE, b"", b"", reverse=True)
_MEMBERS: Final = Asked(By.MEMBER, b"", b"")
_MEMBERS_REVERSED: Final = Asked(By.MEMBER, b"", b"", reverse=True)


def zrange(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANGE key min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]."""
    return _show(ctx, args)


def zrevrange(ctx: Context, args: list[bytes]) -> bytes:
    """ZREVRANGE key start stop [WITHSCORES]."""
    return _show(ctx, args, _REVERSED)


def zrangebyscore(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]."""
    return _show(ctx, args, _SCORES)


def zrevrangebyscore(ctx: Context, args: list[bytes]) -> bytes:
    """ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]."""
    return _show(ctx, args, _SCORES_REVERSED)


def zrangebylex(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANGEBYLEX key min max [LIMIT offset count]."""
    return _show(ctx, args, _MEMBERS)


def zrevrangebylex(ctx: Context, args: list[bytes]) -> bytes:
    """ZREVRANGEBYLEX key max min [LIMIT offset count]."""
    return _show(ctx, args, _MEMBERS_REVERSED)


def zrangestore(ctx: Context, args: list[bytes]) -> bytes:
    """ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]."""
    rows = rows_asked(ctx, args[2], parse_asked(args[3:], None, storing=True))
    return integer(sortedset.store(ctx, args[1], elements_of(rows)))


# ---- counting and removing ----


def zcount(ctx: Context, args: list[bytes]) -> bytes:
    """ZCOUNT key min max."""
    ends = score_ends(args[2], args[3])
    found = find(ctx, args[1])
    return integer(found.members.count(*ends)) if found is not None and ends != _NOTHING else ZERO


def zlexcount(ctx: Context, args: list[bytes]) -> bytes:
    """ZLEXCOUNT key min max."""
    ends = member_ends(args[2], args[3])
    found = find(ctx, args[1])
    if found is None or ends == _NOTHING:
        return ZERO
    names = _one_score(found, ends)
    return integer(
        found.members.count(*names) if names is not None else len(_walked(found, ends, reverse=False))
    )


def _remove(ctx: Context, key: bytes, choose: Callable[[SortedSet], list[Row]]) -> bytes:
    found = find(ctx, key)
    if found is None:
        return ZERO
    rows = choose(found)
    found.drop_rows(rows)
    return integer(len(rows))


def zremrangebyrank(ctx: Context, args: list[bytes]) -> bytes:
    """ZREMRANGEBYRANK key start stop."""
    first, last = rank_ends(args[2], args[3])
    return _remove(ctx, args[1], lambda found: rows_by_rank(found, first, last))


def zremrangebyscore(ctx: Context, args: list[bytes]) -> bytes:
    """ZREMRANGEBYSCORE key min max."""
    ends = score_ends(args[2], args[3])
    return _remove(ctx, args[1], lambda found: rows_by_score(found, ends))


def zremrangebylex(ctx: Context, args: list[bytes]) -> bytes:
    """ZREMRANGEBYLEX key min max."""
    ends = member_ends(args[2], args[3])
    return _remove(ctx, args[1], lambda found: rows_by_member(found, ends))
