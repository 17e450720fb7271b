"""Where a group's replicas stand: pure arithmetic on member ids.

Voters are listed with the preferred leader first; rotating the list by the group's number spreads
preferred leaders, and the leaders that remain when a node is gone, evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def place_replicas(group_id: int, members: Sequence[int], replication_factor: int) -> tuple[int, ...]:
    """Return a group's voters: `replication_factor` members (or all), the preferred leader first."""
    if group_id < 1 or not members:
        raise ValueError("a group needs an id of 1 or more and at least one member")
    start = (group_id - 1) % len(members)
    rotated = [*members[start:], *members[:start]]
    return tuple(rotated[: max(1, min(replication_factor, len(members)))])


def preferred_leader(voters: Sequence[int], usable: Callable[[int], bool]) -> int:
    """Return the first voter that may lead now (alive, caught up, willing), 0 when none may."""
    return next((voter for voter in voters if usable(voter)), 0)
