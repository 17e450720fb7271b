"""The core in random worlds: safety always, progress once the weather is fair."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.raft.history import History
from tests.raft.world import FAIR, Weather

STORM = Weather(
    lose=0.1, double=0.05, overtake=0.15, crash=0.01, cut=0.02, pause=0.01, slow_sync=0.05, stall=0.05
)

MOVING = Weather(change=0.05, retire=0.1)


def settle(world: History) -> None:
    """After a fair while there is one leader, its members are equal, and nobody else thinks to be one."""
    before = world.checks.commit_index
    world.clear_up()
    assert world.checks.commit_index > before, "no progress in fair weather"
    (leader,) = world.leaders()
    assert leader.raft.configuration == world.checks.configuration
    assert leader.raft.is_settled
    assert leader.number in leader.raft.configuration.voters
    members = leader.raft.configuration.nodes
    for number, node in world.nodes.items():
        raft = node.raft
        assert raft.is_blank is (number not in members)
        if number in members:
            assert raft.configuration == leader.raft.configuration
            assert raft.last_index == raft.commit_index == node.applied_index == world.checks.commit_index


@pytest.mark.parametrize("lease", [False, True], ids=["index", "lease"])
@pytest.mark.parametrize("seed", range(12))
def test_group_of_three_is_safe_and_recovers(seed: int, lease: bool) -> None:
    """Crashes, cuts, pauses and slow disks: figure 3 holds, no read is stale, and it goes on afterwards."""
    print(f"seed {seed} lease {lease}")
    world = History(seed, lease=lease)
    world.live(15_000.0)
    settle(world)
    assert world.reads_done


@pytest.mark.parametrize("seed", range(100, 108))
def test_group_of_five_is_safe_and_recovers(seed: int) -> None:
    """As above, with more ways to disagree."""
    print(f"seed {seed}")
    world = History(seed, size=5, lease=seed % 2 == 1)
    world.live(8_000.0)
    settle(world)


@pytest.mark.parametrize("seed", range(200, 210))
def test_group_in_a_storm_is_safe_and_recovers(seed: int) -> None:
    """So bad that hardly anything is committed: safety must not depend on progress."""
    print(f"seed {seed}")
    world = History(seed, size=3 if seed % 2 else 5, lease=seed % 4 < 2, weather=STORM)
    world.live(8_000.0)
    settle(world)


@pytest.mark.parametrize("seed", range(500, 516))
def test_group_that_changes_is_safe_and_recovers(seed: int) -> None:
    """Members come and go all the time, with their disks emptied in between."""
    print(f"seed {seed}")
    world = History(seed, spare=2, lease=seed % 2 == 1, weather=MOVING)
    world.live(12_000.0)
    settle(world)


@pytest.mark.parametrize("seed", range(600, 610))
def test_group_that_changes_in_a_storm_is_safe_and_recovers(seed: int) -> None:
    """Changes begun, undone, and ended by others; snapshots that never quite arrive."""
    print(f"seed {seed}")
    world = History(seed, size=1 + seed % 3, spare=4 - seed % 3, weather=replace(STORM, change=0.2))
    world.live(8_000.0)
    settle(world)


@pytest.mark.parametrize("seed", range(700, 716))
def test_node_that_slept_through_changes_is_not_elected_by_the_emptied(seed: int) -> None:
    """A blank replica has forgotten what it acknowledged: its vote must not make up a majority of old."""
    print(f"seed {seed}")
    world = History(seed, size=3, spare=1 + seed % 2, weather=FAIR)
    for _ in range(4):
        world.exile()
    settle(world)


@pytest.mark.parametrize("seed", range(400, 412))
def test_reads_are_never_stale_in_a_leaders_worst_moments(seed: int) -> None:
    """Stalled links, fast restarts, transfers and stops, with dense reads at whoever believes to lead."""
    lease = seed % 3 != 0
    print(f"seed {seed} lease {lease}")
    world = History(seed, lease=lease, weather=FAIR)
    for _ in range(8):
        world.drill()
    assert world.reads_done > 500


@pytest.mark.parametrize("seed", range(300, 305))
def test_group_in_fair_weather_elects_once(seed: int) -> None:
    """Nothing goes wrong: one term, one leader, everything committed."""
    print(f"seed {seed}")
    world = History(seed, weather=FAIR)
    world.live(10_000.0)
    assert len(world.checks.leader_of) == 1
    assert world.checks.commit_index > world.proposed - 20
    assert world.reads_done > 100


def test_world_is_reproducible_from_its_seed() -> None:
    """Two runs of one seed are the same run."""
    runs = []
    for _ in range(2):
        world = History(7)
        world.live(5_000.0)
        runs.append((world.checks.chosen, world.checks.leader_of, world.reads_done))
    assert runs[0] == runs[1]
