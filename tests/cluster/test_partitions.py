"""Nodes that live and can't hear each other: what they tell their own clients meanwhile, and after."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.network import Network, Pair
from tests.cluster.parameters import CLIENTS, SEED, STALL_S, TIMEOUT_S, report
from tests.cluster.workload import Workload

pytestmark = pytest.mark.timeout(TIMEOUT_S)

REGISTERS = [f"{{parted}}:{number}" for number in range(4)]
MIX = {"fresh": 1, "counter": 2, "write": 4, "read": 6}


def directions(network: Network, leader: int, which: str) -> list[Pair]:
    """The pairs to cut: both directions between a leader and the others, or one of them."""
    pairs = network.isolating(leader)
    if which == "deaf":
        return [pair for pair in pairs if pair[1] == leader]
    if which == "mute":
        return [pair for pair in pairs if pair[0] == leader]
    return pairs


@pytest.mark.parametrize(
    ("which", "read_mode"),
    [("isolated", "index"), ("isolated", "lease"), ("deaf", "index"), ("mute", "lease")],
)
def test_partition_of_a_leader_shows_nobody_anything_stale(
    directory: Path, which: str, read_mode: str
) -> None:
    """A leader cut off from the others: they go on without errors, and its own clients read nothing old."""
    print("seed", SEED)
    network = Network(3)
    command = network.command("--groups", "3", "--read-mode", read_mode)
    with network.running(), Cluster(directory, command=command) as cluster:
        leader = cluster.leader_of(REGISTERS[0])
        others = cluster.others(leader)
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS, mix=MIX, registers=REGISTERS) as load:
            load.progress(50)
            leader.outage_begins()
            network.cut(*directions(network, leader.number, which))
            began = time.monotonic()
            load.progress(50, others)
            served_again = time.monotonic() - began
            while time.monotonic() < began + STALL_S / 2:
                load.progress(10, others)
            network.heal()
            cluster.wait_ready([leader])
            load.progress(50)
        figures = {"which": which, "read_mode": read_mode, "served_again_s": served_again}
        report("partition", {**load.summary(), **figures})
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
