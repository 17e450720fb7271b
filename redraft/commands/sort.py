"""SORT and SORT_RO: the elements of a list, set or sorted set in an order, or what they point to.

The same on every replica: elements that compare as equal stand in the order of their bytes, and a set that is
not sorted in the order of its places.  A pattern (BY, GET) leads to other keys; only this group's can be
looked at, so one that leads elsewhere is refused, whatever else it leads to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redraft.accel.scan import key_slot
from redraft.commands import arguments, sortedset
from redraft.commands.collection import PLACE_BYTES, Collection, placed
from redraft.commands.context import Context
from redraft.commands.elements import Elements, find_list
from redraft.commands.reply import NIL, SYNTAX, WRONG_TYPE, CommandError, array, bulk, integer
from redraft.commands.scores import parse_score
from redraft.engine.record import HASH, LIST, SET, STRINGS, ZSET, body_of, payload

_ITSELF: Final = b"#"
_SPACE: Final = b" \t\n\v\f\r"
_LEAST: Final = 2.0**-1022
"""What is closer to 0 is no weight: C's `strtod` complains of it."""

_TWO_WORDS: Final = frozenset((b"by", b"get", b"store"))


@dataclass(slots=True)
class _Options:
    start: int = 0
    count: int = -1
    descending: bool = False
    alpha: bool = False
    by: bytes | None = None
    gets: list[bytes] = field(default_factory=list)
    store: bytes | None = None

    @property
    def unsorted(self) -> bool:
        """Whether BY names no key at all, which means to leave the elements as they are."""
        return self.by is not None and b"*" not in self.by


def store_position(words: Sequence[bytes]) -> Sequence[int]:
    """Return where the key of STORE stands, the last one's if there are several."""
    found: Sequence[int] = ()
    at = 2
    while at < len(words):
        option = words[at].lower()
        if option == b"store" and at + 1 < len(words):
            found = (at + 1,)
        at += 3 if option == b"limit" else 2 if option in _TWO_WORDS else 1
    return found


def pattern_positions(_words: Sequence[bytes]) -> Sequence[int]:
    """Return where the keys of BY and GET stand: nowhere, they follow from the elements."""
    return ()


def _parse(words: list[bytes], *, may_store: bool) -> _Options:
    options = _Options()
    rest = iter(words)
    for word in rest:
        option = word.lower()
        if option in {b"asc", b"desc"}:
            options.descending = option == b"desc"
        elif option == b"alpha":
            options.alpha = True
        elif option == b"limit":
            start, count = next(rest, None), next(rest, None)
            if start is None or count is None:
                raise CommandError(SYNTAX)
            options.start, options.count = arguments.integer(start), arguments.integer(count)
        elif option in _TWO_WORDS and (argument := next(rest, None)) is not None:
            if option == b"by":
                options.by = argument
            elif option == b"get":
                options.gets.append(argument)
            elif may_store:
                options.store = argument
            else:
                raise CommandError(SYNTAX)
        else:
            raise CommandError(SYNTAX)
    return options


# ---- the elements ----


def _of_list(ctx: Context, key: bytes) -> list[bytes]:
    found = find_list(ctx, key)
    assert found is not None
    return found.values(0, found.size)


def _of_set(ctx: Context, key: bytes) -> list[bytes]:
    found = Collection.find(ctx, key, SET)
    assert found is not None
    return [name[PLACE_BYTES:] for name, _ in found.members.range()]


def _of_sorted_set(ctx: Context, key: bytes) -> list[bytes]:
    found = sortedset.find(ctx, key)
    assert found is not None
    return [sortedset.member_of(row) for row in found.rows(0, found.elements)]


_SOURCES: Final[dict[int, Callable[[Context, bytes], list[bytes]]]] = {
    LIST: _of_list,
    SET: _of_set,
    ZSET: _of_sorted_set,
}
"""What lists the elements of a collection, in its own order if it has one."""


def _chosen(ctx: Context, key: bytes, options: _Options) -> list[bytes]:
    """Return the elements that are asked for, in their order."""
    record = ctx.keyspace.find(ctx.slot_of(key), key)
    letter = body_of(record)[0] if record is not None else LIST
    if letter not in _SOURCES:
        raise CommandError(WRONG_TYPE)
    elements = _SOURCES[letter](ctx, key) if record is not None else []
    if options.unsorted and letter == SET and options.store is not None:
        options.alpha, options.by = True, None  # what is stored must not depend on the order of a set
    if not options.unsorted:
        elements = _sorted(ctx, elements, options)
    elif options.descending and letter in {LIST, ZSET}:
        elements.reverse()
    start = min(max(options.start, 0), len(elements))
    return elements[start:] if options.count < 0 else elements[start : start + options.count]


def _sorted(ctx: Context, elements: list[bytes], options: _Options) -> list[bytes]:
    by = options.by
    weights = elements if by is None else [_looked_up(ctx, by, each, b"BY") for each in elements]
    keys: list[Any]
    if options.alpha:
        keys = [(weight is not None, weight or b"") for weight in weights]
    else:
        keys = [_score(weight) for weight in weights]
    order = sorted(zip(keys, elements, strict=True), reverse=options.descending)
    return [element for _, element in order]


def _score(weight: bytes | None) -> float:
    seen = weight.partition(b"\0")[0] if weight else b""  # C sees no further
    number = parse_score(seen.lstrip(_SPACE)) if seen else 0.0
    if number is None or 0 < abs(number) < _LEAST:
        raise CommandError(b"ERR One or more scores can't be converted into double")
    return number


# ---- where patterns lead ----


def _looked_up(ctx: Context, pattern: bytes, element: bytes, option: bytes) -> bytes | None:
    """Return what a pattern leads to for an element, None when there is nothing."""
    if pattern == _ITSELF:
        return element
    before, star, behind = pattern.partition(b"*")
    if not star:
        return None
    at = behind.find(b"->")
    hashed = at >= 0 and len(behind) > at + 2
    key = before + element + (behind[:at] if hashed else behind)
    slot = key_slot(key)
    slots = ctx.keyspace.slots
    nth = bisect_left(slots, slot)
    if nth == len(slots) or slots[nth] != slot or not ctx.keyspace.serves(slot):
        raise CommandError(
            b"ERR %b option of SORT denied in Cluster mode "
            b"when keys formed by the pattern may be in different slots." % option
        )
    record = ctx.keyspace.find(slot, key)
    if record is None:
        return None
    body = body_of(record)
    if not hashed:
        return payload(body) if body[0] in STRINGS else None
    if body[0] != HASH:
        return None
    found = Collection(ctx.keyspace, slot, key, HASH, record)
    return found.members.get(placed(behind[at + 2 :]))


# ---- the commands ----


def _values(ctx: Context, args: list[bytes], options: _Options) -> list[bytes | None]:
    elements = _chosen(ctx, args[1], options)
    if not options.gets:
        return list(elements)
    return [_looked_up(ctx, get, element, b"GET") for element in elements for get in options.gets]


def sort(ctx: Context, args: list[bytes]) -> bytes:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]."""
    options = _parse(args[2:], may_store=True)
    values = _values(ctx, args, options)
    if options.store is None:
        return _shown(ctx, values)
    if not values:
        ctx.keyspace.remove(ctx.slot_of(options.store), options.store)
        return integer(0)
    made = Elements.new(ctx, options.store, LIST)
    for value in values:
        made.push(value or b"", left=False)
    made.save()
    return integer(len(values))


def sort_ro(ctx: Context, args: list[bytes]) -> bytes:
    """SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA]."""
    return _shown(ctx, _values(ctx, args, _parse(args[2:], may_store=False)))


def _shown(ctx: Context, values: list[bytes | None]) -> bytes:
    return array([bulk(value) if value is not None else NIL[ctx.proto] for value in values])
