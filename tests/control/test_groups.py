"""Groups in the topology: ids are given once, what is forgotten has nothing, a refusal changes nothing."""

from __future__ import annotations

import random

import msgspec
import pytest
from msgspec.structs import replace

from redraft.base.limits import GROUP_ID_MAX, GROUPS_MAX
from redraft.control.admission import objection
from redraft.control.groups import CreateGroup, DropGroup, ForgetGroup, MergeGroups, SplitGroup
from redraft.control.slotmoves import CancelMove, EndMove, GroupRecord, Moved, MoveSlots, slots_of
from redraft.control.topology import (
    Command,
    Drain,
    Place,
    Recover,
    Refused,
    Remove,
    Settled,
    Topology,
    apply,
    decode,
    decode_command,
    encode,
    encode_command,
)
from redraft.control.view import map_of
from redraft.topology.slots import SLOTS
from redraft.transport.messages import NO_GROUP
from tests.control.clusters import founded


def do(topology: Topology, command: Command) -> tuple[Topology, int]:
    topology, answer = apply(topology, command, topology.epoch + 1)
    assert not isinstance(answer, Refused), answer
    return topology, answer


def refusal(topology: Topology, command: Command) -> str:
    after, answer = apply(topology, command, topology.epoch + 1)
    assert after is topology
    assert isinstance(answer, Refused)
    return answer.reason


def record(topology: Topology, group: int) -> GroupRecord:
    found = topology.group(group)
    assert found is not None
    return found


def carried_out(topology: Topology, move: int) -> Topology:
    topology, _ = do(topology, Moved(move))
    return do(topology, EndMove(move))[0]


def test_group_is_made_on_the_nodes_that_are_named() -> None:
    """It owns nothing, it has settled there, and its state begins without slots whatever it owns later."""
    topology, number = do(founded(nodes=4, groups=2), CreateGroup((4, 2)))
    group = record(topology, number)
    assert number == 3
    assert group.voters == group.founders == (4, 2)
    assert not group.moving
    assert map_of(topology, "c", {}).groups[-1].slots_at_first == []
    topology, move = do(topology, MoveSlots(((0, 9),), 1, 3))
    topology = carried_out(topology, move)
    assert record(topology, 3).slots == ((0, 9),)
    assert map_of(topology, "c", {}).groups[-1].slots_at_first == []
    assert decode(encode(topology)) == topology


def test_group_is_made_where_the_fewest_stand() -> None:
    """Led by the node that leads the fewest, and never on one that leaves or is drained."""
    topology = founded(nodes=5, groups=3)  # led by 1, 2, 3; 3 has most, then 2 and 4
    topology, number = do(topology, CreateGroup())
    assert record(topology, number).voters == (5, 1, 2)
    topology, _ = do(topology, Drain(4, True))
    topology, number = do(topology, CreateGroup())
    assert 4 not in record(topology, number).voters
    topology, _ = do(topology, Remove(5))
    topology, number = do(topology, CreateGroup())
    assert not {4, 5}.intersection(record(topology, number).voters)


@pytest.mark.parametrize(
    ("voters", "reason"),
    [((9,), "no node 9"), ((1, 1), "twice"), ((3,), "drained"), ((2,), "being removed")],
)
def test_group_is_not_made_where_none_can_stand(voters: tuple[int, ...], reason: str) -> None:
    topology, _ = do(founded(), Drain(3, True))
    topology, _ = do(topology, Remove(2))
    assert reason in refusal(topology, CreateGroup(voters))
    assert reason in refusal(topology, SplitGroup(1, (), voters))


def test_split_moves_half_of_the_slots_to_a_new_group() -> None:
    """The upper half, unless slots are named; both come with one entry."""
    topology, number = do(founded(groups=1), SplitGroup(1))
    assert number == 2
    (move,) = topology.moves
    assert (move.source, move.target, move.slots) == (1, 2, ((SLOTS // 2, SLOTS - 1),))
    topology = carried_out(topology, move.move_id)
    assert record(topology, 1).slots == ((0, SLOTS // 2 - 1),)
    topology, number = do(topology, SplitGroup(2, ((9000, 9001),), (2,)))
    assert record(topology, number).voters == (2,)
    assert record(carried_out(topology, topology.moves[0].move_id), number).slots == ((9000, 9001),)


def test_split_leaves_a_slot_and_takes_none_of_others() -> None:
    topology = founded(groups=2)
    assert "no slot left" in refusal(topology, SplitGroup(1, record(topology, 1).slots))
    assert "not those of group 1" in refusal(topology, SplitGroup(1, ((16383, 16383),)))
    assert "no group 7" in refusal(topology, SplitGroup(7))
    moving, _ = do(topology, MoveSlots(((8000, 8191),), 1, 2))
    assert "on their way" in refusal(moving, SplitGroup(1))


def test_merged_group_goes_once_its_slots_have_gone() -> None:
    topology, number = do(founded(groups=3), MergeGroups(3, 1))
    assert record(topology, 3).dropping
    assert do(topology, ForgetGroup(3))[0] is topology, "it still has slots"
    assert "being dropped" in refusal(topology, MoveSlots(((0, 0),), 1, 3))
    topology, _ = do(topology, Moved(number))
    assert do(topology, ForgetGroup(3))[0] is topology, "it has to let go of them first"
    topology, _ = do(topology, EndMove(number))
    topology, _ = do(topology, ForgetGroup(3))
    assert topology.group(3) is None
    assert do(topology, ForgetGroup(3))[0] is topology
    assert slots_of(record(topology, 1).slots) | slots_of(record(topology, 2).slots) == set(range(SLOTS))
    assert do(topology, CreateGroup())[1] == 4, "numbers are given once"


def test_merge_that_is_cancelled_leaves_the_group() -> None:
    topology, number = do(founded(groups=2), MergeGroups(2, 1))
    topology, _ = do(topology, CancelMove(number))
    assert not record(topology, 2).dropping
    topology, _ = do(topology, EndMove(number))
    assert do(topology, ForgetGroup(2))[0] is topology
    do(topology, MergeGroups(2, 1))


def test_group_with_anything_is_not_dropped() -> None:
    """The reason says what to do."""
    topology, number = do(founded(groups=2), CreateGroup())
    assert "group merge 1" in refusal(topology, DropGroup(1))
    assert "drop it" in refusal(topology, MergeGroups(number, 1))
    moving, move = do(topology, MoveSlots(((0, 9),), 1, number))
    assert f"move {move}" in refusal(moving, DropGroup(number))
    assert f"move {move}" in refusal(moving, MergeGroups(1, 2))
    assert "no group 9" in refusal(topology, DropGroup(9))
    assert "last one" in refusal(founded(groups=1), DropGroup(1))
    topology, _ = do(topology, DropGroup(number))
    assert do(topology, DropGroup(number))[0] is topology
    assert do(topology, ForgetGroup(number))[0].group(number) is None


def test_numbers_and_groups_have_an_end() -> None:
    """Numbers are 16 bits on the wire, and none is given twice."""
    assert GROUP_ID_MAX < NO_GROUP
    topology = replace(founded(groups=1), next_group_id=GROUP_ID_MAX)
    topology, number = do(topology, CreateGroup())
    assert number == GROUP_ID_MAX
    assert "none is given twice" in refusal(topology, CreateGroup())
    full = replace(founded(), groups=tuple(GroupRecord(n, (), (1,)) for n in range(1, GROUPS_MAX + 1)))
    assert "merge some" in refusal(full, CreateGroup())
    assert "merge some" in refusal(full, SplitGroup(1, ((0, 0),))) or "no slot" in refusal(
        full, SplitGroup(1)
    )


def test_topology_of_a_version_without_new_groups_is_read() -> None:
    """Numbers go on behind the highest."""
    old = msgspec.msgpack.decode(encode(founded(groups=4)))
    del old["next_group_id"]
    for group in old["groups"]:
        del group["founders"], group["dropping"]
    read = decode(msgspec.msgpack.encode(old))
    assert read == founded(groups=4)
    assert do(read, CreateGroup())[1] == 5


def test_group_on_a_node_that_does_not_answer_is_objected_to() -> None:
    topology = founded(nodes=4)
    for command in (CreateGroup((1, 3)), SplitGroup(1, (), (3,))):
        found = objection(topology, command, lambda node: node != 3)
        assert found is not None
        assert "Node 3 does not answer" in found.reason
    assert objection(topology, CreateGroup((1, 2)), lambda node: node != 3) is None


@pytest.mark.parametrize("seed", range(30))
def test_groups_keep_their_invariants_whatever_is_asked(seed: int) -> None:
    """Each slot has one owner, numbers are given once, replicas of the topology agree."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    topology = twin = founded(nodes=4, groups=2)
    given = {1, 2}
    for index in range(10, 400):
        group, other = rng.randint(0, topology.next_group_id), rng.randint(0, topology.next_group_id)
        move = rng.choice(topology.moves).move_id if topology.moves else index
        low = rng.randrange(SLOTS)
        accepted = {each.move_id for each in topology.moves if each.accepted}
        some = ((low, min(SLOTS - 1, low + rng.choice((0, 9, 5000)))),)
        command: Command = rng.choice(
            (
                CreateGroup(rng.choice(((), (1, 2), (4,)))),
                SplitGroup(group, rng.choice(((), some))),
                MergeGroups(group, other),
                DropGroup(group),
                MoveSlots(some, group, other),
                CancelMove(move),
                Moved(move),
                EndMove(move) if move in accepted else Moved(move),
                Place(group, (2, 3)),
                Settled(group, index),
                *(ForgetGroup(each.group_id) for each in topology.groups),
            )
        )
        before = topology
        topology, _answer = apply(topology, command, index)
        twin, _answer = apply(decode(encode(twin)), decode_command(encode_command(command)), index)
        assert encode(topology) == encode(twin)
        assert topology is before or topology.epoch == index
        ids = {each.group_id for each in topology.groups}
        assert max(ids) < topology.next_group_id
        fresh = ids - {each.group_id for each in before.groups}
        assert not fresh & given
        given |= fresh
        assert 0 not in map_of(topology, "c", {}).group_of_slot
        assert all({each.source, each.target} <= ids for each in topology.moves)


def test_lost_groups_have_others_in_their_place() -> None:
    """They own what those owned by then; what was on its way is given up; numbers are given once."""
    topology, move = do(founded(groups=3), MoveSlots(((0, 9),), 1, 2))
    topology = carried_out(topology, move)
    topology, _ = do(topology, MergeGroups(2, 3))
    owned = record(topology, 2).slots
    topology, _ = do(topology, Recover(1, (2,)))
    assert topology.group(2) is None
    heir = record(topology, 4)
    assert heir.slots == owned
    assert heir.first_slots == owned
    assert heir.voters == heir.founders == (1,)
    assert not heir.dropping
    assert [(each.source, each.target, each.cancelled) for each in topology.moves] == [(4, 3, True)]
    assert do(topology, CreateGroup())[1] == 5
