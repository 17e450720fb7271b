"""HSCAN, SSCAN and ZSCAN: the members of a collection whose names are placed, some at a time.

A cursor is the place to go on from, 0 at the beginning and at the end: the same on every engine and replica.
Members of one place come together; what is in the collection from the first call to the last is given once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from redraft.commands import arguments
from redraft.commands.collection import PLACE_BYTES, Collection
from redraft.commands.context import Context
from redraft.commands.glob import compiled
from redraft.commands.reply import SYNTAX, CommandError, array, bulk

_PLACES: Final = 1 << (8 * PLACE_BYTES)
_COUNT: Final = 10
_CURSOR_MAX: Final = 2**64 - 1

Shown = Callable[[Collection, bytes, bytes], tuple[bytes, ...]]
"""(collection, name without prefix and place, value) -> the replies that show a member."""


def scan_members(
    ctx: Context, args: list[bytes], letter: int, show: Shown, kind: type[Collection] = Collection
) -> bytes:
    """Carry out <name> key cursor [MATCH pattern] [COUNT count]; of placed names."""
    place = parse_cursor(args[2])
    found = kind.find(ctx, args[1], letter)
    if found is None:
        return array([bulk(b"0"), array([])])
    pattern, limit = _options(args[3:])
    taken, following = _take(found, place, limit) if place < _PLACES else ([], _PLACES)
    shown: list[bytes] = []
    for placed, value in taken:
        name = placed[found.name_at :]
        if pattern is None or pattern.match(name):
            shown += show(found, name, value)
    return array([bulk(b"%d" % (following % _PLACES)), array(shown)])


def _take(found: Collection, place: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """Return members from a place on, `limit` or those of one place more, and the place to go on from."""
    members, prefix, end = found.members, found.prefix, found.end
    taken = members.range(_first(prefix, place), end, limit=limit)
    if len(taken) < limit:
        return taken, _PLACES
    last = taken[-1][0]
    following = int.from_bytes(last[len(prefix) : found.name_at], "big") + 1
    if following == _PLACES:
        return taken + members.range(last + b"\0", end), _PLACES
    low = _first(prefix, following)
    taken += members.range(last + b"\0", low)
    return taken, following if members.range(low, end, limit=1) else _PLACES


def _first(prefix: bytes, place: int) -> bytes:
    """What the names of a place begin with."""
    return prefix + place.to_bytes(PLACE_BYTES, "big")


def parse_cursor(text: bytes) -> int:
    """Return the number of a cursor; raises CommandError."""
    digits = text[1:] if text[:1] == b"+" else text
    if text and not (digits.isdigit() and int(digits) <= _CURSOR_MAX):
        raise CommandError(b"ERR invalid cursor")
    return int(digits or b"0")


def _options(words: list[bytes]) -> tuple[re.Pattern[bytes] | None, int]:
    pattern, limit = None, _COUNT
    rest = iter(words)
    for word in rest:
        option, argument = word.lower(), next(rest, None)
        if argument is None:
            raise CommandError(SYNTAX)
        if option == b"count":
            limit = arguments.integer(argument)
            if limit < 1:
                raise CommandError(SYNTAX)
        elif option == b"match":
            pattern = compiled(argument)
        else:
            raise CommandError(SYNTAX)
    return pattern, limit
