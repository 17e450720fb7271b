"""Digests of the replicas here, each as of the entry that asked for it.

The entry is in the group's log, so every replica takes its digest of the same state.  It is made from a
capture, a slice a tick, and then stands in REDRAFT STATUS until the next one.  A replica that is just being
written down can't be captured a second time: it says that it is busy, and is to be asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from redraft.replica.digest import Digesting
from redraft.replica.replica import Replica

if TYPE_CHECKING:
    from redraft.node.snapshots import Snapshots

SLICE_KEYS: Final = 2000
"""Keys hashed in one tick: a few milliseconds."""
BUSY: Final = "busy"


class Digests:
    """The part of a node that makes digests."""

    __slots__ = ("_making", "_results", "_snapshots")

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._making: dict[int, tuple[Replica, Digesting]] = {}
        self._results: dict[int, tuple[int, str]] = {}

    @property
    def idle(self) -> bool:
        """Whether none is under way."""
        return not self._making

    def of(self, group: int) -> tuple[int, str]:
        """Return (entry, digest) of a group's last one; the digest is "" while it is made."""
        return self._results.get(group, (0, ""))

    def makes(self, group: int) -> bool:
        """Whether a group's state is captured for a digest."""
        return group in self._making

    def begin(self, replica: Replica) -> None:
        """The last applied entry asks for a digest."""
        group, index = replica.group.group_id, replica.applier.applied_index
        snapshots = self._snapshots
        self._results[group] = index, ""
        if group in self._making or snapshots.captures(replica):
            self._results[group] = index, BUSY
        elif replica.applier.keyspace.engine.on_disk:
            snapshots.checkpoints.begin(replica, self._begin)
        else:
            self._begin(replica)

    def _begin(self, replica: Replica) -> None:
        group = replica.group.group_id
        self._making[group] = replica, Digesting(replica.applier)

    def tick(self) -> None:
        """Take the next slice of each."""
        for group, (_replica, digesting) in list(self._making.items()):
            digesting.step(SLICE_KEYS)
            if digesting.finished:
                del self._making[group]
                self._results[group] = self._results[group][0], digesting.hexdigest

    def cancel(self, group: int) -> None:
        """The replica's state is about to be replaced, or dropped."""
        made = self._making.pop(group, None)
        if made is not None:
            made[1].close()
        self._results.pop(group, None)
