"""Nodes with different engines in one cluster, and nodes that change theirs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from tests.cluster.harness import Cluster, Command, Node, redraft_command
from tests.cluster.parameters import CLIENTS, SEED, TIMEOUT_S, report
from tests.cluster.waiting import wait_until
from tests.cluster.workload import Workload

ENGINES = ("hash", "btree", "rocksdb")
SETTINGS = {
    "REDRAFT_ENGINE_MEMORY_BYTES": "64kb",
    "REDRAFT_SNAPSHOT_LOG_BYTES": "256kb",
    "REDRAFT_LOG_TAIL_BYTES": "64kb",
}

pytestmark = pytest.mark.timeout(TIMEOUT_S)


def command_with(engines: Sequence[str], groups: int) -> Command:
    """How nodes are started, each with an engine of its own."""

    def command(number: int, ports: Sequence[int], directory: Path) -> list[str]:
        engine = engines[number % len(engines)]
        return redraft_command("--groups", str(groups), "--engine", engine)(number, ports, directory)

    return command


def fill(client: redis.Redis, rng: random.Random, count: int) -> None:
    """Strings, some with a deadline, hashes, and some of both taken away again."""
    pipe = client.pipeline(transaction=False)
    for _ in range(count):
        number = rng.randrange(500)
        pipe.set(f"s:{number}", rng.randbytes(rng.randrange(300)))
        pipe.hset(f"h:{number}", f"f{rng.randrange(50)}", rng.randbytes(rng.randrange(100)))
        if rng.random() < 0.1:
            pipe.delete(rng.choice(("s", "h")) + f":{rng.randrange(500)}")
        if rng.random() < 0.1:
            pipe.set(f"e:{number}", b"gone soon", px=rng.randrange(1, 2000))
    pipe.execute()


def held(cluster: Cluster, node: Node) -> tuple[int, dict[str, object]]:
    """All that a node's replicas hold: the keys that stay, and how many."""
    with cluster.client(node) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(500):
            pipe.get(f"s:{number}")
            pipe.hgetall(f"h:{number}")
            pipe.exists(f"e:{number}")
        replies = pipe.execute()
        names = [f"{kind}:{number}" for number in range(500) for kind in ("s", "h", "e")]
        return int(client.dbsize()), dict(zip(names, replies, strict=True))


def test_cluster_of_all_engines_holds_the_same_through_kill_9(directory: Path) -> None:
    """A node for each engine, each killed in turn under load: nothing lost, and all replicas alike."""
    print("seed", SEED)
    rng = random.Random(SEED)
    command = command_with(ENGINES, 3)
    with Cluster(directory, command=command, settings=SETTINGS) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            for victim in [*cluster.nodes, *rng.sample(cluster.nodes, 3)]:
                with cluster.client(rng.choice(cluster.nodes)) as client:
                    fill(client, rng, 1500)
                cluster.kill(victim)
                load.progress(20, cluster.others(victim))
                with cluster.client(rng.choice(cluster.others(victim))) as client:
                    fill(client, rng, 500)
                cluster.restart(victim)
                load.progress(20)
        report("engines", load.summary())
        assert load.judge(cluster.nodes) == []
        wait_expired(cluster)
        first, *others = [held(cluster, node) for node in cluster.nodes]
        assert all(other == first for other in others)
        assert first[0] > 500


def wait_expired(cluster: Cluster) -> None:
    """Until every key with a deadline is gone."""
    with cluster.client(0) as client:
        wait_until(
            lambda: not any(client.exists(f"e:{number}") for number in range(500)),
            timeout_s=20,
            what="all deadlines pass",
        )


@pytest.mark.parametrize("size", [1, 3])
def test_node_started_with_another_engine_goes_on_with_what_it_has(directory: Path, size: int) -> None:
    """kill -9 of all, and each starts with the next engine; alone as well, where nobody could fill it."""
    print("seed", SEED)
    rng = random.Random(SEED)
    with Cluster(directory, size=size, command=command_with(ENGINES, 2), settings=SETTINGS) as cluster:
        for step in range(1, 5):
            with cluster.client(0) as client:
                fill(client, rng, 3000)
            wait_expired(cluster)
            before = held(cluster, cluster.nodes[0])
            assert before[0] > 500
            cluster.kill_all()
            for node in cluster.nodes:
                command = node.process.command
                engine = ENGINES[(node.number + step) % len(ENGINES)]
                command[command.index("--engine") + 1] = engine
            cluster.start()
            for node in cluster.nodes:
                assert held(cluster, node) == before
                kinds = [path.name for path in (node.directory / "engine").glob("*") if any(path.iterdir())]
                engine = ENGINES[(node.number + step) % len(ENGINES)]
                assert kinds == [engine] * (engine != "hash")
