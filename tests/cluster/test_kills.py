"""Exactly once through kill -9, restarts and clean stops, as clients on all nodes see it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import redis

from tests.cluster.harness import Cluster
from tests.cluster.parameters import CLIENTS, KILLS, PAUSE_MAX_S, RESTARTS, SEED, TIMEOUT_S, report
from tests.cluster.workload import Workload

# What a client may hear without a quorum; redis-py makes a class of CLUSTERDOWN and drops the word.
TOLD = r"no leader|not executed|safe to retry|outcome unknown"

pytestmark = pytest.mark.timeout(TIMEOUT_S)


def test_kill_of_any_one_node_is_a_pause_for_the_others(directory: Path) -> None:
    """kill -9 of one node after another: nothing lost or doubled, no errors on living nodes, short pauses."""
    print("seed", SEED)
    chance = random.Random(SEED)
    with Cluster(directory) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            load.progress(chance.randint(20, 200))
            for _ in range(KILLS):
                victim = chance.choice(cluster.nodes)
                cluster.kill(victim)
                load.progress(chance.randint(20, 200), cluster.others(victim))
                cluster.restart(victim)
                load.progress(chance.randint(20, 200))
        report("kills", {"kills": KILLS, **load.summary()})
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
        assert max(load.longest_pauses().values()) <= PAUSE_MAX_S


def test_kill_of_all_nodes_at_once_loses_nothing_acknowledged(directory: Path) -> None:
    """kill -9 of all three under load, and a start on the same directories: nothing is missing."""
    print("seed", SEED)
    chance = random.Random(SEED)
    with Cluster(directory) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            for _ in range(RESTARTS):
                load.progress(chance.randint(20, 300))
                cluster.kill_all()
                cluster.start()
            load.progress(50)
        report("kill all", {"restarts": RESTARTS, **load.summary()})
        assert load.judge(cluster.nodes) == []


def test_clean_restart_of_each_node_in_turn_costs_no_errors(directory: Path) -> None:
    """SIGTERM hands leadership over first: a rolling restart shows as short pauses and nothing else."""
    print("seed", SEED)
    with Cluster(directory) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            load.progress(50)
            for node in cluster.nodes:
                cluster.terminate(node)
                load.progress(50, cluster.others(node))
                cluster.restart(node)
                load.progress(50)
        report("rolling restart", load.summary())
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
        assert max(load.longest_pauses().values()) <= PAUSE_MAX_S


def test_clean_stop_and_start_of_all_keeps_everything(directory: Path) -> None:
    """Stopped as by `redraft local` and started again on the same directories, all keys are there."""
    with Cluster(directory) as cluster:
        with cluster.client(0) as client:
            for number in range(200):
                client.set(f"kept:{number}", number)
        cluster.stop()
        cluster.start()
        for node in cluster.nodes:
            with cluster.client(node) as client:
                assert client.dbsize() == 200
                assert [client.get(f"kept:{number}") for number in range(200)] == [
                    str(number).encode() for number in range(200)
                ]


def test_cluster_serves_again_after_a_majority_was_lost(directory: Path) -> None:
    """With one of three nodes left requests wait, then are told so; when another is back, all goes on."""
    with Cluster(directory) as cluster:
        with cluster.client(0) as client:
            client.set("before", "kept")
        left, *victims = cluster.nodes
        for victim in victims:
            cluster.kill(victim)
        with cluster.client(left) as client, pytest.raises(redis.exceptions.ResponseError, match=TOLD):
            client.set("during", "refused")
        cluster.restart(victims[0], wait=False)
        cluster.wait_ready([left, victims[0]])
        with cluster.client(left) as client:
            client.set("after", "written")
            assert client.mget(["before"]) == [b"kept"]
            assert client.get("after") == b"written"
        cluster.restart(victims[1])
