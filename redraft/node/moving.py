"""Moves of slots out of the groups that this node leads: one mover for each, within the rate for copies.

The topology says which moves there are.  For each one whose source this node leads a `Mover` copies while
both groups go on serving, hands over, and tells the topology (`redraft.node.mover`).

Always true: one move at a time is copied from a group, and one that was cancelled waits for no other; all
movers of a node together stay within `snapshot_bytes_per_s`, but for what is sent while slots are frozen and
for one that can't catch up with the writes: that one is allowed more and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redraft.node.mover import Mover, Step

if TYPE_CHECKING:
    from redraft.node.node import Node
    from redraft.replica.replica import Replica

BURST_S: Final = 0.02
"""For so long what was not used of the rate is kept."""
TIDY_MS: Final = 500.0
"""How often it is looked whether a group may forget what it knows of moves that are over."""
CLOSED_MAX: Final = 1000
"""So many moves that are over a group knows one by one, then those below the oldest open one as a number."""
LOOK_MS: Final = 20.0
"""How often it is looked which moves there are."""


class Moving:
    """The part of a node that moves slots out of the groups it leads."""

    __slots__ = ("_budget", "_filled_ms", "_looked_ms", "_movers", "_node", "_telling", "_tidied_ms")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._movers: dict[int, Mover] = {}
        self._telling: set[tuple[int, bytes, int]] = set()
        self._budget = self._filled_ms = self._looked_ms = self._tidied_ms = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way from here."""
        return not self._movers

    def tick(self, now_ms: float) -> None:
        """Begin, end and go on with the moves that are this node's to carry out."""
        rate = self._node.config.snapshot_bytes_per_s
        passed_s, self._filled_ms = (now_ms - self._filled_ms) / 1000, now_ms
        burst = rate * BURST_S
        self._budget = min(max(self._budget, -burst) + rate * passed_s, burst)
        if now_ms - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms
            self._look()
        if now_ms - self._tidied_ms >= TIDY_MS:
            self._tidied_ms = now_ms
            self._tidy()
        for mover in self._movers.values():
            mover.tick(now_ms)
            allowed = -burst * mover.hurries
            while self._budget > allowed and mover.wants_to_send:
                self._budget -= mover.send()

    def _look(self) -> None:
        node, moves = self._node, {move.move_id: move for move in self._node.steering.roster.topology.moves}
        for move_id, mover in list(self._movers.items()):
            if move_id not in moves or not mover.goes_on:
                mover.close()
                del self._movers[move_id]
        for move in moves.values():
            replica = node.replicas.get(move.source)
            if replica is None or not replica.proposes or node.stopping:
                continue
            known = self._movers.get(move.move_id)
            if known is not None:
                known.move = move
            elif move.cancelled or all(each.replica is not replica for each in self._movers.values()):
                self._movers[move.move_id] = Mover(node, move, replica)

    def _tidy(self) -> None:
        node = self._node
        for group, replica in node.replicas.items():
            if group in node.lanes and replica.proposes:
                self._forget(group, replica)

    def _forget(self, group: int, replica: Replica) -> None:
        """What a group has decided it need not know once the topology has forgotten the move."""
        ownership = replica.applier.keyspace.ownership
        if ownership is None:
            return
        topology = self._node.steering.roster.topology
        for move_id in ownership.decided:
            if move_id < topology.next_move_id and topology.move(move_id) is None:
                self._tell(group, b"FORGET", move_id)
        if len(ownership.closed) > CLOSED_MAX:
            lowest = min((move.move_id for move in topology.moves), default=topology.next_move_id)
            if lowest > min(ownership.closed):
                self._tell(group, b"OVER", lowest)

    def _tell(self, group: int, what: bytes, move_id: int) -> None:
        """If it does not happen it is told again."""
        about = (group, what, move_id)
        if about not in self._telling:
            self._telling.add(about)
            step = Step(group, [what, b"%d" % move_id], lambda _reply: self._telling.discard(about))
            self._node.submit(step)

    def status(self) -> list[dict[str, Any]]:
        """How far each move is that is carried out here."""
        return [mover.status() for mover in self._movers.values()]
