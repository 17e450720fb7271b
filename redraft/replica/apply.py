"""Apply: committed entries become state and replies; a pure function of (state, entry).

Runs behind commit, in slices of whole entries limited by bytes, and never waits.  Always true:
entries are applied once each, in order; `applied_index` moves only after all of an entry's effects;
time is the entry's clock and chance its seed, but no earlier time than slots that have come saw where they
were before (`Ownership.clock_ms`).  Sessions decide which parts execute (`sessions`).
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from redraft.base.limits import EXPIRE_KEYS_MAX
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Keyspace
from redraft.raft.log import LogView
from redraft.raft.types import EntryKind
from redraft.replica.part import Part, decode_ended, decode_header, decode_parts
from redraft.replica.sessions import Sessions

log = logging.getLogger("redraft.replica")


class Answer(NamedTuple):
    """What the log answered to one part."""

    origin: int
    incarnation: int
    sequence: int
    replies: list[bytes]


class Applier:
    """The state of one group on this node and the place in the log it has reached."""

    __slots__ = (
        "_context",
        "_log",
        "applied_index",
        "clock_ms",
        "expired_keys",
        "keyspace",
        "reads",
        "sessions",
        "writes",
    )

    def __init__(self, keyspace: Keyspace, log: LogView) -> None:
        self._log = log
        self.keyspace = keyspace
        self.sessions = Sessions()
        self.applied_index = 0
        self.clock_ms = 0
        self.expired_keys = 0
        self.reads = self.writes = 0
        """Commands executed on this state: reads of this node's clients, everybody's writes."""
        self._context = Context(keyspace)

    def apply_slice(self, commit_index: int, bytes_max: int) -> list[Answer]:
        """Apply entries after `applied_index` up to `commit_index`, about `bytes_max` bytes of them."""
        answers: list[Answer] = []
        for entry in self._log.slice(self.applied_index + 1, commit_index + 1, bytes_max):
            assert entry.index == self.applied_index + 1, "entries are applied in order, once each"
            self.keyspace.index = entry.index
            if entry.kind == EntryKind.PARTS:
                self._apply_parts(entry.data, answers)
            elif entry.kind == EntryKind.EXPIRE:
                self._apply_expire(entry.data)
            elif entry.kind == EntryKind.END_SESSIONS:
                self._end_sessions(entry.data)
            self.applied_index = entry.index
            self.keyspace.engine.commit(entry.index)
            if self.keyspace.digest_wanted:
                break
        return answers

    def read(self, data: bytes, marks: list[tuple[int, int]], clock_ms: int) -> list[bytes]:
        """Execute reads on the applied state; ExpiredKeyError when one meets a key past its deadline."""
        context = self._context
        clock_ms = max(clock_ms, self._clock_floor_ms)
        context.begin(now_ms=clock_ms, seed=0, write=False, deny_oom=False)
        try:
            replies = execute_batch(context, data, marks)
            self.reads += len(replies)
            return replies
        finally:
            if context.bugs:
                self._tell_bugs("a read")

    def _apply_parts(self, payload: bytes, answers: list[Answer]) -> None:
        header = decode_header(payload)
        self._advance(header.clock_ms)
        context = self._context
        context.begin(now_ms=self.clock_ms, seed=header.seed, write=True, deny_oom=header.deny_oom)
        for part in decode_parts(payload, header.parts):
            session = self.sessions.admit(part)
            if session is None:
                continue
            replies = session.replies.get(part.sequence)
            if replies is None:
                replies = self._execute(part)
                self.writes += len(replies)
                session.replies[part.sequence] = replies
            answers.append(Answer(part.origin, part.incarnation, part.sequence, replies))
        self.clock_ms = context.now_ms
        if context.bugs:
            self._tell_bugs(f"entry {self.applied_index + 1}")

    def _execute(self, part: Part) -> list[bytes]:
        """Execute a part's commands in the entry that is being applied; one reply for each."""
        return execute_batch(self._context, part.commands, part.marks)

    def _apply_expire(self, payload: bytes) -> None:
        self._advance(decode_header(payload).clock_ms)
        self.expired_keys += self.keyspace.expire_due(self.clock_ms, EXPIRE_KEYS_MAX)

    @property
    def _clock_floor_ms(self) -> int:
        ownership = self.keyspace.ownership
        return ownership.clock_ms if ownership is not None else 0

    def _advance(self, clock_ms: int) -> None:
        """An entry has this clock."""
        clock_ms = max(clock_ms, self._clock_floor_ms)
        assert clock_ms >= self.clock_ms, "a group's clock never runs back"
        self.clock_ms = clock_ms

    def _end_sessions(self, payload: bytes) -> None:
        for origin in decode_ended(payload):
            self.sessions.end(origin)

    def _tell_bugs(self, where: str) -> None:
        """A handler failed as it should not: its command was undone and answered with an error everywhere."""
        bugs = self._context.bugs
        log.error("%d commands of %s failed by a bug, the first with:", len(bugs), where, exc_info=bugs[0])
        bugs.clear()
