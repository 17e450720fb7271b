"""Where replicas go when a node comes or goes: pure arithmetic on placements.

A placement is a group's wanted voters, the preferred leader first.  The least loaded node is the one with
the fewest replicas, of those the one with the lowest id, so that every node decides alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

Placements = dict[int, tuple[int, ...]]
"""By group id."""


def fill(placements: Mapping[int, tuple[int, ...]], node_id: int, replication_factor: int) -> Placements:
    """Give a new node a replica of every group that has fewer than it should; last, so that it leads none."""
    return {
        group: (*voters, node_id) if len(voters) < replication_factor else voters
        for group, voters in placements.items()
    }


def founders(
    placements: Mapping[int, tuple[int, ...]], staying: Sequence[int], replication_factor: int
) -> tuple[int, ...]:
    """Where a new group is to stand: the node that should lead the fewest first, then the least loaded."""
    load, leads = Counter(dict.fromkeys(staying, 0)), Counter(dict.fromkeys(staying, 0))
    for voters in placements.values():
        load.update(voters)
        leads.update(voters[:1])
    leader = min(staying, key=lambda node: (leads[node], load[node], node))
    others = sorted((node for node in staying if node != leader), key=lambda node: (load[node], node))
    return (leader, *others[: replication_factor - 1])


def replaced(placements: Mapping[int, tuple[int, ...]], node_id: int, staying: Sequence[int]) -> Placements:
    """Put the least loaded node of `staying` in the place of `node_id`, group by group.

    Where all of them have a replica already there is one fewer.  A group that only `node_id` holds goes to
    the least loaded node, so no placement becomes empty.  Where it was the preferred leader, one becomes it
    of those that are for the fewest groups.
    """
    assert staying, "somebody has to take over"
    load, leads = Counter(dict.fromkeys(staying, 0)), Counter(dict.fromkeys(staying, 0))
    for voters in placements.values():
        load.update(voter for voter in voters if voter in load)
        leads.update(voters[:1])
    result: Placements = {}
    for group in sorted(placements):
        voters = placements[group]
        if node_id in voters:
            free = [node for node in staying if node not in voters]
            heirs = sorted(free, key=lambda node: (load[node], node))[:1]
            load.update(heirs)
            first = voters[0]
            at = voters.index(node_id)
            voters = (*voters[:at], *heirs, *voters[at + 1 :])
            if first == node_id:
                leader = min(voters, key=leads.__getitem__)
                leads.update([leader])
                voters = (leader, *(voter for voter in voters if voter != leader))
        result[group] = voters
    return result
