"""Keys on their way to this group: what an import does with them, and how they go again.

An import is a list of operations, carried out in order:

    ["k", slot, key, record]             a key has this record
    ["d", slot, key]                     a key is gone
    ["m", slot, id, [name..], [value..]] members of a collection have these values
    ["r", slot, id, [name..]]            members are gone
    ["x", slot, id]                      a collection is gone
    ["e", slot]                          all of a slot is gone

A record and the members it counts come apart: they fit together once all has come.  Staged keys are in
`Keyspace.data_bytes`, and in no other count; their deadlines are noted, and held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from redraft.commands.keyspace import Keyspace
from redraft.commands.ownership import Incoming
from redraft.engine.record import BODY_AT, EXPIRING, weight

Operation = Sequence[Any]

_ARGUMENTS: Final = {"k": 4, "d": 3, "m": 5, "r": 4, "x": 3, "e": 2}
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[list[Any]])


def encode_operations(operations: Iterable[Operation]) -> bytes:
    """Return operations as an import carries them."""
    return _encoder.encode(list(operations))


def decode_operations(blob: bytes, slots: Iterable[int]) -> list[list[Any]]:
    """Read operations on these slots; raises ValueError when they are none, or on others."""
    operations = _decoder.decode(blob)  # raises a ValueError
    of_move = frozenset(slots)
    for operation in operations:
        if (
            len(operation) < 2
            or _ARGUMENTS.get(operation[0]) != len(operation)
            or operation[1] not in of_move
        ):
            raise ValueError(operation)
    return operations


def stage(keyspace: Keyspace, incoming: Incoming, operations: Iterable[Operation]) -> None:
    """Carry out operations of an import."""
    engine = keyspace.engine
    for operation in operations:
        kind, slot = operation[0], operation[1]
        counts = incoming.counts.get(slot)
        if counts is None:
            counts = incoming.counts[slot] = [0, 0]
        if kind == "k":
            _put(keyspace, counts, slot, operation[2], operation[3])
        elif kind == "d":
            old = engine.delete(slot, operation[2])
            if old is not None:
                _forget(keyspace, counts, slot, operation[2], old)
        elif kind == "m":
            write = engine.members(slot, operation[2]).write
            for name, value in zip(operation[3], operation[4], strict=True):
                write(name, value)
        elif kind == "r":
            delete = engine.members(slot, operation[2]).write
            for name in operation[3]:
                delete(name, None)
        elif kind == "x":
            engine.drop_members(slot, operation[2])
        else:
            _empty(keyspace, incoming, [slot])


def wipe(keyspace: Keyspace, incoming: Incoming) -> None:
    """Drop all that has come."""
    _empty(keyspace, incoming, sorted(incoming.counts))


def came(keyspace: Keyspace, incoming: Incoming) -> tuple[int, int, int]:
    """Return how much is staged: keys, those with a deadline, bytes."""
    counts = incoming.counts
    keys = sum(map(keyspace.engine.slot_size, counts))
    expiring, size = map(sum, zip(*counts.values(), strict=True)) if counts else (0, 0)
    return keys, expiring, size


def take_over(keyspace: Keyspace, incoming: Incoming) -> tuple[int, int, int]:
    """What has come is the group's own from now on: count it; returns keys, those with a deadline, bytes."""
    keys, expiring, size = came(keyspace, incoming)
    keyspace.key_count += keys
    keyspace.expiring_count += expiring
    return keys, expiring, size


def _put(keyspace: Keyspace, counts: list[int], slot: int, key: bytes, record: bytes) -> None:
    old = keyspace.engine.put(slot, key, record)
    if old is not None:
        _forget(keyspace, counts, slot, key, old)
    size = len(key) + weight(record)
    counts[1] += size
    keyspace.data_bytes += size
    if record[0] == EXPIRING:
        counts[0] += 1
        keyspace.deadlines.add(int.from_bytes(record[1:BODY_AT], "big"), slot, key)


def _forget(keyspace: Keyspace, counts: list[int], slot: int, key: bytes, old: bytes) -> None:
    """Take a record that is staged no more out of the counts."""
    size = len(key) + weight(old)
    counts[1] -= size
    keyspace.data_bytes -= size
    if old[0] == EXPIRING:
        counts[0] -= 1
        keyspace.deadlines.discard(int.from_bytes(old[1:BODY_AT], "big"), slot, key)


def _empty(keyspace: Keyspace, incoming: Incoming, slots: Sequence[int]) -> None:
    """Drop what has come for these slots, each of which has counts."""
    keyspace.data_bytes -= sum([incoming.counts.pop(slot)[1] for slot in slots])
    keyspace.deadlines.drop(slots)
    keyspace.engine.delete_slots(slots, even_if_empty=True)
