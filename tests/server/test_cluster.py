"""CLUSTER in Redis Cluster's formats, read by clients that know clusters."""

from __future__ import annotations

import errno
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
from redis.cluster import ClusterNode, LoadBalancingStrategy, RedisCluster

from redraft.accel.scan import key_slot
from redraft.base.announced import Announced
from redraft.server.frontend import FrontEnd
from redraft.server.shown import client_id, replica_id
from redraft.topology.cluster_map import Member, first_map
from redraft.transport.reactor import Reactor
from tests.server.fakenode import THREE, FakeNode, keyspaces
from tests.server.harness import Client, Site

EITHER = LoadBalancingStrategy.ROUND_ROBIN


def nodes_of(client: Client) -> list[str]:
    """The lines of CLUSTER NODES, with 0 for when nodes last answered."""
    lines = client.ask("CLUSTER", "NODES").decode().splitlines()[1:-1]
    return [re.sub(r" 0 \d{13} ", " 0 0 ", line) for line in lines]


@pytest.fixture
def shared(site: Site) -> Site:
    site.node.led_by = {1: 1, 2: 2, 3: 3}
    site.tick()
    return site


def test_nodes_lists_masters_and_replicas_by_address(shared: Site) -> None:
    """A node is a master at its primary port and a replica at its replica port; `myself` goes by the port."""
    lines = nodes_of(shared.client(shared.front.primary_port))
    one, two, three = THREE
    assert lines[0] == f"{one.hex_id} 127.0.0.1:7379@16379 myself,master - 0 0 1 connected 0-5460"
    assert lines[1] == f"{replica_id(one)} 127.0.0.1:8379@16379 slave {two.hex_id} 0 0 1 connected"
    assert lines[5].split()[3] == one.hex_id
    assert lines[3].split()[3] == three.hex_id, "each master has a replica"
    assert len(lines) == 6
    replica = shared.client(shared.front.replica_port)
    (own,) = (line for line in nodes_of(replica) if "myself" in line)
    assert own.startswith(f"{replica_id(one)} 127.0.0.1:8379@16379 myself,slave {two.hex_id}")


def test_nodes_at_the_client_port_has_that_address_too(shared: Site) -> None:
    """It answers for all slots, so it is a replica of its node's primary port, and counts no key twice."""
    lines = nodes_of(shared.client())
    (own,) = (line for line in lines if "myself" in line)
    one = THREE[0]
    assert own == f"{client_id(one)} 127.0.0.1:6379@16379 myself,slave {one.hex_id} 0 0 1 connected"
    assert len(lines) == 7


def test_each_port_has_an_id_and_its_masters_shard(shared: Site) -> None:
    """CLUSTER MYID is the id of `myself`; MYSHARDID is the same for a master and its replicas."""
    front, two = shared.front, THREE[1]
    ids = {port.name: shared.client(port).ask("CLUSTER", "MYID") for port in front.ports}
    assert ids["primary"] == b"$40\r\n%b\r\n" % THREE[0].hex_id.encode()
    assert ids["replica"] == b"$40\r\n%b\r\n" % replica_id(THREE[0]).encode()
    assert ids["client"] == b"$40\r\n%b\r\n" % client_id(THREE[0]).encode()
    shards = {port.name: shared.client(port).ask("CLUSTER", "MYSHARDID") for port in front.ports}
    assert shards["primary"] == shards["client"] != shards["replica"]
    with Site(node_id=two.node_id) as other:
        other.node.led_by = {1: 1, 2: 2, 3: 3}
        other.tick()
        assert other.client(other.front.primary_port).ask("CLUSTER", "MYSHARDID") == shards["replica"]


def test_node_of_no_group_shows_its_replica_port_to_who_asks_there(site: Site) -> None:
    """`redis-cli --cluster` needs a line of its own wherever it asks."""
    assert len(nodes_of(site.client(site.front.primary_port))) == 5, "node 1 leads all, and follows none"
    (own,) = (line for line in nodes_of(site.client(site.front.replica_port)) if "myself" in line)
    assert own.split()[3] == THREE[0].hex_id


def test_dead_nodes_are_told(shared: Site) -> None:
    """`fail?` when a node does not answer, `fail` when that lasts; its replica port leaves CLUSTER SLOTS."""
    client = shared.client(shared.front.primary_port)
    two = THREE[1]
    shared.node.silent_ms = {2: 400.0}
    lines = [line.split() for line in nodes_of(client)]
    assert [line[2] for line in lines if line[0] in (two.hex_id, replica_id(two))] == [
        "master,fail?",
        "slave,fail?",
    ]
    assert {line[7] for line in lines if line[0] == two.hex_id} == {"disconnected"}
    assert b"cluster_state:ok\r\n" in client.ask("CLUSTER", "INFO")
    assert b"cluster_slots_pfail:5461\r\n" in client.ask("CLUSTER", "INFO")
    slots = client.ask("CLUSTER", "SLOTS")
    assert b":7380\r\n" not in slots, "who may be elected stands in for it"
    assert b":8380\r\n" not in slots
    assert b"$4\r\nfail\r\n" not in client.ask("CLUSTER", "SHARDS")
    assert client.ask("CLUSTER", "COUNT-FAILURE-REPORTS", two.hex_id) == b":1\r\n"
    shared.node.silent_ms = {2: 60_000.0}
    assert [line.split()[2] for line in nodes_of(client) if line.startswith(two.hex_id)] == ["master,fail"]
    assert b"cluster_state:fail\r\n" in client.ask("CLUSTER", "INFO")
    assert client.ask("CLUSTER", "SHARDS").count(b"$4\r\nfail\r\n") == 2


def test_replicas_are_those_of_a_masters_groups(shared: Site) -> None:
    """REPLICAS and SLAVES; a replica has none, an unknown id is an error in Redis's words."""
    client = shared.client(shared.front.primary_port)
    one, two, three = THREE
    for word in ("REPLICAS", "slaves"):
        reply = client.ask("CLUSTER", word, one.hex_id).decode()
        assert reply.startswith("*2\r\n")
        for each in (two, three):
            assert (
                f"{replica_id(each)} 127.0.0.1:{each.replica_port}@{each.peer_port} slave {one.hex_id}"
                in reply
            )
    refused = b"-ERR The specified node is not a master\r\n"
    assert client.ask("CLUSTER", "REPLICAS", replica_id(two)) == refused
    assert client.ask("CLUSTER", "REPLICAS", "x") == b"-ERR Unknown node x\r\n"
    assert client.ask("CLUSTER", "COUNT-FAILURE-REPORTS", "x") == b"-ERR Unknown node x\r\n"
    assert client.ask("CLUSTER", "COUNT-FAILURE-REPORTS", one.hex_id) == b":0\r\n"


def test_links_are_two_for_each_peer_that_is_linked(shared: Site) -> None:
    """Redis's fields; who has no link is not there."""
    client = shared.client(shared.front.primary_port)
    shared.node.silent_ms = {3: 400.0}
    reply = client.ask("CLUSTER", "LINKS")
    assert reply.startswith(b"*2\r\n*12\r\n$9\r\ndirection\r\n$2\r\nto\r\n$4\r\nnode\r\n")
    fields = (b"create-time", b"events", b"send-buffer-allocated", b"send-buffer-used")
    assert all(reply.count(field) == 2 for field in fields)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("MEET", "10.0.0.1", "6379"), b"redraft server --join"),
        (("FORGET", THREE[1].hex_id), b"redraft node remove"),
        (("ADDSLOTS", "1"), b"redraft slots move"),
        (("ADDSLOTSRANGE", "1", "2"), b"redraft slots move"),
        (("DELSLOTS", "1"), b"redraft slots move"),
        (("DELSLOTSRANGE", "1", "2"), b"redraft slots move"),
        (("FLUSHSLOTS",), b"redraft slots move"),
        (("SETSLOT", "1", "NODE", THREE[1].hex_id), b"redraft slots move"),
        (("FAILOVER",), b"redraft group move"),
        (("REPLICATE", THREE[1].hex_id), b"redraft group move"),
        (("RESET", "HARD"), b"redraft node remove"),
        (("SET-CONFIG-EPOCH", "3"), b"only when the node does not know any other node."),
    ],
)
def test_changes_by_redis_means_are_refused_with_ours(
    site: Site, words: tuple[str, ...], says: bytes
) -> None:
    """Each says what to do instead; with too few words it is Redis's error of arity."""
    client = site.client(site.front.primary_port)
    reply = client.ask("CLUSTER", *words)
    assert reply.startswith(b"-ERR ")
    assert says in reply


def test_what_is_so_already_is_said(site: Site) -> None:
    """BUMPEPOCH and SAVECONFIG find nothing to do; ASKING, READONLY and READWRITE are accepted anywhere."""
    for port in site.front.ports:
        client = site.client(port)
        assert client.ask("CLUSTER", "BUMPEPOCH") == b"+STILL 1\r\n"
        assert client.ask("CLUSTER", "SAVECONFIG") == b"+OK\r\n"
        for word in ("ASKING", "READONLY", "READWRITE"):
            assert client.ask(word) == b"+OK\r\n"
        assert (
            client.ask("CLUSTER", "MEET", "x")
            == b"-ERR wrong number of arguments for 'cluster|meet' command\r\n"
        )


def test_saveconfig_says_why_it_could_not(site: Site) -> None:
    """In Redis's words, with the reason."""
    client = site.client()
    site.node.disk_error = OSError(errno.ENOSPC, "No space left on device")
    said = b"-ERR error saving the cluster node config: No space left on device\r\n"
    assert client.ask("CLUSTER", "SAVECONFIG") == said


def test_help_has_every_subcommand(site: Site) -> None:
    """A line for each, and one that says what it does."""
    text = site.client().ask("CLUSTER", "HELP")
    for word in (b"ADDSLOTS", b"LINKS", b"MYSHARDID", b"REPLICAS", b"SLOTS"):
        assert b"\r\n+%b" % word in text


def test_announced_addresses_are_what_clients_are_told() -> None:
    """SLOTS, SHARDS, NODES, MOVED and INFO send clients where the nodes say that they are found."""
    told = Announced("redis.example.com", 30_001, 30_002, 30_003)
    with Site(
        members=[replace(THREE[0], announced=told), replace(THREE[1], announced=told), THREE[2]]
    ) as site:
        site.node.led_by = {1: 1, 2: 2, 3: 3}
        site.tick()
        client = site.client(site.front.primary_port)
        nodes = nodes_of(client)
        assert nodes[0].split()[1] == "redis.example.com:30002@16379"
        assert nodes[1].split()[1] == "redis.example.com:30003@16379"
        assert nodes[4].split()[1] == "127.0.0.1:7381@16381"
        slots = client.ask("CLUSTER", "SLOTS")
        assert slots.count(b"$17\r\nredis.example.com\r\n:30002\r\n") == 2
        assert slots.count(b"$17\r\nredis.example.com\r\n:30003\r\n") == 4
        assert client.ask("CLUSTER", "SHARDS").count(b":30003\r\n") == 4
        key = next(f"k{n}" for n in range(200) if site.node.group_of_slot[key_slot(b"k%d" % n)] == 2)
        assert client.ask("GET", key) == b"-MOVED %d redis.example.com:30002\r\n" % key_slot(key.encode())
        assert nodes_of(site.client())[2].split()[1] == "redis.example.com:30001@16379"


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
