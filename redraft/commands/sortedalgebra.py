"""Unions, intersections and differences of sorted sets and sets; the commands that show, count or store them.

A set counts as a sorted set whose scores are all 1.  Scores are combined in Redis's order, from the smallest
set to the largest, since sums of doubles depend on it; what is not a number becomes 0, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isnan
from typing import Final

from redraft.commands import arguments, setalgebra, sortedset
from redraft.commands.collection import PLACE_BYTES, Collection
from redraft.commands.context import Context
from redraft.commands.reply import SYNTAX, WRONG_TYPE, CommandError, bulk_array, integer
from redraft.commands.scores import score as parsed_score
from redraft.commands.scores import unpack
from redraft.commands.setalgebra import names_of
from redraft.commands.sortedset import SortedSet
from redraft.commands.sortedsets import elements_reply
from redraft.engine.record import SET, ZSET, body_of

Scores = dict[bytes, float]
"""Scores by placed name, in an order that every replica has."""

Aggregate = Callable[[float, float], float]


def _sum(total: float, value: float) -> float:
    added = total + value
    return 0.0 if isnan(added) else added


def _lesser(total: float, value: float) -> float:
    return value if value < total else total


def _greater(total: float, value: float) -> float:
    return value if value > total else total


_AGGREGATES: Final[dict[bytes, Aggregate]] = {b"sum": _sum, b"min": _lesser, b"max": _greater}


@dataclass(slots=True)
class Source:
    """One of the sets that are combined; None is an empty one."""

    found: Collection | None
    weight: float = 1.0

    @property
    def size(self) -> int:
        """The number of members."""
        return self.found.elements if self.found is not None else 0

    def scores(self) -> Iterable[tuple[bytes, float]]:
        """Return all members, by placed name, and their scores."""
        found = self.found
        if isinstance(found, SortedSet):
            at = len(found.prefix)
            return [
                (name[at:], unpack(packed)) for name, packed in found.members.range(found.prefix, found.end)
            ]
        return ((name, 1.0) for name in names_of(found)) if found is not None else ()

    def scores_of(self, names: list[bytes]) -> list[float]:
        """Return the scores of some members."""
        if not isinstance(self.found, SortedSet):
            return [1.0] * len(names)
        return [value for value in self.found.scores_of(names) if value is not None]


@dataclass(slots=True)
class Combining:
    """What a request asks for."""

    sources: list[Source]
    aggregate: Aggregate = field(default=_sum)
    scores: bool = False
    limit: int = 0
    """How many are enough to be counted; 0 for all."""

    @property
    def sets(self) -> list[Collection | None]:
        """The sets, without weights."""
        return [source.found for source in self.sources]


def union(asked: Combining) -> Scores:
    """Return what is in any of the sets."""
    result: Scores = {}
    for source in _by_size(asked.sources):
        for name, value in source.scores():
            weighed = _weighed(value, source.weight)
            result[name] = asked.aggregate(result[name], weighed) if name in result else weighed
    return result


def intersection(asked: Combining) -> Scores:
    """Return what is in all of the sets."""
    names = setalgebra.intersection(asked.sets)
    if not names:
        return {}
    smallest, *others = _by_size(asked.sources)
    values = [_weighed(value, smallest.weight) for value in smallest.scores_of(names)]
    for other in others:
        scores = other.scores_of(names)
        values = [
            asked.aggregate(value, score * other.weight) for value, score in zip(values, scores, strict=True)
        ]
    return dict(zip(names, values, strict=True))


def difference(asked: Combining) -> Scores:
    """Return what is in the first of the sets and in no other."""
    names = setalgebra.difference(asked.sets)
    return dict(zip(names, asked.sources[0].scores_of(names), strict=True))


def _by_size(sources: list[Source]) -> list[Source]:
    return sorted(sources, key=lambda source: source.size)


def _weighed(value: float, weight: float) -> float:
    weighed = value * weight
    return 0.0 if isnan(weighed) else weighed


# ---- requests ----


def _parse(ctx: Context, args: list[bytes], at: int, options: frozenset[bytes]) -> Combining:
    """Return what a request with the number of its keys at a position asks for; raises CommandError."""
    count = arguments.integer(args[at])
    if count < 1:
        name = args[0].lower()
        raise CommandError(b"ERR at least 1 input key is needed for '%b' command" % name)
    end = at + 1 + count
    if end > len(args):
        raise CommandError(SYNTAX)
    asked = Combining([Source(_find(ctx, key)) for key in args[at + 1 : end]])
    while end < len(args):
        option = args[end].lower()
        if option not in options:
            raise CommandError(SYNTAX)
        end += _take_option(asked, option, args[end + 1 :]) + 1
    return asked


def _find(ctx: Context, key: bytes) -> Collection | None:
    slot = ctx.slot_of(key)
    record = ctx.keyspace.find(slot, key)
    if record is None:
        return None
    letter = body_of(record)[0]
    if letter not in (SET, ZSET):
        raise CommandError(WRONG_TYPE)
    kind = SortedSet if letter == ZSET else Collection
    return kind(ctx.keyspace, slot, key, letter, record)


def _take_option(asked: Combining, option: bytes, words: list[bytes]) -> int:
    """Note an option by the words behind its name; return how many of them are its own."""
    if option == b"withscores":
        asked.scores = True
        return 0
    if option == b"weights" and len(words) >= len(asked.sources):
        for source, word in zip(asked.sources, words, strict=False):
            source.weight = parsed_score(word, b"ERR weight value is not a float")
        return len(asked.sources)
    if option == b"aggregate" and words and words[0].lower() in _AGGREGATES:
        asked.aggregate = _AGGREGATES[words[0].lower()]
        return 1
    if option == b"limit" and words:
        asked.limit = arguments.positive(words[0], b"ERR LIMIT can't be negative")
        return 1
    raise CommandError(SYNTAX)


_STORED: Final = frozenset((b"weights", b"aggregate"))
_SHOWN: Final = _STORED | {b"withscores"}
_SCORES_ONLY: Final = frozenset((b"withscores",))
_LIMIT_ONLY: Final = frozenset((b"limit",))
_NONE: Final = frozenset[bytes]()


def _show(ctx: Context, asked: Combining, result: Scores) -> bytes:
    in_order = sorted((value, name[PLACE_BYTES:]) for name, value in result.items())
    if not asked.scores:
        return bulk_array([member for _, member in in_order])
    return elements_reply(ctx.proto, [(member, value) for value, member in in_order])


def _store(ctx: Context, key: bytes, result: Scores) -> bytes:
    elements = [(name[PLACE_BYTES:], value) for name, value in result.items()]
    return integer(sortedset.store(ctx, key, elements))


def zunion(ctx: Context, args: list[bytes]) -> bytes:
    """ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]."""
    asked = _parse(ctx, args, 1, _SHOWN)
    return _show(ctx, asked, union(asked))


def zinter(ctx: Context, args: list[bytes]) -> bytes:
    """ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]."""
    asked = _parse(ctx, args, 1, _SHOWN)
    return _show(ctx, asked, intersection(asked))


def zdiff(ctx: Context, args: list[bytes]) -> bytes:
    """ZDIFF numkeys key [key ...] [WITHSCORES]."""
    asked = _parse(ctx, args, 1, _SCORES_ONLY)
    return _show(ctx, asked, difference(asked))


def zunionstore(ctx: Context, args: list[bytes]) -> bytes:
    """ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>]."""
    return _store(ctx, args[1], union(_parse(ctx, args, 2, _STORED)))


def zinterstore(ctx: Context, args: list[bytes]) -> bytes:
    """ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>]."""
    return _store(ctx, args[1], intersection(_parse(ctx, args, 2, _STORED)))


def zdiffstore(ctx: Context, args: list[bytes]) -> bytes:
    """ZDIFFSTORE destination numkeys key [key ...]."""
    return _store(ctx, args[1], difference(_parse(ctx, args, 2, _NONE)))


def zintercard(ctx: Context, args: list[bytes]) -> bytes:
    """ZINTERCARD numkeys key [key ...] [LIMIT limit]."""
    asked = _parse(ctx, args, 1, _LIMIT_ONLY)
    return integer(setalgebra.count_up_to(asked.sets, asked.limit))
