"""A run and its twin: the same run with the rule broken that it is about, where it has to fail.

A test that holds proves little unless it is seen to fail.  So the runs of this folder are parametrised: once
as the code is, once for each way to break it, with what the failure has to say.  Most ways are those that the
simulator has to find (`redraft.simulation.mutations`); a few more stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest

from redraft.base.errors import DamagedError
from redraft.node.lane import Lane
from redraft.replica.apply import Answer
from redraft.replica.replica import Replica
from redraft.simulation.breaking import replaced
from redraft.simulation.mutations import mutated


class Rule(NamedTuple):
    """A rule as it is kept, or broken in the way of that name."""

    broken: str = ""
    shows: str = ""
    """What the run says when the rule is broken (a regular expression)."""


def kept_or(**broken: str) -> pytest.MarkDecorator:
    """Run a test as the code is, and broken in each of these ways, which must show as said."""
    rules = [Rule(), *(Rule(name.replace("_", "-"), shows) for name, shows in broken.items())]
    return pytest.mark.parametrize("rule", rules, ids=lambda rule: rule.broken or "kept")


@contextmanager
def judged(rule: Rule) -> Iterator[None]:
    """What is run inside holds; or, with the rule broken, fails by the assertion that is about it."""
    if not rule.broken:
        yield
        return
    way = WAYS.get(rule.broken)
    with (
        way() if way else mutated(rule.broken),
        pytest.raises((AssertionError, DamagedError), match=rule.shows),
    ):
        yield


@contextmanager
def followers_apply_nothing() -> Iterator[None]:
    """Only the leader carries out what is committed; the others just count it."""
    apply = Replica.apply

    def only_count(replica: Replica, bytes_max: int) -> list[Answer]:
        if replica.leads:
            return apply(replica, bytes_max)
        replica.applier.applied_index = replica.raft.commit_index
        return []

    with replaced(Replica, apply=only_count):
        yield


@contextmanager
def asking_id_reused() -> Iterator[None]:
    """A follower asks for the read index under the same id again and again."""
    pump = Lane._pump_follower

    def pump_and_forget(lane: Lane, *of: Any) -> None:
        known = lane._ask_id
        pump(lane, *of)
        lane._ask_id = known

    with replaced(Lane, _pump_follower=pump_and_forget):
        yield


@contextmanager
def answers_to_an_earlier_life_taken() -> Iterator[None]:
    """A node takes replies to parts of the process that it was before."""
    take = Lane.on_part_reply

    def take_any(lane: Lane, peer: int, message: Any) -> None:
        take(lane, peer, message._replace(origin_incarnation=lane._host.incarnation))

    with replaced(Lane, on_part_reply=take_any):
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    way.__name__.replace("_", "-"): way
    for way in (followers_apply_nothing, asking_id_reused, answers_to_an_earlier_life_taken)
}
