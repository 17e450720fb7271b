"""`python -m benchmarks.suite`: redis-benchmark's default suite on each engine, as ratios to redis-server.

One system runs at a time, on a fresh directory; their order rotates from round to round.  redraft is three
nodes with one group, asked at its leader, all three with the engine that the column names.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import machine
from benchmarks.load import Case, suite_load
from benchmarks.results import Results, write_json
from benchmarks.systems import Redis, Redraft, System
from redraft.engine.kinds import STORES

BASE = "redis-server"
SIZE = 3
"""Bytes of a value, as redis-benchmark has it where nothing is said."""


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; figures are medians over them.")
@click.option("--requests", default=50_000, show_default=True, help="Requests of one test of the suite.")
@click.option("--keys", default=100_000, show_default=True, help="redis-benchmark's -r; 0: all use one key.")
@click.option("--engines", default=",".join(("hash", *STORES)), show_default=True)
@click.option("--pipelines", default="1,16", show_default=True)
@click.option("--connections", default=50, show_default=True)
@click.option("--tests", default="", help="redis-benchmark's -t; default: the whole suite.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    rounds: int,
    requests: int,
    keys: int,
    engines: str,
    pipelines: str,
    connections: int,
    tests: str,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """Run the suite on this machine; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    systems = [BASE, *engines.split(",")]
    results = Results(BASE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        turns = list(itertools.product(range(rounds), [int(each) for each in pipelines.split(",")]))
        task = progress.add_task("start", total=len(turns) * len(systems))
        for number, pipeline in turns:
            turned = number % len(systems)
            for name in [*systems[turned:], *systems[:turned]]:
                progress.update(task, description=f"{name} -P {pipeline}")
                with _system(name, parent) as system:
                    rates = suite_load(system.port(0), connections, pipeline, requests, keys, tests)
                for test, rate in rates.items():
                    results.add(Case(test, connections, pipeline, SIZE), name, rate)
                progress.advance(task)
    parameters: dict[str, object] = {"rounds": rounds, "requests": requests, "keys": keys}
    write_json(json_path, results.document(facts, parameters))
    console.print(results.table(f"Ratio to redis-server without persistence, medians of {rounds} rounds"))


def _system(name: str, parent: Path) -> System:
    return Redis(parent) if name == BASE else Redraft(parent, flags=("--engine", name))


if __name__ == "__main__":
    main()
