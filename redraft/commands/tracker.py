"""What was written since it was copied, while slots move: the memory of the leader that copies, no state.

The walker (`redraft.commands.walker`) copies a slot bit by bit, while commands go on.  From when it begins
with a slot, the tracker notes what is written there, and gives it again as operations
(`redraft.commands.staging`) with the values of when it is asked.  So what both have given, in that order,
leads to what there is, once the walker is through and the tracker has nothing left.

Of slots that are not followed nothing is noted.  One tracker serves one move: the only one under way from a
group.  `left` is 0 when, and only when, nothing is left.
"""

from __future__ import annotations

from typing import Final

from redraft.commands.keyspace import Journal, Keyspace
from redraft.commands.staging import Operation
from redraft.engine.interface import Members

NAMES_AT_ONCE: Final = 64
"""Members that were written, read at once when they are small."""
COLLECTION_COST: Final = 4
"""What a look into a collection costs, in keys: on disk it is a search of its own."""


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

    def take(self, size: int, keys: int = 1) -> None:
        """One more is taken."""
        self.keys -= keys
        self.bytes -= size

    def end(self) -> None:
        """It was work enough."""
        self.keys = 0


class _Whole:
    """A collection all of which is to be given."""

    __slots__ = ("left", "low")

    def __init__(self, left: int) -> None:
        self.low = b""
        """From which name on."""
        self.left = left
        """About how many members that is."""


class _Dirty:
    """Of one slot."""

    __slots__ = ("dropped", "emptied", "keys", "members", "whole")

    def __init__(self, *, emptied: bool = False) -> None:
        self.emptied = emptied
        self.dropped: list[int] = []
        self.keys: dict[bytes, None] = {}
        self.members: dict[int, dict[bytes, None]] = {}
        self.whole: dict[int, _Whole] = {}

    def __bool__(self) -> bool:
        return bool(self.emptied or self.dropped or self.keys or self.members or self.whole)

    def __len__(self) -> int:
        members = sum(map(len, self.members.values()))
        whole = sum(whole.left for whole in self.whole.values())
        return self.emptied + len(self.dropped) + len(self.keys) + members + whole


class Tracker:
    """Implements `redraft.commands.keyspace.Follower`."""

    __slots__ = ("_dirty", "_followed", "_keyspace", "_told", "left")

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._followed: set[int] = set()
        self._dirty: dict[int, _Dirty] = {}
        self._told = keyspace.collections_made
        """Nothing of a collection with a higher id was given so far."""
        self.left = 0
        """About how many keys and members there are to be copied again."""

    def follow(self, slot: int) -> None:
        """Note what is written in a slot from now on."""
        self._followed.add(slot)

    def giving(self) -> None:
        """Something is read here and now, to be given."""
        self._told = self._keyspace.collections_made

    # ---- what happens ----

    def note(self, journal: Journal) -> None:
        """See `Follower.note`."""
        followed = self._followed
        for place, name, _old in journal:
            if type(place) is int:
                if place not in followed:
                    continue
                names = self._of(place).keys
            else:
                if place.slot not in followed:
                    continue
                names = self._of(place.slot).members.setdefault(place.id, {})
            if name not in names:
                names[name] = None
                self.left += 1

    def key(self, slot: int, key: bytes) -> None:
        """See `Follower.key`."""
        if slot in self._followed:
            keys = self._of(slot).keys
            self.left += key not in keys
            keys[key] = None

    def collection(self, slot: int, number: int, size: int) -> None:
        """See `Follower.collection`."""
        if slot in self._followed:
            dirty = self._of(slot)
            self._forget_whole(dirty, number)
            dirty.whole[number] = _Whole(max(1, size))
            self.left += max(1, size)

    def dropped(self, slot: int, number: int) -> None:
        """See `Follower.dropped`."""
        if slot in self._followed:
            dirty = self._of(slot)
            self.left -= len(dirty.members.pop(number, ()))
            self._forget_whole(dirty, number)
            if number <= self._told:
                dirty.dropped.append(number)
                self.left += 1

    def emptied(self, slot: int) -> None:
        """See `Follower.emptied`."""
        if slot in self._followed:
            dirty = self._dirty.get(slot)
            self.left += 1 - (len(dirty) if dirty is not None else 0)
            self._dirty[slot] = _Dirty(emptied=True)

    def _of(self, slot: int) -> _Dirty:
        dirty = self._dirty.get(slot)
        if dirty is None:
            dirty = self._dirty[slot] = _Dirty()
        return dirty

    def _forget_whole(self, dirty: _Dirty, number: int) -> None:
        whole = dirty.whole.pop(number, None)
        if whole is not None:
            self.left -= whole.left

    # ---- what is to be copied again ----

    def take(self, keys_max: int, bytes_max: int) -> list[Operation]:
        """Return operations for some of what was noted, and forget it.

        At most so many keys and members, of about so many bytes; there may be none although some is left.
        """
        self.giving()
        budget = Budget(keys_max, bytes_max)
        operations: list[Operation] = []
        while self._dirty and not budget.spent:
            slot, dirty = next(iter(self._dirty.items()))
            self._take_of(slot, dirty, operations, budget)
            if not dirty:
                del self._dirty[slot]
        return operations

    def _take_of(self, slot: int, dirty: _Dirty, operations: list[Operation], budget: Budget) -> None:
        """What is gone goes first, what takes its place comes behind."""
        if dirty.emptied:
            dirty.emptied = False
            operations.append(("e", slot))
            budget.take(0)
            self.left -= 1
        while dirty.dropped and not budget.spent:
            operations.append(("x", slot, dirty.dropped.pop()))
            budget.take(0)
            self.left -= 1
        engine = self._keyspace.engine
        while dirty.members and not budget.spent:
            number, names = next(iter(dirty.members.items()))
            self._take_members(engine.members(slot, number), names, operations, budget)
            if not names:
                del dirty.members[number]
        while dirty.whole and not budget.spent:
            number, whole = next(iter(dirty.whole.items()))
            self._take_whole(engine.members(slot, number), dirty, whole, operations, budget)
        while dirty.keys and not budget.spent:
            key, _ = dirty.keys.popitem()
            record = engine.get(slot, key)
            operations.append(("k", slot, key, record) if record is not None else ("d", slot, key))
            budget.take(len(key) + len(record or b""))
            self.left -= 1

    def _take_members(
        self, members: Members, names: dict[bytes, None], operations: list[Operation], budget: Budget
    ) -> None:
        puts: tuple[list[bytes], list[bytes]] = ([], [])
        gone: list[bytes] = []
        at_once = 1
        while names and not budget.spent:
            some = [names.popitem()[0] for _ in range(min(len(names), at_once, budget.keys))]
            for name, value in zip(some, members.get_many(some), strict=True):
                if budget.bytes <= 0:
                    names[name] = None  # the others were large: another time
                    continue
                budget.take(len(name) + len(value or b""))
                self.left -= 1
                if value is None:
                    gone.append(name)
                else:
                    puts[0].append(name)
                    puts[1].append(value)
            at_once = min(2 * at_once, NAMES_AT_ONCE)
        budget.take(0, COLLECTION_COST)
        if puts[0]:
            operations.append(("m", members.slot, members.id, *puts))
        if gone:
            operations.append(("r", members.slot, members.id, gone))

    def _take_whole(
        self, members: Members, dirty: _Dirty, whole: _Whole, operations: list[Operation], budget: Budget
    ) -> None:
        given, following = members_from(members, whole.low, operations, budget)
        if following is None:
            self._forget_whole(dirty, members.id)
            return
        whole.low = following
        before, whole.left = whole.left, max(1, whole.left - given)
        self.left -= before - whole.left


def members_from(
    members: Members, low: bytes, operations: list[Operation], budget: Budget
) -> tuple[int, bytes | None]:
    """Add an operation for members from `low` on; return how many, and where to go on, None at the end."""
    found, following = members.piece(low, budget.keys, budget.bytes)
    for name, value in found:
        budget.take(len(name) + len(value))
    budget.take(0, COLLECTION_COST)
    if found:
        names, values = zip(*found, strict=True)
        operations.append(("m", members.slot, members.id, names, values))
    if following is not None:
        budget.end()
    return len(found), following
