"""`python -m benchmarks.follower_reads`: GETs by cluster clients, at leaders and at replicas.

Three nodes; the same readers (`benchmarks.reader`) ask in turn the primary ports alone, primary and replica
ports alike, as a client that reads from replicas does, and replica ports alone.  With one group the
leader-only load is one node's, with three it is spread already.  redis-benchmark, which knows leaders only,
stands beside.

Each follower asks the leader up to where it must have read, for all reads that wait; so a read at a
follower costs its node about what it costs the leader, and the leader little.  Where all nodes share the
cores, as here, their sum is what bounds the rate, and reads at followers only add to it; what they take
off the leaders is the figure that says what nodes with cores of their own would gain.
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
from benchmarks.fill import fill_redis, key
from benchmarks.load import Rate, cluster_load
from benchmarks.reader import Asker, read
from benchmarks.results import write_json
from benchmarks.systems import Redraft
from redraft.accel.scan import key_slot
from redraft.base.limits import PRIMARY_PORT_OFFSET
from tests.cluster.harness import connect
from tests.cluster.waiting import wait_until

KEYS = 20_000
SPREAD_S = 30.0
BENCHMARK, LEADERS, ALL, REPLICAS = "redis-benchmark", "leaders", "replicas too", "replicas alone"
LOADS = (BENCHMARK, LEADERS, ALL, REPLICAS)

Served = dict[int, list[range]]
"""The slots that are served at each port."""


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="How long each measurement takes.")
@click.option("--connections", default=60, show_default=True)
@click.option("--pipelines", default="1,16", show_default=True, callback=numbers)
@click.option("--groups", default="1,3", show_default=True, callback=numbers)
@click.option("--size", default=64, show_default=True, help="Bytes of a value.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    rounds: int,
    seconds: float,
    connections: int,
    pipelines: list[int],
    groups: list[int],
    size: int,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """GET throughput with reads from replicas against leaders only; loads only 127.0.0.1."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    table = Table(title=f"GET -c {connections} -d {size}, three nodes", title_justify="left")
    for heading in (
        "groups",
        "-P",
        "load",
        "GET/s",
        "to leaders only",
        "p99 ms",
        "served by each node",
        "CPU us per GET: leader",
        "to leaders only",
        "all nodes",
    ):
        table.add_column(heading, justify="left" if heading == "load" else "right")
    rows: list[dict[str, object]] = []
    for count in groups:
        with Redraft(parent, groups=count) as ours, console.status(f"{count} groups"):
            port = ours.port(0)
            fill_redis(port, KEYS, size)
            for pipeline in pipelines:
                loads = Loads(ours, connections, pipeline, size, seconds)
                for _ in range(rounds):
                    loads.measure()
                for load in LOADS:
                    rows.append({"groups": count, "pipeline": pipeline, "load": load, **loads.document(load)})
                    table.add_row(str(count), str(pipeline), load, *loads.shown(load))
    parameters = {"rounds": rounds, "seconds": seconds, "connections": connections, "size": size}
    write_json(json_path, {"machine": facts, "parameters": dict(parameters), "results": rows})
    console.print(table)


class Loads:
    """The loads on one cluster with one depth of pipeline, in turn, round by round."""

    def __init__(self, ours: Redraft, connections: int, pipeline: int, size: int, seconds: float) -> None:
        self._ours = ours
        self._connections, self._pipeline, self._size, self._seconds = connections, pipeline, size, seconds
        leaders, replicas = served(ours)
        self._askers = {
            LEADERS: askers(leaders, {}, connections),
            ALL: askers(leaders, replicas, connections),
            REPLICAS: askers({}, replicas, connections),
        }
        assert ours.cluster is not None
        first = next(port for port, ranges in leaders.items() if any(0 in some for some in ranges))
        self._leader = [node.port + PRIMARY_PORT_OFFSET for node in ours.cluster.nodes].index(first)
        self._requests = 10_000
        self._rates: dict[str, list[Rate]] = {load: [] for load in LOADS}
        self._costs_us: dict[str, list[list[float]]] = {load: [] for load in LOADS}
        self._shares: dict[str, list[list[float]]] = {load: [] for load in LOADS}

    def measure(self) -> None:
        """One round."""
        for load, rates in self._rates.items():
            cpu_before, commands_before = self._cpu_s(), self._commands()
            rate = self._run(load)
            spent = [after - then for after, then in zip(self._cpu_s(), cpu_before, strict=True)]
            served = [after - then for after, then in zip(self._commands(), commands_before, strict=True)]
            rates.append(rate)
            self._costs_us[load].append([each / rate.requests * 1e6 for each in spent])
            self._shares[load].append([each / sum(served) for each in served])

    def _run(self, load: str) -> Rate:
        if load != BENCHMARK:
            return read(self._askers[load], self._pipeline, self._size, self._seconds)
        port, leaders = self._ours.port(0), min(self._ours.groups, self._ours.nodes)
        counts = (self._connections, self._pipeline, self._requests, KEYS)
        rate = cluster_load(port, *counts, leaders=leaders)
        self._requests = max(10_000, int(rate.rps * self._seconds))
        return rate

    def _cpu_s(self) -> list[float]:
        return [machine.usage(process.pid).cpu_s for process in self._ours.processes]

    def _commands(self) -> list[int]:
        """What each node has taken from its own clients so far, on all its ports."""
        assert self._ours.cluster is not None
        counted = []
        for node in self._ours.cluster.nodes:
            with connect(node.port) as client:
                counted.append(int(client.info("stats")["total_commands_processed"]))
        return counted

    def shown(self, load: str) -> tuple[str, ...]:
        """The cells of a row behind its name."""
        rates, base = self._rates[load], self._rates[LEADERS]
        ratio = statistics.median(a.rps / b.rps for a, b in zip(rates, base, strict=True))
        costs, at = self._costs_us[load], self._leader
        cheaper = statistics.median(
            a[at] / b[at] for a, b in zip(costs, self._costs_us[LEADERS], strict=True)
        )
        shares = [statistics.median(of_node) for of_node in zip(*self._shares[load], strict=True)]
        return (
            f"{statistics.median(rate.rps for rate in rates):,.0f}",
            f"{ratio:.2f}",
            f"{statistics.median(rate.p99_ms for rate in rates):.2f}",
            " ".join(f"{share:.0%}" for share in [shares[at], *shares[:at], *shares[at + 1 :]]),
            f"{statistics.median(each[at] for each in costs):.1f}",
            f"{cheaper:.2f}",
            f"{statistics.median(sum(each) for each in costs):.1f}",
        )

    def document(self, load: str) -> dict[str, object]:
        """Everything measured of one load."""
        return {
            "rates": [asdict(rate) for rate in self._rates[load]],
            "cpu_us": self._costs_us[load],
            "served": self._shares[load],
        }


def served(ours: Redraft) -> tuple[Served, Served]:
    """What each primary port and each replica port serves, once every group is led where it should be."""
    assert ours.cluster is not None
    leaders: Served = {}
    replicas: Served = {}
    with connect(ours.cluster.nodes[0].port) as client:

        def settled() -> bool:
            groups = json.loads(client.execute_command("REDRAFT", "STATUS"))["groups"]
            return all(group["leader"] == group["voters"][0] for group in groups)

        wait_until(settled, timeout_s=SPREAD_S, what="leaders are spread")
        for low, high, leader, *others in client.execute_command("CLUSTER SLOTS"):
            slots = range(int(low), int(high) + 1)
            leaders.setdefault(int(leader[1]), []).append(slots)
            for each in others:
                replicas.setdefault(int(each[1]), []).append(slots)
    return leaders, replicas


def askers(leaders: Served, replicas: Served, connections: int) -> list[Asker]:
    """So many connections, spread evenly over all these ports, each with the keys of its port."""
    ports = [(port, False, slots) for port, slots in leaders.items()]
    ports += [(port, True, slots) for port, slots in replicas.items()]
    known = [(key(number), key_slot(key(number))) for number in range(KEYS)]
    keys = {
        port: [name for name, slot in known if any(slot in some for some in slots)]
        for port, _, slots in ports
    }
    chosen = (ports[number % len(ports)] for number in range(connections))
    return [Asker(port, readonly, keys[port]) for port, readonly, _slots in chosen]


if __name__ == "__main__":
    main()
