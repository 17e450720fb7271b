"""`python -m benchmarks.quick`: the four figures to tune by, in half a minute.

A three-node cluster with one group and a redis-server run side by side and are asked in turn, so
that a ratio compares runs a second apart.  Beside the ratios stands the CPU time that a request
costs the leader, a follower and redis-server: on few cores that is what the rate follows from.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.compare import numbers
from benchmarks.load import Case
from benchmarks.results import AIMS, Results, write_json
from benchmarks.systems import Redis, Redraft, System, prepare


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=0.8, show_default=True, help="About how long each measurement takes.")
@click.option("--connections", default=50, show_default=True)
@click.option("--pipelines", default="1,16", show_default=True, callback=numbers)
@click.option("--commands", default="set,get", show_default=True)
@click.option("--size", default=64, show_default=True, help="Bytes of a value.")
@click.option("--groups", default=1, show_default=True, help="1: ask the leader; more: each node in turn.")
@click.option(
    "--flag", "flags", multiple=True, help="A flag for redraft server, e.g. --flag=--read-mode=lease."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    rounds: int,
    seconds: float,
    connections: int,
    pipelines: list[int],
    commands: str,
    size: int,
    groups: int,
    flags: tuple[str, ...],
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """Ratios of a three-node cluster to redis-server, quickly; loads only 127.0.0.1."""
    console = machine.console()
    machine.raise_open_files()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    console.print(
        f"[dim]{facts['cpu']}; {facts['data on']}; load {facts['load average']}[/]", highlight=False
    )
    results = Results("redis-server")
    costs = Costs()
    with Redis(parent) as base, Redraft(parent, groups=groups, flags=flags) as ours:
        for system in (base, ours):
            prepare(system, size)
        for number in range(rounds):
            for pipeline in pipelines:
                for command in commands.split(","):
                    case = Case(command, connections, pipeline, size)
                    for system in (base, ours):
                        costs.measure(results, system, case, seconds, number)
    parameters = {"rounds": rounds, "seconds": seconds, "groups": groups, "flags": list(flags)}
    write_json(json_path, results.document(facts, dict(parameters)))
    console.print(table(results, costs, base.name, ours.name, groups))


class Costs:
    """CPU microseconds per request, by case and part; the busiest redraft node is called the leader."""

    def __init__(self) -> None:
        self._us: defaultdict[tuple[Case, str], list[float]] = defaultdict(list)

    def measure(self, results: Results, system: System, case: Case, seconds: float, turn: int) -> None:
        """Run one case and enter its rate and what it cost."""
        system.pilot(case, turn)
        before = [machine.usage(process.pid).cpu_s for process in system.processes]
        rate = system.measure(case, seconds, turn)
        after = [machine.usage(process.pid).cpu_s for process in system.processes]
        results.add(case, system.name, rate)
        spent = sorted((b - a) / rate.requests * 1e6 for a, b in zip(before, after, strict=True))
        self._us[case, f"{system.name} busiest"].append(spent[-1])
        self._us[case, f"{system.name} others"].append(statistics.mean(spent[:-1]) if spent[:-1] else 0.0)

    def shown(self, case: Case, part: str) -> str:
        return f"{statistics.median(self._us[case, part]):.1f}"


def table(results: Results, costs: Costs, base: str, ours: str, groups: int) -> Table:
    """One row per case: ratio, what is aimed at, rates, and the CPU time of a request."""
    shown = Table(title=f"{ours} to {base}", title_justify="left", header_style="bold")
    for heading in ("case", "ratio", "to reach", "goal", f"{base}/s", f"{ours}/s", "±", "p99 ms"):
        shown.add_column(heading, justify="left" if heading == "case" else "right")
    for heading in ("redis us", "busiest node us", "other node us"):
        shown.add_column(heading, justify="right")
    for case in results.rates:
        step, goal = AIMS.get((case.command, case.pipeline), (0.0, 0.0))
        share = 1.0 if groups == 1 else 0.5
        ratio = results.ratio(case, ours) or 0.0
        colour = "green" if ratio >= goal * share else "yellow" if ratio >= step * share else "red"
        rates = results.rates[case][ours]
        shown.add_row(
            str(case),
            f"[bold {colour}]{ratio:.3f}[/]",
            f"{step * share:.2f}",
            f"{goal * share:.2f}",
            f"{results.median(case, base):,.0f}",
            f"{results.median(case, ours):,.0f}",
            f"{results.spread(case, ours) / 2:.0%}",
            f"{statistics.median(rate.p99_ms for rate in rates):.2f}",
            costs.shown(case, f"{base} busiest"),
            costs.shown(case, f"{ours} busiest"),
            costs.shown(case, f"{ours} others"),
        )
    return shown


if __name__ == "__main__":
    main()
