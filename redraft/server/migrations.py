"""The moves of slots that this node has seen, under way and ended: what CLUSTER MIGRATION STATUS shows.

The topology forgets a move that has ended; here it stays, with what became of it, until ENDED_MOVES_MAX newer
ones have ended.  All of it is this node's memory: after a restart only what is under way is known, and times
are those at which this node heard of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from redraft.control.slotmoves import MoveRecord, slots_of
from redraft.server.limits import ENDED_MOVES_MAX

if TYPE_CHECKING:
    from redraft.server.backend import Node


class State(Enum):
    """How far a move is, in the words that tools look for."""

    UNDER_WAY = "in_progress"
    GIVEN_UP = "canceling"
    """Its target may have accepted before it heard of that."""
    COMPLETED = "completed"
    CANCELED = "canceled"


@dataclass(slots=True)
class Migration:
    """One move: when it was heard of and when of its end (Unix milliseconds; 0: not yet)."""

    move: MoveRecord
    heard_ms: int
    ended_ms: int = 0
    completed: bool = False

    @property
    def state(self) -> State:
        """How far it is."""
        if self.ended_ms:
            return State.COMPLETED if self.completed else State.CANCELED
        return State.GIVEN_UP if self.move.cancelled else State.UNDER_WAY


class Migrations:
    """One node's."""

    __slots__ = ("_by_id", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._by_id: dict[int, Migration] = {}
        self.look()

    def newest_first(self) -> list[Migration]:
        """All that are known."""
        return [self._by_id[number] for number in sorted(self._by_id, reverse=True)]

    def of(self, number: int) -> Migration | None:
        """The one of that id, None where none is known."""
        return self._by_id.get(number)

    def expect(self, move: MoveRecord) -> None:
        """A move has begun, of which this node's topology may not know yet."""
        if move.move_id not in self._by_id:
            self._by_id[move.move_id] = Migration(move, _now_ms())
        self.look()

    def look(self) -> None:
        """See which moves there are: to be called whenever the topology has changed."""
        now, moves = _now_ms(), {move.move_id: move for move in self._node.moves}
        for number, move in moves.items():
            if number in self._by_id:
                self._by_id[number].move = move
            else:
                self._by_id[number] = Migration(move, now)
        for number, known in self._by_id.items():
            if not known.ended_ms and number not in moves and number <= self._node.cluster.epoch:
                known.ended_ms = now
                known.completed = known.move.accepted or self._has_arrived(known.move)
        ended = [number for number, known in sorted(self._by_id.items()) if known.ended_ms]
        for number in ended[:-ENDED_MOVES_MAX]:
            del self._by_id[number]

    def _has_arrived(self, move: MoveRecord) -> bool:
        """What became of a move whose acceptance was not seen: a snapshot may have come in its stead."""
        return all(self._node.group_of_slot[slot] == move.target for slot in slots_of(move.slots))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
