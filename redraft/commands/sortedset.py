"""A sorted set as a collection: each member under two names, one to find it by, one in the order of scores.

    "m" placed member          -> the score, as a double's own bytes
    "s" sortable score, member -> nothing; "-" for a score of -0

Always true: both names of a member are there, with one score.  `size` counts names, `elements` members.
`LARGE` says that Redis would have given up its compact form (OBJECT ENCODING), for good; the compact form
knows no -0.  Must not know any reply or option.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from redraft.commands.collection import PLACE_BYTES, Collection, placed
from redraft.commands.context import Context
from redraft.commands.scores import SCORE_BYTES, from_sortable, pack, sortable, unpack
from redraft.engine.record import ZSET

BY_MEMBER: Final = b"m"
BY_SCORE: Final = b"s"
MEMBER_AT: Final = len(BY_SCORE) + SCORE_BYTES
"""Where the member begins in a name that has its score."""

LARGE: Final = 1
COMPACT_MEMBERS_MAX: Final = 128
COMPACT_BYTES_MAX: Final = 64
"""Redis's defaults of zset-max-listpack-entries and zset-max-listpack-value."""

Row = tuple[bytes, bytes]
"""A name that has a score, and its value, as the engine gives them."""


def encoding(flags: int) -> bytes:
    """Return Redis's name for how it would store the sorted set."""
    return b"skiplist" if flags & LARGE else b"listpack"


def member_of(row: Row) -> bytes:
    """Return the member of a row."""
    return row[0][MEMBER_AT:]


def score_of(row: Row) -> float:
    """Return the score of a row."""
    return -0.0 if row[1] else from_sortable(row[0], len(BY_SCORE))


class SortedSet(Collection):
    """Members and their scores; made by the functions below."""

    __slots__ = ()

    prefix = BY_MEMBER
    end = BY_SCORE
    name_at = len(BY_MEMBER) + PLACE_BYTES

    @property
    def elements(self) -> int:
        """The number of members."""
        return self.size >> 1

    def score(self, member: bytes) -> float | None:
        """Return a member's score, None when it is no member."""
        packed = self.members.get(BY_MEMBER + placed(member))
        return unpack(packed) if packed is not None else None

    def scores(self, members: Iterable[bytes]) -> list[float | None]:
        """Return the scores of several members."""
        return self.scores_of([placed(member) for member in members])

    def scores_of(self, names: list[bytes]) -> list[float | None]:
        """Return the scores of members by their placed names."""
        found = self.members.get_many([BY_MEMBER + name for name in names])
        return [unpack(packed) if packed is not None else None for packed in found]

    def give(self, member: bytes, score: float) -> float | None:
        """Give a member a score, which is not NaN; return the one it had, None for a new member.

        A score that equals the old one changes nothing, be it 0 in the place of -0.
        """
        name = BY_MEMBER + placed(member)
        packed = self.members.get(name)
        if packed is None:
            if self.size >= 2 * COMPACT_MEMBERS_MAX or len(member) > COMPACT_BYTES_MAX:
                self.flags |= LARGE
            self._store(name, member, score)
            return None
        old = unpack(packed)
        if old != score:
            self.delete(BY_SCORE + sortable(old) + member)
            self._store(name, member, score, packed)
        return old

    def _store(self, name: bytes, member: bytes, score: float, old: bytes | None = None) -> None:
        value = b""
        if score == 0:
            negative = pack(score)[0] and self.flags & LARGE
            score, value = (-0.0, b"-") if negative else (0.0, b"")
        if old is None:
            self.add(name, pack(score))
        else:
            self.change(name, pack(score), old)
        self.add(BY_SCORE + sortable(score) + member, value)

    def drop(self, member: bytes) -> bool:
        """Delete a member; return whether it was one."""
        packed = self.delete(BY_MEMBER + placed(member))
        if packed is None:
            return False
        self.delete(BY_SCORE + sortable(unpack(packed)) + member)
        return True

    def drop_rows(self, rows: list[Row]) -> None:
        """Delete the members of rows, and save."""
        if len(rows) == self.elements:
            self.remove_key()
            return
        for row in rows:
            self.discard(row[0], row[1])
            self.discard(BY_MEMBER + placed(member_of(row)), pack(score_of(row)))
        if rows:
            self.save()

    def rows(self, first: int, count: int, *, reverse: bool = False) -> list[Row]:
        """Return up to `count` rows in the order of scores, without the `first` ones."""
        return self.members.range(BY_SCORE, offset=first, limit=min(count, self.elements), reverse=reverse)

    def rank(self, member: bytes, score: float) -> int:
        """Return how many members stand before one that has that score."""
        return self.members.count(BY_SCORE, BY_SCORE + sortable(score) + member)


def find(ctx: Context, key: bytes) -> SortedSet | None:
    """Return a key's sorted set, None without the key; raises CommandError when it is something else."""
    return SortedSet.find(ctx, key, ZSET)


def open_(ctx: Context, key: bytes) -> SortedSet:
    """Return a key's sorted set, a new one without the key; raises CommandError."""
    return SortedSet.open_(ctx, key, ZSET)


def store(ctx: Context, key: bytes, elements: list[tuple[bytes, float]]) -> int:
    """Put a sorted set of different members in the place of whatever a key holds; return its size."""
    made = SortedSet.new(ctx, key, ZSET)
    if len(elements) > COMPACT_MEMBERS_MAX or any(len(member) > COMPACT_BYTES_MAX for member, _ in elements):
        made.flags |= LARGE
    for member, score in elements:
        made.give(member, score)
    made.save()
    return len(elements)
