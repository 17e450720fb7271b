"""`python -m benchmarks.scale`: what grows with the cluster: the topology, the map, what clients are told.

A cluster of 100 nodes and 10,000 groups does not fit on a machine; what each of its nodes has to do for it
does.  Times are CPU times of one core, the least of some runs.
"""

from __future__ import annotations

import random
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.bignode import done, held, saved, session_bytes
from benchmarks.chatter import heartbeats, reports
from benchmarks.results import write_json
from redraft.control.slotmoves import FOUNDING_EPOCH, GroupRecord, Moved, MoveSlots
from redraft.control.topology import FORMAT, NodeRecord, Place, Remove, Topology, apply, decode, encode
from redraft.control.view import map_of
from redraft.topology.cluster_map import ClusterMap
from redraft.topology.slots import contiguous_ranges
from tests.server.fakenode import FakeNode
from tests.server.harness import Client, Site, request

RUNS = 3
SESSIONS = 10_000
CLIENTS = 200


def topology_of(nodes: int, groups: int) -> Topology:
    """A topology with placements at random."""
    chance = random.Random(1)
    ids = range(1, nodes + 1)
    return Topology(
        FORMAT,
        FOUNDING_EPOCH,
        nodes + 1,
        3,
        tuple(
            NodeRecord(
                number, f"{number:040x}", f"10.0.{number // 250}.{number % 250 + 1}", 6379, 7379, 8379, 16379
            )
            for number in ids
        ),
        tuple(
            GroupRecord(number, (slots,), tuple(chance.sample(ids, 3)))
            for number, slots in enumerate(contiguous_ranges(groups), 1)
        ),
    )


def measured(nodes: int, groups: int, parent: Path) -> dict[str, float]:
    """Milliseconds and bytes, by what they are of."""
    found: dict[str, float] = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        best = float("inf")
        for _ in range(RUNS):
            begun = time.thread_time()
            result = run()
            best = min(best, time.thread_time() - begun)
        found[name] = best * 1000
        return result

    topology = topology_of(nodes, groups)
    encoded = timed("encode the topology, ms", lambda: encode(topology))
    found["the topology, bytes"] = len(encoded)
    timed("decode it, ms", lambda: decode(encoded))
    cluster = timed("make the map of it, ms", lambda: map_of(topology, "c", {}))
    first = topology.groups[0].slots[0][0]
    moving, _ = timed("apply MoveSlots, ms", lambda: apply(topology, MoveSlots(((first, first),), 1, 2), 9))
    timed("apply Moved, ms", lambda: apply(moving, Moved(9), 10))
    timed("apply Place, ms", lambda: apply(topology, Place(1, (1, 2, 3)), 9))
    timed("apply Remove, ms", lambda: apply(topology, Remove(1), 9))
    found |= asked(cluster)
    found |= crowd(cluster)
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        found |= saved(topology, Path(directory))
    found |= held(nodes, groups) | done(nodes, groups) | heartbeats(nodes) | reports(topology)
    found["a session (origin and group), bytes"] = session_bytes(SESSIONS)
    return found


def asked(cluster: ClusterMap) -> dict[str, float]:
    """What a client's questions cost: the first one, one after a group's leader has changed, and one more."""
    found: dict[str, float] = {}
    for name in ("SLOTS", "SHARDS", "NODES", "INFO"):
        runs = [questions(cluster, request("CLUSTER", name)) for _ in range(RUNS)]
        found |= {f"CLUSTER {name}{what}": min(run[what] for run in runs) for what in runs[0]}
    return found


def questions(cluster: ClusterMap, words: bytes) -> dict[str, float]:
    """One question of a node that was just started."""
    found: dict[str, float] = {}
    node = FakeNode(contexts={})
    node.map, node.group_of_slot = cluster, cluster.group_of_slot
    node.led_by = {group.group_id: group.voters[0] for group in cluster.groups}
    with Site(node) as site:
        client = site.client(site.front.primary_port)
        for which in ("first", "after a change", "again"):
            if which == "after a change":
                node.led_by[1] = cluster.groups[0].voters[1]
            turns, size = question(site, client, words)
            found[f", {which}, ms"] = sum(turns) * 1000
            found[f", {which}, its longest turn, ms"] = max(turns) * 1000
        found[", bytes"] = size
    return found


def crowd(cluster: ClusterMap) -> dict[str, float]:
    """What many clients of one node cost: idle, and when all ask CLUSTER SLOTS at once after a change."""
    node = FakeNode(contexts={})
    node.map, node.group_of_slot = cluster, cluster.group_of_slot
    node.led_by = {group.group_id: group.voters[0] for group in cluster.groups}
    with Site(node) as site:
        tracemalloc.start()
        clients = [site.client(site.front.primary_port) for _ in range(CLIENTS)]
        size = tracemalloc.get_traced_memory()[0] / CLIENTS
        tracemalloc.stop()
        for client in clients:
            client.sock.sendall(request("CLUSTER", "SLOTS"))
        turns = []
        while any(each.connection.busy or each.connection.waiting_bytes for each in clients) or not turns:
            begun = time.thread_time()
            site.reactor.cycle()
            turns.append(time.thread_time() - begun)
            for client in clients:
                with suppress(BlockingIOError):
                    while client.sock.recv(1 << 22):
                        pass
    return {
        "a connection (both ends' objects), bytes": size,
        f"CLUSTER SLOTS of {CLIENTS} clients at once, ms": sum(turns) * 1000,
        f"CLUSTER SLOTS of {CLIENTS} clients at once, the longest turn, ms": max(turns) * 1000,
    }


def question(site: Site, client: Client, words: bytes) -> tuple[list[float], int]:
    """Ask; returns the seconds that each turn of the loop took, and the size of the reply."""
    turns, received = [], 0
    client.sock.sendall(words)
    while not received or client.connection.busy or client.connection.waiting_bytes:
        begun = time.thread_time()
        site.reactor.cycle()
        turns.append(time.thread_time() - begun)
        with suppress(BlockingIOError):
            while data := client.sock.recv(1 << 22):
                received += len(data)
    return turns, received


@click.command()
@click.option("--sizes", default="3x3,10x100,100x1000,100x10000", show_default=True, help="NODESxGROUPS.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(sizes: str, json_path: Path | None, parent: Path | None) -> None:
    """What a cluster's size costs one node."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    results = {}
    for size in sizes.split(","):
        nodes, groups = size.split("x")
        with console.status(size):
            results[size] = measured(int(nodes), int(groups), parent)
    table = Table(title="nodes x groups", title_justify="left")
    table.add_column("")
    for size in results:
        table.add_column(size, justify="right")
    for name in next(iter(results.values())):
        figures = (each[name] for each in results.values())
        table.add_row(
            name, *(f"{each:.2f}" if name.endswith(("ms", "%")) else f"{each:,.0f}" for each in figures)
        )
    write_json(json_path, {"machine": facts, "results": results})
    console.print(table)


if __name__ == "__main__":
    main()
