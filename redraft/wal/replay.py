"""What one group's records say, taken in the order of the log: its entries, its base, its term and vote.

Owns the rules of replay.  Records go one by one into a `Replayed`.

- An entry cuts off all that its group had from its index on (Raft §5.3).
- A compaction drops all up to its index, a restore drops everything; either is the group's *base*.
- The last term and vote count.

Invariant: `addresses`, `lengths` and `terms` have one place for each index from `first_index` on.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import groupby

from redraft.raft.types import EntryKind, HardState

NOWHERE = -1
"""The address of a record that was never written: nothing was saved, or compacted."""

_CONFIGURATION = int(EntryKind.CONFIGURATION)


class InvalidRecordError(Exception):
    """The records don't make a log; the text says why, the caller which group's."""


class Replayed:
    """One group, as far as it was read."""

    __slots__ = (
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

    @property
    def last_index(self) -> int:
        """0 when the group has nothing."""
        return self.first_index + len(self.addresses) - 1

    def entry(self, address: int, length: int, kind: int, term: int, index: int) -> None:
        """Take an entry."""
        position = index - self.first_index
        if position != len(self.addresses):
            if not 0 <= position < len(self.addresses):
                raise InvalidRecordError(f"entry {index} follows {self.last_index}")
            self._cut_off(position)
        self.addresses.append(address)
        self.lengths.append(length)
        self.terms.append(term)
        if kind == _CONFIGURATION:
            self.configurations.append(index)

    def compact(self, address: int, term: int, index: int) -> None:
        """Take a compaction up to `index`."""
        count = index + 1 - self.first_index
        if not 0 <= count <= len(self.addresses):
            raise InvalidRecordError(f"{self.first_index}..{self.last_index} is compacted up to {index}")
        del self.addresses[:count], self.lengths[:count], self.terms[:count]
        del self.configurations[: bisect_right(self.configurations, index)]
        self.first_index, self.base_term, self.base_address = index + 1, term, address

    def restore(self, address: int, term: int, index: int) -> None:
        """Take a snapshot's index and term in the place of everything."""
        del self.addresses[:], self.lengths[:], self.terms[:], self.configurations[:]
        self.first_index, self.base_term, self.base_address = index + 1, term, address

    def save(self, address: int, hard_state: HardState) -> None:
        """Take a term and vote."""
        self.hard_state, self.hard_state_address = hard_state, address

    def finish(self) -> None:
        """Check what all records came to; raise InvalidRecordError."""
        index = self.first_index
        starts, terms = [index - 1], [self.base_term]
        for term, run in groupby(self.terms):
            if term < terms[-1]:
                raise InvalidRecordError(f"the term falls at entry {index}")
            if term > terms[-1]:
                starts.append(index)
                terms.append(term)
            index += sum(1 for _ in run)
        self.run_starts, self.run_terms = starts, terms

    def _cut_off(self, position: int) -> None:
        del self.addresses[position:], self.lengths[position:], self.terms[position:]
        del self.configurations[bisect_left(self.configurations, self.first_index + position) :]
