"""What a replica asks of the thing that stores its keys.

An engine keeps records (`redraft.engine.record`) by slot and key, for the slots of one group on one
node, and the members of collections by the collection's id.  What always holds:

- Keys of a slot have an order that is the same on every engine: by position, then by key.
  `position(key)` is the CRC-32 of the key, so a SCAN goes on after a fail-over to another engine.
- What was written since the last `commit` is one atomic batch together with the index of the entry
  that wrote it; after a crash an engine on disk is as of its last commit, an engine in memory is empty.
- A slot's keys can be deleted, listed and copied as a range, without looking at other slots.

An engine judges nothing: expiry, types and ownership are its callers' business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeGuard
from zlib import crc32

from redraft.engine.capture import Run

POSITION_END = 1 << 32
"""Above every position."""


def position(key: bytes) -> int:
    """Return where in the order of its slot a key stands."""
    return crc32(key)


class Members(Protocol):
    """The members of one collection: an ordered map of names to values."""

    slot: int
    """Of the collection's key."""
    id: int
    """The collection's; others of other slots may have the same."""

    def get(self, name: bytes) -> bytes | None:
        """Return the value of a name, None when there is none."""

    def get_many(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several names."""

    def put(self, name: bytes, value: bytes) -> bytes | None:
        """Store a value; return the one it replaces."""

    def delete(self, name: bytes) -> bytes | None:
        """Delete a name; return its value, None when there was none."""

    def write(self, name: bytes, value: bytes | None) -> None:
        """Store a value, or delete a name (None), for those who know what there was: at less cost."""

    def range(
        self,
        low: bytes = b"",
        high: bytes | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[tuple[bytes, bytes]]:
        """Return names from `low` up to, not including, `high` and their values, in the order of the names.

        With `reverse` from the other end.  `offset` leaves out the first ones, `limit` is how many at most.
        """

    def piece(
        self, low: bytes, names_max: int, bytes_max: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Return names from `low` on and their values, in order, and where to go on; None: that was all.

        For those who read all, once, while it goes on being written: nothing is kept in memory for it, and no
        call takes long.  So many names at most, of about so many bytes; there may be none although more come.
        """

    def count(self, low: bytes = b"", high: bytes | None = None) -> int:
        """Return how many names there are from `low` up to, not including, `high`."""


class Deadlines(Protocol):
    """When keys expire, ordered by (deadline, slot, key): the order in which they are removed.

    The deadlines of a slot may be held back: they are noted like all others, but none of them comes first.
    """

    def add(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """Note a deadline."""

    def discard(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """A key has that deadline no more; it may be forgotten at once, or when it comes up."""

    def load(self, deadlines: list[tuple[int, int, bytes]]) -> None:
        """Note many at once, from a snapshot."""

    def first(self) -> tuple[int, int, bytes] | None:
        """Return the next (deadline, slot, key) that is current and not held back, or None."""

    def hold(self, slots: Iterable[int]) -> None:
        """Hold back the deadlines of these slots, and of no others, from now on."""

    def drop(self, slots: Iterable[int]) -> None:
        """Forget those of slots, which are about to be deleted (`Engine.delete_slots`)."""

    def tend(self) -> bool:
        """Free a bit of what was forgotten; return whether there is more."""


class Captured(Protocol):
    """An engine's state at one moment."""

    def take(self, keys_max: int) -> list[Run]:
        """Return some keys and records by slot, about `keys_max` of them; none when all were taken."""


class Engine(Protocol):
    """Stores the records of one replica."""

    last_applied: int
    """The index given to the last `commit`."""

    @property
    def on_disk(self) -> bool:
        """Whether it is a `Durable` one."""

    @property
    def is_full(self) -> bool:
        """Whether apply has to wait until what was written is on disk."""

    @property
    def dirty_bytes(self) -> int:
        """About how much of what was written is not on its way to the disk."""

    def get(self, slot: int, key: bytes) -> bytes | None:
        """Return the record of a key, None when there is none."""

    def put(self, slot: int, key: bytes, record: bytes) -> bytes | None:
        """Store a record; return the one it replaces."""

    def replace(self, slot: int, key: bytes, record: bytes) -> None:
        """Store a record of a key that has one, for those who know it: at less cost."""

    def delete(self, slot: int, key: bytes) -> bytes | None:
        """Delete a key; return its record, None when there was none."""

    def slot_size(self, slot: int) -> int:
        """Return the number of keys of a slot."""

    def scan(self, slot: int, start: int, limit: int) -> tuple[list[bytes], int]:
        """Return keys of a slot from position `start` on, in order, and the position to go on from.

        At least `limit` keys, unless the slot ends before; all keys of one position come together.
        The position to go on from is POSITION_END when the slot is through.
        """

    def items(self, slot: int) -> Iterator[tuple[bytes, bytes]]:
        """Return keys and records of a slot, in any order; the slot must not change meanwhile."""

    def load(self, slot: int, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Store many records of keys that are new, before anything scans or captures."""

    def delete_slots(self, slots: Iterable[int], *, even_if_empty: bool = False) -> None:
        """Delete all keys of slots, the members of their collections, and their deadlines, in no time.

        A slot that has no keys may have members all the same, while it is filled by a move: `even_if_empty`.
        """

    def members(self, slot: int, number: int) -> Members:
        """Return the members of the collection with that id, of a key in that slot; there may be none yet."""

    def drop_members(self, slot: int, number: int) -> None:
        """Delete a collection's members; the id is not used again before all of the slot was deleted."""

    def move_members(self, slot: int, number: int, to_slot: int, to_number: int) -> None:
        """A collection's key has moved to another slot, where it has another id that is new."""

    def deadlines(self, is_current: Callable[[int, int, bytes], bool]) -> Deadlines:
        """Return where the deadlines of the keys are noted; `is_current` knows those that still count."""

    def load_members(self, slot: int, number: int, names: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Store members of names that are new, before anything looks at them."""

    def settle(self) -> None:
        """All was loaded: from now on the engine is used.  In a worker, when nobody else uses it yet."""

    def tend(self) -> bool:
        """Do a bit of what can be done later; return whether there is more to do."""

    def commit(self, last_applied: int) -> None:
        """End an atomic batch: what was written since the last one stands together with `last_applied`."""

    def capture(self) -> Captured:
        """Begin to read all as of now, in pieces, while it goes on being written; one at a time."""

    def release(self) -> None:
        """End the capture, whether it was read to its end or not."""

    def close(self) -> None:
        """Let go of files and memory."""


class Durable(Engine, Protocol):
    """What an engine on disk is asked beyond that.

    A checkpoint goes: `freeze` between two entries, `write_frozen` in a worker, `thaw`.  A capture is of the
    newest checkpoint, so it has to be begun right behind a `thaw`.
    """

    durable_index: int
    """The entry that the newest checkpoint on disk is of."""

    @property
    def checkpoint(self) -> bytes | None:
        """What was given to `freeze` for it; None in a new engine."""

    @property
    def is_due(self) -> bool:
        """Whether so much was written that a checkpoint should be begun."""

    @property
    def is_frozen(self) -> bool:
        """Whether a checkpoint is on its way."""

    def records(
        self, slot: int, low: bytes, keys_max: int, bytes_max: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Do what `Members.piece` does, with keys of a slot and their records: `low` is b"" at first."""

    def freeze(self, checkpoint: bytes) -> None:
        """Begin a checkpoint of what is applied now."""

    def write_frozen(self) -> None:
        """Make it durable; raises OSError.  In a worker."""

    def thaw(self) -> None:
        """It is durable."""

    def clean(self) -> bool:
        """Delete a bit of what is not there any more; True when there is more.  In a worker.

        Never while a checkpoint is on its way.  Raises OSError.
        """


def is_durable(engine: Engine) -> TypeGuard[Durable]:
    """Whether an engine is on disk: `isinstance` of a protocol is too slow where all groups are gone over."""
    return engine.on_disk
