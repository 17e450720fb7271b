"""Slots move between groups while clients go on: no errors, nothing is lost, doubled or read stale."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.cluster.bank import Bank
from tests.cluster.harness import Cluster, Node, redraft_command
from tests.cluster.parameters import CLIENTS, KILLS, PAUSE_MAX_S, SEED, TIMEOUT_S, report
from tests.cluster.test_engines import command_with
from tests.cluster.waiting import wait_until
from tests.cluster.workload import Workload

GROUPS = 3
MOVES = 2 * KILLS
MOVE_S = 60.0
SETTINGS = {"REDRAFT_ENGINE_MEMORY_BYTES": "64kb", "REDRAFT_SNAPSHOT_LOG_BYTES": "256kb"}

pytestmark = pytest.mark.timeout(TIMEOUT_S)


def status(cluster: Cluster, node: Node | int) -> dict[str, Any]:
    """What a node says of itself and the cluster."""
    with cluster.client(node) as client:
        answer: dict[str, Any] = json.loads(client.execute_command("REDRAFT", "STATUS"))
        return answer


def begin_move(cluster: Cluster, node: Node, chance: random.Random) -> int:
    """Begin to move some slots of a random group to another; returns the move's id, 0 if it was refused."""
    owners = {
        slot: group["id"]
        for group in status(cluster, node)["groups"]
        for low, high in group["slots"]
        for slot in range(low, high + 1)
    }
    first = chance.randrange(16384)
    last = first
    while last + 1 < 16384 and last - first < chance.randrange(1, 6000) and owners[last + 1] == owners[first]:
        last += 1
    target = chance.choice([group for group in set(owners.values()) | {1, 2, 3} if group != owners[first]])
    with cluster.client(node) as client:
        try:
            return int(client.execute_command("REDRAFT", "MOVE-SLOTS", f"{first}-{last}", target))
        except redis.ResponseError as refused:
            assert "on their way" in str(refused) or "several groups" in str(refused)  # noqa: PT017
            return 0


def until_no_moves(cluster: Cluster, node: Node) -> None:
    """Wait until no slots are on their way, as far as a node knows."""
    wait_until(lambda: not status(cluster, node)["moves"], timeout_s=MOVE_S, what="all moves end")


@pytest.mark.parametrize("engines", [("hash",), ("btree", "hash", "rocksdb")], ids=["hash", "mixed"])
def test_clients_see_no_error_while_slots_move(directory: Path, engines: tuple[str, ...]) -> None:
    """Random moves, one after another or at once, and every client is served all the time."""
    print("seed", SEED)
    chance = random.Random(SEED)
    command = command_with(engines, GROUPS)
    with Cluster(directory, command=command, settings=SETTINGS) as cluster:
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            load.progress(50)
            begun = 0
            while begun < MOVES:
                node = chance.choice(cluster.nodes)
                begun += bool(begin_move(cluster, node, chance))
                if chance.random() < 0.7:
                    until_no_moves(cluster, node)
                load.progress(chance.randint(5, 50))
            until_no_moves(cluster, cluster.nodes[0])
            load.progress(50)
        report("moves", {"moves": begun, **load.summary()})
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
        assert load.unexcused() == []
        assert max(load.longest_pauses().values()) <= PAUSE_MAX_S


def test_moves_go_on_through_kills(directory: Path) -> None:
    """kill -9 of nodes while slots move: every move ends, nothing is lost, doubled or stale."""
    print("seed", SEED)
    chance = random.Random(SEED)
    with Cluster(directory, command=redraft_command("--groups", str(GROUPS)), settings=SETTINGS) as cluster:
        bank = Bank(cluster, seed=SEED)
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load, bank:
            load.progress(50)
            for _ in range(KILLS):
                for _ in range(2):
                    begin_move(cluster, chance.choice(cluster.nodes), chance)
                load.progress(chance.randint(1, 30))
                victim = chance.choice(cluster.nodes)
                cluster.kill(victim)
                load.progress(chance.randint(5, 100), cluster.others(victim))
                cluster.restart(victim)
                for node in cluster.nodes:
                    until_no_moves(cluster, node)
        report("moves through kills", {"kills": KILLS, **bank.summary(), **load.summary()})
        assert [*load.judge(cluster.nodes), *load.judge_errors(), *bank.judge()] == []


def test_keyspace_is_seen_whole_while_slots_move(directory: Path) -> None:
    """SCAN, KEYS and DBSIZE at any node have each key once; values and deadlines come along."""
    chance = random.Random(SEED)
    names = {b"key:%d" % number for number in range(3000)}
    with Cluster(directory, command=redraft_command("--groups", str(GROUPS)), settings=SETTINGS) as cluster:
        with cluster.client(0) as client:
            pipe = client.pipeline(transaction=False)
            for name in sorted(names):
                kind = chance.randrange(4)
                if kind == 0:
                    pipe.set(name, name, px=10**8)
                elif kind == 1:
                    pipe.rpush(name, *range(chance.randrange(1, 200)))
                elif kind == 2:
                    pipe.hset(name, mapping={f"f{each}": each for each in range(chance.randrange(1, 200))})
                else:
                    pipe.zadd(name, {f"m{each}": each for each in range(chance.randrange(1, 200))})
            pipe.execute()
            dumps = {name: (client.dump(name), client.pttl(name) > 0) for name in sorted(names)}
        seen = 0
        for _ in range(MOVES):
            begin_move(cluster, chance.choice(cluster.nodes), chance)
            while True:
                node = chance.choice(cluster.nodes)
                with cluster.client(node) as client:
                    assert client.dbsize() == len(names)
                    found = client.keys("*")
                    assert len(found) == len(names)
                    assert set(found) == names
                    found = list(client.scan_iter(count=100))
                    assert len(found) == len(names)
                    assert set(found) == names
                    seen += 1
                if not status(cluster, node)["moves"]:
                    break
        report("keyspace while slots move", {"moves": MOVES, "times seen": seen})
        with cluster.client(1) as client:
            found_dumps = {name: (client.dump(name), client.pttl(name) > 0) for name in sorted(names)}
        assert found_dumps == dumps
