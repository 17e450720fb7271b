"""Redis Cluster's clients, unchanged: from any seed, through kills, restarts, moves and other addresses."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import LoadBalancingStrategy, RedisCluster

from tests.cluster.harness import READY_S, Cluster, Node, redraft_command
from tests.cluster.ports import HOST, PRIMARY_DISTANCE, REPLICA_DISTANCE
from tests.cluster.programs import run
from tests.cluster.waiting import wait_until

SEEDS = pytest.mark.parametrize(
    "distance", [0, PRIMARY_DISTANCE, REPLICA_DISTANCE], ids=["client port", "primary port", "replica port"]
)
KEYS = [f"counted:{number}" for number in range(24)]
"""In every group of a small cluster."""

OF_THE_CLIENT = (AttributeError, IndexError)
"""redis-py's own, with Redis too: its asyncio client meets the first when many commands read the map at once,
its round robin the second when a slot has fewer replicas than a moment ago."""


def plain(said: str) -> str:
    """What redis-cli says, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", said)


def all_lead(at: Node) -> bool:
    """Whether by CLUSTER NODES of one node every master that lives has slots: redis-benchmark needs two."""
    lines = [line.split() for line in run("redis-cli", at.port, "cluster", "nodes").splitlines()]
    return all(len(line) > 8 for line in lines if line[2] == "master")


def led_by(node: Node) -> list[str]:
    """The slots that a node leads, by CLUSTER NODES at its primary port."""
    lines = run("redis-cli", node.port + PRIMARY_DISTANCE, "cluster", "nodes").splitlines()
    return next(line.split()[8:] for line in lines if "myself" in line)


@pytest.fixture
def spread(cluster: Cluster) -> Cluster:
    """The shared cluster, once every node leads a group and none is about to be handed over."""
    cluster.wait_until_leaders_stay()
    for node in cluster.nodes:
        wait_until(
            lambda node=node: all_lead(node),  # type: ignore[misc]
            timeout_s=READY_S,
            what="leaders are spread",
        )
    return cluster


# ---- from any seed ----


@SEEDS
@pytest.mark.filterwarnings("ignore:.*read_from_replicas:DeprecationWarning")
@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_cluster_from_any_seed(spread: Cluster, distance: int, protocol: int) -> None:
    """The same nodes whoever is asked; writes, reads from replicas, pipelines, the keyspace."""
    prefix = f"seed{protocol}{distance}"
    for node in spread.nodes:
        with RedisCluster(
            host=HOST, port=node.port + distance, protocol=protocol, read_from_replicas=True
        ) as client:
            ports = {each.port for each in spread.nodes}
            assert {each.port - PRIMARY_DISTANCE for each in client.get_primaries()} == ports
            assert {each.port - REPLICA_DISTANCE for each in client.get_replicas()} == ports
            for number in range(30):
                assert client.set(f"{prefix}:{number}", number)
                assert client.get(f"{prefix}:{number}") == b"%d" % number
            pipe = client.pipeline()
            for number in range(30):
                pipe.incr(f"{prefix}:{number}")
            assert pipe.execute() == [number + 1 for number in range(30)]
            found = client.scan_iter(match=f"{prefix}:*", count=10)
            assert sorted(found) == sorted(b"%b:%d" % (prefix.encode(), number) for number in range(30))
            assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) >= 30
            assert client.delete(*[f"{prefix}:{number}" for number in range(30)]) == 30


@SEEDS
def test_redis_py_asyncio_cluster_from_any_seed(cluster: Cluster, distance: int) -> None:
    """The asyncio client likewise, each read from any replica."""

    async def use(node: Node) -> list[bytes | str | None]:
        client = redis.asyncio.RedisCluster(
            host=HOST,
            port=node.port + distance,
            load_balancing_strategy=LoadBalancingStrategy.RANDOM_REPLICA,
        )
        await client.initialize()  # redis-py 8.1, used at once by many before that, fails; with Redis too
        try:
            await asyncio.gather(*(client.set(f"aseed:{number}", number) for number in range(60)))
            return list(await asyncio.gather(*(client.get(f"aseed:{number}") for number in range(60))))
        finally:
            await client.aclose()

    for node in cluster.nodes:
        assert asyncio.run(use(node)) == [b"%d" % number for number in range(60)]


@SEEDS
def test_redis_cli_cluster_info_check_and_call_from_any_seed(spread: Cluster, distance: int) -> None:
    """Each primary once, each key once, all slots covered, all nodes agreed, every address called."""
    with spread.client(0) as client:
        for number in range(50):
            client.set(f"counted-once:{number}", 1)
        keys = client.dbsize()
    for node in spread.nodes:
        seed = f"{HOST}:{node.port + distance}"
        told = plain(run("redis-cli", node.port, "--cluster", "info", seed))
        assert f"[OK] {keys} keys in 3 masters" in told
        checked = plain(run("redis-cli", node.port, "--cluster", "check", seed))
        assert "[OK] All nodes agree about slots configuration" in checked
        assert "[OK] All 16384 slots covered" in checked
        for each in spread.nodes:
            assert f"M: {master_id(each)} {HOST}:{each.port + PRIMARY_DISTANCE}" in checked
        called = plain(run("redis-cli", node.port, "--cluster", "call", seed, "ping"))
        for each in spread.nodes:
            assert f"{HOST}:{each.port + PRIMARY_DISTANCE}: PONG" in called
            assert f"{HOST}:{each.port + REPLICA_DISTANCE}: PONG" in called


def master_id(node: Node) -> str:
    """The id of a node's primary port."""
    return run("redis-cli", node.port + PRIMARY_DISTANCE, "cluster", "myid").strip()


@SEEDS
def test_redis_benchmark_cluster_from_any_seed(spread: Cluster, distance: int) -> None:
    """It finds three masters and says no error."""
    for node in spread.nodes:
        said = run("redis-benchmark", node.port + distance, "--cluster", "-t", "set,get", "-q", "-n", "600")
        assert "Cluster has 3 master nodes" in said
        assert "error" not in said.lower()


def test_cluster_replicas_and_links_by_redis_py(spread: Cluster) -> None:
    """What redis-py parses: every master's replicas, the links, who is suspected of nothing."""
    with RedisCluster(host=HOST, port=spread.nodes[0].port) as client:
        primary = client.get_primaries()[0]
        name = client.cluster_myid(primary).decode()
        assert len(client.cluster_replicas(name)) == 2
        assert len(client.cluster_links(primary)) == 4
        assert client.cluster_count_failure_report(name) == 0
        assert len(client.cluster_myshardid(primary)) == 40
        shards = client.cluster_shards()
        assert {node[b"health"] for shard in shards for node in shard["nodes"]} == {b"online"}


# ---- while nodes come and go ----


@dataclass
class Counts:
    """What a client that counts has met: the successes of each key, and the errors with their times."""

    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KEYS, 0))
    errors: list[tuple[float, float, Exception]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def took(self, key: str, counted: int, read: int) -> None:
        """A read from anywhere that follows an acknowledged increment sees it."""
        if read < counted:
            self.wrong.append(f"{key}: {counted} was acknowledged, {read} was read")
        self.done[key] += 1

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep an error and when it was."""
        start = time.monotonic()
        try:
            yield
        except (redis.RedisError, *OF_THE_CLIENT) as error:
            self.errors.append((start, time.monotonic(), error))

    def wait_for_more(self) -> None:
        """Until every key has been counted some more times."""
        before = dict(self.done)
        wait_until(
            lambda: all(self.done[key] >= before[key] + 3 for key in KEYS),
            timeout_s=READY_S,
            what="keys of all groups are counted",
        )

    def check(self, cluster: Cluster) -> None:
        """Nothing stale, and no errors but while a node was out."""
        assert not self.wrong
        unexcused = [
            error
            for start, end, error in self.errors
            if not isinstance(error, OF_THE_CLIENT)
            and not any(node.was_out(start, end) for node in cluster.nodes)
        ]
        assert not unexcused


@contextmanager
def counting(cluster: Cluster, seed: int, prefix: str) -> Iterator[Counts]:
    """A RedisCluster in a thread that increments and reads from replicas, until the block ends."""
    counts, stop = Counts(), threading.Event()

    def go() -> None:
        with RedisCluster(
            host=HOST,
            port=seed,
            load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
            socket_timeout=20,
        ) as client:
            while not stop.is_set():
                for key in KEYS:
                    with counts.noting():
                        counted = client.incr(f"{prefix}:{key}")
                        counts.took(key, counted, int(client.get(f"{prefix}:{key}")))

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join()
    counts.check(cluster)


@contextmanager
def counting_async(
    cluster: Cluster, seed: int, prefix: str, *, at_once: int = len(KEYS), **options: Any
) -> Iterator[Counts]:
    """The same by the asyncio client, so many keys at once."""
    counts, stop = Counts(), threading.Event()

    async def one(client: Any, key: str, turn: asyncio.Semaphore) -> None:
        while not stop.is_set():
            async with turn:
                with counts.noting():
                    counted = await client.incr(f"{prefix}:{key}")
                    counts.took(key, counted, int(await client.get(f"{prefix}:{key}")))

    async def go() -> None:
        client = redis.asyncio.RedisCluster(
            host=HOST,
            port=seed,
            load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN_REPLICAS,
            socket_timeout=20,
            **options,
        )
        await client.initialize()
        turn = asyncio.Semaphore(at_once)
        workers: list[Awaitable[None]] = [one(client, key, turn) for key in KEYS]
        await asyncio.gather(*workers)
        await client.aclose()

    thread = threading.Thread(target=asyncio.run, args=(go(),))
    thread.start()
    try:
        yield counts
    finally:
        stop.set()
        thread.join()
    counts.check(cluster)


def flags(at: Node, of: Node) -> set[str]:
    """What CLUSTER NODES on one node says of both addresses of another."""
    wanted = {f"{HOST}:{of.port + distance}" for distance in (PRIMARY_DISTANCE, REPLICA_DISTANCE)}
    lines = [line.split() for line in run("redis-cli", at.port, "cluster", "nodes").splitlines()]
    return {flag for line in lines if line[1].partition("@")[0] in wanted for flag in line[2].split(",")}


@pytest.mark.parametrize("count", [counting, counting_async], ids=["sync", "asyncio"])
def test_redis_py_cluster_lives_through_a_kill_and_a_restart(
    directory: Path, count: Callable[..., Any]
) -> None:
    """kill -9 of the seed: the client goes on with the others, no read is stale; back, it is used again."""
    with Cluster(directory) as cluster:
        victim, survivor, _ = cluster.nodes
        with count(cluster, victim.port + REPLICA_DISTANCE, "kill") as counts:
            counts.wait_for_more()
            cluster.kill(victim)
            counts.wait_for_more()
            wait_until(
                lambda: {"fail"} <= flags(survivor, victim), timeout_s=READY_S, what="the dead node is told"
            )
            checked = plain(run("redis-cli", 0, "--cluster", "check", f"{HOST}:{survivor.port}"))
            assert "[OK] All 16384 slots covered" in checked
            wait_until(lambda: all_lead(survivor), timeout_s=READY_S, what="both survivors lead")
            said = run("redis-benchmark", survivor.port, "--cluster", "-t", "set,get", "-q", "-n", "600")
            assert "error" not in said.lower()
            cluster.restart(victim)
            wait_until(
                lambda: flags(survivor, victim) == {"master", "slave"},
                timeout_s=READY_S,
                what="the node that is back is shown as well",
            )
            counts.wait_for_more()


def test_redis_py_cluster_lives_through_a_move_to_a_new_node(directory: Path) -> None:
    """A group moves to a node that joined: the client meets no error and finds its way there."""
    with Cluster(directory) as cluster:
        with counting(cluster, cluster.nodes[1].port, "move") as counts:
            counts.wait_for_more()
            new = cluster.join(cluster.nodes[0])
            moved = cluster.admin(new, "group", "move", "1", "--to", "4,2,3", "--wait")
            assert moved.returncode == 0, moved.stderr
            wait_until(lambda: led_by(new), timeout_s=READY_S, what="the new node leads the group")
            counts.wait_for_more()
        assert not counts.errors
        with RedisCluster(host=HOST, port=cluster.nodes[0].port) as client:
            assert client.nodes_manager.get_node_from_slot(0).port == new.port + PRIMARY_DISTANCE


def test_redis_benchmark_cluster_follows_leaders_that_change(directory: Path) -> None:
    """It is redirected while it runs, takes the new map, and says no error."""
    with Cluster(directory) as cluster, ThreadPoolExecutor(1) as pool:
        node = cluster.nodes[0]
        wait_until(lambda: all_lead(node), timeout_s=READY_S, what="leaders are spread")
        load = ("--cluster", "-t", "set", "-n", "20000", "-r", "9999", "-q")
        said = pool.submit(run, "redis-benchmark", node.port, *load)
        with cluster.client(node) as client:
            for group in (1, 2):  # the first of the nodes that are named is to lead
                client.execute_command("REDRAFT", "MOVE-GROUP", group, 3, 1, 2)
        wait_until(
            lambda: len(led_by(cluster.nodes[2])) == 3, timeout_s=READY_S, what="one node leads everything"
        )
        assert "requests per second" in said.result()
        assert "error" not in said.result().lower()


# ---- other addresses outside ----


def test_announced_host_is_where_clients_are_sent(directory: Path) -> None:
    """SLOTS, MOVED and redis-cli --cluster name it; announced anew at a restart, the others tell so too."""
    with Cluster(directory, command=redraft_command("--groups", "3", "--announce", "localhost")) as cluster:
        node = cluster.nodes[0]

        def hosts(at: Node) -> set[str]:
            told = run("redis-cli", at.port, "cluster", "nodes").splitlines()
            return {line.split()[1].rpartition(":")[0] for line in told}

        wait_until(
            lambda: all(hosts(each) == {"localhost"} for each in cluster.nodes),
            timeout_s=READY_S,
            what="all announcements are known everywhere",
        )
        with RedisCluster(host=HOST, port=node.port) as client:
            assert {each.host for each in client.get_nodes()} <= {"localhost", HOST}
            for number in range(30):
                assert client.set(f"announced:{number}", number)
        moved = {
            run("redis-cli", node.port + PRIMARY_DISTANCE, "get", f"announced:{number}")
            for number in range(30)
        }
        assert any(re.match(r"MOVED \d+ localhost:\d+", each) for each in moved)
        told = plain(run("redis-cli", 0, "--cluster", "info", f"localhost:{node.port + PRIMARY_DISTANCE}"))
        assert f"localhost:{cluster.nodes[1].port + PRIMARY_DISTANCE}" in told
        cluster.terminate(node)
        at = node.process.command.index("--announce")
        node.process.command[at + 1] = HOST
        cluster.restart(node)
        wait_until(
            lambda: hosts(cluster.nodes[1]) == {"localhost", HOST},
            timeout_s=READY_S,
            what="the new announcement is known",
        )
