"""One node of a large cluster, alone: what it holds and does for groups that stand elsewhere.

The node is the real one, with its share of replicas in memory; its peers are links that lead nowhere and its
log keeps nothing.  What it would be doing for replicas that somebody leads is not here (`benchmarks.idle`).
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redraft.base.config import Config
from redraft.control.applier import TopologyApplier
from redraft.control.slotmoves import MoveSlots
from redraft.control.topology import (
    TOPOLOGY_GROUP,
    Command,
    Place,
    Topology,
    apply,
    founding_topology,
)
from redraft.node.identity import DataDirectory
from redraft.node.node import Node
from redraft.node.roster import Roster
from redraft.node.standing import Standing
from redraft.node.states import MemoryStates
from redraft.replica.sessions import Session
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import first_map
from tests.node.bottle import Disk, Link, Memory, member_of
from tests.wal.faultyfiles import FaultyFiles

RUNS = 3


class Forgetful(Disk):
    """A log that is durable at once and remembers nothing."""

    def flush(self) -> int:
        return 0


class Clock:
    """Stands still unless told otherwise."""

    def __init__(self) -> None:
        self.ms = 1000.0

    def now_ms(self) -> float:
        return self.ms

    def wall_ms(self) -> float:
        return 1_700_000_000_000.0 + self.ms

    def cpu_ms(self) -> float:
        return 0.0


def node_of(nodes: int, groups: int, clock: Clock) -> Node:
    """Node 1 of a founded cluster that has not elected anybody yet."""
    members = [member_of(number) for number in range(1, nodes + 1)]
    first = first_map("c", members, groups=groups, replication_factor=3)
    founding = founding_topology(first, 3)
    own = members[0]
    standing = Standing(
        1,
        founding,
        Roster("c", own.address, founding, members),
        Memory(),
        (own.primary_port, own.replica_port, own.peer_port),
    )
    return Node(
        Config(),
        standing,
        1,
        Forgetful(),
        clock,
        store=Store(Path("/snapshots"), FaultyFiles(1), Worker(threaded=False)),
        states=MemoryStates(),
        rng=random.Random(1),
        first_start=True,
    )


def least(run: Callable[[], Any]) -> float:
    """Milliseconds of CPU, the least of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        begun = time.thread_time()
        run()
        best = min(best, time.thread_time() - begun)
    return best * 1000


def held(nodes: int, groups: int) -> dict[str, float]:
    """What such a node has in memory when nobody has asked it anything."""
    tracemalloc.start()
    node = node_of(nodes, groups, Clock())
    bytes_held = tracemalloc.get_traced_memory()[0]
    hosted = len(node.replicas)
    tracemalloc.stop()
    found = {
        "replicas on a node": float(hosted),
        "an idle node's objects, bytes": float(bytes_held),
    }
    node.close()
    return found


def done(nodes: int, groups: int) -> dict[str, float]:
    """What such a node does when the topology changes, or a link breaks."""
    node = node_of(nodes, groups, Clock())
    for peer in range(2, nodes + 1):
        node.on_link_up(peer, Link(peer))  # type: ignore[arg-type]
    node.flush()
    found = {"start, ms": least(lambda: node_of(nodes, groups, Clock()).close())}
    slot = node.cluster.groups[0].slots[0][0]
    target = node.cluster.groups[-1].group_id
    for name, command in (
        ("slots begin to move", MoveSlots(((slot, slot),), 1, target)),
        ("a group is placed", Place(1, (3, 2, 1))),
    ):
        found[f"follow an entry: {name}, ms"] = follow(node, command)

    def breaks() -> None:
        node.on_link_down(2)
        node.flush()
        node.on_link_up(2, Link(2))  # type: ignore[arg-type]
        node.flush()

    found["a link breaks and comes back, ms"] = least(breaks)
    node.close()
    return found


def follow(node: Node, command: Command) -> float:
    """Milliseconds from an entry of the topology group to the node that goes by it, without the disk."""
    applier = node.replicas[TOPOLOGY_GROUP].applier
    assert isinstance(applier, TopologyApplier)
    begun = time.thread_time()
    changed, _ = apply(applier.topology, command, applier.topology.epoch + 1)
    assert changed is not applier.topology, "the command was refused"
    applier._keep(changed)  # as an entry does, without a log
    node.steering.applied()
    return (time.thread_time() - begun) * 1000


def saved(topology: Topology, parent: Path) -> dict[str, float]:
    """The time until a topology is on disk: the loop waits for it."""
    directory = DataDirectory.open(parent / "saved")
    best = float("inf")
    for _ in range(RUNS):
        begun = time.perf_counter()
        directory.save_topology(topology)
        best = min(best, time.perf_counter() - begun)
    directory.close()
    return {"save the topology, by the clock, ms": best * 1000}


def session_bytes(count: int) -> float:
    """The bytes of a session (one origin in one group)."""
    tracemalloc.start()
    sessions = {number: Session(number) for number in range(count)}
    size = tracemalloc.get_traced_memory()[0] / len(sessions)
    tracemalloc.stop()
    return size
