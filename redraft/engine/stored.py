"""An engine on disk: a store (`redraft.engine.stores`) under an overlay of what was written lately.

Writes go to the overlay, so they cost what they cost in memory.  At a checkpoint the overlay is frozen and a
worker writes it to the store in one batch, together with the checkpoint: what apply needs to go on from that
entry.  Meanwhile the next overlay collects.  So the store is always as of one entry, and a crash loses only
what the log still has.

    key    = epoch u32, slot u16, "k", CRC-32 of the key, key      -> record
    member = epoch u32, slot u16, "m", collection id u64, name     -> value
    due    = FF "e", epoch u32, deadline u64, slot u16, key        -> nothing
    junk   = FF "j", prefix                                        -> nothing: all below it is to be deleted
    FF "c" -> the checkpoint; FF "s" -> the engine's own state at it

Big-endian.  A slot's epoch grows when all its keys are deleted at once: what stands under an older one is
not there any more, and is deleted a bit at a time.  Always true: the frozen overlay is what a worker writes.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final

import msgspec

from redraft.engine.capture import Run
from redraft.engine.interface import POSITION_END
from redraft.engine.overlay import MISSING, Map, Overlay
from redraft.engine.stores import Store, View, Write
from redraft.topology.slots import SLOTS

_SLOT: Final = struct.Struct(">IHc")
_PLACE: Final = struct.Struct(">I")
_DUE: Final = struct.Struct(">QH")
_ID: Final = struct.Struct(">Q")
_PREFIX_BYTES: Final = _SLOT.size
_KIND_AT: Final = _PREFIX_BYTES - 1
_PLACE_BYTES: Final = 4
DUE: Final = b"\xffe"
JUNK: Final = b"\xffj"
CHECKPOINT: Final = b"\xffc"
STATE: Final = b"\xffs"

OVERLAY_BYTES_MAX: Final = 32 << 20
"""An overlay that has so many bytes is to be handed to the store; with twice as many apply waits for that."""
JUNK_AT_ONCE: Final = 20_000
"""Keys deleted by one visit of the worker."""
TAKEN_BYTES_MAX: Final = 4 << 20
"""Bytes that a capture reads at once; a record is never split."""


class State(msgspec.Struct, array_like=True):
    """What the engine knows besides its keys; stored with each checkpoint."""

    epoch: int = 1
    epochs: dict[int, int] = {}
    """Of slots that were emptied since that epoch."""
    sizes: dict[int, int] = {}
    """Keys by slot."""
    due_epoch: int = 0
    """Grows when all deadlines are forgotten at once."""
    collection: int = 0
    """The highest id of a collection so far."""


class StoredEngine:
    """Implements `redraft.engine.interface.Engine` and `Durable`."""

    __slots__ = (
        "_active", "_fresh_junk", "_frozen", "_frozen_index", "_frozen_junk", "_junk", "_known_collection",
        "_prefixes", "_sizes", "_store", "_swept", "_viewing", "durable_index", "last_applied",
        "overlay_bytes_max", "state",
    )  # fmt: skip

    on_disk = True

    def __init__(self, store: Store, overlay_bytes_max: int = OVERLAY_BYTES_MAX) -> None:
        self.overlay_bytes_max = overlay_bytes_max
        self._store = store
        self._active = Overlay()
        self._frozen: Overlay | None = None
        self._frozen_index = 0
        self._viewing: StoredCapture | None = None
        known = store.get(STATE)
        self.state = msgspec.msgpack.decode(known, type=State) if known is not None else State()
        self._sizes = self.state.sizes
        self._known_collection = self.state.collection
        """Collections with a higher id are in nothing but the active overlay."""
        self._prefixes: dict[int, bytes] = {}
        self._junk = deque(key[len(JUNK) :] for key, _ in store.range(JUNK, after(JUNK)))
        """To be deleted; nothing of it is written any more."""
        self._swept = b""
        """Of the first one, as far as it is deleted."""
        self._fresh_junk: list[bytes] = []
        self._frozen_junk: list[bytes] = []
        self.last_applied = self.durable_index = 0

    # ---- keys ----

    def get(self, slot: int, key: bytes) -> bytes | None:
        """See `Engine.get`."""
        return self.look(self._prefix(slot), _PLACE.pack(crc32(key)) + key)

    def put(self, slot: int, key: bytes, record: bytes) -> bytes | None:
        """See `Engine.put`."""
        prefix, name = self._prefix(slot), _PLACE.pack(crc32(key)) + key
        old = self.look(prefix, name)
        self._active.put(prefix, name, record)
        if old is None:
            self._sizes[slot] = self._sizes.get(slot, 0) + 1
        return old

    def delete(self, slot: int, key: bytes) -> bytes | None:
        """See `Engine.delete`."""
        prefix, name = self._prefix(slot), _PLACE.pack(crc32(key)) + key
        old = self.look(prefix, name)
        if old is not None:
            self._active.put(prefix, name, None)
            self._sizes[slot] -= 1
        return old

    def slot_size(self, slot: int) -> int:
        """See `Engine.slot_size`."""
        return self._sizes.get(slot, 0)

    def scan(self, slot: int, start: int, limit: int) -> tuple[list[bytes], int]:
        """See `Engine.scan`."""
        assert limit > 0
        keys: list[bytes] = []
        position = start
        for name, _record in self.walk(self._prefix(slot), _PLACE.pack(start), None):
            here = _PLACE.unpack_from(name)[0]
            if len(keys) >= limit and here != position:
                return keys, here
            keys.append(name[_PLACE_BYTES:])
            position = here
        return keys, POSITION_END

    def items(self, slot: int) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine.items`."""
        return ((name[_PLACE_BYTES:], record) for name, record in self.walk(self._prefix(slot), b"", None))

    def delete_slot(self, slot: int) -> None:
        """See `Engine.delete_slot`."""
        if not self._sizes.pop(slot, 0):
            return
        prefix, state = self._prefix(slot), self.state
        self._active.maps.pop(prefix, None)
        self.forget(prefix[:_KIND_AT])
        state.epochs[slot] = state.epochs.get(slot, state.epoch) + 1
        self._prefixes.pop(slot, None)

    # ---- members ----

    def members(self, slot: int, number: int) -> StoredMembers:
        """See `Engine.members`."""
        self.state.collection = max(self.state.collection, number)
        return StoredMembers(self, slot, self._members_prefix(slot, number))

    def drop_members(self, slot: int, number: int) -> None:
        """See `Engine.drop_members`."""
        prefix = self._members_prefix(slot, number)
        self._active.maps.pop(prefix, None)
        if number <= self._known_collection:
            self.forget(prefix)

    def drop_all_members(self) -> None:
        """See `Engine.drop_all_members`: they stand under the epochs of slots that were emptied."""
        maps, state = self._active.maps, self.state
        for prefix in [prefix for prefix in maps if prefix[_KIND_AT:_PREFIX_BYTES] == b"m"]:
            epoch, slot, _kind = _SLOT.unpack_from(prefix)
            if epoch != state.epochs.get(slot, state.epoch):
                del maps[prefix]

    def move_members(self, slot: int, number: int, to_slot: int, to_number: int) -> None:
        """See `Engine.move_members`."""
        source, target = self._members_prefix(slot, number), self._members_prefix(to_slot, to_number)
        for name, value in self.walk(source, b"", None):
            self._active.put(target, name, value)
        self.state.collection = max(self.state.collection, to_number)
        self.drop_members(slot, number)

    def deadlines(self, is_current: Callable[[int, int, bytes], bool]) -> StoredDeadlines:
        """See `Engine.deadlines`."""
        return StoredDeadlines(self, is_current)

    # ---- reading through the overlays ----

    def look(self, prefix: bytes, name: bytes) -> bytes | None:
        """Return the newest value of a name, None when there is none."""
        value = self._active.look(prefix, name)
        if value is MISSING:
            value = self._frozen.look(prefix, name) if self._frozen is not None else MISSING
            if value is MISSING:
                return self._store.get(prefix + name)
        return value

    def walk(
        self, prefix: bytes, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield names and values of a prefix, in order; the engine must not be written meanwhile."""
        end = prefix + high if high is not None else after(prefix)
        cut = len(prefix)
        stored = ((key[cut:], value) for key, value in self._store.range(prefix + low, end, reverse=reverse))
        overlays = [
            found
            for overlay in (self._active, self._frozen)
            if overlay is not None and (found := overlay.maps.get(prefix)) is not None
        ]
        if not overlays:
            yield from stored
            return
        written = [_walked(found, low, high, reverse=reverse) for found in overlays]
        last = None  # the newest comes first among equals
        for name, value in merge(*written, stored, key=itemgetter(0), reverse=reverse):
            if name != last:
                last = name
                if value is not None:
                    yield name, value

    # ---- batches, checkpoints, captures ----

    def commit(self, last_applied: int) -> None:
        """See `Engine.commit`."""
        self.last_applied = last_applied

    @property
    def checkpoint(self) -> bytes | None:
        """See `Durable.checkpoint`."""
        return self._store.get(CHECKPOINT)

    @property
    def dirty_bytes(self) -> int:
        """See `Engine.dirty_bytes`."""
        return self._active.bytes

    @property
    def is_due(self) -> bool:
        """See `Durable.is_due`."""
        return self._active.bytes > self.overlay_bytes_max

    @property
    def is_full(self) -> bool:
        """See `Engine.is_full`."""
        return self._active.bytes > 2 * self.overlay_bytes_max

    @property
    def is_frozen(self) -> bool:
        """See `Durable.is_frozen`."""
        return self._frozen is not None

    def freeze(self, checkpoint: bytes) -> None:
        """See `Durable.freeze`."""
        assert self._frozen is None
        frozen, self._active = self._active, Overlay()
        self._known_collection = self.state.collection
        frozen.put(CHECKPOINT, b"", checkpoint)
        frozen.put(STATE, b"", msgspec.msgpack.encode(self.state))
        self._frozen, self._frozen_index = frozen, self.last_applied
        self._frozen_junk, self._fresh_junk = self._fresh_junk, []

    def write_frozen(self) -> None:
        """See `Durable.write_frozen`."""
        assert self._frozen is not None
        self._store.write(self._frozen.writes())

    def thaw(self) -> None:
        """See `Durable.thaw`."""
        assert self._frozen is not None
        self._store.refresh()
        self._frozen = None
        self.durable_index = self._frozen_index
        self._junk += self._frozen_junk

    def clean(self) -> bool:
        """See `Durable.clean`."""
        if not self._junk:
            return False
        doomed: list[bytes] = []
        gone: list[bytes] = []
        swept, left = self._swept, JUNK_AT_ONCE
        view = self._store.view()
        try:
            for prefix in islice(self._junk, JUNK_AT_ONCE):
                for key, _ in view.range(max(prefix, swept), after(prefix)):
                    doomed.append(key)
                    left -= 1
                    if not left:
                        break
                if not left:
                    swept = doomed[-1]
                    break
                gone.append(prefix)
                swept = b""
                left -= 1
        finally:
            view.close()
        writes = dict.fromkeys(doomed) | dict.fromkeys(JUNK + prefix for prefix in gone)
        self._store.write((key, None) for key in sorted(writes))
        for _ in gone:
            self._junk.popleft()
        self._swept = swept
        return bool(self._junk)

    def tend(self) -> bool:
        """See `Engine.tend`: what there is to do is the worker's (`clean`)."""
        return False

    def capture(self) -> StoredCapture:
        """See `Engine.capture`: as of the checkpoint, so it has to follow one."""
        assert self._viewing is None, "one capture at a time"
        self._viewing = StoredCapture(self._store.view())
        return self._viewing

    def release(self) -> None:
        """See `Engine.release`."""
        if self._viewing is not None:
            self._viewing.close()
            self._viewing = None

    def close(self) -> None:
        """See `Engine.close`."""
        self.release()
        self._store.close()

    # ---- filling an engine that is not in use yet ----

    def load(self, slot: int, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """See `Engine.load`."""
        prefix = self._prefix(slot)
        self._sizes[slot] = self._sizes.get(slot, 0) + len(keys)
        self.fill(
            (prefix + _PLACE.pack(crc32(key)) + key, record)
            for key, record in zip(keys, records, strict=True)
        )

    def load_members(self, slot: int, number: int, names: Sequence[bytes], values: Sequence[bytes]) -> None:
        """See `Engine.load_members`."""
        prefix = self._members_prefix(slot, number)
        self._known_collection = self.state.collection = max(self.state.collection, number)
        self.fill((prefix + name, value) for name, value in zip(names, values, strict=True))

    def settle(self) -> None:
        """See `Engine.settle`."""
        self._store.settle()

    def fill(self, batch: Iterable[Write]) -> None:
        """Write past the overlay, to an engine that is not in use yet."""
        self._store.fill(batch)
        self._store.refresh()

    # ---- prefixes ----

    def _prefix(self, slot: int) -> bytes:
        prefix = self._prefixes.get(slot)
        if prefix is None:
            state = self.state
            prefix = self._prefixes[slot] = _SLOT.pack(state.epochs.get(slot, state.epoch), slot, b"k")
        return prefix

    def _members_prefix(self, slot: int, number: int) -> bytes:
        return self._prefix(slot)[:_KIND_AT] + b"m" + _ID.pack(number)

    def write(self, prefix: bytes, name: bytes, value: bytes | None) -> None:
        """Store a value, or delete a name."""
        self._active.put(prefix, name, value)

    def forget(self, prefix: bytes) -> None:
        """All below a prefix is gone, and nothing will ever be written there again."""
        self._active.put(JUNK, prefix, b"")
        self._fresh_junk.append(prefix)


def _walked(
    written: Map, low: bytes, high: bytes | None, *, reverse: bool
) -> Iterator[tuple[bytes, bytes | None]]:
    values = written.values
    return ((name, values[name]) for name in written.walk(low, high, reverse=reverse))


class StoredMembers:
    """Implements `redraft.engine.interface.Members`."""

    __slots__ = ("_engine", "_prefix", "slot")

    def __init__(self, engine: StoredEngine, slot: int, prefix: bytes) -> None:
        self._engine = engine
        self.slot = slot
        self._prefix = prefix

    def get(self, name: bytes) -> bytes | None:
        """See `Members.get`."""
        return self._engine.look(self._prefix, name)

    def get_many(self, names: Sequence[bytes]) -> list[bytes | None]:
        """See `Members.get_many`."""
        look, prefix = self._engine.look, self._prefix
        return [look(prefix, name) for name in names]

    def put(self, name: bytes, value: bytes) -> bytes | None:
        """See `Members.put`."""
        old = self.get(name)
        self._engine.write(self._prefix, name, value)
        return old

    def delete(self, name: bytes) -> bytes | None:
        """See `Members.delete`."""
        old = self.get(name)
        if old is not None:
            self._engine.write(self._prefix, name, None)
        return old

    def range(
        self,
        low: bytes = b"",
        high: bytes | None = None,
        *,
        offset: int = 0,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[tuple[bytes, bytes]]:
        """See `Members.range`."""
        if high is not None and high <= low:
            return []
        end = offset + limit if limit is not None else None
        return list(islice(self._engine.walk(self._prefix, low, high, reverse=reverse), offset, end))

    def count(self, low: bytes = b"", high: bytes | None = None) -> int:
        """See `Members.count`."""
        if high is not None and high <= low:
            return 0
        return sum(1 for _ in self._engine.walk(self._prefix, low, high))


class StoredDeadlines:
    """Implements `redraft.engine.interface.Deadlines` below a prefix of the store."""

    __slots__ = ("_engine", "_from", "_is_current", "_prefix")

    def __init__(self, engine: StoredEngine, is_current: Callable[[int, int, bytes], bool]) -> None:
        self._engine = engine
        self._is_current = is_current
        self._prefix = DUE + _PLACE.pack(engine.state.due_epoch)
        self._from = b""  # nothing stands below

    def add(self, deadline_ms: int, slot: int, key: bytes, live: int) -> None:  # noqa: ARG002 - all are kept
        """See `Deadlines.add`."""
        name = _DUE.pack(deadline_ms, slot) + key
        self._engine.write(self._prefix, name, b"")
        self._from = min(self._from, name)

    def discard(self, deadline_ms: int, slot: int, key: bytes) -> None:
        """See `Deadlines.discard`."""
        self._engine.write(self._prefix, _DUE.pack(deadline_ms, slot) + key, None)

    def load(self, deadlines: list[tuple[int, int, bytes]]) -> None:
        """See `Deadlines.load`."""
        self._engine.fill(
            (self._prefix + _DUE.pack(deadline_ms, slot) + key, b"") for deadline_ms, slot, key in deadlines
        )

    def first(self) -> tuple[int, int, bytes] | None:
        """See `Deadlines.first`."""
        stale: list[bytes] = []
        found = None
        for name, _ in self._engine.walk(self._prefix, self._from, None):
            self._from = name
            deadline_ms, slot = _DUE.unpack_from(name)
            key = name[_DUE.size :]
            if self._is_current(deadline_ms, slot, key):
                found = deadline_ms, slot, key
                break
            stale.append(name)
        for name in stale:
            self._engine.write(self._prefix, name, None)
        return found

    def clear(self) -> None:
        """See `Deadlines.clear`."""
        self._engine.forget(self._prefix)
        self._engine.state.due_epoch += 1
        self._prefix, self._from = DUE + _PLACE.pack(self._engine.state.due_epoch), b""

    def tend(self) -> bool:
        """See `Deadlines.tend`."""
        return False


class StoredCapture:
    """Implements `redraft.engine.interface.Captured`: the store as of its newest checkpoint."""

    __slots__ = ("_epochs", "_items", "_junk", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        known = dict(view.range(STATE, after(STATE)))
        state = msgspec.msgpack.decode(known[STATE], type=State)
        self._epochs = [state.epochs.get(slot, state.epoch) for slot in range(SLOTS)]
        self._junk = {key[len(JUNK) :] for key, _ in view.range(JUNK, after(JUNK))}
        self._items = view.range(b"", b"\xff")

    def take(self, keys_max: int) -> list[Run]:
        """See `Captured.take`."""
        runs: list[Run] = []
        left, bytes_left = keys_max, TAKEN_BYTES_MAX
        for key, value in self._items:
            epoch, slot, kind = _SLOT.unpack_from(key)
            number, cut = 0, _PREFIX_BYTES + _PLACE_BYTES
            if kind == b"m":
                (number,), cut = _ID.unpack_from(key, _PREFIX_BYTES), _PREFIX_BYTES + _ID.size
            if epoch == self._epochs[slot] and not (number and key[:cut] in self._junk):
                if not runs or runs[-1].slot != slot or runs[-1].id != number:
                    runs.append(Run(slot, [], [], number))
                runs[-1].keys.append(key[cut:])
                runs[-1].records.append(value)
                bytes_left -= len(value)
            left -= 1
            if not left or bytes_left < 0:
                return runs or [Run(slot, [], [])]
        return runs

    def close(self) -> None:
        """Let go of the view."""
        self._items = iter(())
        self._view.close()


def after(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with a prefix."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes((cut[-1] + 1,)) if cut else prefix + b"\xff" * 16
