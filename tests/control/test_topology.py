"""The topology's state machine: ids are given once, placements are never empty, nobody leaves too early."""

from __future__ import annotations

import random
from itertools import count

import msgspec
import pytest

from redraft.base.announced import Announced
from redraft.control.topology import (
    FOUNDING_EPOCH,
    TOPOLOGY_VOTERS_MAX,
    Announce,
    Command,
    Drain,
    Forget,
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
    founding_topology,
    may_forget,
    topology_placement,
)
from redraft.control.view import map_of
from redraft.topology.cluster_map import first_map
from tests.control.clusters import founded, join, member


class Machine:
    """A topology and the index of the next entry."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.index = 10

    def do(self, command: Command) -> int | Refused:
        self.index += 1
        self.topology, answer = apply(self.topology, command, self.index)
        return answer

    def reason(self, command: Command) -> str:
        before = self.topology
        answer = self.do(command)
        assert isinstance(answer, Refused)
        assert self.topology is before, "what is refused changes nothing"
        return answer.reason

    def settle(self) -> None:
        for group in self.topology.groups:
            self.do(Settled(group.group_id, group.placed))

    def voters(self, group: int) -> tuple[int, ...]:
        record = self.topology.group(group)
        assert record is not None
        return record.voters


def test_topology_of_the_founding_is_the_same_whatever_ports_were_met() -> None:
    """It follows from the first configuration alone, and ports are no part of that."""
    maps = [
        first_map("c", [member(n, port) for n in (1, 2, 3)], groups=2, replication_factor=3)
        for port in (8000, 8001)
    ]
    first, second = (founding_topology(each, 3) for each in maps)
    assert encode(first) == encode(second)
    assert first.epoch == FOUNDING_EPOCH
    assert first.next_node_id == 4


def test_topology_encoding_is_read_back_and_checked() -> None:
    """A topology and every command survive encoding; another format is refused."""
    topology = founded()
    assert decode(encode(topology)) == topology
    for command in (join(4), Announce(1, 2, 3, 4), Remove(1), Forget(1), Place(1, (1, 2), True)):
        assert decode_command(encode_command(command)) == command
    with pytest.raises(msgspec.ValidationError, match="format 9"):
        decode(encode(msgspec.structs.replace(topology, format=9)))


def test_join_gives_each_node_an_id_once() -> None:
    """A node that asks again (its first answer was lost) is told the same; another gets another."""
    machine = Machine(founded())
    assert machine.do(join(11)) == 4
    assert machine.do(join(12)) == 5
    assert machine.do(join(11)) == 4
    assert [node.node_id for node in machine.topology.nodes] == [1, 2, 3, 4, 5]


def test_join_at_a_members_address_is_refused() -> None:
    """A node that lost its disk comes back as a new one, once the old one is taken out."""
    machine = Machine(founded())
    reason = machine.reason(join(11, port=7002))
    assert "10.0.0.1:7002 is the address of node 2" in reason
    assert "redraft node remove 2" in reason
    machine.do(Remove(2))
    machine.settle()
    machine.do(Forget(2))
    assert machine.do(join(11, port=7002)) == 4


def test_join_fills_groups_that_lack_a_replica() -> None:
    """A cluster of one that is joined twice keeps three replicas; a fourth node gets none by itself."""
    machine = Machine(founded(nodes=1, groups=2))
    machine.do(join(2))
    machine.do(join(3))
    machine.do(join(4))
    assert machine.voters(1) == machine.voters(2) == (1, 2, 3)


def test_ids_are_never_used_again() -> None:
    """The id of a removed node stays its own: nobody is mistaken for it."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(Remove(4))
    machine.settle()
    machine.do(Forget(4))
    assert machine.topology.was_removed(4)
    assert not machine.topology.was_removed(5)
    assert machine.do(join(12)) == 5
    assert "removed already" in machine.reason(Remove(4))


def test_remove_puts_the_least_loaded_node_in_the_place() -> None:
    """Each group keeps its number of replicas, and leaders stay spread evenly."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(join(12))
    machine.do(Remove(1))
    assert machine.voters(1) == (4, 2, 3)
    assert machine.voters(2) == (2, 3, 5)
    assert machine.voters(3) == (3, 4, 2)


def test_remove_of_several_nodes_leaves_leaders_spread() -> None:
    """Five nodes become three: each is the preferred leader of one of three groups."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(join(12))
    machine.do(Remove(2))
    machine.do(Remove(3))
    assert sorted(machine.voters(group)[0] for group in (1, 2, 3)) == [1, 4, 5]


def test_remove_without_a_replacement_leaves_fewer_replicas() -> None:
    """Of three nodes with three replicas two remain; the last can't be removed."""
    machine = Machine(founded(groups=1))
    machine.do(Remove(1))
    assert machine.voters(1) == (2, 3)
    machine.do(Remove(2))
    assert machine.voters(1) == (3,)
    assert "the last one" in machine.reason(Remove(3))


def test_drain_marks_a_node_and_nothing_more() -> None:
    """It is a member as before, with its replicas: who moves them is the controller."""
    machine = Machine(founded())
    before = machine.topology
    machine.do(Drain(2, draining=True))
    after = machine.topology
    assert [node.draining for node in after.nodes] == [False, True, False]
    assert after.groups == before.groups
    machine.do(Drain(2, draining=True))
    assert machine.topology is after
    machine.do(Drain(2, draining=False))
    assert machine.topology.nodes == before.nodes
    assert "no node 9" in machine.reason(Drain(9, draining=True))


def test_nothing_new_is_placed_on_a_drained_node() -> None:
    """Neither by hand nor in place of a removed one; what it has may stay."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(join(12))
    machine.do(Drain(4, draining=True))
    assert "is drained" in machine.reason(Place(1, (1, 2, 4)))
    machine.do(Place(1, (2, 1, 3)))
    machine.do(Remove(1))
    assert all(4 not in group.voters for group in machine.topology.groups)
    assert "being removed" in machine.reason(Drain(1, draining=True))


def test_drained_nodes_are_the_last_to_vote_in_the_topology_group() -> None:
    """Removing one then changes nothing there; where there are few nodes it votes on."""
    machine = Machine(founded())
    for number in (11, 12, 13):
        machine.do(join(number))
    machine.do(Drain(1, draining=True))
    assert topology_placement(machine.topology) == ((2, 3, 4, 5, 6), (1,))
    machine.do(Drain(2, draining=True))
    assert topology_placement(machine.topology) == ((3, 4, 5, 6, 1), (2,))


def test_forget_waits_until_every_group_has_settled() -> None:
    """A node that is still in some group's configuration is needed there."""
    machine = Machine(founded())
    machine.do(Remove(3))
    assert "still has a part" in machine.reason(Forget(3))
    for group in (1, 2):
        machine.do(Settled(group, machine.topology.groups[group - 1].placed))
        assert not may_forget(machine.topology, 3)
    machine.do(Settled(3, machine.topology.groups[2].placed))
    assert may_forget(machine.topology, 3)
    machine.do(Forget(3))
    assert machine.topology.node(3) is None
    assert machine.do(Forget(3)) == machine.topology.epoch


def test_forget_of_a_node_that_stays_is_refused() -> None:
    """Only who was told to leave leaves, even if it holds nothing."""
    machine = Machine(founded())
    machine.do(join(11))
    assert "still has a part" in machine.reason(Forget(4))


def test_settled_reports_that_are_late_count_for_nothing() -> None:
    """A report about an older placement, or of a future one, does not settle this one."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(Place(1, (1, 2, 4)))
    first = machine.topology.groups[0].placed
    machine.do(Place(1, (1, 2, 3), replacing=True))
    machine.do(Settled(1, first))
    assert machine.topology.groups[0].moving
    machine.do(Settled(1, machine.topology.groups[0].placed + 1))
    assert machine.topology.groups[0].moving
    machine.do(Settled(1, machine.topology.groups[0].placed))
    assert not machine.topology.groups[0].moving


@pytest.mark.parametrize(
    ("voters", "reason"),
    [
        ((), "needs a node"),
        ((1, 1), "twice"),
        ((1, 9), "There is no node 9: the members are 1, 2, 3, 4"),
        ((1, 4), "being removed"),
        (tuple(range(1, 10)), "at most 7"),
    ],
)
def test_place_refuses_what_no_group_can_stand_on(voters: tuple[int, ...], reason: str) -> None:
    """Unknown, leaving, doubled, too many, none."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(Remove(4))
    assert reason in machine.reason(Place(1, voters))
    assert "There is no group 9" in machine.reason(Place(9, (1,)))


def test_place_while_a_group_moves_needs_to_be_asked_twice() -> None:
    """A move under way is replaced only on request; a new order of the same nodes is no move."""
    machine = Machine(founded())
    machine.do(join(11))
    machine.do(Place(1, (3, 2, 1)))
    assert not machine.topology.groups[0].moving
    machine.do(Place(1, (4, 2, 1)))
    assert machine.topology.groups[0].moving
    assert "still moving to nodes 4, 2, 1" in machine.reason(Place(1, (1, 2, 3)))
    assert isinstance(machine.do(Place(1, (1, 2, 3), replacing=True)), int)


def test_announced_ports_show_on_the_map_and_others_as_met() -> None:
    """The map has a member's announced ports, or else those it was met with."""
    machine = Machine(founded())
    met = {each.hex_id: each for each in (member(1), member(2, 8002), member(3))}
    machine.do(Announce(1, 5001, 5002, 5003))
    seen = map_of(machine.topology, "c", met)
    assert (seen.member(1).primary_port, seen.member(1).peer_port) == (5001, 5003)
    assert seen.member(2).primary_port == 8002
    assert seen.epoch == machine.topology.epoch == machine.index
    machine.do(Announce(1, 5001, 5002, 5003))
    assert machine.topology.epoch == machine.index - 1, "nothing new is no change"


def test_what_a_member_announces_is_where_it_is_shown() -> None:
    """Until it announces something a member is shown where it listens; the last word counts."""
    machine = Machine(founded())
    told = Announced("redis.example.com", 30_001, 30_002, 30_003)
    machine.do(Announce(1, 5001, 5002, 5003, told))
    seen = map_of(machine.topology, "c", {})
    assert seen.member(1).shown == told
    assert seen.member(2).shown == Announced("10.0.0.1", 7002, 0, 0)
    assert decode(encode(machine.topology)) == machine.topology
    machine.do(Announce(1, 5001, 5002, 5003))
    assert map_of(machine.topology, "c", {}).member(1).shown == Announced("10.0.0.1", 7001, 5001, 5002)


def test_topology_group_has_up_to_five_voters_and_everybody_follows() -> None:
    """Every node has the topology by the log; who leaves no longer votes on it."""
    machine = Machine(founded(nodes=7))
    assert topology_placement(machine.topology) == ((1, 2, 3, 4, 5), (6, 7))
    machine.do(Remove(2))
    assert topology_placement(machine.topology) == ((1, 3, 4, 5, 6), (2, 7))


def test_recover_leaves_one_node_with_everything() -> None:
    """After a quorum was lost for good the survivor owns all groups, and old ids stay used."""
    machine = Machine(founded())
    machine.do(Recover(2))
    assert [node.node_id for node in machine.topology.nodes] == [2]
    assert all(group.voters == (2,) and not group.moving for group in machine.topology.groups)
    assert machine.topology.was_removed(1)
    assert machine.do(join(11)) == 4


@pytest.mark.parametrize("seed", range(40))
def test_topology_keeps_its_invariants_whatever_is_asked(seed: int) -> None:
    """Random commands: placements name members that stay, ids grow, all replicas of it agree."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    machine, twin = Machine(founded()), Machine(founded())
    numbers = count(100)
    for _ in range(200):
        node = rng.randint(0, machine.topology.next_node_id)
        group = rng.randint(0, 4)
        command: Command = rng.choice(
            (
                join(next(numbers)),
                Remove(node),
                Forget(node),
                Place(group, tuple(rng.sample(range(1, 9), rng.randint(0, 4))), rng.random() < 0.5),
                Settled(group, rng.randint(1, machine.index)),
                *(Settled(each.group_id, each.placed) for each in machine.topology.groups),
                Announce(node, rng.randint(1, 9), 2, 3),
            )
        )
        before = machine.topology
        machine.do(command)
        twin.do(decode_command(encode_command(command)))
        after = machine.topology
        assert encode(after) == encode(twin.topology)
        assert after is before or after.epoch == machine.index
        staying = {each.node_id for each in after.nodes if not each.leaving}
        assert staying
        assert all(each.voters and set(each.voters) <= staying for each in after.groups)
        assert len({each.address for each in after.nodes}) == len(after.nodes)
        assert all(each.node_id < after.next_node_id for each in after.nodes)
        voters, learners = topology_placement(after)
        assert 1 <= len(voters) <= TOPOLOGY_VOTERS_MAX
        assert sorted((*voters, *learners)) == [each.node_id for each in after.nodes]
