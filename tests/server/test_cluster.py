"""CLUSTER in Redis Cluster's formats, read by clients that know clusters."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from redis.cluster import ClusterNode, LoadBalancingStrategy, RedisCluster

from redraft.server.frontend import FrontEnd
from redraft.server.local.cluster import replica_id
from redraft.topology.cluster_map import Member, first_map
from redraft.transport.reactor import Reactor
from tests.server.fakenode import THREE, FakeNode, keyspaces
from tests.server.harness import Site

EITHER = LoadBalancingStrategy.ROUND_ROBIN


@pytest.fixture
def shared(site: Site) -> Site:
    site.node.led_by = {1: 1, 2: 2, 3: 3}
    site.tick()
    return site


def test_nodes_lists_masters_and_replicas_by_address(shared: Site) -> None:
    """A node is a master at its primary port and a replica at its replica port; `myself` goes by the port."""
    text = shared.client().ask("CLUSTER", "NODES").decode()
    lines = text.splitlines()[1:-1]
    one, two = THREE[0], THREE[1]
    assert lines[0] == f"{one.hex_id} 127.0.0.1:7379@16379 myself,master - 0 0 1 connected 0-5460"
    assert lines[1] == f"{replica_id(one)} 127.0.0.1:8379@16379 slave {two.hex_id} 0 0 2 connected"
    assert len(lines) == 6
    replica = shared.client(shared.front.replica_port)
    assert b"myself,slave" in replica.ask("CLUSTER", "NODES")
    assert replica.ask("CLUSTER", "MYID") == b"$40\r\n%b\r\n" % replica_id(one).encode()
    assert shared.client().ask("CLUSTER", "MYID") == b"$40\r\n%b\r\n" % one.hex_id.encode()


def test_slots_and_shards_name_primary_and_replica_ports(shared: Site) -> None:
    """The leader's primary port first, then the followers' replica ports."""
    client = shared.client()
    slots = client.ask("CLUSTER", "SLOTS")
    first = b"*5\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:7379\r\n$40\r\n%b\r\n*0\r\n"
    assert slots.startswith(b"*3\r\n" + first % THREE[0].hex_id.encode())
    assert slots.count(b":8379\r\n") == 2
    client.ask("HELLO", "3")
    shards = client.ask("CLUSTER", "SHARDS")
    assert shards.startswith(b"*3\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:5460\r\n$5\r\nnodes\r\n*3\r\n%7\r\n")


def test_info_counts_slots_and_masters(shared: Site) -> None:
    """The fields that clients look at."""
    text = shared.client().ask("CLUSTER", "INFO")
    for field in (
        b"cluster_state:ok",
        b"cluster_slots_assigned:16384",
        b"cluster_slots_ok:16384",
        b"cluster_size:3",
    ):
        assert field + b"\r\n" in text


def test_keyslot_is_the_keys_slot(site: Site) -> None:
    """As Redis computes it."""
    assert site.client().ask("CLUSTER", "KEYSLOT", "{foo}bar") == b":12182\r\n"


class Trio:
    """Three front ends on one reactor in a thread, over the same keyspaces; node n leads group n."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        listeners = [[socket.create_server(("127.0.0.1", 0)) for _ in range(3)] for _ in range(3)]
        members = [
            Member(n + 1, f"{n + 1:040x}", "127.0.0.1", *(s.getsockname()[1] for s in three), 1)
            for n, three in enumerate(listeners)
        ]
        cluster = first_map("c", members, groups=3, replication_factor=3)
        contexts = keyspaces(cluster)
        self.fronts = []
        for member, three in zip(members, listeners, strict=True):
            node = FakeNode(node_id=member.node_id, members=members, contexts=contexts)
            node.led_by = {1: 1, 2: 2, 3: 3}
            front = FrontEnd(node, self.reactor)
            for sock, port in zip(
                three, (front.client_port, front.primary_port, front.replica_port), strict=True
            ):
                sock.setblocking(False)
                front.adopt_listener(sock, port)
            self.fronts.append(front)
        self.members = members
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            self.reactor.cycle(0.01)

    def close(self) -> None:
        self._stop = True
        self._thread.join()
        for front in self.fronts:
            front.close()
        self.reactor.close()


@pytest.fixture
def three() -> Iterator[Trio]:
    three = Trio()
    yield three
    three.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_cluster_client_finds_its_way_from_a_client_port(three: Trio, protocol: int) -> None:
    """RedisCluster seeded with a client port uses primary ports for writes, replica ports for its reads."""
    seed = ClusterNode("127.0.0.1", three.members[1].client_port)
    with RedisCluster(startup_nodes=[seed], protocol=protocol, load_balancing_strategy=EITHER) as cluster:
        for number in range(100):
            assert cluster.set(f"key:{number}", number)
        assert [cluster.get(f"key:{number}") for number in range(100)] == [b"%d" % n for n in range(100)]
        primaries = {node.port for node in cluster.get_primaries()}
        replicas = {node.port for node in cluster.get_replicas()}
        assert primaries == {member.primary_port for member in three.members}
        assert replicas == {member.replica_port for member in three.members}
        assert sum(node.redis_connection.dbsize() for node in cluster.get_primaries()) == 100
        assert len(set(cluster.scan_iter(target_nodes=RedisCluster.PRIMARIES))) == 100
        assert cluster.delete("key:1", "key:2", "key:3") == 3
        assert cluster.flushall()
        assert three.fronts[0].node.info()["keyspace"]["keys"] == 0


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_client_sees_one_big_redis(three: Trio, protocol: int) -> None:
    """The plain client, on any node."""
    member = three.members[2]
    with redis.Redis(port=member.client_port, protocol=protocol, client_name="me") as client:
        with client.pipeline(transaction=False) as pipeline:
            for number in range(500):
                pipeline.set(f"key:{number}", number).get(f"key:{number}")
            replies = pipeline.execute()
        assert replies == [each for number in range(500) for each in (True, b"%d" % number)]
        assert client.dbsize() == 500
        assert len(client.keys("key:1*")) == 111
        assert len(set(client.scan_iter(count=17))) == 500
        assert client.info("server")["redis_mode"] == "standalone"
        assert client.client_list()[0]["name"] == "me"
        assert client.config_get("maxcl*") == {"maxclients": "10000"}
        assert client.command_count() > 50
        assert client.command_getkeys("MSET", "a", 1, "b", 2) in (["a", "b"], [b"a", b"b"])
        assert client.flushall()
