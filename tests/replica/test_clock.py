"""The group's clock: never back, never a jump, never frozen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redraft.replica.clock import SLEW, GroupClock


def test_clock_starts_behind_no_earlier_entry() -> None:
    """A new leader whose wall clock lags starts at the last entry's clock."""
    assert GroupClock(5000, 1000.0, 0.0).read(1000.0, 0.0) == 5000


def test_clock_goes_on_after_a_wall_clock_stepped_forward_and_back() -> None:
    """Time does not freeze until the wall clock catches up: it only runs a little slower."""
    clock = GroupClock(3_600_000, 0.0, 0.0)
    assert clock.read(1000.0, 1000.0) == 3_600_000 + 1000 * (1 - SLEW)


def test_clock_does_not_jump_when_the_median_does() -> None:
    """A median an hour ahead is approached slowly."""
    clock = GroupClock(0, 0.0, 0.0)
    assert clock.read(3_600_000.0, 1000.0) == 1000 * (1 + SLEW)


def test_clock_goes_on_from_an_entry_that_was_later() -> None:
    """Of a group whose clock was ahead: at its time, and then slewed like any clock that is off."""
    clock = GroupClock(0, 0.0, 0.0)
    clock.rise(600_000)
    clock.rise(500_000)
    assert clock.read(1000.0, 1000.0) == 600_000 + 1000 * (1 - SLEW)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e12)), max_size=50))
def test_clock_never_runs_back(steps: list[tuple[float, float]]) -> None:
    """Whatever the wall clocks do."""
    clock, now, last = GroupClock(0, 0.0, 0.0), 0.0, 0
    for elapsed, median in steps:
        now += elapsed
        value = clock.read(median, now)
        assert value >= last
        last = value
