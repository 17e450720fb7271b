"""REDRAFT REMOVE-NODE and MOVE-GROUP: what is put to the topology group, and what is refused before."""

from __future__ import annotations

from redraft.control.groups import CreateGroup, DropGroup, MergeGroups, SplitGroup
from redraft.control.topology import Drain, Place, Refused, Remove
from tests.server.harness import Site


def test_changes_are_put_to_the_topology_group(site: Site) -> None:
    """In the order sent, answered with the epoch; the placement keeps its order."""
    client = site.client()
    assert client.ask("REDRAFT", "REMOVE-NODE", "3") == b":7\r\n"
    assert client.ask("redraft", "move-group", "2", "3", "1") == b":7\r\n"
    assert client.ask("REDRAFT", "MOVE-GROUP", "2", "1", "REPLACE") == b":7\r\n"
    assert client.ask("REDRAFT", "DRAIN-NODE", "2") == b":7\r\n"
    assert client.ask("REDRAFT", "UNDRAIN-NODE", "2") == b":7\r\n"
    assert site.node.topology_commands == [
        Remove(3),
        Place(2, (3, 1)),
        Place(2, (1,), replacing=True),
        Drain(2, draining=True),
        Drain(2, draining=False),
    ]


def test_changes_that_are_objected_to_are_not_put(site: Site) -> None:
    """The sentence goes to who asked."""
    site.node.refusal = Refused("There is no node 9: the members are 1, 2, 3.")
    reply = site.client().ask("REDRAFT", "REMOVE-NODE", "9")
    assert reply == b"-ERR There is no node 9: the members are 1, 2, 3.\r\n"
    assert not site.node.topology_commands


def test_changes_name_nodes_by_numbers(site: Site) -> None:
    """Nothing else is taken for a node."""
    client = site.client()
    for words in (("REMOVE-NODE", "x"), ("MOVE-GROUP", "1", "-2"), ("MOVE-GROUP", "1", "1,2")):
        assert b"by their numbers" in client.ask("REDRAFT", *words)
    assert b"wrong number of arguments" in client.ask("REDRAFT", "MOVE-GROUP", "1")


def test_groups_are_made_and_dropped_by_the_topology_group(site: Site) -> None:
    """Slots and nodes are named behind their words, or chosen."""
    client = site.client()
    for words in (
        ("CREATE-GROUP",),
        ("CREATE-GROUP", "NODES", "2", "3"),
        ("SPLIT-GROUP", "1"),
        ("split-group", "1", "slots", "0-9,20", "nodes", "3"),
        ("SPLIT-GROUP", "1", "NODES", "2"),
        ("MERGE-GROUPS", "2", "1"),
        ("DROP-GROUP", "3"),
    ):
        assert client.ask("REDRAFT", *words) == b":7\r\n"
    assert site.node.topology_commands == [
        CreateGroup(),
        CreateGroup((2, 3)),
        SplitGroup(1),
        SplitGroup(1, ((0, 9), (20, 20)), (3,)),
        SplitGroup(1, (), (2,)),
        MergeGroups(2, 1),
        DropGroup(3),
    ]


def test_groups_are_named_by_what_the_words_allow(site: Site) -> None:
    client = site.client()
    for words in (
        ("CREATE-GROUP", "2"),
        ("CREATE-GROUP", "NODES"),
        ("SPLIT-GROUP", "1", "SLOTS"),
        ("SPLIT-GROUP", "1", "NODES", "2", "SLOTS", "1"),
    ):
        assert client.ask("REDRAFT", *words) in (
            b"-ERR syntax error\r\n",
            b"-ERR Nodes, groups and moves are named by their numbers, as REDRAFT STATUS shows them\r\n",
        )
    assert b"in ranges as" in client.ask("REDRAFT", "SPLIT-GROUP", "1", "SLOTS", "x")
    assert not site.node.topology_commands


def test_changes_are_refused_in_a_transaction(site: Site) -> None:
    """Their answers come later than EXEC's could."""
    client = site.client()
    assert client.ask("MULTI") == b"+OK\r\n"
    for words in (("SPLIT-GROUP", "1"), ("DRAIN-NODE", "1"), ("CREATE-GROUP",)):
        assert client.ask("REDRAFT", *words).startswith(b"-")
