"""Linearizable reads of one group on one node (ReadIndex, thesis §6.4), in batches.

A batch goes pending -> asked -> ready -> executed.  *Asked*: at the leader a round is out that
confirms its leadership for the commit index noted when the round was opened; at a follower the
leader was asked for its read index.  *Ready*: the index is known and waits for last_applied.  While
a batch is asked the next one collects.  Always true: every asking has a fresh id, and what was asked
of a leadership that ended is asked again from the start.

Knows nothing of Raft or links: the node opens, confirms and resets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from redraft.replica.origin import CLUSTERDOWN
from redraft.replica.request import Request


@dataclass(slots=True)
class ReadBatch:
    """Reads that share one read index; `remotes` are (peer, request id) of followers that asked for it."""

    ask_id: int
    requests: list[Request]
    remotes: list[tuple[int, int]] = field(default_factory=list)
    index: int = 0
    clock_ms: int = 0
    asked_ms: float = 0.0


class Reader:
    """The reads of one group on this node."""

    __slots__ = ("_asked_max", "asked", "pending", "ready", "remotes", "unexpired")

    def __init__(self, *, asked_max: int) -> None:
        self._asked_max = asked_max
        self.pending: list[Request] = []
        self.remotes: list[tuple[int, int]] = []
        self.asked: deque[ReadBatch] = deque()
        self.ready: deque[ReadBatch] = deque()
        self.unexpired: list[tuple[Request, int]] = []  # met a key past its deadline at that clock

    @property
    def may_ask(self) -> bool:
        """Whether there is something to ask for and room to ask."""
        return bool(self.pending or self.remotes) and len(self.asked) < self._asked_max

    def ask(self, ask_id: int, index: int, clock_ms: int, now_ms: float) -> ReadBatch:
        """Everything pending becomes one batch under a fresh id; index and clock are 0 at a follower."""
        batch = ReadBatch(ask_id, self.pending, self.remotes, index, clock_ms, now_ms)
        self.pending, self.remotes = [], []
        self.asked.append(batch)
        return batch

    def confirmed(self, round_id: int) -> list[tuple[int, int, int, int]]:
        """Leadership is confirmed up to `round_id`; returns (peer, request id, index, clock) to tell."""
        told: list[tuple[int, int, int, int]] = []
        asked = self.asked
        while asked and asked[0].ask_id <= round_id:
            batch = asked.popleft()
            told.extend((peer, request_id, batch.index, batch.clock_ms) for peer, request_id in batch.remotes)
            if batch.requests:
                self.ready.append(batch)
        return told

    def answered(self, ask_id: int, index: int, clock_ms: int) -> None:
        """The leader told a follower's batch its read index; an answer to an older asking is ignored."""
        for batch in self.asked:
            if batch.ask_id == ask_id:
                self.asked.remove(batch)
                batch.index, batch.clock_ms = index, clock_ms
                if batch.requests:
                    self.ready.append(batch)
                return

    def reset(self) -> None:
        """The leadership that was asked is over: local reads are asked again; followers do so themselves."""
        again = [request for batch in self.asked for request in batch.requests]
        self.asked.clear()
        self.pending[:0] = again
        self.remotes = []

    def readable(self, applied_index: int) -> ReadBatch | None:
        """Return the next ready batch whose index is applied."""
        ready = self.ready
        if ready and ready[0].index <= applied_index:
            return ready.popleft()
        return None

    def retry(self) -> list[tuple[Request, int]]:
        """Return and forget the reads that wait for an entry to remove a key, with the clock they read at.

        They are tried again at that clock: at a later one other keys would be due, and so for ever.
        """
        waiting, self.unexpired = self.unexpired, []
        return waiting

    def expire(self, now_ms: float, wait_ms: float) -> None:
        """Answer reads that found no leader in time; a read that was not answered took no effect."""

        def late(request: Request) -> bool:
            return now_ms - request.submitted_ms > wait_ms

        overdue = [request for request, _clock in self.unexpired if late(request)]
        if overdue:
            self.unexpired = [waiting for waiting in self.unexpired if not late(waiting[0])]
            for request in overdue:
                request.fail(CLUSTERDOWN)
        batches = (*self.asked, *self.ready)
        for requests in (self.pending, *(batch.requests for batch in batches)):
            if requests and late(requests[0]):
                kept = [request for request in requests if not late(request)]
                dropped = [request for request in requests if late(request)]
                requests[:] = kept
                for request in dropped:
                    request.fail(CLUSTERDOWN)
        if any(not batch.requests for batch in self.ready):
            self.ready = deque(batch for batch in self.ready if batch.requests)
