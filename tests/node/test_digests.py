"""Digests: equal for equal states, of one moment, and never in the way of a snapshot."""

from __future__ import annotations

import pytest

from redraft.node.digests import BUSY
from tests.known.scenes import run_until_in_step, settled
from tests.node.bottle import Cluster

DIGEST = [b"REDRAFT", b"DIGEST"]


def digests(cluster: Cluster) -> dict[int, tuple[int, str]]:
    """What each node says of group 1."""
    return {number: node.snapshots.digests.of(1) for number, node in cluster.nodes.items()}


def fill(cluster: Cluster, node: int) -> None:
    """Keys of several types, some of which expire."""
    for number in range(30):
        cluster.ask(node, [b"SET", b"key:%d" % number, b"v%d" % number], write=True)
        cluster.ask(node, [b"HSET", b"hash:%d" % (number % 3), b"f%d" % number, b"v"], write=True)
        cluster.ask(node, [b"SET", b"gone:%d" % number, b"v", b"PX", b"%d" % (50 + number)], write=True)
    cluster.run(300)


def digested(cluster: Cluster, asked: int) -> list[str]:
    """Ask for digests at a node and return them, of all nodes, while writes go on."""
    (reply,) = cluster.call(asked, DIGEST, write=True)
    index = int(reply[1:-2])
    for number in range(50):
        cluster.ask(asked, [b"SET", b"later:%d" % number, b"v"], write=True)
    assert cluster.run(5000, until=lambda: all(each[1] for each in digests(cluster).values()))
    assert {each[0] for each in digests(cluster).values()} == {index}
    return [each[1] for each in digests(cluster).values()]


@pytest.mark.parametrize("asked", [1, 2])
def test_digests_of_all_replicas_are_equal_though_writes_go_on(asked: int) -> None:
    """Also at a node that does not lead, and after a restart from snapshot and log."""
    cluster, _leader, second, third = settled(snapshot_log_bytes=2048, log_tail_bytes=0)
    fill(cluster, second)
    first = digested(cluster, asked)
    assert len(set(first)) == 1
    cluster.crash(third)
    cluster.start(third)
    run_until_in_step(cluster)
    again = digested(cluster, asked)
    assert len(set(again)) == 1
    assert again != first


@pytest.mark.parametrize("what", ["a key", "a member", "the clock"])
def test_digest_shows_a_replica_that_differs(what: str) -> None:
    """By one record, one member of a collection, or what is kept besides."""
    cluster, leader, second, third = settled()
    fill(cluster, leader)
    applier = cluster.nodes[third].replicas[1].applier
    engine = applier.keyspace.engine
    if what == "the clock":
        applier.expired_keys += 1
    elif what == "a key":
        slot = next(slot for slot in applier.keyspace.slots if engine.slot_size(slot))
        key, record = next(engine.items(slot))
        engine.put(slot, key, record[:-3] + b"X\r\n")
    else:
        members = next(some for some in engine.collections for some in (some or {}).values())  # type: ignore[attr-defined]
        members.put(next(iter(members.values)), b"other")
    one, other, odd = digested(cluster, second)
    assert one == other != odd


def test_digest_of_a_replica_that_is_being_written_down_says_busy() -> None:
    """One capture at a time; the next one after it is done."""
    cluster, leader, _second, _third = settled()
    fill(cluster, leader)
    node = cluster.nodes[leader]
    node.snapshots.make(node.replicas[1])
    node.snapshots._budget = -1e9  # it does not get on
    made = digested(cluster, leader)
    assert made[0] == BUSY
    assert made[1] == made[2] != BUSY
