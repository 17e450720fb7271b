"""redis-py in its four shapes: sync, asyncio, RESP3 and RedisCluster."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio
from redis.cluster import LoadBalancingStrategy, RedisCluster

from tests.cluster.harness import Cluster
from tests.cluster.ports import HOST

KEYS = 100


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_works_as_with_redis(cluster: Cluster, protocol: int) -> None:
    """The commands of a usual program, with the defaults of `redis.Redis(port=...)`, in RESP2 and RESP3."""
    prefix = f"py{protocol}"
    with redis.Redis(
        port=cluster.nodes[protocol - 1].port, protocol=protocol, decode_responses=True
    ) as client:
        assert client.ping()
        assert client.set(f"{prefix}:a", "1", ex=100)
        assert 0 < client.ttl(f"{prefix}:a") <= 100
        assert client.incr(f"{prefix}:a") == 2
        assert client.append(f"{prefix}:a", "x") == 2
        assert client.set(f"{prefix}:a", "no", nx=True) is None
        assert client.get(f"{prefix}:missing") is None
        assert client.mset({f"{{{prefix}}}:{number}": number for number in range(3)})
        assert client.mget([f"{{{prefix}}}:{number}" for number in range(3)]) == ["0", "1", "2"]
        assert client.delete(*[f"{{{prefix}}}:{number}" for number in range(3)]) == 3
        assert client.type(f"{prefix}:a") == "string"
        assert client.info("server")["redis_version"]
        assert client.client_id() > 0
        with pytest.raises(redis.ResponseError, match="not an integer"):
            client.incr(f"{prefix}:a")


def test_redis_py_pipeline_answers_in_order(cluster: Cluster) -> None:
    """Commands for all groups in one pipeline: each answer at its place, a read sees the write before it."""
    with redis.Redis(port=cluster.nodes[0].port, decode_responses=True) as client:
        pipe = client.pipeline(transaction=False)
        for number in range(KEYS):
            pipe.set(f"order:{number}", number)
            pipe.get(f"order:{number}")
            pipe.incr("order:count")
        assert pipe.execute() == [
            answer for number in range(KEYS) for answer in (True, str(number), number + 1)
        ]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_transactions_are_one(cluster: Cluster, protocol: int) -> None:
    """`pipeline()` as it is by default, with MULTI and EXEC, on every node; a watched key that changed."""
    tag = f"{{tx{protocol}}}"
    for node in cluster.nodes:
        with redis.Redis(port=node.port, protocol=protocol, decode_responses=True) as client:
            client.delete(f"{tag}a", f"{tag}b", f"{tag}h")
            pipe = client.pipeline(transaction=True)
            pipe.set(f"{tag}a", 1).incr(f"{tag}a").get(f"{tag}a").hset(f"{tag}h", "f", 1).hgetall(f"{tag}h")
            assert pipe.execute() == [True, 2, "2", 1, {"f": "1"}]
            pipe.set(f"{tag}b", "x").incr(f"{tag}b").get(f"{tag}b")
            replies = pipe.execute(raise_on_error=False)
            assert (replies[0], replies[2]) == (True, "x")
            assert isinstance(replies[1], redis.ResponseError)
            pipe.watch(f"{tag}a")
            client.set(f"{tag}a", 7)
            pipe.multi()
            pipe.set(f"{tag}a", 8)
            with pytest.raises(redis.WatchError):
                pipe.execute()
            assert client.get(f"{tag}a") == "7"


def test_redis_py_watch_loops_lose_no_update(cluster: Cluster) -> None:
    """Programs on all nodes count by WATCH, GET, MULTI, SET, EXEC, each again until it went through."""
    each, at_once = 20, 4

    def count(number: int) -> None:
        with redis.Redis(port=cluster.nodes[number % len(cluster.nodes)].port) as client:

            def add(pipe: redis.client.Pipeline) -> None:
                value = int(pipe.get("watched:count") or 0)
                pipe.multi()
                pipe.set("watched:count", value + 1)

            for _ in range(each):
                client.transaction(add, "watched:count")

    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(count, number) for number in range(at_once)]:
            done.result()
    with cluster.client(0) as client:
        assert client.get("watched:count") == b"%d" % (each * at_once)


def test_redis_py_scan_iter_sees_each_key_once(cluster: Cluster) -> None:
    """SCAN by cursor over all groups, DBSIZE at least as large."""
    with redis.Redis(port=cluster.nodes[1].port, decode_responses=True) as client:
        for number in range(KEYS):
            client.set(f"iter:{number}", number)
        assert sorted(client.scan_iter("iter:*", count=7)) == sorted(
            f"iter:{number}" for number in range(KEYS)
        )
        assert client.dbsize() >= KEYS


def test_redis_py_asyncio_many_at_once(cluster: Cluster) -> None:
    """A hundred coroutines increment one counter on all nodes: each sees a sum of its own."""

    async def count() -> list[int]:
        clients = [redis.asyncio.Redis(host=HOST, port=node.port) for node in cluster.nodes]
        try:
            each = [clients[number % len(clients)].incr("asyncio:count") for number in range(KEYS)]
            return list(await asyncio.gather(*each))
        finally:
            for client in clients:
                await client.aclose()

    assert sorted(asyncio.run(count())) == list(range(1, KEYS + 1))


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_cluster_seeded_with_a_client_port(cluster: Cluster, protocol: int) -> None:
    """RedisCluster finds the primaries of all slots from one client port, and reads what it wrote."""
    prefix = f"rc{protocol}"
    with RedisCluster(
        host=HOST, port=cluster.nodes[0].port, protocol=protocol, decode_responses=True
    ) as client:
        assert len(client.get_primaries()) == len(cluster.nodes)
        for number in range(KEYS):
            assert client.set(f"{prefix}:{number}", number)
        assert [client.get(f"{prefix}:{number}") for number in range(KEYS)] == [str(n) for n in range(KEYS)]
        assert client.mget_nonatomic([f"{prefix}:{number}" for number in range(KEYS)]) == [
            str(n) for n in range(KEYS)
        ]
        pipe = client.pipeline()
        for number in range(KEYS):
            pipe.incr(f"{prefix}:{number}")
        assert pipe.execute() == [number + 1 for number in range(KEYS)]


def test_redis_py_cluster_reads_from_replicas(cluster: Cluster) -> None:
    """With reads sent to replicas too, a read that follows an acknowledged write still sees it."""
    strategy = LoadBalancingStrategy.ROUND_ROBIN
    with RedisCluster(host=HOST, port=cluster.nodes[0].port, load_balancing_strategy=strategy) as client:
        for number in range(KEYS):
            client.set("replicas:last", number)
            assert client.get("replicas:last") == str(number).encode()


def test_redis_py_asyncio_cluster(cluster: Cluster) -> None:
    """The asyncio RedisCluster likewise."""

    async def use() -> list[bytes | str | None]:
        client = redis.asyncio.RedisCluster(host=HOST, port=cluster.nodes[1].port)
        try:
            for number in range(KEYS):
                await client.set(f"arc:{number}", number)
            return [await client.get(f"arc:{number}") for number in range(KEYS)]
        finally:
            await client.aclose()

    assert asyncio.run(use()) == [str(number).encode() for number in range(KEYS)]
