"""`redraft simulate --mutations`: the code broken in every known way, and how many seeds it takes to notice.

Says what the simulator is worth.  A mutation that stays hidden in one round of seeds is a failure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from redraft.simulation.campaign import Finding, hunt
from redraft.simulation.mutations import MUTATIONS
from redraft.simulation.run import Shape

WHAT_SHOWN = 70


def hunt_all(names: Sequence[str], rounds: int, seeds: range, shape: Shape, *, jobs: int) -> bool:
    """Hunt each mutation `rounds` times, each in other seeds, and show a table; whether all were found."""
    console = Console()
    table = Table("mutation", "the rule it breaks", "seeds, median", "of", "found as", box=SIMPLE_HEAD)
    all_found = True
    for name in names:
        taken: list[int] = []
        finding: Finding | None = None
        for round_ in range(rounds):
            first = seeds.start + round_ * len(seeds)
            count, found = hunt(name, range(first, first + len(seeds)), shape, jobs=jobs)
            finding = found or finding
            if found is not None:
                taken.append(count)
        # A round without a find took more seeds than there were.
        missed = rounds - len(taken)
        median = statistics.median([*taken, *[float("inf")] * missed])
        all_found = all_found and not missed
        console.print(f"{name}: found in {len(taken)} of {rounds} rounds", highlight=False)
        table.add_row(
            name,
            MUTATIONS[name].breaks,
            f"{median:g}" if median != float("inf") else f"over {len(seeds)}",
            f"{len(taken)}/{rounds}",
            finding.what.splitlines()[0][:WHAT_SHOWN] if finding is not None else "",
        )
    console.print(table)
    return all_found
