"""Moves of slots out of the groups that this node leads: one mover for each, within the rate for copies.

The topology says which moves there are.  For each one whose source this node leads a `Mover` copies while
both groups go on serving, hands over, and tells the topology (`redraft.node.mover`).

Always true: one move at a time leaves a group; all movers of a node together stay within
`snapshot_bytes_per_s`, but for what is sent while slots are frozen and for one that can't catch up with the
writes: that one is allowed more and more.
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
"""How often it is looked whether a target may forget what it has decided."""
LOOK_MS: Final = 20.0
"""How often it is looked which moves there are."""


class Moving:
    """The part of a node that moves slots out of the groups it leads."""

    __slots__ = ("_budget", "_filled_ms", "_forgetting", "_looked_ms", "_movers", "_node", "_tidied_ms")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._movers: dict[int, Mover] = {}
        self._forgetting: set[tuple[int, int]] = set()
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
            elif all(each.replica is not replica for each in self._movers.values()):  # one at a time
                self._movers[move.move_id] = Mover(node, move, replica)

    def _tidy(self) -> None:
        node = self._node
        for group, replica in node.replicas.items():
            if group in node.lanes and replica.proposes:
                self._forget(group, replica)

    def _forget(self, group: int, replica: Replica) -> None:
        """What a target has decided it need not know once the topology has forgotten the move."""
        ownership = replica.applier.keyspace.ownership
        topology = self._node.steering.roster.topology
        for move_id in ownership.decided if ownership is not None else ():
            over = move_id < topology.next_move_id and topology.move(move_id) is None
            if over and (group, move_id) not in self._forgetting:
                self._forgetting.add((group, move_id))

                def then(_reply: bytes, about: tuple[int, int] = (group, move_id)) -> None:
                    self._forgetting.discard(about)  # if it did not happen it is asked again

                self._node.submit(Step(group, [b"FORGET", b"%d" % move_id], then))

    def status(self) -> list[dict[str, Any]]:
        """How far each move is that is carried out here."""
        return [mover.status() for mover in self._movers.values()]
