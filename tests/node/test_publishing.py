"""Clients' messages between nodes: to all that can be reached, and never at the cost of a link."""

from __future__ import annotations

from redraft.base.limits import MIB, PUBLISHED_BYTES_MAX
from redraft.node.node import Node
from redraft.node.seams import NoClients
from redraft.transport.messages import Published
from tests.node.bottle import Cluster

MESSAGE = Published(False, b"channel", b"message")


class Listening(NoClients):
    """The client side of a node, which remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[Published] = []

    def published(self, message: Published) -> int:
        self.heard.append(message)
        return 1


def listening(cluster: Cluster) -> dict[int, Listening]:
    """Listeners at all nodes."""
    sides = {number: Listening() for number in cluster.nodes}
    for number, node in cluster.nodes.items():
        node.clients = sides[number]
    return sides


def test_publishing_reaches_all_linked_peers_once() -> None:
    """In the order sent; the node itself is its front end's business."""
    cluster = Cluster()
    cluster.elect()
    sides = listening(cluster)
    cluster.partition(1, 3)
    cluster.nodes[1].publishing.tell(MESSAGE)
    cluster.settle()
    cluster.heal()
    other = Published(True, b"", b"")
    cluster.nodes[1].publishing.tell(other)
    cluster.settle()
    assert sides[1].heard == []
    assert sides[2].heard == [MESSAGE, other]
    assert sides[3].heard == [other]


def test_publishing_drops_messages_for_a_peer_that_is_behind() -> None:
    """Its link is the groups' too: beyond the limit messages are counted as missed, others still get them."""
    cluster = Cluster()
    cluster.elect()
    sides = listening(cluster)
    node = cluster.nodes[1]
    fill(node, 2, PUBLISHED_BYTES_MAX)
    node.publishing.tell(MESSAGE)
    fill(node, 2, PUBLISHED_BYTES_MAX + 1)
    node.publishing.tell(MESSAGE)
    cluster.settle()
    assert len(sides[2].heard) == 1
    assert len(sides[3].heard) == 2
    assert node.publishing.missed == 1


def test_publishing_leaves_room_in_small_queues() -> None:
    """Where peers' queues are smaller than the limit, half of one is."""
    cluster = Cluster()
    cluster.elect()
    sides = listening(cluster)
    node = cluster.nodes[1]
    node.reconfigure(node.config.changed(peer_queue_bytes_max=32 * MIB, inflight_bytes_max=16 * MIB))
    fill(node, 2, 17 * MIB)
    node.publishing.tell(MESSAGE)
    cluster.settle()
    assert (len(sides[2].heard), len(sides[3].heard)) == (0, 1)


def fill(node: Node, peer: int, size: int) -> None:
    """Have so much wait for a peer."""
    node._links[peer].queued_bytes = size  # type: ignore[misc]
