"""How this machine is: room on its disk, room in its memory; told to the others with every Ping and Pong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from redraft.raft.messages import DISK_FULL, OVER_MEMORY, STOPPING

if TYPE_CHECKING:
    from redraft.node.node import Node

log = logging.getLogger("redraft.node")


class Health:
    """One node's; `measure` is called now and then, for adding up memory takes a while."""

    __slots__ = ("_disk_full", "_node", "over_memory")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk_full = False
        self.over_memory = False
        """Whether the keys take more than `maxmemory`."""

    def measure(self) -> None:
        """Look again, and say what has changed for the worse or the better."""
        node = self._node
        if self._disk_full == node.has_room(0):
            self._disk_full = not self._disk_full
            where = node.config.dir
            if self._disk_full:
                log.error("the disk of %s is full: this node takes no writes until there is space", where)
            else:
                log.info("there is space again on the disk of %s: this node goes on", where)
        limit = node.config.maxmemory
        self.over_memory = bool(limit) and limit < sum(
            replica.applier.keyspace.used_bytes for replica in node.replicas.values()
        )

    @property
    def flags(self) -> int:
        """What the others are told."""
        return (
            (OVER_MEMORY if self.over_memory else 0)
            | (0 if self._node.has_room(0) else DISK_FULL)
            | (STOPPING if self._node.stopping else 0)
        )
