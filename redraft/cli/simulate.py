"""`redraft simulate`: clusters in a bottle, many seeds or one, until something breaks that must hold.

Owns flags, progress and the exit code: 0 when every seed held, 1 when one did not, named.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
from collections.abc import Iterable

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from redraft.cli.mutations import hunt_all
from redraft.simulation.campaign import Finding, Totals, run_seeds
from redraft.simulation.mutations import MUTATIONS
from redraft.simulation.run import STEPS, Run, Shape

SEEDS = "1-200"
FAILED = 1


@click.command()
@click.option("--seeds", metavar="FROM-TO", help=f"Run these seeds.  [default: {SEEDS}]")
@click.option("--seed", type=int, metavar="N", help="Run one seed.")
@click.option("--trace", is_flag=True, help="With --seed: show all that happens, the same every time.")
@click.option(
    "--overnight", is_flag=True, help="Run fresh seeds until one fails or Ctrl-C; FROM says where to begin."
)
@click.option(
    "--nodes", type=click.IntRange(1, 64), metavar="N", help="Nodes of a cluster.  [default: 3 to 7]"
)
@click.option("--groups", type=click.IntRange(1, 64), metavar="G", help="Raft groups.  [default: 1 to 3]")
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=STEPS,
    show_default=True,
    metavar="M",
    help="Events of a run before its troubles end.",
)
@click.option(
    "--mutations",
    type=click.IntRange(1),
    metavar="ROUNDS",
    help="Break the code in every known way, and count the seeds it takes to notice.",
)
@click.option(
    "--mutation",
    "names",
    multiple=True,
    type=click.Choice(list(MUTATIONS)),
    help="With --mutations: only this.",
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes.  [default: one a processor]")
def simulate(
    seeds: str | None,
    seed: int | None,
    trace: bool,
    overnight: bool,
    nodes: int | None,
    groups: int | None,
    steps: int,
    mutations: int | None,
    names: tuple[str, ...],
    jobs: int | None,
) -> int:
    """Run whole clusters on simulated clocks, networks and disks that fail, each run from one seed.

    After every step the promises of Raft and of the log are checked, at the end that all replicas
    agree and that what clients saw is linearizable. Exits with 1 at the first seed that breaks one.
    """
    shape = Shape(nodes, groups, steps)
    if seed is not None:
        return _replay(seed, shape, trace=trace)
    if trace:
        raise click.UsageError("--trace shows one run: say which with --seed.")
    first, last = _range(seeds or SEEDS)
    processes = jobs or os.cpu_count() or 1
    if mutations is not None:
        chosen = names or tuple(MUTATIONS)
        found = hunt_all(chosen, mutations, range(first, last + 1), shape, jobs=processes)
        return 0 if found else FAILED
    wanted: Iterable[int] = itertools.count(first) if overnight else range(first, last + 1)
    totals = _campaign(wanted, None if overnight else last - first + 1, shape, processes)
    return FAILED if totals.findings else 0


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a range of seeds such as {SEEDS}", param_hint="--seeds")
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise click.BadParameter(f"{text!r} has no seeds in it", param_hint="--seeds")
    return first, last


def _replay(seed: int, shape: Shape, *, trace: bool) -> int:
    """Run one seed here, and let whatever goes wrong show where."""
    run = Run(seed, shape, _show if trace else None)
    try:
        summary = run.execute()
    except BaseException:
        click.echo(f"seed {seed} failed after {run.cluster.agenda.happened} events:", err=True)
        raise
    totals = Totals()
    totals.add(summary)
    if not trace:
        _report(totals)
    return 0


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")


def _campaign(seeds: Iterable[int], count: int | None, shape: Shape, jobs: int) -> Totals:
    console = Console()
    totals = Totals()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    started = time.monotonic()
    results = run_seeds(seeds, shape, jobs=jobs)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("seeds", total=count)
        try:
            for result in results:
                totals.add(result)
                progress.update(
                    task,
                    completed=totals.seeds,
                    description=f"seeds, {totals.virtual_hours:.2f} virtual hours",
                )
                if isinstance(result, Finding):
                    break
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
        finally:
            results.close()
    for finding in totals.findings:
        click.echo(f"seed {finding.seed} failed: {finding.what}", err=True)
        click.echo(f"replay it with: {_command(finding.seed, shape)}", err=True)
    _report(totals)
    click.echo(f"{time.monotonic() - started:.0f} s, {jobs} processes")
    return totals


def _command(seed: int, shape: Shape) -> str:
    words = ["redraft", "simulate", "--seed", str(seed), "--trace"]
    if shape.nodes is not None:
        words += ["--nodes", str(shape.nodes)]
    if shape.groups is not None:
        words += ["--groups", str(shape.groups)]
    if shape.steps != STEPS:
        words += ["--steps", str(shape.steps)]
    return " ".join(words)


def _report(totals: Totals) -> None:
    what = f"{totals.seeds} seed{'s' if totals.seeds != 1 else ''}"
    failed = len(totals.findings)
    click.echo(
        f"{what}, {failed or 'none'} failed: {totals.virtual_hours:.2f} virtual hours in"
        f" {totals.cpu_s:.0f} s of CPU ({totals.speed:.0f} virtual hours per CPU hour)"
    )
    click.echo(
        f"  {totals.events} events, {totals.operations} operations, {totals.lives} starts of a node,"
        f" {totals.elections} elections"
    )
    if totals.happened:
        kinds = sorted(totals.happened.items(), key=lambda item: -item[1])
        click.echo("  " + ", ".join(f"{kind} {times}" for kind, times in kinds))
