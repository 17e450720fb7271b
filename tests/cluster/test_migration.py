"""CLUSTER MIGRATION and real moves: asked where the slots are to be, followed to the end at any node."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from redraft.accel.scan import key_slot
from tests.cluster.harness import Cluster, Node, connect
from tests.cluster.ports import HOST, PRIMARY_DISTANCE
from tests.cluster.waiting import wait_until

MOVED_S = 60.0


def states(node: Node, task: str) -> list[str]:
    """How far a task is by one node."""
    with connect(node.port) as client:
        rows = client.execute_command("CLUSTER", "MIGRATION", "STATUS", "ID", task)
    return [row[b"state"].decode() for row in rows]


def test_migration_import_brings_slots_and_keys(directory: Path) -> None:
    """To the node that was asked, while a cluster client goes on; every node says when it has completed."""
    with Cluster(directory) as cluster:
        cluster.wait_until_leaders_stay()
        source = cluster.leader_of("a")
        target = cluster.others(source)[0]
        slot = key_slot(b"a")
        with RedisCluster(host=HOST, port=source.port) as client:
            for number in range(2000):
                client.set(f"{{a}}{number}", number)
            with connect(target.port + PRIMARY_DISTANCE) as asked:
                task = asked.execute_command("CLUSTER", "MIGRATION", "IMPORT", slot, slot).decode()
            for node in cluster.nodes:
                wait_until(
                    lambda node=node: states(node, task) == ["completed"],  # type: ignore[misc]
                    timeout_s=MOVED_S,
                    what="the import has completed",
                )
            assert cluster.leader_of("a") is target
            assert [client.get(f"{{a}}{number}") for number in range(2000)] == [
                b"%d" % number for number in range(2000)
            ]
        with connect(target.port + PRIMARY_DISTANCE) as asked:
            assert asked.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 2000
            assert asked.execute_command("CLUSTER", "MIGRATION", "CANCEL", "ALL") == 0
            with pytest.raises(redis.ResponseError, match="already the owner"):
                asked.execute_command("CLUSTER", "MIGRATION", "IMPORT", slot, slot)
