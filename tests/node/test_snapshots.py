"""Snapshots on whole nodes: made, sent, installed, started from; through crashes and broken links."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from redraft.base.errors import DamagedError
from redraft.raft.messages import InstallSnapshot
from tests.node.bottle import Cluster

SETTINGS = {"snapshot_log_bytes": 64 * 1024, "log_tail_bytes": 8 * 1024}
SEEDS = range(1, 6)
DIRECTORY = Path("/snapshots")


def fill(cluster: Cluster, number: int, count: int, size: int = 2000, first: int = 0) -> None:
    """SET `count` keys through a node."""
    for key in range(first, first + count):
        assert cluster.call(number, [b"SET", b"key:%d" % key, b"x" * size], write=True) == [b"+OK\r\n"]


def first_index(cluster: Cluster, number: int) -> int:
    return cluster.disks[number].group(1).first_index


def keys(cluster: Cluster, number: int) -> int:
    return cluster.nodes[number].replicas[1].applier.keyspace.key_count


def others(cluster: Cluster, number: int) -> list[int]:
    return [each for each in cluster.nodes if each != number]


def led_where_it_belongs(cluster: Cluster) -> int:
    """Let time pass until the preferred leader leads, so that nobody hands the group over by itself."""
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    return 1


def run_until_in_step(cluster: Cluster) -> None:
    """Let time pass until every replica has applied all."""

    def in_step() -> bool:
        replicas = [node.replicas[1] for node in cluster.nodes.values()]
        reached = {(each.applier.applied_index, each.raft.last_index) for each in replicas}
        return len(reached) == 1 and not any(each.raft.is_blank for each in replicas)

    assert cluster.run(20_000, until=in_step), "the replicas never came together"


@pytest.mark.parametrize("seed", SEEDS)
def test_node_compacts_its_log_behind_a_snapshot_and_starts_from_both(seed: int) -> None:
    """The log stays bounded, a tail is kept, and all three come back from a power cut with everything."""
    print("seed", seed)
    cluster = Cluster(seed=seed, settings=SETTINGS)
    cluster.elect()
    fill(cluster, 1, 120)
    for number in list(cluster.nodes):
        assert first_index(cluster, number) > 30
        assert cluster.disks[number].group(1).bytes < 3 * (64 + 8) * 1024
        assert cluster.disks[number].group(1).bytes >= 8 * 1024
    for number in list(cluster.disks):
        cluster.crash(number)
    for number in cluster.disks:
        cluster.start(number)
    cluster.elect()
    assert cluster.call(2, [b"DBSIZE"], write=False) == [b":120\r\n"]
    assert cluster.call(2, [b"INCR", b"n"], write=True) == [b":1\r\n"]


def test_replicas_of_a_group_write_their_snapshots_one_after_another() -> None:
    """Not all when their log has just so many bytes: a majority is always free to answer quickly."""
    cluster = Cluster(settings={"snapshot_log_bytes": 256 * 1024, "log_tail_bytes": 0})
    cluster.elect()
    first: dict[int, int] = {}
    for key in range(0, 400, 5):
        fill(cluster, 1, 5, first=key)
        cluster.run(1000)
        for number, node in cluster.nodes.items():
            newest = node.snapshots.status(1)["snapshot_index"]
            if newest:
                first.setdefault(number, newest)
    assert len(first) == 3
    between = sorted(first.values())
    assert min(later - earlier for earlier, later in itertools.pairwise(between)) > 20, between


@pytest.mark.parametrize("seed", SEEDS)
def test_node_far_behind_gets_a_snapshot_and_goes_on_from_the_log(seed: int) -> None:
    """While others write; the late node then serves reads of all of it."""
    print("seed", seed)
    cluster = Cluster(seed=seed, settings=SETTINGS)
    cluster.elect()
    fill(cluster, 1, 10)
    late = others(cluster, cluster.leader())[0]
    cluster.crash(late)
    writer = cluster.leader()
    fill(cluster, writer, 150)
    assert first_index(cluster, writer) > cluster.disks[late].group(1).last_index + 1
    cluster.start(late)
    fill(cluster, writer, 10, first=150)
    run_until_in_step(cluster)
    assert keys(cluster, late) == 160
    assert cluster.call(late, [b"DBSIZE"], write=False) == [b":160\r\n"]
    cluster.crash(late)
    cluster.start(late)
    run_until_in_step(cluster)
    assert keys(cluster, late) == 160


@pytest.mark.parametrize("seed", SEEDS)
def test_node_goes_on_with_a_snapshot_where_a_broken_link_ended_it(seed: int) -> None:
    """Nothing that has arrived is sent again, but for what was under way."""
    print("seed", seed)
    limits = {"snapshot_bytes_per_s": 8 * 1024 * 1024, "snapshot_log_bytes": 2_200_000}
    cluster = Cluster(seed=seed, settings=SETTINGS | limits)
    leader = led_where_it_belongs(cluster)
    late = others(cluster, leader)[0]
    cluster.crash(late)
    fill(cluster, leader, 42, size=60_000)
    assert cluster.run(5000, until=lambda: first_index(cluster, leader) > 1)
    sent: list[InstallSnapshot] = []
    node = cluster.nodes[leader]
    send = node.send

    def watched(peer: int, group: int, message: object) -> None:
        if isinstance(message, InstallSnapshot):
            sent.append(message)
        send(peer, group, message)

    node.send = watched  # type: ignore[method-assign]
    cluster.start(late)
    rng = random.Random(seed)
    for _ in range(6):
        cluster.run(rng.choice((40, 80, 150)))
        cluster.disconnect(leader, late)
        cluster.run(20)
        cluster.connect(leader, late)
    run_until_in_step(cluster)
    assert keys(cluster, late) == 42
    size = sent[0].size
    assert size > 2_000_000
    assert sum(len(message.data) for message in sent) < 1.8 * size


@pytest.mark.parametrize("seed", SEEDS)
def test_node_gets_its_snapshot_though_leaders_come_and_go(seed: int) -> None:
    """A new leader sends its own; what the old one sent is forgotten."""
    print("seed", seed)
    cluster = Cluster(seed=seed, settings=SETTINGS | {"snapshot_bytes_per_s": 2 * 1024 * 1024})
    leader = led_where_it_belongs(cluster)
    late, third = others(cluster, leader)
    cluster.crash(late)
    fill(cluster, leader, 40, size=30_000)
    cluster.start(late)
    cluster.run(200)
    cluster.nodes[leader].transfer(cluster.map.groups[0], third)
    cluster.run(300)
    run_until_in_step(cluster)
    assert keys(cluster, late) == 40


def test_node_answers_its_own_parts_that_a_snapshot_covers() -> None:
    """A part applied while its origin was away is answered by the leader's session, once."""
    cluster = Cluster(settings=SETTINGS)
    cluster.elect()
    leader = cluster.leader()
    late = others(cluster, leader)[0]
    request = cluster.ask(late, [b"INCR", b"n"], write=True)
    cluster.nodes[late].flush()
    link = cluster.links[late, leader]
    while link.queue:
        cluster.nodes[leader].on_frame(late, *link.queue.popleft())
    cluster.partition(late, leader)
    for other in others(cluster, late):
        if other != leader:
            cluster.partition(late, other)
    fill(cluster, leader, 120)
    cluster.heal()
    assert cluster.run(5000, until=lambda: request.replies is not None)
    assert request.replies in (
        [b":1\r\n"],
        [b"-TIMEOUT no answer from a quorum in time; outcome unknown\r\n"],
    )
    run_until_in_step(cluster)
    assert cluster.call(late, [b"GET", b"n"], write=False) == [b"$1\r\n1\r\n"]


def test_node_keeps_sessions_in_snapshots() -> None:
    """What was executed before a snapshot is not executed again behind it."""
    cluster = Cluster(settings=SETTINGS)
    cluster.elect()
    leader = cluster.leader()
    fill(cluster, leader, 100)
    before = len(cluster.nodes[leader].replicas[1].applier.sessions)
    assert before
    for number in list(cluster.disks):
        cluster.crash(number)
    for number in cluster.disks:
        assert len(cluster.start(number).replicas[1].applier.sessions) == before


def remove_snapshots(cluster: Cluster, number: int) -> None:
    for name in cluster.snapshot_files[number].names(DIRECTORY):
        cluster.snapshot_files[number]._names.pop(name)


def flip_a_bit(cluster: Cluster, number: int) -> None:
    name = cluster.snapshot_files[number].names(DIRECTORY)[-1]
    cluster.snapshot_files[number].flip(name, 20_000, 1)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (remove_snapshots, "the log of group 1 begins with entry"),
        (flip_a_bit, r".snap is damaged: a checksum is wrong at offset"),
    ],
)
@pytest.mark.parametrize("idle", [False, True])
def test_node_without_a_whole_snapshot_is_filled_again_by_its_peers(
    damage: Callable[[Cluster, int], None], what: str, idle: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """RedisRaft's gap, and rot: told by name, never served; no vote is given until there is a state again."""
    cluster = Cluster(settings=SETTINGS)
    cluster.elect()
    fill(cluster, cluster.leader(), 120)
    late = others(cluster, cluster.leader())[0]
    cluster.crash(late)
    damage(cluster, late)
    cluster.start(late)
    assert what in caplog.text
    assert "is filled again by its peers" in caplog.text
    assert keys(cluster, late) == 0
    if not idle:
        fill(cluster, cluster.leader(), 10, first=120)
    run_until_in_step(cluster)
    assert keys(cluster, late) == (120 if idle else 130)
    cluster.crash(late)
    cluster.start(late)
    run_until_in_step(cluster)
    assert cluster.call(late, [b"DBSIZE"], write=False) == [b":120\r\n" if idle else b":130\r\n"]


def test_node_that_is_filled_again_elects_nobody_meanwhile() -> None:
    """With one of three blank and one dead the third must not lead alone: what both had might be lost."""
    cluster = Cluster(settings=SETTINGS)
    cluster.elect()
    fill(cluster, cluster.leader(), 120)
    leader = cluster.leader()
    blank, third = others(cluster, leader)
    cluster.crash(leader)
    cluster.crash(blank)
    remove_snapshots(cluster, blank)
    cluster.start(blank)
    cluster.run(5000)
    assert cluster.leader() == 0
    assert third in cluster.nodes
    cluster.start(leader)
    cluster.elect()
    assert cluster.call(third, [b"INCR", b"n"], write=True) == [b":1\r\n"]
    run_until_in_step(cluster)
    assert keys(cluster, blank) == 121


def test_node_that_is_filled_again_is_trusted_with_no_less_than_it_acknowledged() -> None:
    """The leader's snapshot ends one entry before the last one that the lost log had, and that was committed.

    With that snapshot alone it could elect the third node, which never had the entry.
    """
    cluster = Cluster(settings=SETTINGS)
    leader = led_where_it_belongs(cluster)
    late, third = others(cluster, leader)
    fill(cluster, leader, 120)
    run_until_in_step(cluster)
    assert cluster.run(5000, until=lambda: all(node._snapshots.idle for node in cluster.nodes.values()))
    for node in cluster.nodes.values():
        node._snapshots.make(node.replicas[1])
    assert cluster.run(5000, until=lambda: all(node._snapshots.idle for node in cluster.nodes.values()))
    cluster.partition(third, leader)
    cluster.partition(third, late)
    assert cluster.call(leader, [b"SET", b"last", b"1"], write=True) == [b"+OK\r\n"]
    known = [node._snapshots.status(1)["snapshot_index"] for node in cluster.nodes.values()]
    assert known == [cluster.disks[late].group(1).last_index - 1] * 3
    cluster.crash(late)
    remove_snapshots(cluster, late)
    replica = cluster.start(late).replicas[1]
    assert replica.raft.is_blank
    assert cluster.catch(5000, lambda: not replica.raft.is_blank), "no snapshot came"
    cluster.disconnect(leader, late)
    cluster.crash(leader)
    cluster.heal()
    cluster.run(5000)
    assert cluster.call(late, [b"GET", b"last"], write=False) == [b"$1\r\n1\r\n"]


@pytest.mark.parametrize("size", [20, 40_000])
def test_node_whose_own_snapshot_rots_makes_another_for_its_followers(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The follower finds it out, in a file of one chunk or of many; the leader looks, and says which."""
    cluster = Cluster(settings=SETTINGS | {"snapshot_log_bytes": 2048, "log_tail_bytes": 0})
    cluster.elect()
    leader = cluster.leader()
    late = others(cluster, leader)[0]
    cluster.crash(late)
    fill(cluster, leader, 40, size=size)
    cluster.run(1000)
    files = cluster.snapshot_files[leader]
    name = cluster.nodes[leader]._snapshots._store.newest[1].path.name
    files.flip(name, 100, 1)
    cluster.start(late)
    run_until_in_step(cluster)
    assert keys(cluster, late) == 40
    assert f"{name} is damaged" in caplog.text


def test_node_without_peers_refuses_a_damaged_snapshot_by_name() -> None:
    """A flipped bit: the file and the offset, before anything is served."""
    cluster = Cluster(size=1, settings=SETTINGS)
    cluster.elect()
    fill(cluster, 1, 120)
    cluster.crash(1)
    flip_a_bit(cluster, 1)
    with pytest.raises(DamagedError, match=r"\.snap is damaged: a checksum is wrong at offset"):
        cluster.start(1)


def test_node_whose_log_has_all_needs_no_snapshot() -> None:
    """A damaged snapshot in front of a log that was never cut costs nothing."""
    cluster = Cluster(size=1, settings={"snapshot_log_bytes": 64 * 1024, "log_tail_bytes": 64 << 20})
    cluster.elect()
    fill(cluster, 1, 60)
    snapshots = cluster.nodes[1]._snapshots
    snapshots.make(cluster.nodes[1].replicas[1])
    assert cluster.run(5000, until=lambda: bool(snapshots.status(1)["snapshot_index"]))
    cluster.crash(1)
    flip_a_bit(cluster, 1)
    cluster.start(1)
    cluster.elect()
    assert cluster.call(1, [b"DBSIZE"], write=False) == [b":60\r\n"]


def test_node_with_no_room_for_snapshots_goes_on() -> None:
    """A full disk costs the snapshot, not the service; it is made once there is room."""
    cluster = Cluster(settings=SETTINGS)
    cluster.elect()
    for files in cluster.snapshot_files.values():
        files.capacity = 30_000
    fill(cluster, 1, 80)
    assert [first_index(cluster, number) for number in cluster.nodes] == [1, 1, 1]
    for files in cluster.snapshot_files.values():
        files.capacity = 1 << 40
    cluster.run(10_000)
    assert all(first_index(cluster, number) > 1 for number in cluster.nodes)
