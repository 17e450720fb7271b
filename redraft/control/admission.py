"""What an operator's change is refused for before it is proposed: things the topology alone does not know.

The node that is asked knows which nodes it reaches.  That is one view at one moment, so it is advice and no
rule: nothing in the state machine rests on it, and a change that was let through and lost its nodes a
second later waits for them, or is replaced by another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redraft.control.groups import CreateGroup, SplitGroup
from redraft.control.topology import Command, Place, Refused, Remove, Topology, apply, topology_placement


def objection(topology: Topology, command: Command, alive: Callable[[int], bool]) -> Refused | None:
    """Why a command should not be proposed now, None when nothing speaks against it.

    Includes what the state machine would say to it, by this node's topology: it is the sooner answer.
    """
    after, answer = apply(topology, command, topology.epoch + 1)
    if isinstance(answer, Refused):
        return answer
    if isinstance(command, Place):
        return _dead_target(topology, command, alive) or _without_majority(topology, after, alive)
    if isinstance(command, Remove):
        return _without_majority(topology, after, alive)
    if isinstance(command, CreateGroup | SplitGroup):
        return _dead_founder(after, alive)
    return None


def _dead_target(topology: Topology, command: Place, alive: Callable[[int], bool]) -> Refused | None:
    group = topology.group(command.group_id)
    assert group is not None
    for voter in command.voters:
        if voter not in group.voters and not alive(voter):
            return Refused(f"Node {voter} does not answer: a replica can be placed there once it does.")
    return None


def _dead_founder(after: Topology, alive: Callable[[int], bool]) -> Refused | None:
    for voter in after.groups[-1].voters:
        if not alive(voter):
            return Refused(f"Node {voter} does not answer: name other nodes for the new group.")
    return None


def _without_majority(before: Topology, after: Topology, alive: Callable[[int], bool]) -> Refused | None:
    """A change of voters needs a majority of the old ones and of the new ones (Raft §6)."""
    for old, new in zip(before.groups, after.groups, strict=True):
        if old.voters != new.voters:
            for voters, which in ((old.voters, "present"), (new.voters, "remaining")):
                refusal = _dead_majority(f"group {old.group_id}", voters, which, alive)
                if refusal is not None:
                    return refusal
    old_voters, new_voters = topology_placement(before)[0], topology_placement(after)[0]
    return _dead_majority("the topology group", old_voters, "present", alive) or _dead_majority(
        "the topology group", new_voters, "remaining", alive
    )


def _dead_majority(
    whose: str, voters: Sequence[int], which: str, alive: Callable[[int], bool]
) -> Refused | None:
    living = sum(map(alive, voters))
    if 2 * living > len(voters):
        return None
    dead = ", ".join(str(voter) for voter in voters if not alive(voter))
    return Refused(
        f"Of the {which} {len(voters)} voters of {whose} only {living} would be alive (node {dead} does not "
        "answer), and a majority has to agree: bring nodes back first, or add some with --join."
    )
