"""Claims about configurations as values: their bytes, and what counts as agreed in them."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.base.errors import DamagedError
from redraft.raft.configuration import Configuration
from redraft.raft.quorum import Tally, majority

GOLDEN = (
    "01 0300 0200 0100"
    + "0100000000000000 0200000000000000 0400000000000000"
    + ("0100000000000000 0200000000000000" + "0900000000000000")
)

ids = st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True).map(tuple)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    voters = draw(ids)
    learners = tuple(each for each in draw(ids) if each not in voters)
    return Configuration(voters, draw(st.one_of(st.just(()), ids)), learners)


def quorums(voters: tuple[int, ...]) -> list[set[int]]:
    """All smallest majorities."""
    return [set(each) for each in combinations(voters, majority(len(voters)))]


def agreeing(configuration: Configuration) -> list[set[int]]:
    """All sets of nodes that can agree for the whole group (Raft §6: separate majorities from both)."""
    both = quorums(configuration.voters)
    if configuration.outgoing:
        both = [new | old for new in both for old in quorums(configuration.outgoing)]
    return both


def test_configuration_bytes_are_golden() -> None:
    """What is on disk and in entries for ever."""
    configuration = Configuration((1, 2, 4), (1, 2), (9,))
    assert configuration.encode() == bytes.fromhex(GOLDEN)
    assert Configuration.decode(bytes.fromhex(GOLDEN)) == configuration


@given(configurations())
def test_configuration_comes_back_as_it_went(configuration: Configuration) -> None:
    """Order included: the first voter is the one preferred."""
    assert Configuration.decode(configuration.encode()) == configuration


def test_configuration_of_nobody_can_be_written() -> None:
    """That of a replica which waits for a snapshot."""
    assert Configuration.decode(Configuration().encode()) == Configuration()


@given(st.binary(max_size=60))
def test_configuration_of_noise_is_damage_or_sound(noise: bytes) -> None:
    """Never a voter twice, nobody as a voter, or another exception."""
    with suppress(DamagedError):
        assert Configuration.decode(noise).is_sound


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration((1, 1)),
        Configuration((0,)),
        Configuration((1,), (), (1,)),
        Configuration((1,), (2, 2)),
        Configuration((), (1,)),
        Configuration((), (), (1,)),
    ],
)
def test_configuration_that_makes_no_sense_is_damage(configuration: Configuration) -> None:
    """An id twice in one role, a voter as a learner, 0, or nobody to vote."""
    with pytest.raises(DamagedError):
        Configuration.decode(configuration.encode())


@given(configurations(), st.lists(st.integers(0, 5), min_size=10, max_size=10))
def test_configuration_reached_is_the_best_that_an_agreeing_set_has(
    configuration: Configuration, values: list[int]
) -> None:
    """While joint, majorities of both lists; learners never count."""
    best = max(min(values[node] for node in each) for each in agreeing(configuration))
    assert configuration.reached(values.__getitem__) == best


@given(configurations(), st.dictionaries(st.integers(1, 9), st.booleans()))
def test_configuration_tally_decides_exactly_when_no_further_vote_can_change_it(
    configuration: Configuration, votes: dict[int, bool]
) -> None:
    """Won: an agreeing set granted.  Lost: none can any more."""
    agree = agreeing(configuration)
    if any(all(votes.get(node) for node in each) for each in agree):
        expected = Tally.WON
    elif any(all(votes.get(node, True) for node in each) for each in agree):
        expected = Tally.OPEN
    else:
        expected = Tally.LOST
    assert configuration.tally(votes) is expected


@given(configurations())
def test_configuration_joint_with_the_next_leaves_no_room_for_two_decisions(before: Configuration) -> None:
    """Raft §6: every set that agrees in C_old,new shares a voter with every one of C_old and of C_new."""
    joint = Configuration((2, 3, 8), before.voters)
    for each in agreeing(joint):
        assert all(each & other for other in quorums(before.voters))
        assert all(each & other for other in quorums(joint.voters))


def test_configuration_nodes_are_all_that_get_the_log() -> None:
    """Each once, in order, whatever its roles."""
    configuration = Configuration((3, 1), (1, 2), (2, 7))
    assert configuration.nodes == (1, 2, 3, 7)
    assert [node for node in configuration.nodes if configuration.is_voter(node)] == [1, 2, 3]
    assert Configuration((4,), (), (5,)).sole_voter == 4
    assert configuration.sole_voter == 0
