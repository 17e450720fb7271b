"""`python -m benchmarks.compare`: redraft beside redis-server and etcd, as ratios, in one run.

One system runs at a time.  A turn is (round, value size, connections): each system is started on a
fresh directory, filled, asked all cases of the turn, stopped; the order of systems rotates from
round to round.  So a ratio compares runs a minute apart, and the median is over the rounds.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import machine
from benchmarks.load import Case
from benchmarks.results import Results, write_json
from benchmarks.systems import NAMES, make, prepare

START_SHARE_S = 6.0  # of a turn: start, fill and stop; only for the estimate


def numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> list[int]:
    """Read `50,1000`."""
    try:
        return [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter("give numbers with commas between them, as 1,16,64") from None


def names(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    """Read `redis,leader`."""
    wanted = value.split(",")
    if unknown := set(wanted) - set(NAMES):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(NAMES)}")
    if wanted[0] != "redis":
        raise click.BadParameter("redis comes first: all ratios are to it")
    return wanted


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; figures are medians over them.")
@click.option("--seconds", default=2.0, show_default=True, help="About how long each measurement takes.")
@click.option("--systems", default="redis,leader,any,etcd", show_default=True, callback=names)
@click.option("--commands", default="set,get", show_default=True)
@click.option("--connections", default="50,1000", show_default=True, callback=numbers)
@click.option("--pipelines", default="1,16,64", show_default=True, callback=numbers)
@click.option("--sizes", default="64,4096", show_default=True, callback=numbers, help="Bytes of a value.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    rounds: int,
    seconds: float,
    systems: list[str],
    commands: str,
    connections: list[int],
    pipelines: list[int],
    sizes: list[int],
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """Compare redraft with its peers on this machine; loads only 127.0.0.1."""
    console = machine.console()
    machine.raise_open_files()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    turns = list(itertools.product(range(rounds), sizes, connections))
    asked = [(command, pipeline) for pipeline in pipelines for command in commands.split(",")]
    runs = len(turns) * len(systems) * len(asked)
    estimate = runs * (seconds + 1) + len(turns) * len(systems) * START_SHARE_S
    console.print(f"{runs} measurements, about {estimate / 60:.0f} minutes")
    results = Results("redis-server")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("start", total=runs)
        for number, size, clients in turns:
            for name in [*systems[number % len(systems) :], *systems[: number % len(systems)]]:
                with make(name, parent) as system:
                    progress.update(task, description=f"{system.name}: fill")
                    prepare(system, size)
                    for command, pipeline in asked:
                        case = Case(command, clients, pipeline, size)
                        progress.update(task, description=f"{system.name}: {case}")
                        results.add(case, system.name, system.measure(case, seconds, number))
                        progress.advance(task)
    parameters = {"rounds": rounds, "seconds": seconds, "systems": systems}
    write_json(json_path, results.document(facts, dict(parameters)))
    console.print(results.table(f"Ratio to redis-server without persistence, medians of {rounds} rounds"))


if __name__ == "__main__":
    main()
