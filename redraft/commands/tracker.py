"""What was written since it was copied, while slots move: the memory of the leader that copies, no state.

The walker (`redraft.commands.walker`) copies a slot bit by bit, while commands go on.  From when it begins
with a slot, the tracker notes what is written there, and gives it again as operations
(`redraft.commands.staging`) with the values of when it is asked.  So what both have given, in that order,
leads to what there is, once the walker is through and the tracker has nothing left.

Of slots that are not followed nothing is noted.  One tracker serves all moves away from a group.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from redraft.commands.keyspace import Journal, Keyspace
from redraft.commands.staging import Operation
from redraft.engine.interface import Members

MEMBERS_AT_ONCE: Final = 1024
"""Members read by one look into a collection; so many are not kept in memory by an engine on disk."""
NAMES_AT_ONCE: Final = 64
"""Members that were written, read at once: their values may be large."""


class Budget:
    """How much may be taken at once: keys and members, and bytes; at least one of them is taken."""

    __slots__ = ("bytes", "keys")

    def __init__(self, keys: int, size: int) -> None:
        self.keys = keys
        self.bytes = size

    @property
    def spent(self) -> bool:
        """Whether no more may be taken."""
        return self.keys <= 0 or self.bytes <= 0

    def take(self, size: int) -> None:
        """One more is taken."""
        self.keys -= 1
        self.bytes -= size


class _Dirty:
    """Of one slot."""

    __slots__ = ("dropped", "emptied", "keys", "members", "whole")

    def __init__(self, *, emptied: bool = False) -> None:
        self.emptied = emptied
        self.dropped: list[int] = []
        self.keys: dict[bytes, None] = {}
        self.members: dict[int, dict[bytes, None]] = {}
        self.whole: dict[int, bytes] = {}
        """Collections all of which is to be given, and from which name on."""

    def __len__(self) -> int:
        return (
            self.emptied
            + len(self.dropped)
            + len(self.keys)
            + len(self.whole)
            + sum(map(len, self.members.values()))
        )


class Tracker:
    """Implements `redraft.commands.keyspace.Follower`."""

    __slots__ = ("_dirty", "_followed", "_keyspace")

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._followed: set[int] = set()
        self._dirty: dict[int, _Dirty] = {}

    def follow(self, slot: int) -> None:
        """Note what is written in a slot from now on."""
        self._followed.add(slot)

    def leave(self, slots: Iterable[int]) -> None:
        """Follow these slots no more, and forget what was noted of them."""
        for slot in slots:
            self._followed.discard(slot)
            self._dirty.pop(slot, None)

    def left(self, slots: Container[int]) -> int:
        """Return about how many operations there would be."""
        return sum(len(dirty) for slot, dirty in self._dirty.items() if slot in slots)

    # ---- what happens ----

    def note(self, journal: Journal) -> None:
        """See `Follower.note`."""
        followed = self._followed
        for place, name, _old in journal:
            if type(place) is int:
                if place in followed:
                    self._of(place).keys[name] = None
            elif place.slot in followed:
                self._of(place.slot).members.setdefault(place.id, {})[name] = None

    def key(self, slot: int, key: bytes) -> None:
        """See `Follower.key`."""
        if slot in self._followed:
            self._of(slot).keys[key] = None

    def collection(self, slot: int, number: int) -> None:
        """See `Follower.collection`."""
        if slot in self._followed:
            self._of(slot).whole[number] = b""

    def dropped(self, slot: int, number: int) -> None:
        """See `Follower.dropped`."""
        if slot in self._followed:
            dirty = self._of(slot)
            dirty.members.pop(number, None)
            dirty.whole.pop(number, None)
            dirty.dropped.append(number)

    def emptied(self, slot: int) -> None:
        """See `Follower.emptied`."""
        if slot in self._followed:
            self._dirty[slot] = _Dirty(emptied=True)

    def _of(self, slot: int) -> _Dirty:
        dirty = self._dirty.get(slot)
        if dirty is None:
            dirty = self._dirty[slot] = _Dirty()
        return dirty

    # ---- what is to be copied again ----

    def take(self, slots: Container[int], keys_max: int, bytes_max: int) -> list[Operation]:
        """Return operations for some of what was noted of slots, and forget it; none: nothing is left."""
        budget = Budget(keys_max, bytes_max)
        operations: list[Operation] = []
        for slot in [slot for slot in self._dirty if slot in slots]:
            self._take_of(slot, self._dirty[slot], operations, budget)
            if not len(self._dirty[slot]):
                del self._dirty[slot]
            if budget.spent:
                break
        return operations

    def _take_of(self, slot: int, dirty: _Dirty, operations: list[Operation], budget: Budget) -> None:
        """What is gone goes first, what takes its place comes behind."""
        if dirty.emptied:
            dirty.emptied = False
            operations.append(("e", slot))
            budget.take(0)
        while dirty.dropped and not budget.spent:
            operations.append(("x", slot, dirty.dropped.pop()))
            budget.take(0)
        engine = self._keyspace.engine
        while dirty.members and not budget.spent:
            number, names = next(iter(dirty.members.items()))
            self._take_members(engine.members(slot, number), names, operations, budget)
            if not names:
                del dirty.members[number]
        while dirty.whole and not budget.spent:
            number, low = next(iter(dirty.whole.items()))
            following = members_from(engine.members(slot, number), low, operations, budget)
            if following is None:
                del dirty.whole[number]
            else:
                dirty.whole[number] = following
        while dirty.keys and not budget.spent:
            key, _ = dirty.keys.popitem()
            record = engine.get(slot, key)
            operations.append(("k", slot, key, record) if record is not None else ("d", slot, key))
            budget.take(len(key) + len(record or b""))

    def _take_members(
        self, members: Members, names: dict[bytes, None], operations: list[Operation], budget: Budget
    ) -> None:
        puts: tuple[list[bytes], list[bytes]] = ([], [])
        gone: list[bytes] = []
        while names and not budget.spent:
            some = [names.popitem()[0] for _ in range(min(len(names), NAMES_AT_ONCE, budget.keys))]
            for name, value in zip(some, members.get_many(some), strict=True):
                budget.take(len(name) + len(value or b""))
                if value is None:
                    gone.append(name)
                else:
                    puts[0].append(name)
                    puts[1].append(value)
        if puts[0]:
            operations.append(("m", members.slot, members.id, *puts))
        if gone:
            operations.append(("r", members.slot, members.id, gone))


def members_from(
    members: Members,
    low: bytes,
    operations: list[Operation],
    budget: Budget,
    at_once: int = MEMBERS_AT_ONCE,
) -> bytes | None:
    """Add an operation for a collection's members from `low` on; return where to go on, None at its end."""
    names: list[bytes] = []
    values: list[bytes] = []
    following: bytes | None = low
    while following is not None and not budget.spent:
        found = members.range(following, limit=at_once)
        following = found[-1][0] + b"\0" if len(found) == at_once else None
        for name, value in found:
            names.append(name)
            values.append(value)
            budget.take(len(name) + len(value))
            if budget.spent:
                following = name + b"\0"
                break
    if names:
        operations.append(("m", members.slot, members.id, names, values))
    return following
