"""`python -m benchmarks.memory`: what a key costs in memory, redraft beside redis-server.

Resident memory is read at a half and at all of the keys: the difference is what one more key costs,
without the interpreter and the buffers.  Redraft runs with a small `log_cache_bytes`: recent entries
are kept in memory up to that (128 MiB by default) however many keys there are, and are counted apart.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.compare import numbers
from benchmarks.fill import fill_redis
from benchmarks.results import write_json
from benchmarks.systems import Redis, Redraft

KEY_BYTES = 16
LOG_CACHE = "4mb"


@click.command()
@click.option("--keys", default=1_000_000, show_default=True)
@click.option("--sizes", default="16,64,256", show_default=True, callback=numbers, help="Bytes of a value.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(keys: int, sizes: list[int], json_path: Path | None, parent: Path | None) -> None:
    """Memory per key of each node; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(title=f"Resident memory, {keys:,} keys of {KEY_BYTES} bytes", title_justify="left")
    for heading in ("system", "value bytes", "bytes per key", "to redis-server", "empty MiB", "full MiB"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    rows = []
    for size in sizes:
        base = 0.0
        for system in (Redis(parent), Redraft(parent, groups=3, flags=("--log-cache-bytes", LOG_CACHE))):
            with console.status(f"{system.name}: {size} bytes"), system:
                empty = resident(system)
                half = keys // 2
                fill_redis(system.port(0), half, size)
                middle = resident(system)
                fill_redis(system.port(0), keys - half, size, first=half)
                full = resident(system)
            per_key = (full - middle) / (keys - half)
            base = base or per_key
            name = f"{system.name}{', mean of three' if system.nodes > 1 else ''}"
            row = {"system": name, "size": size, "bytes_per_key": per_key, "empty": empty, "full": full}
            rows.append({**row, "ratio": per_key / base})
            mebibytes = [f"{count / machine.MEBIBYTE:.0f}" for count in (empty, full)]
            table.add_row(name, str(size), f"{per_key:.0f}", f"{per_key / base:.2f}", *mebibytes)
    write_json(json_path, {"machine": facts, "parameters": {"keys": keys}, "results": rows})
    console.print(table)


def resident(system: Redis | Redraft) -> float:
    """Mean resident bytes of the system's nodes."""
    return sum(machine.usage(process.pid).resident_bytes for process in system.processes) / system.nodes


if __name__ == "__main__":
    main()
