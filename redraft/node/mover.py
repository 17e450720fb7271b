"""One move of slots, carried out by whoever leads the source group: a client of both groups' logs.

    ask     what does the target's log know?            accepted, refused -> done; else the last attempt
    claim   an attempt of its own at the target         from here on nobody else's acceptance counts
    begin   the same attempt at the source              (and whoever froze it before us did so in vain)
    copy    all keys as they are, then what was written since, until little is left
    freeze  the source refuses reads and writes of the slots
    last    what was written up to there
    accept  the target's log decides
    done    the topology is told, the source lets go (or has its slots back), the topology forgets the move

Nothing of this is kept: every step may be repeated, and a leader that comes after this one begins at `ask`.
What decides is in the groups' logs (`redraft.commands.moving`).

Always true: one import is under way at a time, and then nothing for two to four times as long, but for what
is sent while the slots are frozen, and where writes keep ahead of the copy.  A mover ends with the term it
was made in: it does nothing about what it hears later, for the log that answers may be the next leader's,
with writes before the FREEZE that this node has not applied.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from redraft.commands.moving import ACCEPTED, Accepted, Status
from redraft.commands.reply import OK, OVER_MEMORY, error
from redraft.commands.staging import Operation, encode_operations
from redraft.commands.tracker import Tracker
from redraft.commands.walker import Walker
from redraft.control.slotmoves import EndMove, Moved, MoveRecord, slots_of, written
from redraft.replica.request import Request

if TYPE_CHECKING:
    from redraft.node.node import Node
    from redraft.replica.replica import Replica

CHUNK_BYTES: Final = 256 * 1024
"""Of one import: it stands in the target's log between the clients' requests."""
SLICE_KEYS: Final = 250
"""Keys or members of one import: read and applied in about half a millisecond."""
KEY_COST_BYTES: Final = 512
"""What a key or member costs of the rate besides its bytes: with 32 MB/s, some 60,000 of them in a second."""
LAST_OPERATIONS: Final = 500
"""So many writes since the copy may be sent while the slots are frozen: some milliseconds."""
LAST_BYTES: Final = 512 * 1024
"""Likewise in bytes, by what keys were large so far."""
PATIENCE_MS: Final = 1000.0
"""How long writes may keep ahead of the copy before twice as many are sent while the slots are frozen."""
RESTS: Final = 2.0
"""So many times as long as an import took nothing is sent: a busy target is given less to do."""
BUSY_MAX: Final = 2.0
"""Up to so many times as long, where imports take longer than the fastest one did: the machines are busy."""
HURRIES_MAX: Final = 16.0
"""So many imports more than one are under way at most, while writes keep ahead of the copy."""
FULL_MS: Final = 10_000.0
"""How long nothing is copied to a target that had no memory for it; its clients may make room meanwhile."""
RETRY_MS: Final = 200.0
"""How long after a failure (no leader, an answer that did not come) a move is begun again."""

log = logging.getLogger("redraft.node")


class Phase(Enum):
    """How far a move is; the names are for people."""

    ASK = "asking"
    CLAIM = "beginning"
    COPY = "copying"
    CATCH_UP = "catching up"
    FROZEN = "handing over"
    DONE = "ending"


_SENDING: Final = (Phase.COPY, Phase.CATCH_UP, Phase.FROZEN)


class Step(Request):
    """A command of this node's own to a group's log, or a question to its state."""

    __slots__ = ("_then",)

    def __init__(
        self, group: int, words: list[bytes], then: Callable[[bytes], None], *, write: bool = True
    ) -> None:
        words = [b"REDRAFT", b"MOVE", *words]
        data = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        super().__init__(group, data, 1, 2, write)
        self._then = then

    def complete(self, replies: list[bytes]) -> None:
        """Pass the reply on."""
        self._then(replies[0])


class Mover:
    """One move, as long as this node leads its source in one term."""

    __slots__ = (
        "_accepted", "_asking", "_attempt", "_began_ms", "_came", "_clock_ms", "_closed", "_copied",
        "_copied_ms", "_fastest_ms", "_frozen_ms", "_let_go", "_next_ms", "_node", "_numbers", "_phase",
        "_retry_ms", "_sent_bytes", "_sent_pieces", "_slots", "_term", "_to_do", "_tracker", "_unanswered",
        "_walker", "_words", "move", "replica",
    )  # fmt: skip

    def __init__(self, node: Node, move: MoveRecord, replica: Replica) -> None:
        self._node = node
        self.move = move
        self.replica = replica
        self._term = replica.raft.term
        self._slots = frozenset(slots_of(move.slots))
        self._words = written(move.slots).encode()
        self._phase = Phase.ASK
        self._closed = self._asking = False
        self._tracker: Tracker | None = None
        self._walker: Walker | None = None
        self._attempt = self._numbers = self._unanswered = self._clock_ms = 0
        self._sent_bytes = self._sent_pieces = self._copied = self._to_do = 0
        self._retry_ms = self._next_ms = 0.0
        self._accepted = self._let_go = False
        self._came: Status | None = None
        self._began_ms = self._copied_ms = node.now_ms()
        self._frozen_ms = 0.0
        self._fastest_ms = math.inf

    @property
    def goes_on(self) -> bool:
        """Whether this node still leads the source, in the same term, and the move is still to be done."""
        node, replica = self._node, self.replica
        return (
            not self._closed
            and node.replicas.get(self.move.source) is replica
            and replica.proposes
            and replica.raft.term == self._term
        )

    def _is_over(self) -> bool:
        """Whether it must not go on: then never again, for it would not know what it has missed."""
        if not self.goes_on:
            self.close()
        return self._closed

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
        if self._is_over() or self._asking or now_ms < self._retry_ms:
            return
        move, phase = self.move, self._phase
        if phase is Phase.ASK:
            if move.cancelled:
                self._put(move.target, "REFUSE", self._decided)
            else:
                self._put(move.target, "STATUS", self._asked, write=False)
        elif phase is Phase.DONE:
            self._end()
        elif phase is Phase.COPY or phase is Phase.CATCH_UP:
            if move.cancelled:
                self._again(0.0)
            elif self._is_copied(now_ms):
                self._put(move.source, "FREEZE", self._froze, b"%d" % self._attempt)

    def _asked(self, reply: bytes) -> None:
        status = msgspec.msgpack.decode(_bulk(reply), type=Status)
        if status.phase == "accepted":
            self._came = status
            self._decide(accepted=True)
        elif status.phase == "refused":
            self._decide(accepted=False)
        else:
            self._attempt, self._numbers = status.attempt + 1, 0
            self._phase = Phase.CLAIM
            self._import([], self._claimed)

    def _claimed(self) -> None:
        arguments = (self._words, b"%d" % self.move.target, b"%d" % self._attempt)
        self._put(self.move.source, "BEGIN", self._begun, *arguments)

    def _begun(self, _reply: bytes) -> None:
        keyspace = self.replica.applier.keyspace
        self._tracker = keyspace.tracker = Tracker(keyspace)
        self._walker = Walker(keyspace, self._tracker, self._slots)
        self._to_do = keyspace.count(self._slots)
        self._phase = Phase.COPY
        self._sent_bytes = self._sent_pieces = self._copied = 0
        self._began_ms = self._node.now_ms()
        log.info(
            "move %d: slots %s of group %d go to group %d, %d keys (attempt %d)",
            self.move.move_id, written(self.move.slots), self.move.source, self.move.target, self._to_do,
            self._attempt,
        )  # fmt: skip

    def _is_copied(self, now_ms: float) -> bool:
        """Whether so little is left to send that the slots may be frozen for it."""
        assert self._tracker is not None
        assert self._walker is not None
        if self._phase is Phase.COPY:
            if not self._walker.finished:
                return False
            self._phase, self._copied_ms = Phase.CATCH_UP, now_ms
        left = self._tracker.left
        mean = self._sent_bytes / max(1, self._sent_pieces)
        patience = 1 << min(int((now_ms - self._copied_ms) / PATIENCE_MS), 20)
        return (
            left <= LAST_OPERATIONS * patience
            and left * mean <= LAST_BYTES * patience
            and not self._unanswered
        )

    def _froze(self, reply: bytes) -> None:
        self._clock_ms = int(reply[1:-2])
        self._phase, self._frozen_ms = Phase.FROZEN, self._node.now_ms()
        self._hand_over()

    def _hand_over(self) -> None:
        """Send what is left, and right behind it let the target's log decide: it counts the imports."""
        while self._pending:
            self.send()
        made = self.replica.applier.keyspace.collections_made
        blob = msgspec.msgpack.encode(Accepted(self._clock_ms, made))
        arguments = (b"%d" % self._attempt, b"%d" % self._numbers, blob)
        self._put(self.move.target, "ACCEPT", self._decided, *arguments)

    def _decided(self, reply: bytes) -> None:
        self._decide(accepted=reply == ACCEPTED)

    def _decide(self, *, accepted: bool) -> None:
        """The target's log has decided, now or before this node led."""
        self._forget_copy()
        self._phase, self._accepted, move = Phase.DONE, accepted, self.move
        if accepted:
            self._node.steering.put(Moved(move.move_id))
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
        if self._let_go:
            if move.accepted or not self._accepted:
                steering.put(EndMove(move.move_id))
        elif not self._accepted:
            self._put(move.source, "UNFREEZE", self._released)
        elif self._came is None:
            self._put(move.target, "STATUS", self._arrived, write=False)
        else:
            came = self._came
            counts = (b"%d" % came.keys, b"%d" % came.expiring, b"%d" % came.bytes)
            self._put(move.source, "RELEASE", self._released, *counts)

    def _arrived(self, reply: bytes) -> None:
        """What has come tells the source what goes: else it would have to count."""
        self._came = msgspec.msgpack.decode(_bulk(reply), type=Status)

    def _released(self, _reply: bytes) -> None:
        self._let_go = True

    # ---- sending ----

    @property
    def wants_to_send(self) -> bool:
        """Whether there is something to send, and not enough on the way."""
        if self._phase not in _SENDING or self._unanswered > self.hurries:
            return False
        return self._node.now_ms() >= self._next_ms and self._pending

    @property
    def hurries(self) -> float:
        """How often the time for catching up has passed: how much more is sent for it."""
        if self._phase is not Phase.CATCH_UP:
            return 0.0
        return min((self._node.now_ms() - self._copied_ms) / PATIENCE_MS, HURRIES_MAX)

    @property
    def _pending(self) -> bool:
        if self._walker is None or self._tracker is None:
            return False
        return not self._walker.finished or self._tracker.left > 0

    def send(self) -> int:
        """Send the next import; returns what it costs, in bytes."""
        assert self._tracker is not None
        assert self._walker is not None
        if self._walker.finished:
            operations = self._tracker.take(SLICE_KEYS, CHUNK_BYTES)
        else:
            operations = self._walker.step(SLICE_KEYS, CHUNK_BYTES)
            self._copied += sum(operation[0] == "k" for operation in operations)
        if not operations:  # it may have taken as long as others
            return SLICE_KEYS * KEY_COST_BYTES
        pieces = sum(map(_pieces, operations))
        self._sent_pieces += pieces
        return self._import(operations, _nothing) + pieces * KEY_COST_BYTES

    def _import(self, operations: list[Operation], then: Callable[[], None]) -> int:
        self._numbers += 1
        blob = encode_operations(operations)
        attempt, sent_ms = self._attempt, self._node.now_ms()

        def answered(reply: bytes) -> None:
            self._unanswered -= 1
            if self._is_over() or attempt != self._attempt:
                return
            now_ms = self._node.now_ms()
            if reply != OK:
                if reply == error(OVER_MEMORY):
                    self._next_ms = now_ms + FULL_MS
                self._failed("IMPORT", reply)
                return
            self._sent_bytes += len(blob)
            if operations:
                self._rest(now_ms, now_ms - sent_ms)
            then()

        self._unanswered += 1
        words = (b"IMPORT", b"%d" % self.move.move_id, self._words, b"%d" % attempt, b"%d" % self._numbers)
        self._node.submit(Step(self.move.target, [*words, blob], answered))
        return len(blob)

    def _rest(self, now_ms: float, took_ms: float) -> None:
        self._fastest_ms = min(max(0.1, took_ms), self._fastest_ms)
        busy = min(took_ms / self._fastest_ms, BUSY_MAX)
        self._next_ms = now_ms + RESTS * busy * took_ms / (1 + self.hurries)

    # ---- asking ----

    def _put(
        self, group: int, what: str, then: Callable[[bytes], None], *arguments: bytes, write: bool = True
    ) -> None:
        """Put a command to a group's log, once at a time; an error is tried again from the beginning."""
        self._asking = True

        def answered(reply: bytes) -> None:
            self._asking = False
            if self._is_over():
                return
            if reply.startswith((b"-", b"!")):
                self._failed(what, reply)
            else:
                then(reply)

        words = [what.encode(), b"%d" % self.move.move_id, *arguments]
        self._node.submit(Step(group, words, answered, write=write))

    def _failed(self, what: str, reply: bytes) -> None:
        log.info("move %d: %s: %s", self.move.move_id, what, reply.decode(errors="replace").strip())
        self._again()

    def _again(self, wait_ms: float = RETRY_MS) -> None:
        """Something is not as it was thought to be: begin with what the target's log says."""
        self._forget_copy()
        self._phase = Phase.ASK
        self._attempt = 0
        self._retry_ms = self._node.now_ms() + wait_ms

    def status(self) -> dict[str, Any]:
        """How far it is, in JSON's types."""
        tracker = self._tracker
        seconds = max(0.001, (self._node.now_ms() - self._began_ms) / 1000)
        to_do = max(self._to_do, self._copied)
        return {
            "id": self.move.move_id,
            "phase": self._phase.value,
            "attempt": self._attempt,
            "keys": self._copied,
            "keys_to_do": to_do,
            "changed": tracker.left if tracker is not None else 0,
            "bytes": self._sent_bytes,
            "bytes_per_s": round(self._sent_bytes / seconds),
            "remaining_s": round(seconds * (to_do - self._copied) / self._copied, 1)
            if self._copied
            else None,
        }


def _bulk(reply: bytes) -> bytes:
    return reply.partition(b"\r\n")[2][:-2]


def _pieces(operation: Operation) -> int:
    """Of a list of members each counts."""
    return len(operation[3]) if operation[0] in {"m", "r"} else 1


def _nothing() -> None:
    """Nothing waits for this."""
