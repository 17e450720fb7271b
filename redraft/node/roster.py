"""Who belongs to a cluster that exists: the newest topology this node has heard of, and whom it has met.

Owns the judgement of cards once a cluster is founded.  Invariants: `topology` never goes back to an older
epoch; ids are given in order and once, so an unknown node with an id this topology has not given yet was
made a member while this node did not hear of it, and one with an id that was given was removed.

The secret was proved before anything here is asked, so a card is believed.
"""

from __future__ import annotations

from collections.abc import Iterable

from redraft.control.topology import NodeRecord, Topology
from redraft.control.view import Seen, map_of
from redraft.topology.cluster_map import ClusterMap, Member
from redraft.transport.handshake import Card, Kind, Purpose, Refusal, Stage

RESTART = "(If it has never served a client: empty every node's data directory and start all again.)"


class Roster:
    """The members as one node knows them."""

    def __init__(self, cluster_id: str, own_name: str, topology: Topology, met: Iterable[Member]) -> None:
        """`own_name` is this node's address, for sentences; `met` are members with the ports last seen."""
        self.cluster_id = cluster_id
        self.topology = topology
        self._own_name = own_name
        self._met = {member.hex_id: member for member in met}
        self._seen: Seen | None = None
        self._stale = True  # something has changed since the last map
        self._ahead: dict[str, Member] = {}  # members that the topology here does not know of yet

    def update(self, topology: Topology) -> bool:
        """Take a topology; True when it is newer than the one known.

        One of the same epoch that differs is newer: who joined was told what its own command came to, and
        others may have come behind it in the same entry.
        """
        if topology.epoch < self.topology.epoch or topology == self.topology:
            return False
        self.topology = topology
        self._stale = True
        self._ahead = {
            hex_id: member
            for hex_id, member in self._ahead.items()
            if member.node_id >= topology.next_node_id
        }
        return True

    def map(self) -> ClusterMap:
        """The cluster map as of now; what has not changed is the same object as in the last one."""
        if self._seen is None or self._stale:
            made = map_of(self.topology, self.cluster_id, self._met, self._seen)
            self._seen, self._stale = Seen(self.topology, made), False
        return self._seen.map

    def members(self) -> list[Member]:
        """All nodes there should be links with, this one included."""
        return [*self.map().members, *self._ahead.values()]

    def met(self, card: Card) -> bool:
        """Learn a member's ports; True when a node was met that the topology does not know of yet."""
        member = _member(card)
        if self._by_id(card.hex_id) is not None:
            self._stale |= self._met.get(card.hex_id) != member
            self._met[card.hex_id] = member
            return False
        if card.node_id < self.topology.next_node_id or card.cluster_id != self.cluster_id:
            return False
        if self._ahead.get(card.hex_id) == member:
            return False
        self._ahead[card.hex_id] = member
        return True

    def judge(self, card: Card, purpose: Purpose) -> Refusal | None:
        """Say why a node is refused, None when it is not."""
        if card.cluster_id and card.cluster_id != self.cluster_id:
            return Refusal(
                Kind.CLUSTER,
                f"{card.address} belongs to cluster {card.cluster_id[:12]}, {self._own_name} to cluster "
                f"{self.cluster_id[:12]}: correct --cluster or --dir of the one that is wrong. {RESTART}",
            )
        member = self._by_id(card.hex_id)
        if member is not None:
            return self._judge_member(card, member)
        if purpose == Purpose.JOIN or (card.cluster_id and card.node_id >= self.topology.next_node_id):
            return None
        if self.topology.was_removed(card.node_id):
            return Refusal(
                Kind.REMOVED,
                f"Node {card.node_id} at {card.address} was removed from the cluster: its data directory is "
                "of no use any more. To add the machine again, start it with --join and an empty directory.",
            )
        if any(card.address == each.address for each in self.topology.nodes):
            return Refusal(
                Kind.WIPED,
                f"{card.address} was wiped: its cluster knows it by another node id, and an empty log must "
                f"not vote. Start it with its old data directory, or as a new node with --join. {RESTART}",
            )
        return Refusal(
            Kind.CLUSTER,
            f"{card.address} is not a member of the cluster of {self._own_name}: "
            "to add a node, start it with --join.",
        )

    def _judge_member(self, card: Card, member: NodeRecord) -> Refusal | None:
        if card.address != member.address:
            return Refusal(
                Kind.IDENTITY,
                f"The node that calls itself {card.address} is known as {member.address}: "
                "start it with the address it had.",
            )
        return None

    def _by_id(self, hex_id: str) -> NodeRecord | None:
        return next((node for node in self.topology.nodes if node.hex_id == hex_id), None)

    def was_new(self, card: Card) -> bool:
        """Whether a card shows a member as it was before it was one: its directory was set back."""
        return card.stage == Stage.NEW and self._by_id(card.hex_id) is not None


def _member(card: Card) -> Member:
    return Member(
        card.node_id,
        card.hex_id,
        card.host,
        card.client_port,
        card.primary_port,
        card.replica_port,
        card.peer_port,
    )
