"""What the simulator found in whole nodes, each as short as it can be told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from redraft.control.applier import reason_of
from redraft.control.topology import Announce, Remove
from redraft.transport.messages import ReadIndexRequest
from tests.known.scenes import answered, settled, under_way
from tests.node.bottle import Cluster


class Stuck:
    """A worker that does nothing for now."""

    def step(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_node_with_a_full_disk_steps_aside_for_a_voter_only() -> None:
    """A group on its way to other nodes: the placement names one that is a learner yet."""
    cluster = Cluster(size=4, settings={"replication_factor": 3})
    cluster.elect()
    leader = cluster.leader()
    node = cluster.nodes[leader]
    replica = node.replicas[1]
    voters = replica.raft.configuration.voters
    (outsider,) = set(cluster.nodes) - set(voters)
    assert cluster.run(2000, until=lambda: replica.raft.may_change)
    replica.raft.change(voters, (outsider,))
    node.stepped(replica)
    replica.group = replace(replica.group, voters=(leader, outsider))
    assert node.step_aside(replica.group)
    assert replica.raft.transferring_to in voters


def test_node_whose_replica_is_dropped_while_its_snapshot_is_stored_goes_on() -> None:
    """The disk reports a snapshot durable that nobody waits for any more."""
    settings = {"snapshot_log_bytes": 64 * 1024, "log_tail_bytes": 1024}
    cluster = Cluster(settings=settings)
    cluster.elect()
    late = next(number for number in cluster.nodes if number not in (1, cluster.leader()))
    cluster.crash(late)
    for key in range(40):
        assert cluster.call(1, [b"SET", b"key:%d" % key, b"x" * 4000], write=True) == [b"+OK\r\n"]
    node = cluster.start(late)
    worker, cluster.workers[late] = cluster.workers[late], Stuck()  # type: ignore[assignment]
    receiving = node._snapshots._receiving
    assert cluster.run(20_000, until=lambda: 1 in receiving._installing)
    node.dismiss(node.replicas[1])
    cluster.workers[late] = worker
    assert cluster.run(2000, until=lambda: not receiving._installing)
    assert 1 not in node._snapshots._store.newest


def test_node_whose_replica_is_dropped_while_it_asks_for_the_read_index_goes_on() -> None:
    """The leader's answer comes to a replica that is gone; the read is answered by way of the leader."""
    cluster, _leader, follower, _third = settled()
    read = cluster.ask(follower, [b"GET", b"a"], write=False)
    node = cluster.nodes[follower]
    node.flush()
    assert under_way(cluster, follower, 1, ReadIndexRequest)
    node.dismiss(node.replicas[1])
    assert answered(cluster, read) == [[b"$-1\r\n"]]


@pytest.mark.parametrize("another_is_dead", [False, True])
def test_topology_group_waits_for_the_voter_in_the_place_of_one_that_leaves(*, another_is_dead: bool) -> None:
    """With two voters it would stand still as soon as one of them is down, and be lost with one's disk."""
    cluster = Cluster()
    cluster.elect()
    leaving = cluster.leader(0)
    dead, staying = (number for number in cluster.nodes if number != leaving)
    heir = cluster.join(leaving)
    cluster.crash(heir)
    if another_is_dead:
        cluster.crash(dead)
    assert reason_of(cluster.change(leaving, Remove(leaving))) is None
    cluster.run(2000)
    raft = cluster.nodes[leaving].replicas[0].raft
    assert raft.configuration.voters == (1, 2, 3)
    assert raft.is_settled
    assert reason_of(cluster.change(staying, Announce(dead, 1, 2, 3))) is None
    cluster.start(heir)

    def removed() -> bool:
        return cluster.nodes[staying].steering.roster.topology.was_removed(leaving)

    assert cluster.run(30_000, until=removed)
    assert set(cluster.nodes[staying].replicas[0].raft.configuration.voters) == {dead, staying, heir}
