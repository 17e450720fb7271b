"""Sessions: what a group remembers of each origin node so that a part takes effect once.

Owned by apply: the same on every replica at the same index, and part of the state a snapshot holds.
A session belongs to one (origin, incarnation); it keeps the replies of executed parts until the
origin has acknowledged them.  Always true: a sequence below `acknowledged_below` never executes
again, and a session ends only by a logged event (a part of a newer incarnation, the removal of the
node), never by a timer.  Of a removed node a mark is kept for ever: a part of it that is still under way,
the first of its session even, must not execute, for it may have done so already.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from redraft.replica.part import Part
from redraft.snapshot.format import SessionState

ENDED = (1 << 64) - 1
"""The incarnation of a session that has ended for good: no part is as new."""


@dataclass(slots=True)
class Session:
    """The parts of one incarnation of one node that this group has executed and not yet forgotten."""

    incarnation: int
    acknowledged_below: int = 1
    replies: dict[int, list[bytes]] = field(default_factory=dict)

    def acknowledge(self, below: int) -> None:
        """Forget the replies of all sequences under `below`."""
        while self.acknowledged_below < below:
            self.replies.pop(self.acknowledged_below, None)
            self.acknowledged_below += 1


class Sessions:
    """The sessions of one group, by origin node."""

    __slots__ = ("_by_origin",)

    def __init__(self) -> None:
        self._by_origin: dict[int, Session] = {}

    def admit(self, part: Part) -> Session | None:
        """Return the session in which `part` may execute or has executed; None if it must never execute.

        Refused are parts of an older incarnation, of one that never registered, and parts whose
        reply was acknowledged (a late duplicate).
        """
        session = self._by_origin.get(part.origin)
        if session is None or part.incarnation > session.incarnation:
            if not part.registers:
                return None
            session = self._by_origin[part.origin] = Session(part.incarnation)
        elif part.incarnation < session.incarnation:
            return None
        if part.acknowledged_below > session.acknowledged_below:
            session.acknowledge(part.acknowledged_below)
        return session if part.sequence >= session.acknowledged_below else None

    def answered(self, origin: int, incarnation: int, sequence: int) -> list[bytes] | None:
        """Return the replies a part got, if it was executed and they are still kept."""
        session = self._by_origin.get(origin)
        if session is None or session.incarnation != incarnation:
            return None
        return session.replies.get(sequence)

    def end(self, origin: int) -> None:
        """The node was removed: forget its replies, and never execute anything of it again."""
        self._by_origin[origin] = Session(ENDED)

    def open_origins(self) -> list[int]:
        """The nodes whose sessions have not ended, in order."""
        return sorted(origin for origin, each in self._by_origin.items() if each.incarnation != ENDED)

    def copy_states(self) -> list[SessionState]:
        """Return all sessions as of now, as a snapshot keeps them."""
        return [
            SessionState(origin, session.incarnation, session.acknowledged_below, dict(session.replies))
            for origin, session in sorted(self._by_origin.items())
        ]

    def load(self, state: SessionState) -> None:
        """Take a session, or some more of its replies, from a snapshot."""
        session = self._by_origin.get(state.origin)
        if session is None:
            session = self._by_origin[state.origin] = Session(state.incarnation, state.acknowledged_below)
        session.replies.update(state.replies)

    def __len__(self) -> int:
        return len(self._by_origin)
