"""Step by step to the wanted configuration: learners first, one joint change, then nobody is left over."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from redraft.control.reconcile import Step, is_settled, next_step, within_reach


class Configuration(NamedTuple):
    """As Raft has it."""

    voters: tuple[int, ...]
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()


def everybody(_node: int) -> bool:
    return True


def nobody(_node: int) -> bool:
    return False


def test_step_none_when_all_is_as_wanted() -> None:
    """Order does not matter: a placement's first is a preference, not a configuration."""
    assert next_step(Configuration((1, 2, 3)), (3, 1, 2), (), everybody, everybody) is None
    assert is_settled(Configuration((1, 2, 3)), (3, 1, 2))


def test_step_new_nodes_come_as_learners_and_wait() -> None:
    """A node counts only once it has caught up (thesis §4.2.1)."""
    first = next_step(Configuration((1, 2, 3)), (1, 2, 4), (), nobody, everybody)
    assert first == Step((1, 2, 3), (4,))
    joined = Configuration((1, 2, 3), learners=(4,))
    assert next_step(joined, (1, 2, 4), (), nobody, everybody) is None
    assert next_step(joined, (1, 2, 4), (), everybody, everybody) == Step((1, 2, 4), ())


def test_step_nothing_while_joint() -> None:
    """One change at a time: the leader leaves the joint configuration by itself."""
    joint = Configuration((1, 2, 4), outgoing=(1, 2, 3))
    assert next_step(joint, (1, 2, 5), (), everybody, everybody) is None
    assert not is_settled(joint, (1, 2, 4))


def test_step_learners_of_a_move_given_up_are_dropped() -> None:
    """A placement taken back leaves nobody behind."""
    half = Configuration((1, 2, 3), learners=(4,))
    assert next_step(half, (1, 2, 3), (), nobody, everybody) == Step((1, 2, 3), ())
    assert next_step(half, (1, 2, 5), (), nobody, everybody) == Step((1, 2, 3), (5,))


def test_step_voters_become_learners_where_those_are_wanted() -> None:
    """In the topology group everybody follows: a voter that leaves goes on as a learner."""
    current = Configuration((1, 2, 3), learners=(4,))
    assert next_step(current, (2, 3, 4), (1,), everybody, everybody) == Step((2, 3, 4), (1,))


def test_step_fewer_voters_need_no_catching_up() -> None:
    """A dead node is taken out by those that live."""
    assert next_step(Configuration((1, 2, 3)), (1, 3), (), nobody, lambda node: node != 2) == Step((1, 3), ())


def test_step_waits_for_a_majority_that_answers() -> None:
    """From the moment the change begins nothing is committed without the new voters."""
    current = Configuration((1, 2, 3), learners=(4,))
    assert next_step(current, (1, 3), (4,), everybody, lambda node: node != 1) is None
    assert next_step(current, (1, 3, 4), (), everybody, lambda node: node != 1) == Step((1, 3, 4), ())
    assert next_step(current, (1, 2, 3), (), everybody, nobody) == Step((1, 2, 3), ())


def test_reach_leaves_out_new_nodes_that_are_dead() -> None:
    """The topology group goes on changing while one of its new nodes is down."""
    current = Configuration((1, 2), learners=(3, 4))
    assert within_reach((1, 2, 3, 4), current, lambda node: node != 3, everybody) == (1, 2, 4)
    assert within_reach((3,), current, nobody, everybody) == (1, 2)


def test_reach_keeps_the_present_voters_where_fewer_would_outlive_less() -> None:
    """A voter that leaves, and lives, waits for the one that comes in its place; a dead one does not help."""
    current = Configuration((1, 2, 3), learners=(4,))
    assert within_reach((1, 3, 4), current, nobody, lambda node: node != 4) == (1, 2, 3)
    assert within_reach((1, 3, 4), current, nobody, lambda node: node not in (2, 4)) == (1, 3)
    assert within_reach((1, 3), current, nobody, everybody) == (1, 3), "all that are wanted"


@pytest.mark.parametrize("seed", range(60))
def test_steps_arrive_from_anywhere(seed: int) -> None:
    """From any configuration to any other: few steps, one change at a time, no voter that lags."""
    print(f"seed {seed}")
    rng = random.Random(seed)

    def some(most: int) -> list[int]:
        return rng.sample(range(1, 8), rng.randint(1, most))

    current = Configuration(tuple(sorted(some(5))))
    wanted = some(5)
    learners = [node for node in range(1, 8) if node not in wanted and rng.random() < 0.3]
    caught_up: set[int] = set()
    for _ in range(10):
        step = next_step(current, wanted, learners, caught_up.__contains__, everybody)
        if step is None and is_settled(current, wanted, learners):
            return
        if step is not None:
            assert set(step.voters) <= {*current.voters, *caught_up}
            if set(step.voters) != set(current.voters):
                joint = Configuration(step.voters, current.voters, step.learners)
                assert next_step(joint, wanted, learners, everybody, everybody) is None
            current = Configuration(step.voters, (), step.learners)
        else:
            caught_up.update(current.learners)
    raise AssertionError("the wanted configuration is never reached")
