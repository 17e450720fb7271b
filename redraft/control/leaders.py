"""Where leaders should be: a pure decision from what one leader sees.

Each leader moves only what it leads, to the first voter of the group's list that may lead now.  As
the lists are rotated from group to group, leaders end up spread evenly over the nodes that live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from redraft.topology.cluster_map import Group
from redraft.topology.placement import preferred_leader


def choose_transfer(
    node_id: int, led: Iterable[Group], usable: Callable[[int, Group], bool]
) -> tuple[Group, int] | None:
    """Return a group this node leads and should hand over, with its new leader; None when all is well.

    `usable(voter, group)` says whether a voter may lead now: alive for a while, caught up, with room
    on its disk.  One move at a time: the next decision sees what became of it.
    """
    for group in led:
        target = preferred_leader(group.voters, lambda voter, group=group: usable(voter, group))  # type: ignore[misc]
        if target and target != node_id:
            return group, target
    return None


def choose_successor(
    node_id: int, voters: Iterable[int], match_index: Callable[[int], int], alive: Callable[[int], bool]
) -> int:
    """Return who should lead a group when this node stops: the living voter with the longest log, else 0."""
    others = [voter for voter in voters if voter != node_id and alive(voter)]
    return max(others, key=match_index, default=0)
