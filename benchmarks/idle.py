"""`python -m benchmarks.idle`: what a cluster costs that nobody asks anything."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.compare import numbers
from benchmarks.results import write_json
from benchmarks.systems import Etcd, Redis, Redraft, System

SETTLE_S = 3.0
AIM_PERCENT = 2.0


@click.command()
@click.option("--seconds", default=20.0, show_default=True, help="How long each system is watched.")
@click.option("--groups", default="1,3", show_default=True, callback=numbers, help="Groups of the cluster.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(seconds: float, groups: list[int], json_path: Path | None, parent: Path | None) -> None:
    """CPU time and wake-ups of each idle process."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(
        title=f"Idle for {seconds:g} s (aim: {AIM_PERCENT:g}% of a core each)", title_justify="left"
    )
    for heading in ("process", "% of a core", "wake-ups/s", "resident MiB"):
        table.add_column(heading, justify="left" if heading == "process" else "right")
    rows = []
    systems = [("redis-server", Redis(parent)), ("etcd, three nodes", Etcd(parent))]
    named: list[tuple[str, System]] = [*systems]
    named += [(f"redraft, three nodes, {count} groups", Redraft(parent, groups=count)) for count in groups]
    for name, system in named:
        with console.status(name), system:
            for number, row in enumerate(watch(system, seconds)):
                rows.append({"system": name, "process": number, **row})
                colour = "red" if row["percent"] > AIM_PERCENT else "green"
                shown = f"[{colour}]{row['percent']:.2f}[/]"
                mebibytes = f"{row['resident_bytes'] / machine.MEBIBYTE:.0f}"
                table.add_row(f"{name} #{number}", shown, f"{row['switches_per_s']:.0f}", mebibytes)
    write_json(json_path, {"machine": facts, "parameters": {"seconds": seconds}, "results": rows})
    console.print(table)


def watch(system: System, seconds: float) -> Iterator[dict[str, float]]:
    """Let the system settle, watch it for a while, and yield what each process used."""
    time.sleep(SETTLE_S)
    before = [machine.usage(process.pid) for process in system.processes]
    start = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - start
    for process, earlier in zip(system.processes, before, strict=True):
        later = machine.usage(process.pid)
        yield {
            "percent": (later.cpu_s - earlier.cpu_s) / elapsed * 100,
            "switches_per_s": (later.switches - earlier.switches) / elapsed,
            "resident_bytes": later.resident_bytes,
        }


if __name__ == "__main__":
    main()
