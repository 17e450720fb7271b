"""When the topology is saved for the next start: before anything is done by it, but for slots that move.

Who belongs to the cluster, which groups there are and where their replicas stand has to be known before the
topology group can be asked, so it is on disk before the node goes by it.  Whose a slot is now, and which
moves there are, is only where requests are sent first: an older map costs a detour, for a group's own log
says what it serves (docs/moving-slots.md).  Requests wait while slots change hands, so that is saved later.

Always true: what is saved is a topology that was applied; but for slots and moves it is the newest one.
"""

from __future__ import annotations

import logging
from typing import Final

from redraft.control.slotmoves import GroupRecord
from redraft.control.topology import Topology
from redraft.node.standing import Memory

log = logging.getLogger("redraft.node")

SAVE_MS: Final = 1000.0
"""So long after the first change that is not saved a topology with other slots or moves is."""


class Remembering:
    """What a node has saved of the topology, and what it still has to."""

    __slots__ = ("_due_ms", "_memory", "_saved", "_unsaved")

    def __init__(self, memory: Memory, saved: Topology) -> None:
        self._memory = memory
        self._saved = saved
        self._unsaved: Topology | None = None
        self._due_ms = 0.0

    def learnt(self, topology: Topology, now_ms: float) -> None:
        """The node is about to go by a topology; what it must not go by unsaved is saved."""
        if only_slots_moved(self._saved, topology):
            if self._unsaved is None:
                self._due_ms = now_ms + SAVE_MS
            self._unsaved = topology
        else:
            self._save(topology)

    def tick(self, now_ms: float, *, stopping: bool = False) -> None:
        """Save what has waited long enough, or all that waits; on a full disk it waits on."""
        if self._unsaved is not None and (stopping or now_ms >= self._due_ms):
            try:
                self.save()
            except OSError as error:
                log.warning("whose the slots are is not saved, and will be later: %s", error)
                self._due_ms = now_ms + SAVE_MS

    def save(self) -> None:
        """Save what waits; raises OSError and leaves it waiting."""
        if self._unsaved is not None:
            self._save(self._unsaved)

    def _save(self, topology: Topology) -> None:
        self._memory.save_topology(topology)
        self._saved, self._unsaved = topology, None


def only_slots_moved(before: Topology, after: Topology) -> bool:
    """Whether nothing but the owners of slots and the moves are others than before."""
    return (
        before.nodes == after.nodes
        and before.replication_factor == after.replication_factor
        and before.next_node_id == after.next_node_id
        and before.next_group_id == after.next_group_id
        and len(before.groups) == len(after.groups)
        and all(
            old is new or _stands_alike(old, new)
            for old, new in zip(before.groups, after.groups, strict=True)
        )
    )


def _stands_alike(old: GroupRecord, new: GroupRecord) -> bool:
    """Whether two records differ in their slots at most."""
    return _standing(old) == _standing(new)


def _standing(group: GroupRecord) -> tuple[object, ...]:
    """All that a group's record says but for its slots of now."""
    return (
        group.group_id, group.voters, group.placed, group.settled, group.settled_index, group.settled_term,
        group.first_slots, group.founders, group.dropping,
    )  # fmt: skip
