"""When a node saves the topology: at once before it goes by it, later where only slots have moved."""

from __future__ import annotations

import errno

import pytest
from msgspec.structs import replace

from redraft.accel.scan import key_slot
from redraft.control.groups import SplitGroup
from redraft.control.slotmoves import EndMove, Moved, MoveSlots
from redraft.control.topology import Command, Drain, Place, Refused, Topology, apply, founding_topology
from redraft.node.remembering import SAVE_MS, Remembering
from redraft.topology.cluster_map import first_map
from tests.node.bottle import Cluster, Memory, member_of

FIRST = founding_topology(
    first_map("c" * 40, [member_of(number) for number in (1, 2, 3)], groups=2, replication_factor=2), 2
)
KEYS = [b"k%d" % number for number in range(100)]
MOVE = MoveSlots(((0, 99),), 1, 2)


def owner(cluster: Cluster, key: bytes, at: int = 1) -> int:
    """The group of a key, by a node's map."""
    return cluster.nodes[at].group_of_slot[key_slot(key)]


def after(*commands: Command) -> Topology:
    """The founding topology after commands."""
    topology = FIRST
    for number, command in enumerate(commands, start=2):
        topology, answer = apply(topology, command, number)
        assert not isinstance(answer, Refused), answer.reason
    return topology


def test_remembering_saves_slots_that_move_a_while_later() -> None:
    """A while after the first change: later ones do not put it off, and what is saved is the newest."""
    memory = Memory()
    remembering = Remembering(memory, FIRST)
    moves = [MOVE, Moved(FIRST.next_move_id or 2), EndMove(FIRST.next_move_id or 2)]
    for number in range(1, 4):
        remembering.learnt(after(*moves[:number]), number * 10.0)
    remembering.tick(10.0 + SAVE_MS - 1)
    assert memory.topology is None
    remembering.tick(10.0 + SAVE_MS)
    assert memory.topology == after(*moves)
    assert memory.topology.group(2) != FIRST.group(2), "the slots have moved"


def test_remembering_waits_for_each_change_anew() -> None:
    """What changes behind a save is saved a while after that change."""
    memory = Memory()
    remembering = Remembering(memory, FIRST)
    remembering.learnt(after(MOVE), 0.0)
    remembering.tick(SAVE_MS)
    memory.topology = None
    moved = after(MOVE, Moved(FIRST.next_move_id or 2))
    remembering.learnt(moved, 5 * SAVE_MS)
    remembering.tick(6 * SAVE_MS - 1)
    assert memory.topology is None
    remembering.tick(6 * SAVE_MS)
    assert memory.topology == moved


def test_node_that_stops_saves_what_waits() -> None:
    """Before it says that nothing is left to do, whether or not there is another tick."""
    cluster = Cluster(groups=2)
    cluster.elect()
    cluster.run(2 * SAVE_MS)
    cluster.change(1, MOVE)
    saved = cluster.memories[1].topology
    assert saved is None or not saved.moves, "it was to wait"
    cluster.nodes[1].hand_over()
    saved = cluster.memories[1].topology
    assert saved is not None
    assert saved.moves


def test_remembering_tries_again_when_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node goes on: an older map costs a detour, a node that stops costs more."""
    memory = Memory()
    remembering = Remembering(memory, FIRST)
    remembering.learnt(after(MOVE), 0.0)

    def full(_topology: Topology) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(memory, "save_topology", full)
        remembering.tick(SAVE_MS)
        with pytest.raises(OSError, match="No space"):
            remembering.save()
    remembering.tick(2 * SAVE_MS - 1)
    assert memory.topology is None
    remembering.tick(2 * SAVE_MS)
    assert memory.topology == after(MOVE)


@pytest.mark.parametrize(
    "command", [Drain(2, draining=True), Place(1, (2, 3)), SplitGroup(1, ((0, 99),), (1, 2))], ids=repr
)
def test_remembering_saves_before_the_node_goes_by_anything_else(command: Command) -> None:
    """Members, groups and placements, also behind slots that have not been saved yet."""
    memory = Memory()
    remembering = Remembering(memory, FIRST)
    remembering.learnt(after(MOVE), 0.0)
    changed = after(replace(MOVE, slots=((100, 199),)), command)
    remembering.learnt(changed, 1.0)
    assert memory.topology == changed
    memory.topology = None
    remembering.tick(2 * SAVE_MS)
    assert memory.topology is None, "nothing was left to be saved"


def test_nodes_that_have_not_saved_where_slots_went_find_them_again() -> None:
    """All lose their power before it is saved: the logs of the groups know, and that of the topology."""
    cluster = Cluster(groups=2)
    cluster.elect()
    for group in (1, 2):
        cluster.call(
            1, *[[b"SET", key, b"v"] for key in KEYS if owner(cluster, key) == group], write=True, group=group
        )
    cluster.change(1, MoveSlots(((0, 4095),), 1, 2))
    moved = [key for key in KEYS if key_slot(key) < 4096]
    assert cluster.run(20_000, until=lambda: not cluster.nodes[1].moves)
    for number in (1, 2, 3):
        saved = cluster.memories[number].topology
        assert saved is None or saved.groups[0].slots == ((0, 8191),)
        cluster.crash(number)
    for number in (1, 2, 3):
        cluster.start(number)
    assert {owner(cluster, key, number) for key in moved for number in (1, 2, 3)} == {1}, "nobody knows"
    cluster.elect()

    def all_know() -> bool:
        return {owner(cluster, key, number) for key in moved for number in (1, 2, 3)} == {2}

    assert cluster.run(20_000, until=all_know)
    for number in (1, 2, 3):
        found = cluster.call(number, *[[b"GET", key] for key in moved], write=False, group=2)
        assert set(found) == {b"$1\r\nv\r\n"}
