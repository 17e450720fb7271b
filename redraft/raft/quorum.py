"""Quorum arithmetic: how many are a majority, and what a majority has reached or decided."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import TypeVar

Number = TypeVar("Number", int, float)


def majority(voters: int) -> int:
    """The fewest voters of which any two sets share a member."""
    return voters // 2 + 1


def reached(values: Iterable[Number]) -> Number:
    """The highest value that a majority of the voters has reached (one value a voter; Raft §5.3)."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


class Tally(Enum):
    """How an election stands."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


def tally(votes: Mapping[int, bool], voters: Collection[int]) -> Tally:
    """Votes received (node -> granted) against the voters; those of others don't count."""
    needed = majority(len(voters))
    cast = [votes[voter] for voter in voters if voter in votes]
    granted = sum(cast)
    if granted >= needed:
        return Tally.WON
    if len(cast) - granted > len(voters) - needed:
        return Tally.LOST
    return Tally.OPEN
