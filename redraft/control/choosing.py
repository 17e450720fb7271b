"""Which slots of a group go, when so much of it should: whole slots, as few as will do, never all of them.

A `Weight` is what something holds or is asked for, in each of the measures (`MEASURES`); weights of slots add
up.  The slots that hold the most of what should go are taken first, each stretch from its end, and never more
than `caps` allow: so a slot that alone is too much stays, and others around it go.

Must not know why something should go, or where to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from redraft.control.facts import GroupFacts
from redraft.control.slotmoves import Ranges
from redraft.control.thresholds import Thresholds
from redraft.topology.slots import ranges_of

MEASURES: Final = ("bytes", "requests", "keys")
"""In the order in which an excess counts where several are equal."""
BYTES: Final = 0
Weight = tuple[float, float, float]
"""By measure."""


class Choice(NamedTuple):
    """Slots, and what goes with them."""

    slots: Ranges
    weight: Weight


class _Stretch(NamedTuple):
    """Neighbouring slots, and what each holds."""

    first: int
    last: int
    each: Weight


def slot_count(slots: Ranges) -> int:
    """How many slots these ranges are."""
    return sum(last - first + 1 for first, last in slots)


def weight_of(facts: GroupFacts) -> Weight:
    """What a whole group weighs."""
    return facts.bytes, facts.requests, facts.keys


def choose_slots(
    owned: Ranges, facts: GroupFacts, measure: int, amount: float, caps: Weight, slots_max: int
) -> Choice:
    """Slots that together hold nearly `amount` of a measure, and no more than `caps` of each.

    A slot that does not fit is passed over for the next that does.
    """
    chosen: list[int] = []
    taken = [0.0, 0.0, 0.0]
    limits = [*caps]
    limits[measure] = min(amount, caps[measure])
    left = min(slots_max, slot_count(owned) - 1)
    stretches = _stretches(owned, facts)
    for stretch in sorted(stretches, key=lambda each: (-each.each[measure], -each.first)):
        if not stretch.each[measure]:
            break
        fits = min(
            (limit - has) / density * (1 + 1e-9) if density else left
            for limit, has, density in zip(limits, taken, stretch.each, strict=True)
        )
        count = max(0, int(min(fits, left, stretch.last - stretch.first + 1)))
        chosen += range(stretch.last - count + 1, stretch.last + 1)
        taken = [has + count * density for has, density in zip(taken, stretch.each, strict=True)]
        left -= count
    return Choice(tuple(ranges_of(chosen)), (taken[0], taken[1], taken[2]))


def portion(
    owned: Ranges, facts: GroupFacts, measure: int, amount: float, caps: Weight, limits: Thresholds
) -> Choice:
    """As `choose_slots`, and as much as one move may take; that is one slot at least, however large it is."""
    small = (min(caps[BYTES], limits.bytes_per_move_max), caps[1], caps[2])
    choice = choose_slots(owned, facts, measure, amount, small, limits.slots_per_move_max)
    return choice if choice.slots else choose_slots(owned, facts, measure, amount, caps, 1)


def smallest(owned: Ranges, facts: GroupFacts, measure: int) -> float:
    """The least that a group can give of a measure, one slot; infinite where it can't part with any."""
    if slot_count(owned) < 2:
        return float("inf")
    some = (stretch.each[measure] for stretch in _stretches(owned, facts) if stretch.each[measure])
    return min(some, default=float("inf"))


def _stretches(owned: Ranges, facts: GroupFacts) -> Sequence[_Stretch]:
    if not facts.ranges:
        slots = slot_count(owned) or 1
        each = (facts.bytes / slots, facts.requests / slots, facts.keys / slots)
        return [_Stretch(first, last, each) for first, last in owned]
    stretches = []
    for told in facts.ranges:
        slots = told.last - told.first + 1
        each = (told.bytes / slots, told.requests / slots, told.keys / slots)
        for first, last in owned:
            low, high = max(first, told.first), min(last, told.last)
            if low <= high:
                stretches.append(_Stretch(low, high, each))
    return stretches
