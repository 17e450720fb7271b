"""All known ways to break the code: the simulator is worth what it finds of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redraft.simulation import breaking_disk, breaking_moves, breaking_node, breaking_raft
from redraft.simulation.breaking import MUTATIONS, Mutation

__all__ = ["MUTATIONS", "Mutation", "mutated"]

ROOMS = (breaking_raft, breaking_node, breaking_disk, breaking_moves)
"""Where they stand: importing these registers them."""


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Break the code in the way of that name; raises KeyError when there is none."""
    with MUTATIONS[name].context():
        yield
