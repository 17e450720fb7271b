"""Which slots a group serves, and the moves of slots that it takes part in: state of apply.

    owned     slots whose keys are this group's
    outgoing  moves of owned slots to another group; `frozen`: nobody may read or write them any more
    incoming  moves of another group's slots to this one: their keys are here (staged), and seen by nobody
    decided   what this group, as a target, has decided about a move: the first entry that decides counts
    closed    moves that are over here: nothing that comes late begins them again

A group that never took part in a move has none of this (`Keyspace.ownership` is None): it serves what it was
made with, if that was anything.  Always true: a slot is in one outgoing or incoming move at most; outgoing
ones are owned, incoming ones are not; no move is in two of outgoing, incoming, decided and closed.

The rules of a move are `redraft.commands.moving`'s, what becomes of the keys `redraft.commands.staging`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Final, Self

import msgspec

from redraft.topology.slots import SLOTS, format_ranges, parse_ranges, ranges_of

_ALL: Final = frozenset(range(SLOTS))

Ranges = list[tuple[int, int]]


class Outgoing(msgspec.Struct):
    """A move of this group's slots to another one."""

    slots: list[int]
    target: int
    attempt: int
    """Of the leader that copies: each begins a new one."""
    index: int
    """Of the entry that began it."""
    frozen: bool = False


class Incoming(msgspec.Struct):
    """A move of slots to this group."""

    slots: list[int]
    attempt: int
    index: int
    number: int = 0
    """Imports of the attempt that were applied."""
    counts: dict[int, list[int]] = {}
    """By slot that has or had something: [keys with a deadline, bytes] that are staged."""


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """What the target has decided about a move; of an accepted one also how much has come."""

    accepted: bool
    keys: int = 0
    expiring: int = 0
    bytes: int = 0


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """The form in snapshots and digests: all in order, so that equal states have equal bytes."""

    owned: Ranges
    outgoing: list[tuple[int, Ranges, int, int, int, bool]]
    incoming: list[tuple[int, Ranges, int, int, int, list[tuple[int, int, int]]]]
    decided: list[tuple[int, Decision]]
    closed: list[int]
    closed_below: int
    clock_ms: int


class Ownership:
    """The state of one group."""

    __slots__ = ("clock_ms", "closed", "closed_below", "decided", "incoming", "outgoing", "owned")

    def __init__(self, owned: Iterable[int]) -> None:
        self.owned = sorted(owned)
        self.outgoing: dict[int, Outgoing] = {}
        self.incoming: dict[int, Incoming] = {}
        self.decided: dict[int, Decision] = {}
        self.closed: set[int] = set()
        self.closed_below = 0
        """All moves below are over."""
        self.clock_ms = 0
        """The clock of no entry is before that: what came with a move was seen at that time already."""

    @property
    def frozen(self) -> frozenset[int]:
        """Owned slots that are not served."""
        return frozenset().union(*[move.slots for move in self.outgoing.values() if move.frozen])

    @property
    def staged(self) -> frozenset[int]:
        """Slots that may have keys and are not owned."""
        return frozenset().union(*[move.slots for move in self.incoming.values()])

    @property
    def foreign(self) -> frozenset[int]:
        """All slots that are not served."""
        return _ALL.difference(self.owned).union(self.frozen)

    def is_closed(self, move: int) -> bool:
        """Whether a move is over."""
        return move in self.closed or move < self.closed_below

    def close(self, move: int) -> None:
        """A move is over."""
        if move >= self.closed_below:
            self.closed.add(move)

    def close_below(self, move: int) -> None:
        """All moves below are over, as the topology says: a group can't tell, it may not have met one yet."""
        self.closed_below = max(self.closed_below, move)
        self.closed = {each for each in self.closed if each >= self.closed_below}

    def encode(self) -> bytes:
        """Return it as it stands in snapshots."""
        return msgspec.msgpack.encode(
            _Stored(
                ranges_of(self.owned),
                [
                    (move, ranges_of(of.slots), of.target, of.attempt, of.index, of.frozen)
                    for move, of in sorted(self.outgoing.items())
                ],
                [
                    (
                        move,
                        ranges_of(of.slots),
                        of.attempt,
                        of.index,
                        of.number,
                        [(slot, expiring, size) for slot, (expiring, size) in sorted(of.counts.items())],
                    )
                    for move, of in sorted(self.incoming.items())
                ],
                sorted(self.decided.items(), key=lambda item: item[0]),
                sorted(self.closed),
                self.closed_below,
                self.clock_ms,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote; raises msgspec.MsgspecError."""
        stored = msgspec.msgpack.decode(data, type=_Stored)
        made = cls(unfolded(stored.owned))
        for move, slots, target, attempt, index, frozen in stored.outgoing:
            made.outgoing[move] = Outgoing(unfolded(slots), target, attempt, index, frozen)
        for move, slots, attempt, index, number, counts in stored.incoming:
            by_slot = {slot: [expiring, size] for slot, expiring, size in counts}
            made.incoming[move] = Incoming(unfolded(slots), attempt, index, number, by_slot)
        made.decided = dict(stored.decided)
        made.closed = set(stored.closed)
        made.closed_below = stored.closed_below
        made.clock_ms = stored.clock_ms
        return made


def unfolded(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the slots of ranges."""
    return [slot for first, last in ranges for slot in range(first, last + 1)]


def format_slots(slots: Iterable[int]) -> bytes:
    """Return slots as they stand in requests: `0-99,200`."""
    return format_ranges(ranges_of(slots))


@lru_cache(maxsize=64)
def parse_slots(text: bytes) -> tuple[int, ...]:
    """Read what `format_slots` wrote, ascending; raises ValueError."""
    ranges = parse_ranges(text)
    edges = [edge for first, last in ranges for edge in (first, last + 1)]
    ascending = all(low < high for low, high in pairwise(edges))
    if not edges or not ascending or edges[0] < 0 or edges[-1] > SLOTS:
        raise ValueError(text)
    return tuple(unfolded(ranges))
