"""A key seen gone stays gone: on every node, and through the loss of the leader."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.harness import Cluster
from tests.cluster.waiting import wait_until

KEYS = 30
LIFE_MS = 400


def test_expiry_seen_on_one_node_is_seen_on_all(cluster: Cluster) -> None:
    """The read after one that found the key gone finds it gone too, whatever the node's own clock says."""
    clients = [cluster.client(node) for node in cluster.nodes]
    for number in range(KEYS):
        key = f"expiry:{number}"
        first, *others = clients[number % 3 :] + clients[: number % 3]
        assert first.set(key, "short", px=LIFE_MS)
        assert all(client.pttl(key) <= LIFE_MS for client in clients)
        wait_until(lambda: first.get(key) is None, timeout_s=10, what=f"{key} expires", poll_s=0.001)  # noqa: B023
        assert [client.get(key) for client in others] == [None, None]
        assert [client.exists(key) for client in others] == [0, 0]
    for client in clients:
        client.close()


def test_expiry_seen_stays_so_when_the_leader_is_lost(directory: Path) -> None:
    """Keys found gone before a kill -9 of their leader are gone after it; those with time left are not."""
    with Cluster(directory) as cluster:
        leader = cluster.leader_of("{expiry}")
        with cluster.client(leader) as client:
            for number in range(KEYS):
                client.set(f"{{expiry}}:short:{number}", "x", px=LIFE_MS)
                client.set(f"{{expiry}}:long:{number}", "x", ex=1000)
            wait_until(
                lambda: client.exists(*[f"{{expiry}}:short:{number}" for number in range(KEYS)]) == 0,
                timeout_s=10,
                what="the short-lived keys expire",
            )
        cluster.kill(leader)
        for node in cluster.others(leader):
            with cluster.client(node) as client:
                assert client.exists(*[f"{{expiry}}:short:{number}" for number in range(KEYS)]) == 0
                assert client.exists(*[f"{{expiry}}:long:{number}" for number in range(KEYS)]) == KEYS
                assert 900 < client.ttl("{expiry}:long:0") <= 1000


def test_expiry_sweep_empties_the_keyspace_without_reads(cluster: Cluster) -> None:
    """Keys nobody reads are removed by the leader's sweep, on every replica."""
    with cluster.client(0) as client:
        for number in range(KEYS):
            client.set(f"swept:{number}", "x", px=LIFE_MS)
        wait_until(lambda: client.keys("swept:*") == [], timeout_s=15, what="the sweep removes the keys")
