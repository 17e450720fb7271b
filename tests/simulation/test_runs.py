"""Runs from seeds, as `redraft simulate` makes them: they hold, and the same seed is the same run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from random import SystemRandom

import pytest

from redraft.simulation.campaign import Finding, Totals, run_seeds
from redraft.simulation.run import Run, Shape

FIXED = range(1, 21)
FRESH = int(os.environ.get("REDRAFT_SIMULATION_SEEDS", "50"))
"""Seeds that nobody ran before, in each round; an overnight run is `redraft simulate --overnight`."""
FRESH_ROUNDS = 3


def check(seeds: range, shape: Shape = Shape()) -> Totals:  # noqa: B008 - frozen
    """Run seeds; fail with the first finding."""
    print("seeds", seeds, shape)
    totals = Totals()
    for result in run_seeds(seeds, shape, jobs=1):
        assert not isinstance(result, Finding), f"seed {result.seed}: {result.what}"
        totals.add(result)
    return totals


def trace_of(seed: int, steps: int) -> list[str]:
    """The lines of a run."""
    lines: list[str] = []
    Run(seed, Shape(steps=steps), lines.append).execute()
    return lines


def test_simulation_holds_for_fixed_seeds() -> None:
    """Crashes, partitions, failing disks, clocks: every promise is kept, and each trouble happened."""
    totals = check(FIXED)
    assert len(totals.happened) >= 12, "a trouble is never drawn"
    assert totals.elections > 3 * totals.seeds, "nothing happens to the leaders"
    assert totals.operations > 100 * totals.seeds


@pytest.mark.timeout(600)
@pytest.mark.parametrize("_round", range(FRESH_ROUNDS))
def test_simulation_holds_for_fresh_seeds(_round: int) -> None:
    """Seeds that were never run."""
    first = SystemRandom().randrange(1 << 40)
    check(range(first, first + FRESH))


@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
def test_simulation_holds_for_any_number_of_nodes(nodes: int) -> None:
    """A cluster of one or two makes the same promises."""
    check(range(1, 6), Shape(nodes=nodes))


def test_simulation_repeats_itself() -> None:
    """One seed, one trace; another seed, another."""
    first, second, other = trace_of(5, 3000), trace_of(5, 3000), trace_of(6, 3000)
    assert first == second
    assert first[:50] != other[:50]


def test_simulation_is_the_same_under_any_hash_seed() -> None:
    """`redraft simulate --seed N --trace` prints the same bytes whatever PYTHONHASHSEED is."""
    digests = set()
    for hash_seed in ("0", "1", "4242"):
        shown = subprocess.run(
            [sys.executable, "-m", "redraft", "simulate", "--seed", "11", "--trace", "--steps", "4000"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        assert not shown.stderr
        assert shown.stdout.count(b"\n") > 1000
        digests.add(hashlib.sha256(shown.stdout).hexdigest())
    assert len(digests) == 1
