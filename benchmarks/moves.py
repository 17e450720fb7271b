"""`python -m benchmarks.moves`: slots move to another group while clients write to them and to others.

Two groups on three nodes, filled.  Writers with a fixed rate (`benchmarks.paced`) write to the slots that
move and to slots that stay, at all nodes in turn, before, while and after half of a group's slots move.  The
pause at the hand-over is the longest that a SET to a moving slot took; how long the group says that the
slots were frozen stands beside it.  Each key has to hold what was written to it last.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.fill import fill_redis
from benchmarks.results import write_json
from benchmarks.systems import Redraft
from tests.cluster.harness import ROOT, connect

MOVING, STAYING = "0-4095", "4096-8191"
"""Of the first group of two."""
BEFORE_S = 40.0
"""Long enough for the nodes to make a snapshot, as they do every so often, also while slots move."""
LATE_S = 300.0


@click.command()
@click.option("--keys", default=200_000, show_default=True, help="Keys before the move, in all slots.")
@click.option("--size", default=64, show_default=True, help="Bytes of a value.")
@click.option("--moving-rate", default=10_000.0, show_default=True, help="SETs in a second to moving slots.")
@click.option("--staying-rate", default=2_000.0, show_default=True, help="SETs in a second to other slots.")
@click.option("--written", default=20_000, show_default=True, help="Keys that are written, of each kind.")
@click.option("--copy-rate", default="32mb", show_default=True, help="snapshot_bytes_per_s of the nodes.")
@click.option("--engine", default="hash", show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    keys: int,
    size: int,
    moving_rate: float,
    staying_rate: float,
    written: int,
    copy_rate: str,
    engine: str,
    rounds: int,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """What clients notice of a move; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(title=f"SETs a second: {moving_rate:,.0f} to moving slots, {staying_rate:,.0f} to others")
    for heading in ("round", "slots", "while", "p50 ms", "p99 ms", "longest ms", "p99 to before"):
        table.add_column(heading, justify="left" if heading in {"slots", "while"} else "right")
    results: list[dict[str, Any]] = []
    flags = ("--snapshot-bytes-per-s", copy_rate, "--engine", engine)
    with Redraft(parent, groups=2, flags=flags) as ours:
        cluster = ours.cluster
        assert cluster is not None
        ports = [node.port for node in cluster.nodes]
        fill_redis(ports[0], keys, size)
        for number in range(rounds):
            target = 2 if number % 2 == 0 else 1
            with console.status(f"round {number + 1}"):
                found = _round(ports, target, moving_rate, staying_rate, written, size)
            results.append(found)
            for slots, rows in found["rows"].items():
                before = rows["before"]["p99_ms"]
                for phase, row in rows.items():
                    figures = (row["p50_ms"], row["p99_ms"], row["longest_ms"])
                    ratio = f"{row['p99_ms'] / before:.2f}"
                    shown = [f"{figure:.1f}" for figure in figures]
                    table.add_row(str(number + 1), slots, phase, *shown, ratio)
            said = "\n".join(
                line for node in cluster.nodes for line in node.process.log.read_text().splitlines()
            )
            found["frozen_ms"] = [int(each) for each in re.findall(r"frozen for (\d+) ms", said)]
            table.caption = (
                f"moved in {[each['took_s'] for each in results]} s; frozen for {found['frozen_ms']} ms"
            )
    parameters = {
        "keys": keys,
        "size": size,
        "moving_rate": moving_rate,
        "copy_rate": copy_rate,
        "engine": engine,
    }
    write_json(json_path, {"machine": facts, "parameters": parameters, "results": results})
    console.print(table)


def _round(
    ports: list[int], target: int, moving_rate: float, staying_rate: float, written: int, size: int
) -> dict[str, Any]:
    """Write, move, write on; what the writers saw by phase."""
    writers = {
        "moving": _writer(ports, MOVING, moving_rate, written, size),
        "staying": _writer(ports, STAYING, staying_rate, written, size),
    }
    for writer in writers.values():
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    time.sleep(BEFORE_S)
    begun = time.monotonic()
    with connect(ports[0]) as client:
        client.execute_command("REDRAFT", "MOVE-SLOTS", MOVING, target)
        while json.loads(client.execute_command("REDRAFT", "STATUS"))["moves"]:
            assert time.monotonic() - begun < LATE_S, "the move does not end"
            time.sleep(0.05)
    ended = time.monotonic()
    time.sleep(BEFORE_S / 2)
    rows = {}
    for name, writer in writers.items():
        said, _ = writer.communicate(b"\n")
        found = json.loads(said)
        assert not found["errors"], found["errors"]
        assert not found["wrong"], f"{len(found['wrong'])} keys do not hold what was written last"
        rows[name] = {
            "before": _summary(
                [row[1] for row in found["rows"] if row[0] < begun and row[0] > begun - BEFORE_S + 1]
            ),
            "moving": _summary([row[1] for row in found["rows"] if begun <= row[0] <= ended]),
            "after": _summary([row[1] for row in found["rows"] if row[0] > ended]),
        }
    return {"took_s": round(ended - begun, 2), "rows": rows}


def _writer(ports: list[int], slots: str, rate: float, keys: int, size: int) -> subprocess.Popen[bytes]:
    flags = {"ports": ",".join(map(str, ports)), "slots": slots, "rate": rate, "keys": keys, "size": size}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.paced", *words]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _summary(times: list[float]) -> dict[str, float]:
    times.sort()
    last = len(times) - 1
    return {
        "requests": len(times),
        "p50_ms": times[last // 2],
        "p99_ms": times[last * 99 // 100],
        "longest_ms": times[last],
    }


if __name__ == "__main__":
    main()
