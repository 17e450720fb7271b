"""Leaders where they should be: one move at a time, never to a node that can't lead."""

from __future__ import annotations

from redraft.control.leaders import choose_successor, choose_transfer
from redraft.topology.cluster_map import Group

GROUPS = [Group(1, ((0, 9),), (1, 2, 3)), Group(2, ((10, 19),), (2, 3, 1)), Group(3, ((20, 29),), (3, 1, 2))]


def test_transfer_moves_a_group_to_its_preferred_leader() -> None:
    """Node 1 leads all three after an election race: it gives away group 2 first."""
    move = choose_transfer(1, GROUPS, lambda _voter, _group: True)
    assert move == (GROUPS[1], 2)


def test_transfer_passes_over_nodes_that_cannot_lead() -> None:
    """With node 2 dead its group belongs to node 3."""
    assert choose_transfer(1, GROUPS, lambda voter, _group: voter != 2) == (GROUPS[1], 3)


def test_transfer_leaves_alone_what_is_as_it_should_be() -> None:
    """No move when the node leads only what it should, or when no voter is usable."""
    assert choose_transfer(1, GROUPS[:1], lambda _voter, _group: True) is None
    assert choose_transfer(1, GROUPS, lambda _voter, _group: False) is None


def test_successor_is_the_living_voter_with_the_longest_log() -> None:
    """A graceful stop hands over where the least has to be sent first."""
    match = {2: 10, 3: 20}
    assert choose_successor(1, (1, 2, 3), match.__getitem__, lambda _node: True) == 3
    assert choose_successor(1, (1, 2, 3), match.__getitem__, lambda node: node == 2) == 2
    assert choose_successor(1, (1, 2, 3), match.__getitem__, lambda _node: False) == 0
