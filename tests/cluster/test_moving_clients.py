"""Redis Cluster's clients, unchanged, while slots move: they find the way, without errors or old values."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from tests.cluster.harness import READY_S, Cluster
from tests.cluster.parameters import TIMEOUT_S
from tests.cluster.ports import HOST, PRIMARY_DISTANCE
from tests.cluster.programs import run
from tests.cluster.test_cluster_clients import counting, counting_async, settled
from tests.cluster.test_moves import until_no_moves
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(TIMEOUT_S)

SLOTS = "0-2999"
"""Of the first group of three."""
ROUND = (2, 3, 1)
"""Groups that own them in turn."""


def move_to(cluster: Cluster, group: int) -> None:
    """Let a group own the slots, and wait until it does."""
    node = cluster.nodes[group % 3]
    with cluster.client(node) as client:
        client.execute_command("REDRAFT", "MOVE-SLOTS", SLOTS, group)
    until_no_moves(cluster, node)


def spread(cluster: Cluster) -> None:
    """Wait until each node leads the group that it should."""
    for node in cluster.nodes:
        wait_until(lambda node=node: settled(node), timeout_s=READY_S, what="leaders are spread")  # type: ignore[misc]


@pytest.mark.parametrize("count", [counting, counting_async])
def test_redis_py_cluster_follows_slots_that_move(directory: Path, count: Callable[..., Any]) -> None:
    """All around and back: every increment counts, every read from any node sees it.

    The asyncio client closes its connections when it reads the map anew, and sends again what was under way
    on them: with it an increment may count twice, as with Redis.
    """
    with Cluster(directory) as cluster:
        spread(cluster)
        with count(cluster, cluster.nodes[1].port, "moving") as counts:
            counts.wait_for_more()
            for group in ROUND:
                move_to(cluster, group)
                counts.wait_for_more()
        with cluster.client(0) as client:
            told = {key: int(client.get(f"moving:{key}")) for key in counts.done}
        if count is counting:
            assert not counts.errors
            assert told == counts.done
        else:
            assert not [error for _, _, error in counts.errors if isinstance(error, redis.RedisError)]
            assert all(told[key] >= done for key, done in counts.done.items())


def test_redis_cli_and_benchmark_follow_slots_that_move(directory: Path) -> None:
    """MOVED names the new owner as soon as it owns; a benchmark that runs meanwhile says no error."""
    with Cluster(directory) as cluster, ThreadPoolExecutor(1) as pool:
        spread(cluster)
        first = cluster.nodes[0]
        assert run("redis-cli", first.port + PRIMARY_DISTANCE, "-c", "set", "{fHh}", "there").strip() == "OK"
        with cluster.client(first) as client:
            assert client.cluster("KEYSLOT", "{fHh}") == 0
        load = ("--cluster", "-t", "set,get", "-n", "30000", "-r", "9999", "-q")
        said = pool.submit(run, "redis-benchmark", first.port, *load)
        for group in ROUND[:2]:
            move_to(cluster, group)
            owner = cluster.nodes[group - 1].port + PRIMARY_DISTANCE
            told = run("redis-cli", first.port + PRIMARY_DISTANCE, "get", "{fHh}").strip()
            assert told == f"MOVED 0 {HOST}:{owner}"
            assert run("redis-cli", first.port + PRIMARY_DISTANCE, "-c", "get", "{fHh}").strip() == "there"
        assert "requests per second" in said.result()
        assert "error" not in said.result().lower()
        with RedisCluster(host=HOST, port=first.port) as client:
            assert client.nodes_manager.get_node_from_slot(0).port == owner
