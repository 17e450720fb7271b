"""`python -m benchmarks.nodes`: cluster clients on three nodes against one node.

redis-benchmark, which asks each group's leader (`--cluster`), loads one node alone, three nodes with one
group (all of it led by one node, the others follow) and three nodes with three groups (each leads one).
Durable as ever: on three nodes a SET is on two disks before it is answered.

All nodes and the load share this machine's cores, so three nodes can't be faster than one here: what they add
is work.  What bounds nodes that have cores of their own is the busiest node's CPU for each request of the
whole cluster; the last column is the rate at which that node has used up one core.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.compare import numbers
from benchmarks.fill import fill_redis
from benchmarks.load import Rate, cluster_load
from benchmarks.results import write_json
from benchmarks.systems import Redraft
from redraft.base.limits import PRIMARY_PORT_OFFSET
from tests.cluster.harness import connect
from tests.cluster.waiting import wait_until

KEYS = 100_000
SPREAD_S = 30.0
COMMANDS = ("set", "get")


class Nodes(Redraft):
    """A cluster of so many nodes, asked as cluster clients do."""

    def __init__(self, parent: Path, nodes: int, groups: int) -> None:
        super().__init__(parent, groups=groups)
        self.nodes = nodes
        self.name = f"{nodes} node{'s' * (nodes > 1)}, {groups} group{'s' * (groups > 1)}"

    def _start(self) -> None:
        super()._start()
        assert self.cluster is not None
        with connect(self.cluster.nodes[0].port) as client:

            def settled() -> bool:
                groups = json.loads(client.execute_command("REDRAFT", "STATUS"))["groups"]
                return all(group["leader"] == group["voters"][0] for group in groups)

            wait_until(settled, timeout_s=SPREAD_S, what="leaders are spread")

    def run(self, command: str, connections: int, pipeline: int, requests: int, size: int) -> Rate:
        """One run of redis-benchmark at all leaders."""
        leaders = min(self.groups, self.nodes)
        port = self.port(0) + PRIMARY_PORT_OFFSET
        return cluster_load(
            port, connections, pipeline, requests, KEYS, leaders=leaders, command=command, size=size
        )

    def cpu_s(self) -> list[float]:
        """What each node has used so far."""
        return [machine.usage(process.pid).cpu_s for process in self.processes]


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="How long each measurement takes.")
@click.option("--connections", default=60, show_default=True)
@click.option("--pipelines", default="1,16", show_default=True, callback=numbers)
@click.option("--size", default=64, show_default=True, help="Bytes of a value.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    rounds: int,
    seconds: float,
    connections: int,
    pipelines: list[int],
    size: int,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """Throughput of cluster clients on three nodes against one; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    measured: dict[tuple[str, int, str], list[tuple[Rate, list[float]]]] = {}
    shapes = ((1, 1), (3, 1), (3, 3))
    for number in range(rounds):
        for nodes, groups in shapes:
            with Nodes(parent, nodes, groups) as system, console.status(f"round {number + 1}: {system.name}"):
                fill_redis(system.port(0), KEYS, size)
                for command in COMMANDS:
                    for pipeline in pipelines:
                        found = measure(system, command, connections, pipeline, size, seconds)
                        measured.setdefault((command, pipeline, system.name), []).append(found)
    rows = [row(of, runs, measured) for of, runs in sorted(measured.items(), key=_place)]
    table = Table(title=f"-c {connections} -d {size}", title_justify="left")
    for heading in ("command", "-P", "cluster", "/s", "to one node", "p99 ms", *CPU_HEADINGS):
        table.add_column(heading, justify="left" if heading in {"command", "cluster"} else "right")
    for each in rows:
        table.add_row(*each)
    parameters = {"rounds": rounds, "seconds": seconds, "connections": connections, "size": size}
    results = [
        {"command": command, "pipeline": pipeline, "cluster": name, "runs": [(asdict(r), c) for r, c in runs]}
        for (command, pipeline, name), runs in measured.items()
    ]
    write_json(json_path, {"machine": facts, "parameters": dict(parameters), "results": results})
    console.print(table)


CPU_HEADINGS = ("CPU us: busiest node", "all nodes", "/s for one core at the busiest", "to one node")
ONE = "1 node, 1 group"


def measure(
    system: Nodes, command: str, connections: int, pipeline: int, size: int, seconds: float
) -> tuple[Rate, list[float]]:
    """A short run to find the rate, then one of so many seconds: its rate, each node's CPU us a request."""
    short = max(20_000, 40 * connections * pipeline)
    pilot = system.run(command, connections, pipeline, short, size)
    requests = max(short, int(pilot.rps * seconds))
    before = system.cpu_s()
    rate = system.run(command, connections, pipeline, requests, size)
    spent = [after - then for after, then in zip(system.cpu_s(), before, strict=True)]
    return rate, [each / requests * 1e6 for each in spent]


def row(
    of: tuple[str, int, str],
    runs: list[tuple[Rate, list[float]]],
    measured: dict[tuple[str, int, str], list[tuple[Rate, list[float]]]],
) -> tuple[str, ...]:
    """The cells of one case: medians, and medians of ratios within rounds."""
    command, pipeline, name = of
    one = measured[command, pipeline, ONE]
    busiest = statistics.median(max(costs) for _, costs in runs)
    return (
        command.upper(),
        str(pipeline),
        name,
        f"{statistics.median(rate.rps for rate, _ in runs):,.0f}",
        f"{statistics.median(a.rps / b.rps for (a, _), (b, _) in zip(runs, one, strict=True)):.2f}",
        f"{statistics.median(rate.p99_ms for rate, _ in runs):.2f}",
        f"{busiest:.1f}",
        f"{statistics.median(sum(costs) for _, costs in runs):.1f}",
        f"{1e6 / busiest:,.0f}",
        f"{statistics.median(max(b) / max(a) for (_, a), (_, b) in zip(runs, one, strict=True)):.2f}",
    )


def _place(case: tuple[tuple[str, int, str], object]) -> tuple[int, int, str]:
    command, pipeline, name = case[0]
    return COMMANDS.index(command), pipeline, name


if __name__ == "__main__":
    main()
