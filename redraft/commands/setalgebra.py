"""Intersections, unions and differences of sets, and the commands that show, count or store them.

Members are compared by their placed names, which differ exactly when the members do.  Results have an order
that is the same on every replica; Redis's have none that anybody may rely on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from redraft.commands import arguments
from redraft.commands.collection import Collection
from redraft.commands.context import Context
from redraft.commands.reply import SYNTAX, CommandError, integer
from redraft.commands.sets import find, shown, store

AT_ONCE: Final = 1000
"""Members of the smallest set looked up in the others in one go."""

Combine = Callable[[list[Collection | None]], list[bytes]]
"""Sets, None for one that is not there -> the placed names of the result."""


def names_of(found: Collection) -> list[bytes]:
    """Return the placed names of all members."""
    return _names(found, found.prefix, None)


def _names(found: Collection, low: bytes, limit: int | None) -> list[bytes]:
    at = len(found.prefix)
    rows = found.members.range(low, found.end, limit=limit)
    return [name[at:] for name, _ in rows] if at else [name for name, _ in rows]


def intersections(sets: list[Collection | None]) -> Iterator[list[bytes]]:
    """Yield what is in all of the sets, some at a time."""
    present = [found for found in sets if found is not None]
    if len(present) < len(sets):
        return
    smallest, *others = sorted(present, key=lambda found: found.elements)
    names = _names(smallest, smallest.prefix, AT_ONCE)
    while names:
        low = smallest.prefix + names[-1] + b"\0"
        for other in others:
            names = [name for name, is_in in _looked_up(names, other) if is_in]
        yield names
        names = _names(smallest, low, AT_ONCE)


def count_up_to(sets: list[Collection | None], limit: int) -> int:
    """Return how much is in all of the sets; with a limit, which is not 0, no more than that."""
    total = 0
    for names in intersections(sets):
        total += len(names)
        if limit and total >= limit:
            return limit
    return total


def intersection(sets: list[Collection | None]) -> list[bytes]:
    """Return what is in all of the sets."""
    return [name for names in intersections(sets) for name in names]


def union(sets: list[Collection | None]) -> list[bytes]:
    """Return what is in any of the sets."""
    return list(dict.fromkeys(name for found in sets if found is not None for name in names_of(found)))


def difference(sets: list[Collection | None]) -> list[bytes]:
    """Return what is in the first of the sets and in no other."""
    if sets[0] is None:
        return []
    names = names_of(sets[0])
    for other in sets[1:]:
        if other is not None and names:
            names = [name for name, is_in in _looked_up(names, other) if not is_in]
    return names


def _looked_up(names: list[bytes], found: Collection) -> Iterator[tuple[bytes, bool]]:
    """Return names and whether each is in a set: each is looked up, or, in a small set, all there is read."""
    if found.elements < len(names):
        there = frozenset(names_of(found))
        return ((name, name in there) for name in names)
    values = found.members.get_many([found.prefix + name for name in names] if found.prefix else names)
    return ((name, value is not None) for name, value in zip(names, values, strict=True))


def _combined(ctx: Context, keys: list[bytes], combine: Combine) -> list[bytes]:
    return combine([find(ctx, key) for key in keys])


def sinter(ctx: Context, args: list[bytes]) -> bytes:
    """SINTER key [key ...]."""
    return shown(ctx, _combined(ctx, args[1:], intersection))


def sunion(ctx: Context, args: list[bytes]) -> bytes:
    """SUNION key [key ...]."""
    return shown(ctx, _combined(ctx, args[1:], union))


def sdiff(ctx: Context, args: list[bytes]) -> bytes:
    """SDIFF key [key ...]."""
    return shown(ctx, _combined(ctx, args[1:], difference))


def sinterstore(ctx: Context, args: list[bytes]) -> bytes:
    """SINTERSTORE destination key [key ...]."""
    return integer(store(ctx, args[1], _combined(ctx, args[2:], intersection)))


def sunionstore(ctx: Context, args: list[bytes]) -> bytes:
    """SUNIONSTORE destination key [key ...]."""
    return integer(store(ctx, args[1], _combined(ctx, args[2:], union)))


def sdiffstore(ctx: Context, args: list[bytes]) -> bytes:
    """SDIFFSTORE destination key [key ...]."""
    return integer(store(ctx, args[1], _combined(ctx, args[2:], difference)))


def sintercard(ctx: Context, args: list[bytes]) -> bytes:
    """SINTERCARD numkeys key [key ...] [LIMIT limit]."""
    end = 2 + arguments.key_count(args, 1)
    limit = cardinality_limit(args[end:])
    return integer(count_up_to([find(ctx, key) for key in args[2:end]], limit))


def cardinality_limit(words: list[bytes]) -> int:
    """Return the number of an intersection's members that is enough, 0 for all; raises CommandError."""
    limit = 0
    rest = iter(words)
    for word in rest:
        argument = next(rest, None)
        if word.lower() != b"limit" or argument is None:
            raise CommandError(SYNTAX)
        limit = arguments.positive(argument, b"ERR LIMIT can't be negative")
    return limit
