"""Real clusters that look after themselves: a node dies for good, a node is drained and taken out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import READY_S, Cluster, Node
from tests.cluster.parameters import TIMEOUT_S
from tests.cluster.test_membership import done, status
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(TIMEOUT_S)

DEAD_MS = 3000
SETTINGS = {"REDRAFT_CONTROLLER": "yes", "REDRAFT_CONTROLLER_DEAD_NODE_MS": str(DEAD_MS)}
KEYS = 300


def decided(cluster: Cluster, at: Node) -> list[dict[str, Any]]:
    """What all living nodes have decided."""
    told: list[dict[str, Any]] = []
    for node in cluster.nodes:
        if node.living:
            with cluster.client(node) as client:
                told += json.loads(client.execute_command("REDRAFT", "CONTROLLER"))["decisions"]
    assert at.living
    return told


def placed(cluster: Cluster, at: Node) -> Counter[int]:
    """Replicas by node; none while something moves."""
    groups = status(cluster, at)["groups"]
    if any(group["moving"] for group in groups):
        return Counter()
    return Counter(voter for group in groups for voter in group["voters"])


def stands_without(cluster: Cluster, at: Node, number: int, replicas: int) -> None:
    """Wait until all groups have their replicas elsewhere, as evenly as can be."""

    def settled() -> bool:
        counts = placed(cluster, at)
        even = counts and max(counts.values()) - min(counts.values()) <= 1
        return bool(even) and number not in counts and sum(counts.values()) == replicas

    wait_until(settled, timeout_s=READY_S, what=f"{replicas} replicas stand without node {number}")


def test_a_node_that_dies_for_good_and_one_that_is_drained(directory: Path) -> None:
    """Of five nodes one is killed, one drained and removed: three replicas of everything, all the while."""
    with Cluster(directory, size=5, settings=SETTINGS) as cluster:
        first, second, *_others, fifth = cluster.nodes
        with cluster.client(first) as client:
            for number in range(KEYS):
                client.set(f"key:{number}", number)
        cluster.kill(second)
        stands_without(cluster, first, 2, 9)
        reasons = [each["reason"] for each in decided(cluster, first) if each["kind"] == "restore"]
        assert reasons
        assert all("node 2 has been dead for" in reason for reason in reasons)
        assert "node 5 holds no replica any more" in done(cluster.admin(first, "node", "drain", "5"))
        assert 5 not in placed(cluster, first)
        assert [each["draining"] for each in status(cluster, first)["nodes"]] == [False] * 4 + [True]
        assert "drained" in " ".join(done(cluster.admin(first, "controller")).split())
        assert "no member any more" in done(cluster.admin(first, "node", "remove", "5"))
        assert fifth.process.wait() == 1
        with cluster.client(first) as client:
            assert [int(client.get(f"key:{number}")) for number in range(KEYS)] == list(range(KEYS))
        del cluster.nodes[4], cluster.nodes[1]


def test_the_controller_is_switched_off_and_on_while_it_runs(directory: Path) -> None:
    """Switched off on all nodes a dead node's replicas stay; switched on again they are made anew."""
    with Cluster(directory, size=4, settings=SETTINGS) as cluster:
        first, *_others, fourth = cluster.nodes
        wait_until(lambda: len(placed(cluster, first)) == 4, timeout_s=READY_S, what="replicas are even")
        for node in cluster.nodes:
            with cluster.client(node) as client:
                client.config_set("controller-off", "restore,replicas")
                assert client.config_get("controller*")["controller-off"] == "restore,replicas"
        cluster.kill(fourth)
        wait_until(
            lambda: _dead_ms(cluster) > DEAD_MS + 1000, timeout_s=READY_S, what="node 4 counts as dead"
        )
        assert placed(cluster, first)[4]
        for node in cluster.nodes[:3]:
            with cluster.client(node) as client:
                client.config_set("controller-off", "")
        stands_without(cluster, first, 4, 9)


def _dead_ms(cluster: Cluster) -> float:
    """For how long somebody who decides knows a node to be dead."""
    longest = 0.0
    for node in cluster.nodes:
        if node.living:
            with cluster.client(node) as client:
                known = json.loads(client.execute_command("REDRAFT", "CONTROLLER")).get("nodes", [])
            longest = max([longest, *(each["dead_ms"] for each in known)])
    return longest
