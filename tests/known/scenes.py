"""Whole nodes in a bottle, brought into the moment that a run is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redraft.node.lane import Lane
from redraft.simulation.breaking import replaced
from tests.node.bottle import Asked, Cluster


def others(cluster: Cluster, number: int) -> list[int]:
    """The other nodes that live."""
    return [each for each in cluster.nodes if each != number]


def settled(**settings: Any) -> tuple[Cluster, int, int, int]:
    """Three nodes and one group, whose leader (the first returned) is where it belongs and stays there."""
    cluster = Cluster(settings=settings)
    cluster.elect()
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    cluster.run(2000)
    return cluster, 1, 2, 3


def carry(cluster: Cluster, sender: int, receiver: int, last: type | None = None) -> None:
    """Hand over what is under way from one node to another, or just up to the first message of a kind."""
    queue = cluster.links[sender, receiver].queue
    while queue:
        group, message = queue.popleft()
        cluster.nodes[receiver].on_frame(sender, group, message)
        if last is not None and isinstance(message, last):
            return
    assert last is None, f"no {last.__name__} was under way"


def under_way(cluster: Cluster, sender: int, receiver: int, kind: type) -> list[Any]:
    """The messages of a kind on their way from one node to another."""
    return [message for _group, message in cluster.links[sender, receiver].queue if isinstance(message, kind)]


def answered(cluster: Cluster, *requests: Asked, within_ms: float = 20_000) -> list[list[bytes]]:
    """Let time pass until all are answered; what they were told."""
    assert cluster.run(within_ms, until=lambda: all(each.replies is not None for each in requests)), (
        "no answer"
    )
    return [each.replies or [] for each in requests]


def got(value: bytes) -> list[bytes]:
    """The reply to a GET that finds a value."""
    return [b"$%d\r\n%s\r\n" % (len(value), value)]


def run_until_in_step(cluster: Cluster, within_ms: float = 20_000) -> None:
    """Let time pass until all replicas of the group have applied the same, and all there is."""

    def in_step() -> bool:
        replicas = [node.replicas[1] for node in cluster.nodes.values()]
        reached = {(each.applier.applied_index, each.raft.last_index) for each in replicas}
        whole = not any(each.raft.is_blank for each in replicas)
        return whole and len(reached) == 1 and all(applied == last for applied, last in reached)

    assert cluster.run(within_ms, until=in_step), "the replicas never came together"


def state(cluster: Cluster, number: int) -> dict[bytes, Any]:
    """What a node's replica of the group holds: records by key."""
    keyspace = cluster.nodes[number].replicas[1].applier.keyspace
    tables = keyspace.engine.tables
    return {key: record for slot in keyspace.slots for key, record in (tables[slot] or {}).items()}


@contextmanager
def applies_nothing(cluster: Cluster, number: int) -> Iterator[None]:
    """For a while a node does everything but apply: that is a stage of its own, and may be slow."""
    node = cluster.nodes[number]
    slow, apply = node.lanes[1], Lane.apply
    with replaced(Lane, apply=lambda lane: lane is not slow and apply(lane)):
        yield
    node._applying.add(slow)
