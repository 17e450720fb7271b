"""The map of a topology: what has not changed is the same object as before, and nothing else differs."""

from __future__ import annotations

import random

import pytest

from redraft.control.groups import CreateGroup, DropGroup, ForgetGroup, MergeGroups, SplitGroup
from redraft.control.slotmoves import CancelMove, EndMove, Moved, MoveSlots
from redraft.control.topology import (
    Announce,
    Command,
    Place,
    Refused,
    Remove,
    Settled,
    Topology,
    apply,
    decode,
    encode,
)
from redraft.control.view import Seen, changed_groups, map_of
from redraft.topology.cluster_map import ClusterMap
from redraft.topology.slots import ranges_of
from tests.control.clusters import founded, join


def command_on(topology: Topology, chance: random.Random) -> Command:
    """A command that may change something."""
    group = chance.choice(topology.groups)
    nodes = [node.node_id for node in topology.nodes]
    move = chance.choice(topology.moves).move_id if topology.moves else 0
    slots = [slot for low, high in group.slots for slot in range(low, high + 1)]
    taken = chance.sample(slots, min(len(slots), chance.randrange(1, 9))) or [0]
    return chance.choice([
        join(chance.randrange(10, 16)),
        Announce(chance.choice(nodes), chance.randrange(5000, 5003), 5001, 5002),
        Place(group.group_id, tuple(chance.sample(nodes, min(3, len(nodes)))), replacing=True),
        Settled(group.group_id, group.placed),
        Remove(chance.choice(nodes)),
        MoveSlots(tuple(ranges_of(taken)), group.group_id, chance.choice(topology.groups).group_id),
        Moved(move),
        CancelMove(move),
        EndMove(move),
        CreateGroup(tuple(nodes[:3])),
        SplitGroup(group.group_id),
        MergeGroups(group.group_id, chance.choice(topology.groups).group_id),
        DropGroup(group.group_id),
        ForgetGroup(group.group_id),
    ])  # fmt: skip


def owners(cluster: ClusterMap) -> list[tuple[int, object]]:
    """Which group has which slots."""
    return [(group.group_id, group.slots) for group in cluster.groups]


def test_map_of_another_group_in_the_place_of_one_is_made_anew() -> None:
    """Who missed all that lies between sees as many groups as before, with the same slots."""
    before = founded(nodes=3, groups=1)
    topology = before
    for index, command in enumerate(
        (SplitGroup(1), Moved(2), EndMove(2), MergeGroups(1, 2), Moved(5), EndMove(5), ForgetGroup(1)), 2
    ):
        topology, answer = apply(topology, command, index)
        assert not isinstance(answer, Refused), answer.reason
    assert [group.group_id for group in topology.groups] == [2]
    assert map_of(topology, "c", {}, Seen(before, map_of(before, "c", {}))) == map_of(topology, "c", {})


@pytest.mark.parametrize("seed", range(8))
def test_map_made_from_the_one_before_is_the_one_made_anew(seed: int) -> None:
    """After any commands, some at once, and after a snapshot, of which all records are others."""
    chance, topology = random.Random(seed), founded(nodes=5, groups=7)
    cluster = map_of(topology, "c", {})
    for index in range(10, 410):
        before, old = topology, cluster
        for _ in range(chance.choice((1, 1, 1, 9))):
            topology, _ = apply(topology, command_on(topology, chance), index)
        if chance.random() < 0.05:
            topology = decode(encode(topology))
        cluster = map_of(topology, "c", {}, Seen(before, old))
        assert cluster == map_of(topology, "c", {}), f"seed {seed}"
        changed = {group.group_id for group in changed_groups(old, cluster)}
        known = {id(group) for group in old.groups}
        if len(old.groups) == len(cluster.groups):
            assert all(group.group_id in changed or id(group) in known for group in cluster.groups)
        if owners(old) == owners(cluster):
            assert cluster.group_of_slot is old.group_of_slot, "who has another one has to look at all slots"
