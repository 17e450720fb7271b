"""Moves of slots, carried out by whoever leads the source group: a client of both groups' logs.

The topology says which moves there are.  For each one whose source this node leads a `Mover` copies while
both groups go on serving, then freezes the slots at the source, sends what was written since, and asks the
target's log to accept.

    ask     what does the target's log know?            accepted, refused -> done; else the last attempt
    claim   an attempt of its own at the target         from here on nobody else's acceptance counts
    begin   the same attempt at the source              (and whoever froze it before us did so in vain)
    copy    all keys as they are, then what was written since, until little is left
    freeze  the source refuses reads and writes of the slots
    last    what was written up to there
    accept  the target's log decides
    done    the topology is told, the source lets go (or has its slots back), the topology forgets the move

Nothing of this is kept: every step may be repeated, and a leader that comes after this one begins at `ask`.
What decides is in the groups' logs (`redraft.commands.ownership`).

Invariants: at most WINDOW_BYTES are under way for a move; all moves of a node together stay within
`snapshot_bytes_per_s`; a mover ends with the term in which it was made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from redraft.commands.ownership import ACCEPTED, MoveStatus
from redraft.commands.reply import OK
from redraft.commands.tracking import Operation, Tracker, Walker
from redraft.control.slotmoves import MoveRecord, slots_of, written
from redraft.control.topology import EndMove, Moved
from redraft.replica.request import Request

if TYPE_CHECKING:
    from redraft.node.node import Node
    from redraft.replica.replica import Replica

CHUNK_BYTES: Final = 128 * 1024
"""Of one import: it stands in the target's log between the clients' requests."""
WINDOW_BYTES: Final = 8 * CHUNK_BYTES
SLICE_KEYS: Final = 500
"""Keys or members read at once: well under a millisecond."""
LAST_OPERATIONS: Final = 1000
"""So few writes since the copy may be sent while the slots are frozen: some milliseconds."""
PATIENCE_MS: Final = 2000.0
"""How long writes may keep ahead of the copy before twice as many are sent while the slots are frozen."""
RETRY_MS: Final = 500.0
"""How long after a failure (no leader, an answer that did not come) a move is begun again."""
ANSWER_MS: Final = 20.0
"""How often movers are looked at."""

log = logging.getLogger("redraft.node")


class Phase(Enum):
    """How far a move is; the names are for people."""

    ASK = "asking"
    CLAIM = "beginning"
    COPY = "copying"
    CATCH_UP = "catching up"
    FROZEN = "handing over"
    DONE = "done"


class Step(Request):
    """A command of this node's own to a group's log, or a question to its state."""

    __slots__ = ("_then",)

    def __init__(
        self, group: int, words: list[bytes], then: Callable[[bytes], None], *, write: bool = True
    ) -> None:
        data = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        super().__init__(group, data, 1, 2, write)
        self._then = then

    def complete(self, replies: list[bytes]) -> None:
        """Pass the reply on."""
        self._then(replies[0])


class Moving:
    """The part of a node that moves slots out of the groups it leads."""

    __slots__ = ("_budget", "_filled_ms", "_looked_ms", "_movers", "_node")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._movers: dict[int, Mover] = {}
        self._budget = self._filled_ms = self._looked_ms = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way from here."""
        return not self._movers

    def tick(self, now_ms: float) -> None:
        """Begin, end and go on with the moves that are this node's to carry out."""
        rate = self._node.config.snapshot_bytes_per_s
        self._budget = min(self._budget + rate * (now_ms - self._filled_ms) / 1000, rate / 20)
        self._filled_ms = now_ms
        if now_ms - self._looked_ms >= ANSWER_MS:
            self._looked_ms = now_ms
            self._look()
        for mover in self._movers.values():
            mover.tick(now_ms)
            while self._budget > 0 and mover.wants_to_send:
                sent = mover.send()
                if not sent:
                    break
                self._budget -= sent

    def _look(self) -> None:
        node, moves = self._node, {move.move_id: move for move in self._node.steering.roster.topology.moves}
        for move_id, mover in list(self._movers.items()):
            if move_id not in moves or not mover.valid:
                mover.close()
                del self._movers[move_id]
        for move in moves.values():
            replica = node.replicas.get(move.source)
            if replica is None or not replica.proposes or node.stopping:
                continue
            mover = self._movers.get(move.move_id)
            if mover is not None:
                mover.move = move
            elif all(each.replica is not replica for each in self._movers.values()):  # one at a time
                self._movers[move.move_id] = Mover(node, move, replica)
        for group, replica in node.replicas.items():
            if group in node.lanes and replica.proposes:
                self._forget(group, replica)

    def _forget(self, group: int, replica: Replica) -> None:
        """What a target has decided it need not know once the topology has forgotten the move."""
        ownership = replica.applier.keyspace.ownership
        topology = self._node.steering.roster.topology
        for move_id in ownership.decided if ownership is not None else ():
            if move_id <= topology.epoch and topology.move(move_id) is None:
                self._node.submit(Step(group, [b"REDRAFT", b"MOVE", b"FORGET", b"%d" % move_id], _ignore))

    def status(self) -> list[dict[str, Any]]:
        """How far each move is that is carried out here."""
        return [mover.status() for mover in self._movers.values()]


class Mover:
    """One move, as long as this node leads its source in one term."""

    __slots__ = (
        "_accepted", "_asking", "_attempt", "_began_ms", "_clock_ms", "_closed", "_copied_ms", "_frozen_ms",
        "_let_go", "_node", "_numbers", "_phase", "_retry_ms", "_sent_bytes", "_slots", "_term", "_to_do",
        "_tracker", "_unanswered", "_walker", "_words", "move", "replica",
    )  # fmt: skip

    def __init__(self, node: Node, move: MoveRecord, replica: Replica) -> None:
        self._node = node
        self.move = move
        self.replica = replica
        self._term = replica.raft.term
        self._slots = sorted(slots_of(move.slots))
        self._words = written(move.slots).encode()
        self._phase = Phase.ASK
        self._closed = self._asking = False
        self._tracker: Tracker | None = None
        self._walker: Walker | None = None
        self._attempt = self._numbers = self._unanswered = self._clock_ms = 0
        self._sent_bytes = self._to_do = 0
        self._retry_ms = 0.0
        self._accepted = self._let_go = False
        self._began_ms = self._copied_ms = node.now_ms()
        self._frozen_ms = 0.0

    @property
    def valid(self) -> bool:
        """Whether this node still leads the source, in the same term."""
        node, replica = self._node, self.replica
        return (
            node.replicas.get(self.move.source) is replica
            and replica.proposes
            and replica.raft.term == self._term
        )

    def close(self) -> None:
        """Another leader will carry it on."""
        self._closed = True
        self._forget_copy()

    def _forget_copy(self) -> None:
        keyspace = self.replica.applier.keyspace
        if self._tracker is not None and keyspace.tracker is self._tracker:
            keyspace.tracker = None
        self._tracker = self._walker = None

    # ---- the steps ----

    def tick(self, now_ms: float) -> None:
        """Take the next step if nothing is waited for."""
        if self._asking or self._closed or now_ms < self._retry_ms:
            return
        move, phase = self.move, self._phase
        if phase is Phase.ASK:
            if move.cancelled:
                self._put(move.target, "REFUSE", self._decided)
            else:
                self._put(move.target, "STATUS", self._asked, write=False)
        elif phase is Phase.CLAIM:
            return  # the first import is on its way
        elif phase is Phase.DONE:
            self._end()
        elif phase is Phase.FROZEN:
            if not self._pending and not self._unanswered:
                self._accept()
        elif move.cancelled:
            self._again(0.0)
        elif self._copied(now_ms):
            self._put(move.source, "FREEZE", self._froze, b"%d" % self._attempt)

    def _asked(self, reply: bytes) -> None:
        status = msgspec.msgpack.decode(_bulk(reply), type=MoveStatus)
        if status.decided:
            self._decided(status.decided.encode())
            return
        self._attempt, self._numbers = status.attempt + 1, 0
        self._phase = Phase.CLAIM
        self._import([], self._claimed)

    def _claimed(self) -> None:
        self._put(
            self.move.source,
            "BEGIN",
            self._begun,
            self._words,
            b"%d" % self.move.target,
            b"%d" % self._attempt,
        )

    def _begun(self, _reply: bytes) -> None:
        keyspace = self.replica.applier.keyspace
        self._tracker = keyspace.tracker = Tracker(self._slots)
        self._walker = Walker(keyspace, self._slots)
        self._to_do = sum(map(keyspace.engine.slot_size, self._slots))
        self._phase = Phase.COPY
        self._sent_bytes = 0
        self._began_ms = self._node.now_ms()
        log.info(
            "move %d: slots %s of group %d go to group %d, %d keys (attempt %d)",
            self.move.move_id, written(self.move.slots), self.move.source, self.move.target, self._to_do,
            self._attempt,
        )  # fmt: skip

    def _copied(self, now_ms: float) -> bool:
        """Whether so little is left to send that the slots may be frozen for it."""
        assert self._tracker is not None
        if self._phase is Phase.COPY:
            if self._walker is not None and not self._walker.finished:
                return False
            self._phase, self._copied_ms = Phase.CATCH_UP, now_ms
        waited = int((now_ms - self._copied_ms) / PATIENCE_MS)
        return len(self._tracker) <= LAST_OPERATIONS << min(waited, 10) and self._unanswered == 0

    def _froze(self, reply: bytes) -> None:
        self._clock_ms = int(reply[1:-2])
        self._phase, self._frozen_ms = Phase.FROZEN, self._node.now_ms()

    def _accept(self) -> None:
        keyspace = self.replica.applier.keyspace
        blob = msgspec.msgpack.encode((self._clock_ms, keyspace.collections_made))
        self._put(
            self.move.target, "ACCEPT", self._decided, b"%d" % self._attempt, b"%d" % self._numbers, blob
        )

    def _decided(self, reply: bytes) -> None:
        """The target's log has decided, now or before this node led."""
        self._forget_copy()
        self._phase, self._accepted = Phase.DONE, reply.strip(b"+\r\n") == ACCEPTED
        move = self.move
        if self._accepted:
            frozen_ms = self._node.now_ms() - self._frozen_ms if self._frozen_ms else 0.0
            log.info(
                "move %d: group %d has the slots; frozen for %.0f ms", move.move_id, move.target, frozen_ms
            )
        else:
            log.info("move %d: refused, the slots stay with group %d", move.move_id, move.source)

    def _end(self) -> None:
        """Let the topology and the source know, in whatever order they take it in; then it is over."""
        steering, move = self._node.steering, self.move
        if self._accepted and not move.accepted:
            steering.put(Moved(move.move_id))
        if not self._let_go:
            self._put(move.source, "RELEASE" if self._accepted else "UNFREEZE", self._released)
        elif move.accepted or not self._accepted:
            steering.put(EndMove(move.move_id))

    def _released(self, _reply: bytes) -> None:
        self._let_go = True

    # ---- sending ----

    @property
    def wants_to_send(self) -> bool:
        """Whether there may be something to send, and room for it on the way."""
        sending = self._phase in (Phase.COPY, Phase.CATCH_UP, Phase.FROZEN)
        return sending and not self._closed and self._unanswered < WINDOW_BYTES and self._pending

    @property
    def _pending(self) -> bool:
        walking = self._walker is not None and not self._walker.finished
        return walking or (self._tracker is not None and len(self._tracker) > 0)

    def send(self) -> int:
        """Send the next import; returns its bytes."""
        assert self._tracker is not None
        assert self._walker is not None
        if self._walker.finished:
            operations = self._tracker.take(self.replica.applier.keyspace, SLICE_KEYS, CHUNK_BYTES)
        else:
            operations = self._walker.step(SLICE_KEYS, CHUNK_BYTES)
        return self._import(operations, _nothing)

    def _import(self, operations: list[Operation], then: Callable[[], None]) -> int:
        self._numbers += 1
        blob = msgspec.msgpack.encode(operations)
        attempt = self._attempt

        def answered(reply: bytes) -> None:
            self._unanswered -= len(blob)
            if self._closed or attempt != self._attempt:
                return
            if reply != OK:
                self._again()
            else:
                self._sent_bytes += len(blob)
                then()

        self._unanswered += len(blob)
        words = [
            b"IMPORT",
            b"%d" % self.move.move_id,
            self._words,
            b"%d" % attempt,
            b"%d" % self._numbers,
            blob,
        ]
        self._node.submit(Step(self.move.target, [b"REDRAFT", b"MOVE", *words], answered))
        return len(blob)

    # ---- asking ----

    def _put(
        self, group: int, what: str, then: Callable[[bytes], None], *arguments: bytes, write: bool = True
    ) -> None:
        """Put a command to a group's log, once at a time; an error is tried again from the beginning."""
        self._asking = True

        def answered(reply: bytes) -> None:
            self._asking = False
            if self._closed:
                return
            if reply.startswith((b"-", b"!")):
                log.debug("move %d: %s: %s", self.move.move_id, what, reply)
                self._again()
            else:
                then(reply)

        words = [b"REDRAFT", b"MOVE", what.encode(), b"%d" % self.move.move_id, *arguments]
        self._node.submit(Step(group, words, answered, write=write))

    def _again(self, wait_ms: float = RETRY_MS) -> None:
        """Something is not as it was thought to be: begin with what the target's log says."""
        self._forget_copy()
        self._phase = Phase.ASK
        self._retry_ms = self._node.now_ms() + wait_ms

    def status(self) -> dict[str, Any]:
        """How far it is, in JSON's types."""
        walker, tracker = self._walker, self._tracker
        seconds = max(0.001, (self._node.now_ms() - self._began_ms) / 1000)
        copied = walker.keys if walker is not None else 0
        rate = self._sent_bytes / seconds
        return {
            "id": self.move.move_id,
            "phase": self._phase.value,
            "attempt": self._attempt,
            "keys": copied,
            "keys_to_do": max(self._to_do, copied),
            "changed": len(tracker) if tracker is not None else 0,
            "bytes": self._sent_bytes,
            "bytes_per_s": round(rate),
            "remaining_s": round(seconds * (self._to_do - copied) / copied, 1) if copied else None,
        }


def _bulk(reply: bytes) -> bytes:
    return reply.partition(b"\r\n")[2][:-2]


def _nothing() -> None:
    """Nothing waits for this."""


def _ignore(_reply: bytes) -> None:
    """It is asked again if it did not happen."""
