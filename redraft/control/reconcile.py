"""From the configuration a group has to the one it should have: the next step, again and again.

Nothing is orchestrated: whoever leads the group compares what is with what is wanted and takes one step;
a step that was lost, or a leader that crashed in between, costs only that the next look finds the same.
The order keeps the group able to commit all the way: nodes that are missing come as learners, which count
for nothing; once they have caught up, one joint change (Raft §6, thesis §4.3) makes the wanted voters the
voters; nodes that are left over have gone with it.  The change waits until a majority of the new voters
answers: from the moment it begins nothing is committed without them.

Pure; must not know what a placement is made for, or how a change is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol


class Configuration(Protocol):
    """Raft's configuration of a group: `outgoing` holds C_old while it is joint."""

    @property
    def voters(self) -> tuple[int, ...]: ...
    @property
    def outgoing(self) -> tuple[int, ...]: ...
    @property
    def learners(self) -> tuple[int, ...]: ...


class Step(NamedTuple):
    """The configuration to change to next: joint where voters differ, at once where only learners do."""

    voters: tuple[int, ...]
    learners: tuple[int, ...]


def next_step(
    configuration: Configuration,
    voters: Sequence[int],
    learners: Sequence[int],
    caught_up: Callable[[int], bool],
    answers: Callable[[int], bool],
) -> Step | None:
    """What to change to now to get to these voters and learners; None: nothing, or wait.

    `caught_up(node)` says whether a learner has (nearly) all that is committed, `answers(node)` whether a
    voter takes part just now.  While the configuration is joint nothing is to be done: its leader ends that.
    """
    if configuration.outgoing:
        return None
    wanted_voters, wanted = set(voters), {*voters, *learners}
    present = {*configuration.voters, *configuration.learners}
    current_voters = set(configuration.voters)
    missing = wanted - present
    left_over = set(configuration.learners) - wanted
    if missing or left_over:
        kept = (present - left_over | missing) - current_voters
        return Step(configuration.voters, tuple(sorted(kept)))
    if current_voters == wanted_voters or _spare(voters, answers) < 0:
        return None
    if all(map(caught_up, sorted(wanted_voters - current_voters))):
        return Step(tuple(sorted(wanted_voters)), tuple(sorted(wanted - wanted_voters)))
    return None


def is_settled(configuration: Configuration, voters: Sequence[int], learners: Sequence[int] = ()) -> bool:
    """Whether the configuration is the wanted one and nobody else has a part in it."""
    return (
        not configuration.outgoing
        and set(configuration.voters) == set(voters)
        and set(configuration.learners) == set(learners)
    )


def within_reach(
    voters: Sequence[int],
    configuration: Configuration,
    caught_up: Callable[[int], bool],
    answers: Callable[[int], bool],
) -> tuple[int, ...]:
    """Those of the wanted voters that vote or could: for a group that must not wait for a dead node.

    The present ones, while fewer failures would be too many with less than all that are wanted.
    """
    reached = tuple(each for each in voters if each in configuration.voters or caught_up(each))
    if len(reached) < len(voters) and _spare(reached, answers) < _spare(configuration.voters, answers):
        return configuration.voters
    return reached or configuration.voters


def _spare(voters: Sequence[int], answers: Callable[[int], bool]) -> int:
    """How many of the voters that answer a majority can do without; below 0, there is none."""
    return sum(map(answers, voters)) - (len(voters) // 2 + 1)
