"""Channels across a real cluster, with Redis's own clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import RedisCluster

from redraft.accel.scan import key_slot
from tests.cluster.harness import Cluster, Node, connect
from tests.cluster.ports import HOST, PRIMARY_DISTANCE
from tests.cluster.waiting import wait_until

PATIENCE_S = 20.0
PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3])


def next_of(get: Callable[[], Any], what: str) -> Any:
    """The next message that is no confirmation."""
    found: list[Any] = []

    def came() -> bool:
        message = get()
        if message is not None and "subscribe" not in message["type"]:
            found.append(message)
        return bool(found)

    wait_until(came, timeout_s=PATIENCE_S, what=what)
    return found[0]


def next_message(listener: Any) -> Any:
    """Of one node's listener."""
    return next_of(lambda: listener.get_message(timeout=1.0), "a message")


def confirmed(pubsub: Any, count: int) -> None:
    """Wait for so many confirmations of subscriptions."""
    for _ in range(count):
        message = pubsub.get_message(timeout=PATIENCE_S)
        assert message is not None, "no confirmation"
        assert "subscribe" in message["type"]


@PROTOCOLS
def test_redis_py_pubsub_between_all_nodes(cluster: Cluster, protocol: int) -> None:
    """A listener at each node hears what is published at any, by channel, pattern and shard channel."""
    name = f"news{protocol}"
    clients = [redis.Redis(host=HOST, port=node.port, protocol=protocol) for node in cluster.nodes]
    listeners = [client.pubsub() for client in clients]
    for listener in listeners:
        listener.subscribe(name)
        listener.psubscribe(f"{name[:3]}*{protocol}")
        listener.ssubscribe(name)
        confirmed(listener, 3)
    for at, client in enumerate(clients):
        assert client.publish(name, f"from {at}") == 2
        assert client.spublish(name, f"sharded {at}") == 1
        for listener in listeners:
            heard = [next_message(listener) for _ in range(3)]  # type: ignore[misc]
            assert [message["type"] for message in heard] == ["message", "pmessage", "smessage"]
            assert [message["data"].decode() for message in heard] == [f"from {at}"] * 2 + [f"sharded {at}"]
    for listener, client in zip(listeners, clients, strict=True):
        listener.close()
        client.close()


@PROTOCOLS
def test_redis_py_pubsub_hears_of_what_was_written_before(cluster: Cluster, protocol: int) -> None:
    """Whoever hears of a write, published behind it or with it in a transaction, at another node finds it."""
    name = f"written{protocol}"
    writer, reader = (
        redis.Redis(host=HOST, port=node.port, protocol=protocol)
        for node in (cluster.nodes[0], cluster.nodes[1])
    )
    with closing(writer), closing(reader), reader.pubsub() as listener:
        listener.subscribe(name)
        confirmed(listener, 1)
        for number in range(100):
            pipe = writer.pipeline(transaction=number % 2 == 0)
            pipe.set(f"{name}:{number}", number)
            pipe.publish(name, str(number))
            pipe.execute()
            heard = next_message(listener)
            assert heard["data"] == reader.get(f"{name}:{number}") == b"%d" % number


def test_redis_py_asyncio_pubsub_loses_nothing_to_who_reads(cluster: Cluster) -> None:
    """Thousands of messages, published at one node and heard at another: all of them, in their order."""
    count = 5000

    async def run() -> list[bytes]:
        publisher = redis.asyncio.Redis(host=HOST, port=cluster.nodes[0].port)
        client = redis.asyncio.Redis(host=HOST, port=cluster.nodes[2].port)
        heard: list[bytes] = []
        async with publisher, client, client.pubsub() as listener:
            await listener.subscribe("many")
            assert (await listener.get_message(timeout=PATIENCE_S)) is not None
            for first in range(0, count, 500):
                pipe = publisher.pipeline(transaction=False)
                for number in range(first, first + 500):
                    pipe.publish("many", str(number))
                await pipe.execute()
            while len(heard) < count:
                message = await listener.get_message(timeout=PATIENCE_S)
                assert message is not None, len(heard)
                heard.append(message["data"])
        return heard

    assert asyncio.run(run()) == [b"%d" % number for number in range(count)]


@PROTOCOLS
def test_redis_py_cluster_sharded_pubsub(cluster: Cluster, protocol: int) -> None:
    """RedisCluster subscribes to each channel where its slot is led, and publishes there."""
    names = [f"shard{protocol}:{number}" for number in range(12)]
    cluster.wait_until_leaders_stay()
    with RedisCluster(host=HOST, port=cluster.nodes[0].port + PRIMARY_DISTANCE, protocol=protocol) as client:
        listener = client.pubsub()
        for name in names:
            listener.ssubscribe(name)
        assert len(listener.node_pubsub_mapping) > 1, "they have one leader"
        for name in names:
            wait_until(lambda name=name: subscribed(cluster, name), timeout_s=PATIENCE_S, what=name)  # type: ignore[misc]
        for name in names:
            assert client.spublish(name, f"to {name}") == 1
        heard = {
            next_of(lambda: listener.get_sharded_message(timeout=0.2), "a message")["data"] for _ in names
        }
        assert heard == {f"to {name}".encode() for name in names}
        listener.sunsubscribe(*names)
        listener.close()
        plain = client.pubsub()
        plain.subscribe("everywhere")
        confirmed(plain, 1)
        client.publish("everywhere", "here")
        assert next_message(plain)["data"] == b"here"
        plain.close()


def subscribed(cluster: Cluster, name: str) -> bool:
    """Whether anybody at any node listens to a shard channel."""
    for node in cluster.nodes:
        with connect(node.port) as client:
            if dict(client.pubsub_shardnumsub(name))[name.encode()]:
                return True
    return False


def test_redis_cli_follows_shard_channels(cluster: Cluster) -> None:
    """redis-cli -c goes where the slot is led, and hears there what is published at a third node."""
    name = "followed"
    cluster.wait_until_leaders_stay()
    leader = cluster.leader_of(name)
    other = next(node for node in cluster.nodes if node is not leader)
    command = ["redis-cli", "-c", "-h", HOST, "-p", str(other.port + PRIMARY_DISTANCE), "SSUBSCRIBE", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: listens(leader, name), timeout_s=PATIENCE_S, what="redis-cli has moved")
            for at in (leader.port, other.port):
                with connect(at) as client:
                    client.spublish(name, f"at {at}")
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(9)]
        finally:
            process.terminate()
    assert said[:3] == ["ssubscribe", name, "1"]
    assert said[3:] == ["smessage", name, f"at {leader.port}", "smessage", name, f"at {other.port}"]


def listens(node: Node, name: str) -> bool:
    """Whether anybody at a node listens to a shard channel."""
    with connect(node.port) as client:
        return dict(client.pubsub_shardnumsub(name))[name.encode()] == 1


def test_pubsub_tells_listeners_when_their_slot_moves(directory: Path) -> None:
    """At the primary port that led it, not at the client port; a cluster client listens again elsewhere."""
    name = "moving"
    with Cluster(directory) as cluster:
        cluster.wait_until_leaders_stay()
        leader, slot = cluster.leader_of(name), key_slot(name.encode())
        with cluster.client(leader) as anywhere, connect(leader.port + PRIMARY_DISTANCE) as client:
            there, here = client.pubsub(), anywhere.pubsub()
            for listener in (there, here):
                listener.ssubscribe(name)
                confirmed(listener, 1)
            anywhere.execute_command("REDRAFT", "MOVE-SLOTS", slot, led_elsewhere(anywhere))
            told = there.get_message(timeout=PATIENCE_S)
            assert told is not None
            assert (told["type"], told["channel"], told["data"]) == ("sunsubscribe", name.encode(), 0)
            assert anywhere.spublish(name, "still") == 1
            assert next_message(here)["data"] == b"still"
            there.close()
            here.close()
        wait_until(lambda: cluster.leader_of(name) is not leader, timeout_s=PATIENCE_S, what="all know")
        with RedisCluster(host=HOST, port=leader.port) as client:
            again = client.pubsub()
            again.ssubscribe(name)
            wait_until(
                lambda: listens(cluster.leader_of(name), name), timeout_s=PATIENCE_S, what="it listens again"
            )
            client.spublish(name, "again")
            assert next_of(lambda: again.get_sharded_message(timeout=0.2), "a message")["data"] == b"again"
            again.close()


def led_elsewhere(client: redis.Redis) -> int:
    """A group that the node which is asked does not lead."""
    status = json.loads(client.execute_command("REDRAFT", "STATUS"))
    return int(next(group["id"] for group in status["groups"] if group["leader"] != status["node"]))
