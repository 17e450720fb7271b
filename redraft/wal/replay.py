"""What one group's records say, taken in the order of the log: its entries, its base, its term and vote.

Owns the rules of replay.  Records go one by one into a `Replayed`; `finish` says whether they make a log.

- An entry cuts off all that its group had from its index on (Raft §5.3).
- A compaction drops all up to its index, a restore drops everything; either gives the group its *base*.
- A copy says that its entry, which stands earlier in the log or did, is still part of it: it drops nothing.
- The last term and vote count.

The log's oldest segments go when all that lived in them is copied behind.  So what is read may begin in the
middle of a group's history: with entries whose predecessors come only later, as copies.  Until then their
places are empty, and the base is unknown; `finish` insists that none is left so.  Why nothing dead comes
back: whatever kills a record stands behind it, and only a beginning of the log is ever removed, so the killer
is read whenever the victim is; and a copy is written only while its entry is alive.

Invariant: `addresses`, `lengths` and `terms` have one place for each index from `first_index` on.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from itertools import groupby, repeat

from redraft.raft.types import EntryKind, HardState

NOWHERE = -1
"""The address of a record that was never written: nothing was saved, or compacted."""

_EMPTY = (1 << 64) - 1  # the address in a place whose entry was not read yet
_CONFIGURATION = int(EntryKind.CONFIGURATION)


class InvalidRecordError(Exception):
    """The records don't make a log; the text says why, the caller which group's."""


class Replayed:
    """One group, as far as it was read."""

    __slots__ = (
        "_based",
        "addresses",
        "base_address",
        "base_term",
        "configurations",
        "first_index",
        "hard_state",
        "hard_state_address",
        "lengths",
        "run_starts",
        "run_terms",
        "terms",
    )

    def __init__(self) -> None:
        self.first_index = 1
        self.base_term = 0
        self.base_address = NOWHERE
        self.hard_state = HardState()
        self.hard_state_address = NOWHERE
        self.addresses = array("Q")
        self.lengths = array("I")
        self.terms = array("Q")
        self.configurations: list[int] = []
        self.run_starts: list[int] = []  # where each term begins, from first_index - 1 on: by `finish`
        self.run_terms: list[int] = []
        self._based = False  # whether the base was read; if never, the group begins with entry 1

    @property
    def last_index(self) -> int:
        """0 when the group has nothing."""
        return self.first_index + len(self.addresses) - 1

    def entry(self, address: int, length: int, kind: int, term: int, index: int) -> None:
        """Take an entry."""
        position = index - self.first_index
        if position != len(self.addresses):
            position = self._place(index)
            self._drop_from(position)
        self.addresses.append(address)
        self.lengths.append(length)
        self.terms.append(term)
        if kind == _CONFIGURATION:
            self.configurations.append(index)

    def copy(self, address: int, length: int, kind: int, term: int, index: int) -> None:
        """Take the copy of an entry."""
        position = self._place(index)
        if position == len(self.addresses):
            self._add_empty(1)
        elif self.addresses[position] != _EMPTY:
            if (self.terms[position], self.lengths[position]) != (term, length):
                raise InvalidRecordError(f"the copy of entry {index} is of another one")
            self.addresses[position] = address
            return
        self.addresses[position], self.lengths[position], self.terms[position] = address, length, term
        if kind == _CONFIGURATION:
            insort(self.configurations, index)

    def compact(self, address: int, term: int, index: int) -> None:
        """Take a compaction up to `index`."""
        count = index + 1 - self.first_index
        if count < 0:
            self._place(index + 1)
        del self.addresses[: max(count, 0)], self.lengths[: max(count, 0)], self.terms[: max(count, 0)]
        del self.configurations[: bisect_right(self.configurations, index)]
        self._rebase(address, term, index)

    def restore(self, address: int, term: int, index: int) -> None:
        """Take a snapshot's index and term in the place of everything."""
        self._drop_from(0)
        self._rebase(address, term, index)

    def save(self, address: int, hard_state: HardState) -> None:
        """Take a term and vote."""
        self.hard_state, self.hard_state_address = hard_state, address

    def finish(self) -> None:
        """Check what all records came to; raise InvalidRecordError."""
        index = self.first_index
        if not self._based and index != 1:
            raise InvalidRecordError(f"what comes before entry {index} is missing")
        if _EMPTY in self.addresses:
            raise InvalidRecordError(f"entry {index + self.addresses.index(_EMPTY)} is missing")
        starts, terms = [index - 1], [self.base_term]
        for term, run in groupby(self.terms):
            if term < terms[-1]:
                raise InvalidRecordError(f"the term falls at entry {index}")
            if term > terms[-1]:
                starts.append(index)
                terms.append(term)
            index += sum(1 for _ in run)
        self.run_starts, self.run_terms = starts, terms

    def _place(self, index: int) -> int:
        """Return the position of an index, with all places before it there, empty where not read yet."""
        position = index - self.first_index
        if position < 0 and self._based:
            raise InvalidRecordError(
                f"entry {index} comes after all up to {self.first_index - 1} is compacted"
            )
        if not self.addresses and not self._based:
            self.first_index = index
            return 0
        if position < 0:
            self._put_empty_before(-position)
            self.first_index = index
            return 0
        self._add_empty(position - len(self.addresses))
        return position

    def _put_empty_before(self, count: int) -> None:
        self.addresses = array("Q", repeat(_EMPTY, count)) + self.addresses
        self.lengths = array("I", bytes(4 * count)) + self.lengths
        self.terms = array("Q", bytes(8 * count)) + self.terms

    def _add_empty(self, count: int) -> None:
        if count > 0:
            self.addresses.extend(repeat(_EMPTY, count))
            self.lengths.extend(repeat(0, count))
            self.terms.extend(repeat(0, count))

    def _drop_from(self, position: int) -> None:
        del self.addresses[position:], self.lengths[position:], self.terms[position:]
        del self.configurations[bisect_left(self.configurations, self.first_index + position) :]

    def _rebase(self, address: int, term: int, index: int) -> None:
        self.first_index, self.base_term, self.base_address = index + 1, term, address
        self._based = True
