"""Who belongs to a cluster as it changes: strangers, newcomers not heard of yet, removed and wiped nodes."""

from __future__ import annotations

import pytest

from redraft.control.topology import Command, Forget, Remove, Settled, Topology, apply
from redraft.node.roster import Roster
from redraft.transport.handshake import Card, Kind, Purpose, Stage
from tests.control.clusters import founded, join, member


def card(
    number: int, *, node_id: int = 0, port: int = 0, cluster_id: str = "c", stage: str = "formed"
) -> Card:
    return Card(
        hex_id=f"{number:040x}",
        incarnation=1,
        host="10.0.0.1",
        client_port=port or 7000 + number,
        primary_port=8500,
        replica_port=9500,
        peer_port=17500,
        stage=Stage(stage),
        cluster_id=cluster_id,
        founding="",
        software="",
        node_id=node_id,
    )


def after(topology: Topology, *commands: Command) -> Topology:
    for command in commands:
        topology, _answer = apply(topology, command, topology.epoch + 1)
    return topology


def without_node_3() -> Topology:
    leaving = after(founded(groups=1), Remove(3))
    return after(leaving, Settled(1, leaving.epoch), Forget(3))


def roster(topology: Topology) -> Roster:
    return Roster("c", "10.0.0.1:7001", topology, [member(1), member(2), member(3)])


def kind(known: Roster, shown: Card, purpose: Purpose = Purpose.LINK) -> str:
    refusal = known.judge(shown, purpose)
    return refusal.kind if refusal is not None else ""


def test_roster_knows_members_with_the_ports_they_were_met_with() -> None:
    """Ports a member has not announced are those of its last card."""
    known = roster(founded())
    assert not kind(known, card(2, node_id=2))
    assert not known.met(card(2, node_id=2)), "no news of who is a member"
    assert known.map().member(2).primary_port == 8500
    assert known.map().member(3).primary_port == 8000


def test_roster_links_with_newcomers_it_has_not_heard_of() -> None:
    """A node that was down while others joined could never link with them otherwise."""
    known = roster(founded())
    newcomer = card(11, node_id=5)
    assert not kind(known, newcomer)
    assert known.met(newcomer)
    assert not known.met(newcomer), "only once it is news"
    assert [each.node_id for each in known.members()] == [1, 2, 3, 5]
    assert known.update(after(founded(), join(10)))
    assert [each.node_id for each in known.members()] == [1, 2, 3, 4, 5]
    assert known.update(after(founded(), join(10), join(11)))
    assert [each.node_id for each in known.members()] == [1, 2, 3, 4, 5]


def test_roster_never_goes_back() -> None:
    """An older topology, read from the log at a start, changes nothing."""
    known = roster(without_node_3())
    assert not known.update(founded())
    assert len(known.members()) == 2


def test_roster_tells_removed_nodes() -> None:
    """A removed node is told what became of it, whoever has its address now."""
    known = roster(without_node_3())
    refusal = known.judge(card(3, node_id=3), Purpose.INTRODUCE)
    assert refusal is not None
    assert refusal.kind == Kind.REMOVED
    assert "Node 3 at 10.0.0.1:7003 was removed" in refusal.reason
    known.update(after(known.topology, join(12, port=7003)))
    assert kind(known, card(3, node_id=3)) == Kind.REMOVED
    assert not kind(known, card(12, node_id=4, port=7003))


def test_roster_refuses_strangers_the_wiped_and_other_clusters() -> None:
    """Each with its own sentence."""
    known = roster(founded())
    assert kind(known, card(9, cluster_id="", stage="new")) == Kind.CLUSTER
    assert kind(known, card(9, cluster_id="", stage="new", port=7002)) == Kind.WIPED
    assert kind(known, card(2, node_id=2, cluster_id="d")) == Kind.CLUSTER
    assert kind(known, card(2, node_id=2, port=7999)) == Kind.IDENTITY
    assert not kind(known, card(9, cluster_id="", stage="new"), Purpose.JOIN)


@pytest.mark.parametrize("stage", ["new", "formed"])
def test_roster_sees_directories_that_were_set_back(stage: str) -> None:
    """A member that shows itself as new has lost its votes."""
    assert roster(founded()).was_new(card(2, stage=stage)) == (stage == "new")


def test_roster_takes_what_followed_in_the_entry_that_admitted_it() -> None:
    """Found by the simulator: a new node never heard of a Remove in the same entry as its own Join."""
    before = founded()
    told, _id = apply(before, join(11), before.epoch + 1)
    whole, _epoch = apply(told, Remove(3), before.epoch + 1)
    assert told.epoch == whole.epoch
    known = roster(told)
    assert known.update(whole)
    assert known.topology == whole
    assert not known.update(whole), "which is no news twice"
