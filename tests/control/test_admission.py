"""Changes that would leave a group without a majority are refused with a sentence that helps."""

from __future__ import annotations

from redraft.control.admission import objection
from redraft.control.topology import Place, Refused, Remove, Topology, apply
from tests.control.clusters import founded, join


def reason(topology: Topology, command: Place | Remove, dead: set[int]) -> str:
    refusal = objection(topology, command, lambda node: node not in dead)
    return refusal.reason if refusal is not None else ""


def test_removal_of_a_dead_node_is_let_through() -> None:
    """Two of three live: they agree to go on without the third."""
    assert not reason(founded(), Remove(3), {3})


def test_removal_that_leaves_no_majority_is_refused() -> None:
    """With node 2 dead, the rest of three without node 3 could decide nothing."""
    said = reason(founded(groups=1), Remove(3), {2})
    assert "remaining 2 voters of group 1 only 1 would be alive (node 2 does not answer)" in said
    assert "present 3 voters of group 1 only 1 would be alive" in reason(founded(), Remove(3), {2, 3})


def test_move_to_a_dead_node_is_refused() -> None:
    """It would wait for ever."""
    topology, _answer = apply(founded(), join(11), 9)
    assert "Node 4 does not answer" in reason(topology, Place(1, (1, 2, 4)), {4})
    assert not reason(topology, Place(1, (1, 2, 4)), set())


def test_objections_of_the_topology_come_first() -> None:
    """Who names an unknown node is told so at once."""
    assert "There is no node 9" in reason(founded(), Remove(9), {1, 2, 3})
    assert objection(founded(), Remove(9), lambda _node: True) == Refused(
        "There is no node 9: the members are 1, 2, 3."
    )
