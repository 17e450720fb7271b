"""Broken code is noticed: each known way to break it, by name.

CI tries those that show within a few seeds.  All of them, with the number of seeds they take:
`redraft simulate --mutations 5 --seeds 1-2000`, or this file with REDRAFT_SIMULATION_MUTATIONS=2000 (seeds).
"""

from __future__ import annotations

import os

import pytest

from redraft.raft import election
from redraft.simulation.campaign import hunt
from redraft.simulation.mutations import MUTATIONS, mutated
from redraft.simulation.run import Shape

SEEDS = int(os.environ.get("REDRAFT_SIMULATION_MUTATIONS", "0"))
QUICK = (
    "ack-before-fsync",
    "append-over-committed-entries",
    "change-in-one-step",
    "commit-of-older-term",
    "fsync-left-out",
    "joint-left-early",
    "leader-counts-itself-early",
    "learner-counts-early",
    "move-ids-by-entry",
    "moved-slots-still-served",
    "no-dedup-of-parts",
    "read-before-apply",
    "read-index-before-noop",
    "reapply-after-restart",
    "replies-cross-clients",
    "sessions-left-out-of-snapshots",
    "snapshot-index-off-by-one",
    "snapshot-named-before-it-is-synced",
    "unknown-called-refused",
    "vote-before-fsync",
    "vote-forgotten-at-restart",
    "votes-for-anyone",
    "watch-left-out-of-snapshots",
)
QUICK_SEEDS = 60


@pytest.mark.timeout(7200 if SEEDS else 120)
@pytest.mark.parametrize("name", list(MUTATIONS) if SEEDS else QUICK)
def test_mutation_is_noticed(name: str) -> None:
    """The quick ones within a few dozen seeds, mostly in the first; others hide for hundreds."""
    last = max(SEEDS, QUICK_SEEDS)
    tried, finding = hunt(name, range(1, last + 1), Shape(), jobs=os.cpu_count() or 1 if SEEDS else 1)
    print(f"{name}: {tried} seeds")
    assert finding is not None


def test_mutation_ends_with_its_context() -> None:
    """What was replaced is back."""
    before = election.is_up_to_date
    with mutated("votes-for-anyone"):
        assert election.is_up_to_date is not before
    assert election.is_up_to_date is before


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_mutation_replaces_what_exists(name: str) -> None:
    """A mutation whose function was renamed would break nothing, and pass for noticed by nobody."""
    with mutated(name):
        pass
