"""Moves by whole nodes, in corners: a deposed mover, a full target, a clock ahead, moves that queue."""

from __future__ import annotations

import pytest

from redraft.accel.scan import key_slot
from redraft.control.groups import CreateGroup
from redraft.control.slotmoves import CancelMove, MoveSlots
from redraft.node import moving
from redraft.node.health import Health
from redraft.node.mover import FULL_MS, Mover
from tests.node.bottle import Asked, Cluster

SLOTS = ((0, 8191),)
KEY = next(key for key in (b"k%d" % number for number in range(100)) if key_slot(key) < 8192)
OTHER = next(key for key in (b"k%d" % number for number in range(100)) if key_slot(key) >= 8192)


@pytest.mark.parametrize("seed", range(1, 13))
def test_mover_that_is_deposed_while_its_freeze_waits_loses_no_write(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next leader's log takes in a SET, then the old one's FREEZE, which is answered before the old one
    has applied the SET: handed over by its copy, the SET would be gone."""
    print("seed", seed)
    cluster = Cluster(groups=2, seed=seed)
    cluster.elect()
    cluster.call(1, [b"SET", KEY, b"old"], write=True)
    source = cluster.leader(1)
    heir = next(number for number in cluster.nodes if number != source)
    asked: list[Asked] = []
    original = Mover._put

    def put(mover: Mover, group: int, what: str, *arguments: object, **more: object) -> None:
        if what == "FREEZE" and not asked:
            node = cluster.nodes[source]
            assert mover.replica is node.replicas[1]
            node.transfer(node.replicas[1].group, heir)
            asked.append(cluster.ask(source, [b"SET", KEY, b"new"], write=True))
        original(mover, group, what, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Mover, "_put", put)
    cluster.change(1, MoveSlots(SLOTS, 1, 2))
    assert cluster.run(20_000, until=lambda: not cluster.nodes[1].moves), "the move does not end"
    assert cluster.leader(1) == heir, "nobody was deposed"
    assert asked[0].replies == [b"+OK\r\n"]
    assert cluster.call(1, [b"GET", KEY], write=False, group=2) == [b"$3\r\nnew\r\n"]


def test_move_to_a_target_without_memory_does_not_leave_slots_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last import is denied: the slots are served again meanwhile, and move once there is room."""
    cluster = Cluster(groups=2, seed=3)
    cluster.elect()
    cluster.call(1, [b"SET", KEY, b"v"], write=True)
    over = [False]
    original_measure, original_put = Health.measure, Mover._put

    def measure(health: Health) -> None:
        original_measure(health)
        health.over_memory = over[0]

    def put(mover: Mover, group: int, what: str, *arguments: object, **more: object) -> None:
        original_put(mover, group, what, *arguments, **more)  # type: ignore[arg-type]
        if what == "FREEZE":
            assert mover._tracker is not None
            mover._tracker.key(key_slot(KEY), KEY)  # as if it was written: there is something to send
            over[0] = True
            for node in cluster.nodes.values():
                node.health.measure()

    monkeypatch.setattr(Health, "measure", measure)
    monkeypatch.setattr(Mover, "_put", put)
    cluster.change(1, MoveSlots(SLOTS, 1, 2))
    assert cluster.run(5_000, until=lambda: over[0])
    cluster.run(2_000)
    assert cluster.nodes[1].moves, "it can't have ended"
    staged = cluster.nodes[cluster.leader(2)].replicas[2].applier.keyspace.ownership
    assert staged is not None
    assert staged.incoming, "it goes on"
    assert cluster.call(1, [b"GET", KEY], write=False, group=1) == [b"$1\r\nv\r\n"]
    over[0] = False
    for node in cluster.nodes.values():
        node.health.measure()
    monkeypatch.setattr(Mover, "_put", original_put)
    assert cluster.run(FULL_MS + 5_000, until=lambda: not cluster.nodes[1].moves)
    assert cluster.call(1, [b"GET", KEY], write=False, group=2) == [b"$1\r\nv\r\n"]


def test_time_goes_on_where_slots_come_from_a_clock_that_is_ahead() -> None:
    """Ten minutes: what is written to the slots then has its deadline in time."""
    cluster = Cluster(groups=1, seed=3)
    for clock in cluster.clocks.values():
        clock.offset_ms = 600_000.0
    cluster.elect()
    cluster.call(1, [b"SET", KEY, b"v", b"PX", b"60000"], write=True)
    for clock in cluster.clocks.values():
        clock.offset_ms = 0.0
    cluster.run(3000)
    cluster.change(1, CreateGroup())
    assert cluster.run(20_000, until=lambda: all(2 in n.lanes and n.ready for n in cluster.nodes.values()))
    cluster.change(1, MoveSlots(SLOTS, 1, 2))
    assert cluster.run(20_000, until=lambda: not cluster.nodes[1].moves)
    cluster.call(1, [b"SET", b"{" + KEY + b"}-", b"v", b"PX", b"1000"], write=True, group=2)
    cluster.run(3_000)
    assert cluster.call(1, [b"PTTL", b"{" + KEY + b"}-"], write=False, group=2) == [b":-2\r\n"]
    (left,) = cluster.call(1, [b"PTTL", KEY], write=False, group=2)
    assert 20_000 < int(left[1:]) < 58_000, "it runs on from the source's time"


def test_move_in_a_queue_is_given_up_at_once() -> None:
    """The one before it waits for a group that is gone; this one's groups are well."""
    cluster = Cluster(groups=3, seed=3, settings={"replication_factor": 1})
    cluster.elect()
    home = {group.group_id: group.voters[0] for group in cluster.nodes[1].groups}
    (first, _last), *_more = next(group.slots for group in cluster.nodes[1].groups if group.group_id == 1)
    at = home[1]
    cluster.crash(home[2])
    cluster.change(at, MoveSlots(((first, first + 10),), 1, 2))
    number = int(cluster.change(at, MoveSlots(((first + 20, first + 30),), 1, 3))[1:])
    cluster.run(3000)
    assert [move.move_id for move in cluster.nodes[at].moves] == [number - 1, number]
    assert cluster.change(at, CancelMove(number)).startswith(b":")
    assert cluster.run(5_000, until=lambda: [m.move_id for m in cluster.nodes[at].moves] == [number - 1])


def test_groups_forget_moves_one_by_one_only_below_the_oldest_open_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A move that waits in a queue can be carried out however many later ones are over."""
    monkeypatch.setattr(moving, "CLOSED_MAX", 4)
    cluster = Cluster(groups=3, seed=3, settings={"replication_factor": 1})
    cluster.elect()
    home = {group.group_id: group.voters[0] for group in cluster.nodes[1].groups}
    (first, _last), *_more = next(group.slots for group in cluster.nodes[1].groups if group.group_id == 1)
    (third, _last), *_more = next(group.slots for group in cluster.nodes[1].groups if group.group_id == 3)
    cluster.crash(home[1])
    at = home[2]
    assert cluster.change(at, MoveSlots(((first, first),), 1, 2)).startswith(b":")
    for number in range(12):
        source, target = ((3, 2), (2, 3))[number % 2]
        cluster.change(at, MoveSlots(((third, third),), source, target))
        assert cluster.run(20_000, until=lambda: len(cluster.nodes[at].moves) == 1)

    def closed(group: int) -> tuple[int, int]:
        ownership = cluster.nodes[home[group]].replicas[group].applier.keyspace.ownership
        assert ownership is not None
        return len(ownership.closed), ownership.closed_below

    cluster.run(2_000)
    assert closed(2) == closed(3) == (12, 0)
    cluster.start(home[1])
    assert cluster.run(60_000, until=lambda: not cluster.nodes[at].moves)
    cluster.run(2_000)
    assert closed(2) == closed(3) == (0, cluster.nodes[at].steering.roster.topology.next_move_id)
    assert closed(1)[0] <= 4
    owners = {slot for low, high in cluster.nodes[at].groups[1].slots for slot in (low, high)}
    assert first in owners
