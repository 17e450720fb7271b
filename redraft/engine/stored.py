"""An engine on disk: a store (`redraft.engine.stores`) under an overlay of what was written lately.

Writes go to the overlay, so they cost what they cost in memory.  At a checkpoint the overlay is frozen and a
worker writes it to the store in one batch, together with the checkpoint: what apply needs to go on from that
entry.  Meanwhile the next overlay collects.  So the store is always as of one entry, and a crash loses only
what the log still has.  A frozen overlay that was written goes on as a cache, with what is read besides,
until the next one takes its place.

    key    = epoch u32, slot u16, "k", CRC-32 of the key, key      -> record
    member = epoch u32, slot u16, "m", collection id u64, name     -> value
    due    = epoch u32, slot u16, "e", deadline u64, key           -> nothing
    junk   = FF "j", prefix                                        -> nothing: all below it is to be deleted
    FF "c" -> the checkpoint; FF "s" -> the engine's own state at it

Big-endian.  A slot's epoch grows when all of it is deleted at once: what stands under an older one is
not there any more, and is deleted a bit at a time.

Always true: the frozen overlay is what a worker writes, and nobody changes it; what the cache has of a name
is what the store has of it; the newest of active, frozen and store counts.

`tables` and `sizes` are open to the executor's inner loop (`redraft.commands.execute_stored`), which writes
the active overlay's tables directly.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Final, cast

import msgspec

from redraft.engine.capture import Run
from redraft.engine.interface import POSITION_END
from redraft.engine.overlay import ENTRY_BYTES, MISSING, PLACE_BYTES, SLOT_BYTES, Overlay, place
from redraft.engine.storeddeadlines import StoredDeadlines
from redraft.engine.storedmembers import StoredMembers
from redraft.engine.stores import Store, View, Write
from redraft.engine.window import Read, Window
from redraft.topology.slots import SLOTS

_SLOT: Final = struct.Struct(">IHc")
_EPOCH: Final = struct.Struct(">IH")
"""What the prefixes of a slot begin with."""
_PLACE: Final = struct.Struct(">I")
_ID: Final = struct.Struct(">Q")
_PREFIX_BYTES: Final = _SLOT.size
_KIND_AT: Final = SLOT_BYTES
assert _PREFIX_BYTES == _KIND_AT + 1
JUNK: Final = b"\xffj"
CHECKPOINT: Final = b"\xffc"
STATE: Final = b"\xffs"

Values = dict[bytes, bytes | None]

OVERLAY_BYTES_MAX: Final = 32 << 20
"""An overlay that has so many bytes is to be handed to the store; with twice as many apply waits for that."""
JUNK_AT_ONCE: Final = 20_000
"""Keys deleted by one visit of the worker."""
TAKEN_BYTES_MAX: Final = 4 << 20
"""Bytes that a capture reads at once; a record is never split."""
COLLECTIONS_KEPT: Final = 4096
"""Objects of collections that are kept to be used again."""
ORDERED_AT_ONCE: Final = 1000
LOOKED_AT_AT_ONCE: Final = 2000
"""By one `piece`: about 2 ms."""
WINDOWS_SHARE: Final = 2
"""Windows have up to this part of an overlay's bytes, and one reading ahead a thousandth of that."""


class State(msgspec.Struct, array_like=True):
    """What the engine knows besides its keys; stored with each checkpoint."""

    epoch: int = 1
    epochs: dict[int, int] = {}
    """Of slots that were emptied since that epoch."""
    sizes: dict[int, int] = {}
    """Keys by slot."""
    dues: dict[int, int] = {}
    """By slot: the first deadline, or an earlier time."""
    collection: int = 0
    """The highest id of a collection so far."""


class StoredEngine:
    """Implements `redraft.engine.interface.Engine` and `Durable`."""

    __slots__ = (
        "_deadlines", "_fresh_junk", "_frozen", "_frozen_index", "_frozen_junk", "_junk", "_known_collection",
        "_members", "_prefixes", "_store", "_swept", "_viewing", "_windows_bytes", "active", "durable_index",
        "last_applied", "overlay_bytes_max", "recent", "sizes", "state", "tables", "turn", "window_bytes_max",
        "windows",
    )  # fmt: skip

    on_disk = True

    def __init__(self, store: Store, overlay_bytes_max: int = OVERLAY_BYTES_MAX) -> None:
        self.overlay_bytes_max = overlay_bytes_max
        self._store = store
        self.active = Overlay()
        """What was written since the newest `freeze`."""
        self.tables: list[dict[bytes, bytes | None] | None] = [None] * SLOTS
        """By slot: the keys in it."""
        self._frozen: Overlay | None = None
        self._frozen_index = 0
        self.recent = Overlay()
        """The cache: what the store has of names that were written or read lately."""
        self.turn = 0
        """Grows when another overlay takes the place of one."""
        self._viewing: StoredCapture | None = None
        known = store.get(STATE)
        self.state = msgspec.msgpack.decode(known, type=State) if known is not None else State()
        self.sizes = [0] * SLOTS
        """Keys by slot."""
        for slot, size in self.state.sizes.items():
            self.sizes[slot] = size
        self._deadlines = StoredDeadlines(self, self.state.dues)
        self._known_collection = self.state.collection
        """Collections with a higher id are in nothing but the active overlay."""
        self._members: dict[int, StoredMembers] = {}
        self.windows: dict[bytes, Window] = {}
        """By the prefix of a collection: what is known of its names in order."""
        self._windows_bytes = 0
        self.window_bytes_max = overlay_bytes_max // WINDOWS_SHARE // 1000
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
        table = self.tables[slot]
        value: bytes | None = table.get(key, MISSING) if table is not None else MISSING
        return value if value is not MISSING else self.fetch(slot, key)

    def fetch(self, slot: int, key: bytes) -> bytes | None:
        """Return the record of a key that the active overlay does not have, and remember it."""
        value = self._known_below(slot, key)
        if value is MISSING:
            prefix = self._prefix(slot)
            value = self._store.get(prefix + place(crc32(key)) + key)
            self.recent.values(prefix, placed=True)[key] = value
            self.remembered(len(key) + len(value or b""))
        return value

    def below(self, slot: int, key: bytes) -> bytes | None:
        """Return the record of a key that the active overlay does not have, and that is to be written."""
        value = self._known_below(slot, key)
        return (
            value if value is not MISSING else self._store.get(self._prefix(slot) + place(crc32(key)) + key)
        )

    def table(self, slot: int) -> dict[bytes, bytes | None]:
        """Return the active overlay's keys of a slot, to be written to."""
        table = self.tables[slot]
        if table is None:
            table = self.tables[slot] = self.active.values(self._prefix(slot), placed=True)
        return table

    def put(self, slot: int, key: bytes, record: bytes) -> bytes | None:
        """See `Engine.put`."""
        table = self.table(slot)
        old: bytes | None = table.get(key, MISSING)
        if old is MISSING:
            old = self.below(slot, key)
            self.active.bytes += len(key) + len(record) + ENTRY_BYTES
        else:
            self.active.bytes += len(record) - len(old or b"")
        table[key] = record
        if old is None:
            self.sizes[slot] += 1
        return old

    def replace(self, slot: int, key: bytes, record: bytes) -> None:
        """See `Engine.replace`."""
        table = self.table(slot)
        old = table.get(key)
        table[key] = record
        self.active.bytes += (
            len(record) - len(old) if old is not None else len(key) + len(record) + ENTRY_BYTES
        )

    def delete(self, slot: int, key: bytes) -> bytes | None:
        """See `Engine.delete`."""
        table = self.table(slot)
        old: bytes | None = table.get(key, MISSING)
        if old is MISSING:
            old = self.below(slot, key)
            if old is not None:
                self.active.bytes += len(key) + ENTRY_BYTES
        elif old is not None:
            self.active.bytes -= len(old)
        if old is not None:
            table[key] = None
            self.sizes[slot] -= 1
        return old

    def slot_size(self, slot: int) -> int:
        """See `Engine.slot_size`."""
        return self.sizes[slot]

    def scan(self, slot: int, start: int, limit: int) -> tuple[list[bytes], int]:
        """See `Engine.scan`."""
        assert limit > 0
        keys: list[bytes] = []
        position = start
        for name, _record in self.walk(self._prefix(slot), place(start), None):
            here = _PLACE.unpack_from(name)[0]
            if len(keys) >= limit and here != position:
                return keys, here
            keys.append(name[PLACE_BYTES:])
            position = here
        return keys, POSITION_END

    def records(
        self, slot: int, low: bytes, keys_max: int, bytes_max: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """See `Durable.records`."""
        found, following = self.piece(self._prefix(slot), low, keys_max, bytes_max)
        return [(name[PLACE_BYTES:], record) for name, record in found], following

    def items(self, slot: int) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine.items`."""
        return ((name[PLACE_BYTES:], record) for name, record in self.walk(self._prefix(slot), b"", None))

    def delete_slots(self, slots: Iterable[int], *, even_if_empty: bool = False) -> None:
        """See `Engine.delete_slots`."""
        sizes, tables, prefixes, state = self.sizes, self.tables, self._prefixes, self.state
        epochs, first = state.epochs, state.epoch
        doomed = []
        for slot in slots:
            if sizes[slot] or even_if_empty:
                sizes[slot] = 0
                tables[slot] = None
                epoch = epochs.get(slot, first)
                epochs[slot] = epoch + 1
                doomed.append(_EPOCH.pack(epoch, slot))
                prefixes.pop(slot, None)
        if doomed:
            self._members.clear()
            self.windows.clear()
            self.forget(doomed)

    # ---- members ----

    def members(self, slot: int, number: int) -> StoredMembers:
        """See `Engine.members`."""
        found = self._members.get(number)
        if found is None or found.slot != slot:
            self.state.collection = max(self.state.collection, number)
            if len(self._members) >= COLLECTIONS_KEPT:
                self._members.clear()
            prefix = self._members_prefix(slot, number)
            found = self._members[number] = StoredMembers(self, slot, number, prefix)
        return found

    def drop_members(self, slot: int, number: int) -> None:
        """See `Engine.drop_members`."""
        prefix = self._members_prefix(slot, number)
        self._members.pop(number, None)
        self.windows.pop(prefix, None)
        self.active.maps.pop(prefix, None)
        if number <= self._known_collection:
            self.forget([prefix])

    def move_members(self, slot: int, number: int, to_slot: int, to_number: int) -> None:
        """See `Engine.move_members`."""
        source, target = self._members_prefix(slot, number), self._members_prefix(to_slot, to_number)
        for name, value in self.walk(source, b"", None):
            self.active.put(target, name, value)
        self.state.collection = max(self.state.collection, to_number)
        self.drop_members(slot, number)

    def deadlines(self, is_current: Callable[[int, int, bytes], bool]) -> StoredDeadlines:
        """See `Engine.deadlines`."""
        self._deadlines.is_current = is_current
        return self._deadlines

    # ---- reading through the overlays ----

    def _known_below(self, slot: int, key: bytes) -> bytes | None:
        """Return a record below the active overlay if what it is, or that there is none, is known in memory.

        Else MISSING.
        """
        if not self.sizes[slot]:
            return None
        prefix = self._prefix(slot)
        if self._frozen is not None and (frozen := self._frozen.maps.get(prefix)) is not None:
            value: bytes | None = frozen.values.get(key, MISSING)
            if value is not MISSING:
                return value
        cached = self.recent.maps.get(prefix)
        return cached.values.get(key, MISSING) if cached is not None else cast("bytes", MISSING)

    def read(self, name: bytes) -> bytes | None:
        """Return what the store has under a full name."""
        return self._store.get(name)

    def remembered(self, size: int) -> None:
        """So many bytes were taken into the cache."""
        self.recent.bytes += size + ENTRY_BYTES
        if self.recent.bytes > self.overlay_bytes_max:
            self.recent = Overlay()
            self.turn += 1

    def layers(self, prefix: bytes, number: int) -> tuple[Values, Values | None, Values, bool]:
        """Return what active, frozen and cache have of a collection, and whether nothing else has any."""
        active, cached = self.active.maps.get(prefix), self.recent.maps.get(prefix)
        frozen = self._frozen.maps.get(prefix) if self._frozen is not None else None
        return (
            active.values if active is not None else {},
            frozen.values if frozen is not None else None,
            cached.values if cached is not None else {},
            number > self._known_collection,
        )

    def window(self, prefix: bytes, read: Read) -> Window:
        """Return the window of a collection."""
        found = self.windows.get(prefix)
        if found is None:
            found = self.windows[prefix] = Window(read)
        return found

    def windows_grew(self, size: int) -> None:
        """So many bytes are taken into a window; when all together have too many they begin anew."""
        self._windows_bytes += size
        if self._windows_bytes > self.overlay_bytes_max // WINDOWS_SHARE:
            self.windows.clear()
            self._windows_bytes = 0

    def walk(
        self, prefix: bytes, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield names and values of a prefix, in order; the engine must not be written meanwhile."""
        found = self._walk(prefix, low, high, reverse=reverse)
        return ((name, value) for name, value in found if value is not None)

    def piece(
        self, prefix: bytes, low: bytes, names_max: int, bytes_max: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Do what `Members.piece` promises, below a prefix.

        What was written lately is put in order, and what was deleted lately passed over, a bit by each call.
        """
        for overlay in (self.active, self._frozen):
            written = overlay.maps.get(prefix) if overlay is not None else None
            if written is not None and not written.put_in_order(ORDERED_AT_ONCE):
                return [], low
        found: list[tuple[bytes, bytes]] = []
        for looked_at, (name, value) in enumerate(self._walk(prefix, low, None)):
            if len(found) == names_max or bytes_max <= 0 or looked_at == LOOKED_AT_AT_ONCE:
                return found, name
            if value is not None:
                found.append((name, value))
                bytes_max -= len(name) + len(value)
        return found, None

    def _walk(
        self, prefix: bytes, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what `walk` does, and also what was deleted lately (None)."""
        end = prefix + high if high is not None else after(prefix)
        cut = len(prefix)
        stored = ((key[cut:], value) for key, value in self._store.range(prefix + low, end, reverse=reverse))
        overlays = [
            found
            for overlay in (self.active, self._frozen)
            if overlay is not None and (found := overlay.maps.get(prefix)) is not None
        ]
        if not overlays:
            yield from stored
            return
        written = [found.walk(low, high, reverse=reverse) for found in overlays]
        last = None  # the newest comes first among equals
        for name, value in merge(*written, stored, key=itemgetter(0), reverse=reverse):
            if name != last:
                last = name
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
        return self.active.bytes

    @property
    def is_due(self) -> bool:
        """See `Durable.is_due`."""
        return self.active.bytes > self.overlay_bytes_max

    @property
    def is_full(self) -> bool:
        """See `Engine.is_full`."""
        return self.active.bytes > 2 * self.overlay_bytes_max

    @property
    def is_frozen(self) -> bool:
        """See `Durable.is_frozen`."""
        return self._frozen is not None

    def freeze(self, checkpoint: bytes) -> None:
        """See `Durable.freeze`."""
        assert self._frozen is None
        frozen, self.active, self.tables = self.active, Overlay(), [None] * SLOTS
        self.turn += 1
        self._known_collection = self.state.collection
        self.state.sizes = {slot: size for slot, size in enumerate(self.sizes) if size}
        self.state.dues = self._deadlines.bounds
        frozen.put(CHECKPOINT, b"", checkpoint)
        frozen.put(STATE, b"", msgspec.msgpack.encode(self.state))
        self._frozen, self._frozen_index = frozen, self.last_applied
        self._frozen_junk, self._fresh_junk = self._fresh_junk, []

    def write_frozen(self) -> None:
        """See `Durable.write_frozen`."""
        assert self._frozen is not None
        self._store.write(self._frozen.writes(deleted=frozenset(self._frozen_junk)))

    def thaw(self) -> None:
        """See `Durable.thaw`."""
        assert self._frozen is not None
        self._store.refresh()
        self.recent, self._frozen = self._frozen, None
        self.turn += 1
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
        self.sizes[slot] += len(keys)
        self.fill(
            (prefix + place(crc32(key)) + key, record) for key, record in zip(keys, records, strict=True)
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

    def due_prefix(self, slot: int) -> bytes:
        """Return what a slot's deadlines stand below."""
        return self._prefix(slot)[:_KIND_AT] + b"e"

    def _members_prefix(self, slot: int, number: int) -> bytes:
        return self._prefix(slot)[:_KIND_AT] + b"m" + _ID.pack(number)

    def forget(self, prefixes: list[bytes]) -> None:
        """All below these prefixes is gone, and nothing will ever be written there again."""
        values = self.active.values(JUNK)
        known = len(values)
        values.update(dict.fromkeys(prefixes, b""))
        self.active.bytes += (len(values) - known) * (len(prefixes[0]) + ENTRY_BYTES)
        self._fresh_junk += prefixes


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
        keys: list[bytes] = []
        records: list[bytes] = []
        left, bytes_left = keys_max, TAKEN_BYTES_MAX
        for key, value in self._items:
            epoch, slot, kind = _SLOT.unpack_from(key)
            number, cut = 0, _PREFIX_BYTES + PLACE_BYTES
            if kind == b"m":
                (number,), cut = _ID.unpack_from(key, _PREFIX_BYTES), _PREFIX_BYTES + _ID.size
            if kind != b"e" and epoch == self._epochs[slot] and not (number and key[:cut] in self._junk):
                if not runs or runs[-1].slot != slot or runs[-1].id != number:
                    keys, records = [], []
                    runs.append(Run(slot, keys, records, number))
                keys.append(key[cut:])
                records.append(value)
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
