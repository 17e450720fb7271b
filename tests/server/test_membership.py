"""REDRAFT REMOVE-NODE and MOVE-GROUP: what is put to the topology group, and what is refused before."""

from __future__ import annotations

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
