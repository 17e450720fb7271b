"""Ranges of slots against sets of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redraft.topology.slots import ranges_of, united, without

RANGE = st.tuples(st.integers(0, 60), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair)))
RANGES = st.lists(RANGE, max_size=8)
"""In any order; they may touch and overlap."""


def slots_in(ranges: list[tuple[int, int]]) -> set[int]:
    """Each slot of some ranges."""
    return {slot for low, high in ranges for slot in range(low, high + 1)}


@given(RANGES)
def test_slots_united_are_the_ranges_of_all(ranges: list[tuple[int, int]]) -> None:
    """As few ranges as there can be, ascending."""
    assert united(ranges) == ranges_of(slots_in(ranges))


@given(RANGES, RANGES)
def test_slots_without_others_are_the_ranges_of_what_is_left(
    ranges: list[tuple[int, int]], gone: list[tuple[int, int]]
) -> None:
    """Whatever of the others lies where."""
    assert without(ranges, gone) == ranges_of(slots_in(ranges) - slots_in(gone))
