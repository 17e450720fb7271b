"""What the core needs of a log, and the two questions Raft asks of one: who is newer, where do we differ.

The log itself is someone else's (`redraft.wal` on disk, a list in the tests).  What always holds:
indexes are dense, terms never fall along the log, and what was appended is visible at once and
durable later.  The core never waits: what must be durable before it is spoken of goes into
`Output.gated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from redraft.raft.types import Entry, HardState


class CompactedError(Exception):
    """The asked index lies below what the log still knows: a snapshot has taken its place."""


class LogView(Protocol):
    """The log of one group as the core sees it."""

    @property
    def first_index(self) -> int:
        """First entry present; 1 at the start, entries below are compacted."""

    @property
    def last_index(self) -> int:
        """0 when nothing was ever appended."""

    @property
    def hard_state(self) -> HardState:
        """As saved last."""

    def term(self, index: int) -> int:
        """Term of the entry; 0 for index 0 and above last_index; known for first_index - 1 (the snapshot's).

        Raises CompactedError below that.
        """

    def slice(self, low: int, high: int, bytes_max: int) -> list[Entry]:
        """Entries of [low, high): at least one, then until their data exceed bytes_max.

        Raises CompactedError when low < first_index.
        """

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries, cutting off a suffix from entries[0].index on; visible at once, durable later."""

    def save(self, hard_state: HardState) -> None:
        """Replace term and vote; visible at once, durable later, in order with the appends."""

    def configurations(self) -> list[int]:
        """Indexes of the EntryKind.CONFIGURATION entries present, ascending."""

    @property
    def bytes(self) -> int:
        """Bytes of data of all entries present."""

    def tail_index(self, bytes_min: int) -> int:
        """The last index behind which entries with `bytes_min` bytes of data follow; else first_index - 1."""

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, first_index - 1 or later, which a durable snapshot covers.

        first_index becomes index + 1, and term(index) stays known; visible at once, durable later, in order
        with the appends.
        """

    def restore(self, index: int, term: int) -> None:
        """Put a snapshot at (index, term) in the place of the whole log, of which nothing remains.

        first_index becomes index + 1, last_index becomes index, term(index) is `term`; the hard state stays.
        A removed replica forgets its entries by it, but keeps the place of its commit_index (`Raft.retire`)
        and, for ever, its term and vote.  Visible at once, durable later, in order with the appends.
        """


def is_up_to_date(log: LogView, last_index: int, last_term: int) -> bool:
    """Raft §5.4.1: is a log that ends in (last_index, last_term) at least as new as this one?"""
    own_index = log.last_index
    own_term = log.term(own_index)
    return last_term > own_term or (last_term == own_term and last_index >= own_index)


def holds(log: LogView, index: int, term: int) -> bool:
    """Whether the log agrees with a snapshot up to (index, term), at or above first_index - 1.

    If not, the snapshot has to take its place: `restore`.
    """
    return index <= log.last_index and log.term(index) == term


def last_not_newer(log: LogView, index: int, term: int, floor: int) -> tuple[int, int]:
    """The last (index, term) at or below `index` whose term is not above `term`; not below `floor`.

    Where the log is compacted the walk ends at first_index - 1, whatever its term.

    Both sides of a refused append use it (Raft §5.3, the hint): an entry of a newer term can't be in a log
    that has an older one at the same place, so all of that run is skipped in one step.  A follower's floor
    is its commit_index, below which all logs agree.
    """
    index = min(index, log.last_index)
    floor = max(floor, log.first_index - 1)
    while index > floor:
        found = log.term(index)
        if found <= term:
            return index, found
        index -= 1
    return floor, log.term(floor)
