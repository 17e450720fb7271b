"""`python -m benchmarks.catchup`: a node that was away for long gets a snapshot while clients go on.

One group on three nodes, filled; a follower is killed, more is written until the log it would need is
compacted away, then it is started again.  What clients see at the leader (redis-benchmark, SET) is measured
before, while the node is away, while it catches up, and after.

All nodes share this machine, so a node that catches up takes a core from the leader and from the load.  What
that alone costs is told by a process that does nothing but keep a core busy while the node is away.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import redis
from rich.table import Table

from benchmarks import machine
from benchmarks.fill import fill_redis
from benchmarks.load import Case, Rate, redis_load
from benchmarks.results import write_json
from benchmarks.systems import Redraft
from tests.cluster.harness import Node, connect

ROUNDS = 3
LATE_S = 300.0


@click.command()
@click.option("--keys", default=1_000_000, show_default=True, help="Keys before the node is killed.")
@click.option("--more", default=500_000, show_default=True, help="Keys written while it is away.")
@click.option("--size", default=100, show_default=True, help="Bytes of a value.")
@click.option("--log-bytes", default="16mb", show_default=True, help="snapshot_log_bytes of the nodes.")
@click.option("--rate", default="32mb", show_default=True, help="snapshot_bytes_per_s of the nodes.")
@click.option("--requests", default=20_000, show_default=True, help="SETs of one run of redis-benchmark.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    keys: int,
    more: int,
    size: int,
    log_bytes: str,
    rate: str,
    requests: int,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """Time to catch up, and what clients notice of it; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(title=f"SET -c 50 -d {size} at the leader", title_justify="left")
    for heading in ("while", "requests/s", "p50 ms", "p99 ms", "p99 to before"):
        table.add_column(heading, justify="left" if heading == "while" else "right")
    case = Case("set", 50, 1, size)
    rows: list[dict[str, object]] = []

    def enter(name: str, rates: list[Rate]) -> None:
        middle = sorted(rates, key=lambda each: each.p99_ms)[len(rates) // 2]
        rows.append({"while": name, "rates": [vars(each) for each in rates]})
        base = rows[0]["rates"]
        assert isinstance(base, list)
        before = sorted(each["p99_ms"] for each in base)[len(base) // 2]
        figures = (f"{middle.rps:,.0f}", f"{middle.p50_ms:.2f}", f"{middle.p99_ms:.2f}")
        table.add_row(name, *figures, f"{middle.p99_ms / before:.2f}")

    flags = ("--snapshot-log-bytes", log_bytes, "--log-tail-bytes", "1mb", "--snapshot-bytes-per-s", rate)
    with Redraft(parent, groups=1, flags=flags) as ours:
        cluster = ours.cluster
        assert cluster is not None
        port = ours.port(0)
        late = next(node for node in cluster.nodes if node.port != port)

        def load() -> Rate:
            return redis_load(port, case, requests)

        with console.status("filling"):
            fill_redis(port, keys, size)
            until(lambda: not making(port), "the snapshots are made")
        with console.status("before"):
            enter("all three are up", [load() for _ in range(ROUNDS)])
        with console.status("a node is away"):
            cluster.kill(late)
            fill_redis(port, more, size, first=keys)
            until(lambda: not making(port), "the snapshots are made")
            enter("one is away", [load() for _ in range(ROUNDS)])
        with console.status("a busy process in its place"), busy():
            enter("one is away, another process is busy", [load() for _ in range(ROUNDS)])
        with console.status("it comes back"):
            began = time.monotonic()
            cluster.restart(late, wait=False)
            rates = [load()]
            while not in_step(late, port):
                assert time.monotonic() - began < LATE_S, "it does not catch up"
                rates.append(load())
            took = time.monotonic() - began
            enter("it catches up", rates)
        with console.status("after"):
            enter("after", [load() for _ in range(ROUNDS)])
        snapshot = status(late.port)["snapshot_bytes"]
        with connect(late.port) as client:
            found = client.dbsize()
        assert found >= keys + more, f"{found} keys"
    table.caption = f"in step {took:.1f} s after its start, with a snapshot of {snapshot:,} bytes"
    parameters = {"keys": keys, "more": more, "size": size, "log_bytes": log_bytes, "rate": rate}
    write_json(json_path, {"machine": facts, "parameters": parameters, "took_s": took, "results": rows})
    console.print(table)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """A process that takes a core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def status(port: int) -> dict[str, object]:
    """What a node says of its group."""
    with connect(port) as client:
        report = json.loads(client.execute_command("REDRAFT", "STATUS"))
    (group,) = report["groups"]
    assert isinstance(group, dict)
    return group


def making(port: int) -> bool:
    """Whether the leader is writing a snapshot."""
    return bool(status(port)["snapshot_making"])


def in_step(late: Node, port: int) -> bool:
    """Whether the late node has applied all that the leader had a moment ago."""
    wanted = status(port)["commit_index"]
    try:
        reached = status(late.port)["applied_index"]
    except (OSError, redis.RedisError):
        return False
    return isinstance(reached, int) and isinstance(wanted, int) and reached >= wanted - 50


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < LATE_S, f"never: {what}"
        time.sleep(0.2)


if __name__ == "__main__":
    main()
