"""Claims about quorum arithmetic."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.raft.quorum import Tally, majority, reached, tally


@pytest.mark.parametrize("voters", range(1, 10))
def test_majority_any_two_share_a_voter(voters: int) -> None:
    """Two majorities always intersect, and nothing smaller does."""
    needed = majority(voters)
    assert 2 * needed > voters
    assert 2 * (needed - 1) <= voters


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_reached_is_what_some_majority_has_and_none_exceeds(values: list[int]) -> None:
    """The result is the best minimum over all majorities."""
    best = max(min(group) for group in combinations(values, majority(len(values))))
    assert reached(values) == best


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=7))
def test_tally_decides_exactly_when_no_further_vote_can_change_it(votes: list[bool | None]) -> None:
    """Won and lost are final; open means both could still happen."""
    cast = {voter: vote for voter, vote in enumerate(votes) if vote is not None}
    open_votes = votes.count(None)
    granted = votes.count(True)
    needed = majority(len(votes))
    expected = (
        Tally.WON if granted >= needed else Tally.OPEN if granted + open_votes >= needed else Tally.LOST
    )
    assert tally({**cast, 99: True}, range(len(votes))) is expected
