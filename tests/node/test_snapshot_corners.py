"""Snapshots on whole nodes where other leaders, slow transfers and full disks meet them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from redraft.accel.scan import key_slot
from redraft.raft.messages import InstallSnapshot
from tests.node.bottle import Cluster
from tests.node.test_snapshots import (
    SETTINGS,
    fill,
    first_index,
    keys,
    led_where_it_belongs,
    others,
    run_until_in_step,
)

_DIRECTORY = Path("/snapshots")


def lose_chunks(cluster: Cluster, number: int, lost: Callable[[InstallSnapshot], bool]) -> None:
    """Let a node's snapshot chunks of which `lost` says so not arrive."""
    node = cluster.nodes[number]
    send = node.send

    def lossy(peer: int, group: int, message: object) -> None:
        if not (isinstance(message, InstallSnapshot) and message.data and lost(message)):
            send(peer, group, message)

    node.send = lossy  # type: ignore[method-assign]


def test_node_makes_no_snapshots_in_vain_while_one_is_sent() -> None:
    """The log is kept for the follower meanwhile: that it is long is no reason; then it is cut at once."""
    cluster = Cluster(settings=SETTINGS)
    leader = led_where_it_belongs(cluster)
    late = others(cluster, leader)[0]
    cluster.crash(late)
    fill(cluster, leader, 120)
    arrives = False
    lose_chunks(cluster, leader, lambda _message: not arrives)
    cluster.start(late)
    made: set[object] = set()
    snapshots = cluster.nodes[leader]._snapshots
    for key in range(80):
        fill(cluster, leader, 1, first=key)
        cluster.run(100)
        made.add(snapshots.status(1)["snapshot_index"])
    assert snapshots.status(1)["snapshot_sending"]
    assert len(made) <= 3
    arrives = True
    run_until_in_step(cluster)
    assert cluster.run(2000, until=lambda: first_index(cluster, leader) > 120)
    assert keys(cluster, late) == 120


def test_node_forgets_what_arrived_of_a_snapshot_that_it_needs_no_more() -> None:
    """The next leader still has the entries: neither the file nor the state in memory may stay."""
    cluster = Cluster(settings=SETTINGS | {"log_tail_bytes": 64 << 20})
    leader = led_where_it_belongs(cluster)
    late, third = others(cluster, leader)
    cluster.crash(late)
    fill(cluster, leader, 120, size=10_000)
    snapshots = cluster.nodes[leader]._snapshots
    snapshots.make(cluster.nodes[leader].replicas[1])
    assert cluster.run(5000, until=lambda: bool(snapshots.status(1)["snapshot_index"]))
    log = cluster.disks[leader].group(1)
    log.compact(int(str(snapshots.status(1)["snapshot_index"])))
    lose_chunks(cluster, leader, lambda message: message.offset > 0)
    cluster.start(late)
    receiving = cluster.nodes[late]._snapshots._receiving
    assert cluster.run(5000, until=lambda: receiving.progress(1) is not None)
    cluster.partition(leader, late)
    cluster.partition(leader, third)
    assert cluster.run(20_000, until=lambda: keys(cluster, late) == 120)
    cluster.run(1000)
    assert receiving.progress(1) is None
    assert not [name for name in cluster.snapshot_files[late].names(_DIRECTORY) if name.endswith(".new")]


def test_node_without_room_for_a_snapshot_does_not_have_it_sent_again_and_again() -> None:
    """It takes nothing for some seconds; once there is room it gets the snapshot."""
    cluster = Cluster(settings=SETTINGS)
    leader = led_where_it_belongs(cluster)
    late = others(cluster, leader)[0]
    cluster.crash(late)
    fill(cluster, leader, 150, size=10_000)
    sent: list[int] = []
    lose_chunks(cluster, leader, lambda message: sent.append(len(message.data)) is not None)
    cluster.snapshot_files[late].capacity = 30_000
    cluster.start(late)
    cluster.run(20_000)
    size = cluster.nodes[leader]._snapshots.status(1)["snapshot_bytes"]
    assert isinstance(size, int)
    assert sum(sent) < 5 * size
    cluster.snapshot_files[late].capacity = 1 << 40
    run_until_in_step(cluster)
    assert keys(cluster, late) == 150


def test_node_with_many_groups_keeps_their_logs_within_the_limit() -> None:
    """The tails of all groups together must not be what fills the log."""
    limit = 1 << 20
    settings = {"log_bytes_max": limit, "log_tail_bytes": limit // 4, "snapshot_log_bytes": limit}
    cluster = Cluster(size=1, groups=16, settings=settings)
    cluster.elect()
    for key in range(12):
        for group in range(1, 17):
            slot = cluster.map.groups[group - 1].slots[0][0]
            assert cluster.nodes[1].group_of_slot[slot] == group
            reply = cluster.call(
                1, [b"SET", b"{%s}%d" % (tag_of(slot), key), b"x" * 20_000], write=True, group=group
            )
            assert reply == [b"+OK\r\n"]
        cluster.run(1000)
    cluster.run(10_000)
    assert sum(log.bytes for log in cluster.disks[1].groups.values()) <= limit


def tag_of(slot: int) -> bytes:
    """Some hash tag of a slot."""
    return next(tag for tag in (b"%d" % number for number in range(1 << 20)) if key_slot(tag) == slot)
