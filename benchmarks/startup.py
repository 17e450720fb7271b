"""`python -m benchmarks.startup`: from the start of the processes to the first read, with keys on disk.

A redraft cluster serves when every node answers a linearizable read of every group, so when every
leader has applied its log.  redis-server is timed with an append-only file and with a snapshot.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.fill import fill_redis, key
from benchmarks.results import write_json
from benchmarks.systems import Redis, Redraft
from redraft.engine.kinds import STORES
from tests.cluster.harness import connect

AOF = ("--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")


@click.command()
@click.option("--keys", default=1_000_000, show_default=True)
@click.option("--size", default=64, show_default=True, help="Bytes of a value.")
@click.option("--groups", default=3, show_default=True)
@click.option("--engines", default=",".join(("hash", *STORES)), show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    keys: int, size: int, groups: int, engines: str, json_path: Path | None, parent: Path | None
) -> None:
    """Time to serve after a clean stop and after kill -9."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(title=f"Start with {keys:,} keys of {size} bytes", title_justify="left")
    table.add_column("system")
    table.add_column("seconds", justify="right")
    table.add_column("keys/s", justify="right")
    rows = []

    def enter(name: str, seconds: float, loaded: int = keys) -> None:
        rows.append({"system": name, "seconds": seconds, "keys": loaded})
        table.add_row(name, f"{seconds:.2f}", f"{loaded / seconds:,.0f}" if loaded else "-")

    with console.status("redis-server"), Redis(parent, flags=AOF) as base:
        fill_redis(base.port(0), keys, size)
        enter("redis-server, append-only file", restart_redis(base, keys))
        with connect(base.port(0), timeout_s=120) as client:
            client.config_set("appendonly", "no")
            client.save()
        base.processes[0].command.extend(("--appendonly", "no"))
        enter("redis-server, snapshot", restart_redis(base, keys))
    for engine in engines.split(","):
        flags = ("--engine", engine)
        with console.status(f"redraft, {engine}"), Redraft(parent, groups=groups, flags=flags) as ours:
            cluster = ours.cluster
            assert cluster is not None
            name = f"redraft, three nodes, {engine}"
            enter(f"{name}, empty", timed(cluster.start, cluster.stop), 0)
            fill_redis(ours.port(0), keys, size)
            enter(f"{name}, clean stop", timed(cluster.start, cluster.stop))
            check(ours.port(0), keys)
            enter(f"{name}, kill -9", timed(cluster.start, cluster.kill_all))
            check(ours.port(0), keys)
    write_json(json_path, {"machine": facts, "parameters": {"keys": keys, "size": size}, "results": rows})
    console.print(table)


def restart_redis(system: Redis, keys: int) -> float:
    """Kill redis-server, time its start, see that it has all keys."""
    seconds = timed(system.again, system.processes[0].kill)
    check(system.port(0), keys)
    return seconds


def timed(start: Callable[[], object], before: Callable[[], object]) -> float:
    """Do `before`, then time `start`."""
    before()
    began = time.monotonic()
    start()
    return time.monotonic() - began


def check(port: int, keys: int) -> None:
    """Raise when the system does not have all keys."""
    with connect(port) as client:
        found = client.dbsize()
        assert found == keys, f"{found} keys after the start, not {keys}"
        assert client.get(key(keys - 1)) is not None


if __name__ == "__main__":
    main()
