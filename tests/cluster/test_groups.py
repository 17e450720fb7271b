"""Groups are made, split, merged and dropped while clients go on: nothing is lost, nobody sees an error."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from tests.cluster.bank import Bank
from tests.cluster.harness import Cluster, redraft_command
from tests.cluster.parameters import CLIENTS, KILLS, PAUSE_MAX_S, SEED, TIMEOUT_S, report
from tests.cluster.ports import HOST, PRIMARY_DISTANCE
from tests.cluster.test_engines import command_with
from tests.cluster.test_moves import status, until_no_moves
from tests.cluster.waiting import wait_until
from tests.cluster.workload import Workload

SETTINGS = {
    "REDRAFT_ENGINE_MEMORY_BYTES": "64kb",
    "REDRAFT_SNAPSHOT_LOG_BYTES": "256kb",
    "REDRAFT_REQUEST_TIMEOUT_MS": "3000",
    "REDRAFT_LEADER_WAIT_MS": "2000",
}
KEYS = {b"kept:%d" % number for number in range(2000)}
GONE_S = 30.0
GROUPS_WANTED = 5

pytestmark = pytest.mark.timeout(TIMEOUT_S)


def groups(cluster: Cluster) -> list[set[int]]:
    """The groups each living node knows."""
    living = [node for node in cluster.nodes if node.living]
    return [{each["id"] for each in status(cluster, node)["groups"]} for node in living]


def until_groups(cluster: Cluster, *expected: int) -> None:
    wait_until(
        lambda: all(each == set(expected) for each in groups(cluster)),
        timeout_s=GONE_S,
        what=f"the groups are {expected}",
    )
    cluster.wait_ready([node for node in cluster.nodes if node.living])


def admin(cluster: Cluster, *words: str) -> str:
    done = cluster.admin(cluster.nodes[0], *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def engines_of(cluster: Cluster) -> set[str]:
    """The groups whose keys are on some node's disk."""
    kept = (path for node in cluster.nodes for path in node.directory.glob("engine/*/*/*"))
    return {path.parent.name for path in kept}


def write_all(client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for name in KEYS:
        pipe.set(name, name)
    pipe.execute()


def see_all(cluster: Cluster, *, load: bool = False) -> None:
    """Each node counts the keys right, and has each of ours."""
    for node in cluster.nodes:
        with cluster.client(node) as client:
            assert KEYS.issubset(client.scan_iter(count=1000))
            pipe = client.pipeline(transaction=False)
            for name in sorted(KEYS):
                pipe.get(name)
            assert pipe.execute() == sorted(KEYS)
            if not load:
                assert client.dbsize() == len(client.keys("*"))


@pytest.mark.parametrize("engines", [("hash",), ("btree", "hash", "rocksdb")], ids=["hash", "mixed"])
def test_groups_come_and_go_under_load(directory: Path, engines: tuple[str, ...]) -> None:
    """Split twice, merged back, the first group dropped, all nodes restarted: no client sees an error."""
    print("seed", SEED)
    with Cluster(directory, command=command_with(engines, 1), settings=SETTINGS) as cluster:
        with cluster.client(0) as client:
            write_all(client)
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load:
            load.progress(50)
            assert "group 2 has its slots" in admin(cluster, "group", "split", "1")
            load.progress(30)
            said = admin(cluster, "group", "split", "2", "--slots", "9000-9999", "--on", "3,1,2")
            assert "group 3 has its slots" in said
            load.progress(30)
            until_groups(cluster, 1, 2, 3)
            see_all(cluster, load=True)
            admin(cluster, "group", "merge", "1", "--into", "3")
            load.progress(30)
            until_groups(cluster, 2, 3)
            admin(cluster, "group", "merge", "2", "--into", "3")
            until_groups(cluster, 3)
            load.progress(50)
        report("groups", load.summary())
        assert [*load.judge(cluster.nodes), *load.judge_errors()] == []
        assert load.unexcused() == []
        assert max(load.longest_pauses().values()) <= PAUSE_MAX_S
        see_all(cluster)
        wait_until(
            lambda: engines_of(cluster) <= {"3"}, timeout_s=GONE_S, what="dropped groups leave no files"
        )
        for node in cluster.nodes:
            cluster.kill(node)
        for node in cluster.nodes:
            cluster.restart(node, wait=False)
        cluster.wait_ready()
        until_groups(cluster, 3)
        see_all(cluster)
        (group,) = status(cluster, 0)["groups"]
        assert group["slots"] == [[0, 16383]]


def test_groups_come_and_go_while_nodes_are_down(directory: Path) -> None:
    """Who was down when a group was made, or dropped, has what it should have when it comes back."""
    command = redraft_command("--groups", "2")
    with Cluster(directory, command=command, settings=SETTINGS) as cluster:
        with cluster.client(0) as client:
            write_all(client)
        cluster.kill(cluster.nodes[2])
        said = cluster.admin(cluster.nodes[0], "group", "split", "1")
        assert "Node 3 does not answer" in said.stderr, "chosen founders have to be there"
        cluster.restart(cluster.nodes[2])
        cluster.wait_ready()
        admin(cluster, "group", "split", "1")
        cluster.kill(cluster.nodes[1])
        admin(cluster, "group", "merge", "3", "--into", "2")
        until_groups(cluster, 1, 2)
        cluster.restart(cluster.nodes[1])
        until_groups(cluster, 1, 2)
        see_all(cluster)


def test_empty_groups_disturb_nobody(directory: Path) -> None:
    """A group without slots is led and listed; cluster clients and commands on all keys go on as before."""
    with Cluster(directory, command=redraft_command("--groups", "3"), settings=SETTINGS) as cluster:
        assert admin(cluster, "group", "create", "--on", "2") == "group 4 is made\n"
        until_groups(cluster, 1, 2, 3, 4)
        assert "\n4  " in admin(cluster, "group", "list")
        with cluster.client(0) as client:
            client.set("a", "1")
            assert client.dbsize() == 1
            assert client.keys() == [b"a"]
            assert client.randomkey() == b"a"
            assert client.execute_command("CLUSTER", "SHARDS")
            assert client.flushall()
        cluster.wait_until_leaders_stay()  # a count of all primaries asks those of the client's map
        with RedisCluster(HOST, cluster.nodes[1].port + PRIMARY_DISTANCE) as clients:
            for number in range(100):
                assert clients.set(f"key:{number}", number)
            assert clients.dbsize(target_nodes=RedisCluster.PRIMARIES) == 100
        refused = cluster.admin(cluster.nodes[0], "group", "drop", "1")
        assert "owns slots" in refused.stderr
        admin(cluster, "group", "drop", "4")
        until_groups(cluster, 1, 2, 3)


def change(cluster: Cluster, chance: random.Random) -> str:
    """Split a group or merge two of them, by way of any living node; returns what became of it."""
    node = chance.choice([node for node in cluster.nodes if node.living])
    known = [each["id"] for each in status(cluster, node)["groups"] if not each["dropping"]]
    if len(known) < 2 or (len(known) < GROUPS_WANTED and chance.random() < 0.6):
        words = ["SPLIT-GROUP", str(chance.choice(known))]
    else:
        words = ["MERGE-GROUPS", *map(str, chance.sample(known, 2))]
    try:
        with cluster.client(node) as client:
            client.execute_command("REDRAFT", *words)
    except redis.RedisError as error:  # refused: slots are on their way; or nobody leads the topology now
        return f"{words[0]}: {str(error)[:20]}"
    return words[0]


def test_groups_come_and_go_through_kills(directory: Path) -> None:
    """kill -9 of nodes while groups are split and merged: it all ends, nothing is lost, doubled or stale."""
    print("seed", SEED)
    chance = random.Random(SEED)
    with Cluster(directory, command=redraft_command("--groups", "2"), settings=SETTINGS) as cluster:
        bank = Bank(cluster, seed=SEED)
        begun: Counter[str] = Counter()
        with Workload(cluster, seed=SEED, clients_per_node=CLIENTS) as load, bank:
            load.progress(50)
            for _ in range(KILLS):
                for _ in range(2):
                    begun[change(cluster, chance)] += 1
                    load.progress(chance.randint(1, 30))
                victim = chance.choice(cluster.nodes)
                cluster.kill(victim)
                load.progress(chance.randint(5, 100), cluster.others(victim))
                begun[change(cluster, chance)] += 1
                cluster.restart(victim)
                for node in cluster.nodes:
                    until_no_moves(cluster, node)
        until_groups(cluster, *(each["id"] for each in status(cluster, 0)["groups"] if not each["dropping"]))
        report("groups through kills", {"kills": KILLS, **begun, **bank.summary(), **load.summary()})
        assert [*load.judge(cluster.nodes), *load.judge_errors(), *bank.judge()] == []
