"""What a node brings of its cluster to its start: who it is, what all began with, what it remembers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from redraft.base.announced import NOTHING, Announced
from redraft.control.topology import TOPOLOGY_GROUP, Topology, topology_placement
from redraft.node.roster import Roster
from redraft.raft.configuration import Configuration


class Memory(Protocol):
    """What a node keeps on disk of its replicas and the topology; each call returns once it is durable."""

    @property
    def dropped(self) -> Collection[int]:
        """Groups whose replica was dropped here, and that have not got a new one; the gone ones stay."""
        ...

    def drop(self, group: int) -> None:
        """A group's replica is about to be dropped."""
        ...

    def undrop(self, group: int) -> None:
        """A group has a new replica here, begun with a snapshot."""
        ...

    def save_topology(self, topology: Topology) -> None:
        """Keep a topology for the next start."""
        ...


@dataclass(frozen=True)
class Standing:
    """A node's place in its cluster; `founding` is what the topology group starts from."""

    node_id: int
    founding: Topology
    roster: Roster
    memory: Memory
    ports: tuple[int, int, int]
    """The primary, replica and peer port of this node."""
    announced: Announced = NOTHING
    """Where clients are told to find this node."""

    def founding_configuration(self, group: int) -> Configuration:
        """The configuration a group's log begins with on this node; the empty one if it is no founder."""
        if group == TOPOLOGY_GROUP:
            voters, learners = topology_placement(self.founding)
        else:
            first, made = self.founding.group(group), self.roster.topology.group(group)
            voters, learners = (first.voters if first is not None else ()), ()
            if made is not None and made.founders:
                voters = made.founders
        found = Configuration(voters, (), learners)
        return found if self.node_id in found.nodes else Configuration()
