"""Moves of slots in the topology: a slot has one owner and one move; what is late changes nothing."""

from __future__ import annotations

import random

import pytest

from redraft.control.groups import SplitGroup
from redraft.control.slotmoves import (
    CancelMove,
    EndMove,
    GroupRecord,
    Moved,
    MoveSlots,
    apply_move,
    read,
    slots_of,
    written,
)
from redraft.control.topology import Refused, Topology, apply, decode, encode
from redraft.control.view import map_of
from redraft.topology.slots import SLOTS
from tests.control.clusters import founded


def do(topology: Topology, command: MoveSlots | CancelMove | Moved | EndMove) -> tuple[Topology, int]:
    topology, answer = apply(topology, command, topology.epoch + 1)
    assert not isinstance(answer, Refused), answer
    return topology, answer


def refusal(topology: Topology, command: MoveSlots | CancelMove) -> str:
    after, answer = apply(topology, command, topology.epoch + 1)
    assert after is topology
    assert isinstance(answer, Refused)
    return answer.reason


def slots(topology: Topology, group: int) -> set[int]:
    record = topology.group(group)
    assert record is not None
    return slots_of(record.slots)


def test_slotmoves_change_the_map_when_the_target_has_accepted() -> None:
    """Not when the move begins, and not again when it ends."""
    topology = founded(groups=2)
    before = slots(topology, 1)
    moving, number = do(topology, MoveSlots(((0, 99),), 1, 2))
    assert slots(moving, 1) == before
    assert moving.move(number) is not None
    moved, _ = do(moving, Moved(number))
    assert slots(moved, 1) == before - set(range(100))
    assert slots(moved, 2) == set(range(SLOTS)) - slots(moved, 1)
    again, _ = do(moved, Moved(number))
    assert again is moved
    ended, _ = do(moved, EndMove(number))
    assert ended.moves == ()
    assert ended.groups == moved.groups
    assert map_of(ended, "c", {}).group_of_slot[0] == 2


def test_slotmoves_keep_what_a_group_owned_before_its_log_began() -> None:
    """A replica that replays the whole log begins there."""
    topology = founded(groups=2)
    first = topology.groups[0].slots
    topology, number = do(topology, MoveSlots(((5, 5),), 1, 2))
    topology, _ = do(topology, Moved(number))
    assert topology.groups[0].first_slots == first
    assert decode(encode(topology)) == topology
    group = map_of(topology, "c", {}).groups[0]
    assert set(group.slots_at_first) == slots_of(first)


def test_slotmoves_cancelled_before_acceptance_leave_the_map() -> None:
    """Afterwards it is too late."""
    topology, number = do(founded(groups=2), MoveSlots(((0, 9),), 1, 2))
    cancelled, _ = do(topology, CancelMove(number))
    move = cancelled.move(number)
    assert move is not None
    assert move.cancelled
    assert do(cancelled, EndMove(number))[0].groups == topology.groups
    accepted, _ = do(topology, Moved(number))
    assert "move them back" in refusal(accepted, CancelMove(number))
    assert "no move" in refusal(topology, CancelMove(number + 1))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (MoveSlots((), 1, 2), "Slots are 0 to"),
        (MoveSlots(((9, 3),), 1, 2), "Slots are 0 to"),
        (MoveSlots(((0, SLOTS),), 1, 2), "Slots are 0 to"),
        (MoveSlots(((0, 3), (3, 4)), 1, 2), "named twice"),
        (MoveSlots(((0, 3),), 1, 1), "owns these slots already"),
        (MoveSlots(((0, 3),), 1, 7), "no group 7"),
        (MoveSlots(((0, 3),), 7, 1), "no group 7"),
        (MoveSlots(((0, 3),), 2, 1), "Slots 0-3 are not those of group 2"),
    ],
)
def test_slotmoves_refuse_what_can_not_be_moved(command: MoveSlots, why: str) -> None:
    """With a sentence that says why."""
    assert why in refusal(founded(groups=2), command)


def test_slotmoves_take_a_slot_once() -> None:
    """While it is on its way nobody else moves it."""
    topology, _ = do(founded(groups=3), MoveSlots(((0, 9),), 1, 2))
    assert "Slots 9 are on their way" in refusal(topology, MoveSlots(((9, 20),), 1, 3))


@pytest.mark.parametrize("seed", range(20))
def test_slotmoves_keep_one_owner_a_slot(seed: int) -> None:
    """Whatever is asked for, in whatever order reports come."""
    rng = random.Random(seed)
    topology = founded(groups=4)
    for _ in range(60):
        move = rng.randrange(topology.epoch + 2)
        low = rng.randrange(SLOTS)
        ranges = ((low, min(SLOTS - 1, low + rng.randrange(3000))),)
        begun = MoveSlots(ranges, rng.randint(1, 4), rng.randint(1, 4))
        command = rng.choice([begun, CancelMove(move), Moved(move), EndMove(move)])
        if isinstance(command, EndMove):
            record = topology.move(move)
            if record is not None and not (record.accepted or record.cancelled):
                continue
        topology, _ = apply(topology, command, topology.epoch + 1)
        owned = [slot for group in topology.groups for slot in slots_of(group.slots)]
        assert sorted(owned) == list(range(SLOTS)), f"{seed=}"
        under_way = [slot for each in topology.moves for slot in slots_of(each.slots)]
        assert len(under_way) == len(set(under_way)), f"{seed=}"


def test_slotmoves_begun_by_one_entry_have_ids_of_their_own() -> None:
    """Several commands may share an entry; a group's log knows a move by its id, and hears of it once."""
    topology, first = apply(founded(groups=3), MoveSlots(((0, 9),), 1, 2), 7)
    topology, second = apply(topology, MoveSlots(((10, 19),), 1, 2), 7)
    assert first == 7
    assert second == 8
    topology, _ = apply(topology, CancelMove(8), 8)
    topology, _ = apply(topology, EndMove(8), 8)
    topology, third = apply(topology, MoveSlots(((10, 19),), 1, 2), 8)
    assert third == 9
    topology, _ = apply(topology, SplitGroup(1, ((20, 29),)), 9)
    topology, _ = apply(topology, SplitGroup(1, ((30, 39),)), 9)
    assert [move.move_id for move in topology.moves] == [7, 9, 10, 11]


def test_slotmoves_of_records_touch_no_other_group() -> None:
    """The others' records are the very same."""
    groups = tuple(GroupRecord(n, ((n * 10, n * 10 + 9),), (1,)) for n in (1, 2, 3))
    _, moves, _ = apply_move(groups, (), MoveSlots(((10, 12),), 1, 2), 7)
    after, _, refused = apply_move(groups, moves, Moved(7), 8)
    assert not refused
    assert [group.slots for group in after] == [((13, 19),), ((10, 12), (20, 29)), ((30, 39),)]
    assert after[2] is groups[2]


def test_slotmoves_ranges_are_written_and_read() -> None:
    """As people write them."""
    assert read("0-99, 200") == ((0, 99), (200, 200))
    assert read("5,3-4") == ((3, 5),)
    assert written(((0, 99), (200, 200))) == "0-99,200"
    for text in ("", "a", "9-3", "16384", "0--1", "-1"):
        with pytest.raises(ValueError, match=r".*"):
            read(text)
