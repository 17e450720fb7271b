"""What a node keeps on disk besides its log and its snapshots, on a simulated machine.

As in `redraft.node.identity` a change is whole or not there, and durable when the call returns; a crash may
come right before it.
"""

from __future__ import annotations

from collections.abc import Callable

from redraft.control.topology import Topology


class SimulatedMemory:
    """Outlives the processes of a machine (satisfies `redraft.node.standing.Memory`)."""

    __slots__ = ("dropped", "effect", "topology")

    def __init__(self) -> None:
        self.dropped: set[int] = set()
        self.topology: Topology | None = None
        self.effect: Callable[[], None] = lambda: None

    def drop(self, group: int) -> None:
        """See `Memory.drop`."""
        self.effect()
        self.dropped.add(group)

    def undrop(self, group: int) -> None:
        """See `Memory.undrop`."""
        if group in self.dropped:
            self.effect()
            self.dropped.discard(group)

    def save_topology(self, topology: Topology) -> None:
        """See `Memory.save_topology`."""
        self.effect()
        self.topology = topology
