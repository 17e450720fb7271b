"""Members and replicas that come and go, on real node logic: groups move, nodes join and leave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redraft.control.applier import reason_of
from redraft.control.topology import Forget, Place, Remove
from redraft.node.seams import NoClients
from redraft.raft.types import HardState
from tests.node.bottle import Asked, Cluster

SEEDS = pytest.mark.parametrize("seed", range(1, 6))
WITHIN_MS = 30_000


def grown(nodes: int = 3, joined: int = 1, **settings: int) -> Cluster:
    """A cluster of some nodes that some more have joined."""
    cluster = Cluster(size=nodes, groups=2, settings=settings)
    cluster.elect()
    for _ in range(joined):
        cluster.join(1)
    return cluster


def voters(cluster: Cluster, group: int) -> set[int]:
    """The committed voters of a group, as its leader has them."""
    leader = cluster.leader(group)
    if not leader:
        return set()
    raft = cluster.nodes[leader].replicas[group].raft
    return set(raft.configuration.voters) if raft.is_settled else set()


def settles(cluster: Cluster, group: int, *nodes: int) -> None:
    """Wait until a group stands on these nodes, and only there."""

    def settled() -> bool:
        hosts = {number for number, node in cluster.nodes.items() if group in node.replicas}
        return voters(cluster, group) == set(nodes) and hosts == set(nodes) & cluster.nodes.keys()

    assert cluster.run(WITHIN_MS, until=settled), f"group {group} stands on {voters(cluster, group)}"


def write(cluster: Cluster, count: int, at: int = 1, group: int = 1) -> None:
    for number in range(count):
        assert cluster.call(at, [b"SET", b"k%d" % number, b"v" * 100], write=True, group=group) == [
            b"+OK\r\n"
        ]


@SEEDS
def test_join_makes_every_node_follow_the_topology(seed: int) -> None:
    """A new node gets the topology as any group's state, votes on it once caught up, serves clients."""
    print(f"seed {seed}")
    cluster = Cluster(size=3, seed=seed)
    cluster.elect()
    number = cluster.join(2)
    cluster.elect()
    assert cluster.run(
        WITHIN_MS,
        until=lambda: voters(cluster, 0) == {1, 2, 3, 4} and 0 in cluster.nodes[number].replicas,
    )
    assert cluster.run(
        WITHIN_MS,
        until=lambda: all(len(node.cluster.members) == 4 for node in cluster.nodes.values()),
    )
    write(cluster, 1, at=number)
    assert cluster.call(number, [b"GET", b"k0"], write=False)[0].endswith(b"v\r\n")


def test_join_of_a_cluster_of_one_fills_its_groups() -> None:
    """One node becomes three with three replicas each, and then survives the first one's death."""
    cluster = Cluster(size=1, groups=2)
    cluster.elect()
    write(cluster, 20)
    cluster.join(1)
    cluster.join(1)
    settles(cluster, 1, 1, 2, 3)
    settles(cluster, 2, 1, 2, 3)
    assert cluster.run(WITHIN_MS, until=lambda: voters(cluster, 0) == {1, 2, 3})
    cluster.crash(1)
    assert cluster.call(3, [b"GET", b"k7"], write=False)[0].endswith(b"v\r\n")


@SEEDS
def test_group_moves_while_clients_write(seed: int) -> None:
    """To other nodes altogether, step by step; every write is answered, and none is lost."""
    print(f"seed {seed}")
    cluster = Cluster(size=3, groups=1, seed=seed)
    cluster.elect()
    write(cluster, 30)
    for _ in range(3):
        cluster.join(1)
    requests: list[Asked] = []

    def busy(done: Callable[[], bool]) -> None:
        def look() -> bool:
            if not requests or requests[-1].replies is not None:
                requests.append(cluster.ask(1 + len(requests) % 6, [b"INCR", b"n"], write=True))
            return done()

        assert cluster.run(WITHIN_MS, until=look)

    assert reason_of(cluster.change(2, Place(1, (4, 5, 6)))) is None
    busy(lambda: voters(cluster, 1) == {4, 5, 6})
    cluster.run(2000)
    replies = [request.replies for request in requests]
    assert replies == [[b":%d\r\n" % (number + 1)] for number in range(len(replies))]
    settles(cluster, 1, 4, 5, 6)
    assert cluster.leader(1) == 4, "the preferred leader comes first"
    assert cluster.call(1, [b"GET", b"k29"], write=False)[0].endswith(b"v\r\n")


def test_group_that_moves_away_and_back_begins_anew() -> None:
    """A dropped replica leaves its term and vote; when it is wanted again it starts with a snapshot."""
    cluster = grown()
    write(cluster, 30)
    cluster.change(1, Place(1, (1, 2, 4)))
    settles(cluster, 1, 1, 2, 4)
    assert cluster.memories[3].dropped == {1}
    log = cluster.disks[3].group(1)
    assert log.last_index == log.first_index - 1
    assert log.hard_state != HardState()
    write(cluster, 30)
    cluster.change(1, Place(1, (3, 2, 1)))
    settles(cluster, 1, 1, 2, 3)
    assert cluster.memories[3].dropped == set()
    cluster.crash(1)
    assert cluster.call(3, [b"GET", b"k29"], write=False)[0].endswith(b"v\r\n")


def test_replica_dropped_half_way_is_never_opened() -> None:
    """A crash between the mark and the emptied log: what is left must not vote with less than it had."""
    cluster = grown()
    write(cluster, 5)
    cluster.memories[3].drop(1)  # and no more
    cluster.crash(3)
    assert cluster.disks[3].group(1).last_index > 1
    node = cluster.start(3)
    assert 1 not in node.replicas
    log = cluster.disks[3].group(1)
    assert log.last_index == log.first_index - 1
    cluster.run(5000, until=lambda: 1 in node.replicas and not node.replicas[1].raft.is_blank)
    assert cluster.memories[3].dropped == set(), "it is still placed here, so its leader gave it a snapshot"


@SEEDS
def test_removed_node_goes_whether_it_lives_or_not(seed: int) -> None:
    """Its replicas move, it leaves the members, and its id never comes back."""
    print(f"seed {seed}")
    cluster = Cluster(size=3, groups=2, seed=seed)
    cluster.elect()
    write(cluster, 10)
    number = cluster.join(1)
    dead = seed % 2 == 0
    if dead:
        cluster.crash(3)
    assert reason_of(cluster.change(1, Remove(3))) is None
    settles(cluster, 1, 1, 2, number)
    settles(cluster, 2, 1, 2, number)
    gone = lambda: all(  # noqa: E731
        len(node.cluster.members) == 3 for number, node in cluster.nodes.items() if number != 3
    )
    assert cluster.run(WITHIN_MS, until=gone)
    assert cluster.run(WITHIN_MS, until=lambda: voters(cluster, 0) == {1, 2, 4})
    if not dead:
        assert cluster.nodes[3].steering.removed
    assert "removed already" in str(reason_of(cluster.change(2, Remove(3))))
    assert cluster.join(2) == 5
    assert cluster.call(2, [b"GET", b"k9"], write=False)[0].endswith(b"v\r\n")


def test_leader_of_everything_can_be_removed() -> None:
    """It gives away what it leads, hears that it is no member, and nobody misses it."""
    cluster = grown(joined=1)
    for group in (1, 2):
        cluster.change(1, Place(group, (1, 2, 3)))
    assert cluster.run(WITHIN_MS, until=lambda: {cluster.leader(group) for group in (0, 1, 2)} == {1})
    assert reason_of(cluster.change(1, Remove(1))) is None
    settles(cluster, 1, 4, 2, 3)
    settles(cluster, 2, 4, 2, 3)
    assert cluster.run(WITHIN_MS, until=lambda: cluster.nodes[1].steering.removed)
    cluster.crash(1)
    write(cluster, 3, at=2)


def test_two_nodes_can_be_removed_at_once() -> None:
    """Five become three, in one go of the operator's."""
    cluster = grown(joined=2)
    cluster.change(1, Remove(2))
    cluster.change(1, Remove(3))
    for group in (1, 2):
        settles(cluster, group, 1, 4, 5)
    assert cluster.run(WITHIN_MS, until=lambda: len(cluster.nodes[1].cluster.members) == 3)
    assert cluster.run(WITHIN_MS, until=lambda: voters(cluster, 0) == {1, 4, 5})


def test_member_that_was_down_meanwhile_learns_what_happened() -> None:
    """A node that slept through joins, moves and the removal of a node wakes up in the cluster of today."""
    cluster = grown(joined=1)
    write(cluster, 10)
    cluster.crash(3)
    cluster.change(1, Place(1, (1, 2, 4)))
    assert cluster.run(WITHIN_MS, until=lambda: voters(cluster, 1) == {1, 2, 4})
    write(cluster, 40)
    cluster.join(1)
    cluster.start(3)
    settles(cluster, 1, 1, 2, 4)
    assert len(cluster.nodes[3].cluster.members) == 5
    log = cluster.disks[3].group(1)
    assert log.last_index == log.first_index - 1, "it could not know by its own log that it is out"
    assert cluster.call(3, [b"GET", b"k39"], write=False)[0].endswith(b"v\r\n")


def test_move_to_a_node_that_dies_is_replaced_by_another() -> None:
    """The group serves all the time; the dead node's replica is given up, not waited for."""
    cluster = grown(joined=2)
    cluster.crash(4)
    cluster.change(1, Place(1, (1, 2, 4)))
    cluster.run(3000)
    assert voters(cluster, 1) == {1, 2, 3}
    write(cluster, 3)
    assert "still moving" in str(reason_of(cluster.change(1, Place(1, (1, 2, 5)))))
    assert reason_of(cluster.change(1, Place(1, (1, 2, 5), replacing=True))) is None
    settles(cluster, 1, 1, 2, 5)


def test_forget_before_its_time_is_refused() -> None:
    """Nobody but a node that left everything is forgotten."""
    cluster = grown(joined=0)
    assert "still has a part" in str(reason_of(cluster.change(1, Forget(3))))


def test_reads_at_a_node_that_catches_up_go_to_the_leader() -> None:
    """A learner would keep its clients waiting for as long as it takes to fill it."""
    cluster = grown(joined=1)
    write(cluster, 50)
    cluster.change(1, Place(1, (1, 2, 3, 4)))
    node = cluster.nodes[4]
    assert cluster.run(WITHIN_MS, until=lambda: 1 in node.replicas and not node.replicas[1].votes)
    assert cluster.call(4, [b"GET", b"k49"], write=False, within_ms=300)[0].endswith(b"v\r\n")
    settles(cluster, 1, 1, 2, 3, 4)


def test_ports_are_announced() -> None:
    """Nodes tell the topology what the founding knew of by hearsay only."""
    cluster = grown(joined=1)

    def announced() -> bool:
        nodes = cluster.nodes[4].steering.roster.topology.nodes
        return [node.primary_port for node in nodes] == [8001, 8002, 8003, 8004]

    assert cluster.run(WITHIN_MS, until=announced)


def test_sessions_of_a_removed_node_end_in_every_group() -> None:
    """Their replies are not kept for ever, and nothing of it that is still under way takes effect."""
    cluster = grown(joined=1)
    for group in (1, 2):
        write(cluster, 1, at=3, group=group)
    cluster.change(1, Remove(3))

    def ended() -> bool:
        return all(
            3 not in replica.applier.sessions.open_origins()
            for number, node in cluster.nodes.items()
            for replica in node.replicas.values()
            if number != 3
        )

    assert not ended()
    assert cluster.run(WITHIN_MS, until=ended)


def test_client_side_is_told_when_the_map_has_changed() -> None:
    """It hears of each change as it is applied, and finds the node with the new map."""
    cluster = Cluster(size=3, groups=2)
    cluster.elect()
    node = cluster.nodes[2]
    maps: list[object] = []

    class Side(NoClients):
        def map_changed(self) -> None:
            maps.append(node.cluster)

    before, node.clients = node.cluster, Side()
    cluster.join(1)
    assert cluster.run(WITHIN_MS, until=lambda: bool(maps))
    assert maps[-1] is node.cluster is not before
