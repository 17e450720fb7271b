"""Apply: whole entries, in order, and nothing of them that this version does not understand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import HashEngine
from redraft.raft.types import Entry, EntryKind
from redraft.replica.apply import Applier
from redraft.replica.part import SEMANTICS_VERSION, encode_part, encode_payload, mark
from redraft.topology.slots import SLOTS
from tests.commands.executors import encode
from tests.raft.memory_log import MemoryLog

CLOCK_MS = 1_700_000_000_000
KEYS = [b"key:%d" % number for number in range(50)]


def entry_of(index: int, parts: int = 2) -> Entry:
    """An entry of a few parts, each of which sets every key to the number of the entry and the part."""
    encoded = []
    for origin in range(1, parts + 1):
        commands = b"".join(encode([b"SET", key, b"%d.%d" % (index, origin)]) for key in KEYS)
        encoded.append(encode_part(origin, 1, index, index, index == 1, [mark(len(KEYS), 2)], [commands]))
    return Entry(1, index, EntryKind.PARTS, encode_payload(CLOCK_MS + index, 7, False, encoded))


def applier_of(*entries: Entry) -> Applier:
    """An empty replica over a log of these entries."""
    return Applier(Keyspace(HashEngine(), range(SLOTS)), MemoryLog(entries))


def shown(applier: Applier) -> set[bytes]:
    """The values that a read of all keys shows."""
    data = b"".join(encode([b"GET", key]) for key in KEYS)
    return set(applier.read(data, [(len(KEYS), 2)], CLOCK_MS))


@pytest.mark.parametrize("bytes_max", [1, 100, 10_000])
def test_apply_slice_is_of_whole_entries(bytes_max: int) -> None:
    """However small a slice, a read between two of them sees all of an entry's parts or none."""
    applier = applier_of(*(entry_of(index) for index in range(1, 11)))
    reached = 0
    while reached < 10:
        answers = applier.apply_slice(10, bytes_max)
        assert len(answers) == 2 * (applier.applied_index - reached) > 0
        reached = applier.applied_index
        assert shown(applier) == {b"$%d\r\n%d.2\r\n" % (len(b"%d.2" % reached), reached)}


def test_apply_goes_no_further_than_what_is_committed() -> None:
    """An entry that is only in the log may be overwritten yet."""
    applier = applier_of(entry_of(1), entry_of(2))
    applier.apply_slice(1, 1 << 30)
    assert applier.applied_index == 1
    assert applier.apply_slice(1, 1 << 30) == []
    assert shown(applier) == {b"$3\r\n1.2\r\n"}


def test_apply_refuses_an_entry_of_other_semantics() -> None:
    """A node too old for an entry stops; it would make another state of it than the others."""
    later = entry_of(2)
    assert later.data[0] == SEMANTICS_VERSION
    changed = replace(later, data=bytes([SEMANTICS_VERSION + 1]) + later.data[1:])
    applier = applier_of(entry_of(1), changed)
    applier.apply_slice(1, 1)
    with pytest.raises(AssertionError, match="too old"):
        applier.apply_slice(2, 1)
    assert applier.applied_index == 1
    assert shown(applier) == {b"$3\r\n1.2\r\n"}
