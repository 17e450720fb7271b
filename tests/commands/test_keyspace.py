"""The keyspace: expiry, undo, counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.keyspace import Keyspace
from redraft.engine.deadlines import STALE_KEPT
from redraft.engine.hash import HashEngine
from redraft.engine.record import expiring, string_body
from redraft.topology.slots import SLOTS
from tests.commands.executors import check_counts

BODY = string_body(b"v")
RECORDS = st.one_of(st.just(BODY), st.integers(1, 50).map(lambda deadline: expiring(BODY, deadline)))
KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
CHANGES = st.lists(st.tuples(st.integers(0, 2), KEYS, st.one_of(st.none(), RECORDS)), max_size=30)


def keyspace() -> Keyspace:
    """Return an empty keyspace, at time 0, being written."""
    made = Keyspace(HashEngine(), range(SLOTS))
    made.writing = True
    return made


def change(space: Keyspace, changes: list[tuple[int, bytes, bytes | None]]) -> None:
    """Put and remove."""
    for slot, key, record in changes:
        if record is None:
            space.remove(slot, key)
        else:
            space.put(slot, key, record)


def contents(space: Keyspace) -> list[list[tuple[bytes, bytes]]]:
    """Return all there is."""
    return [sorted(space.engine.items(slot)) for slot in range(3)]


@given(before=CHANGES, during=CHANGES)
def test_keyspace_undo_brings_back_what_was(
    before: list[tuple[int, bytes, bytes | None]], during: list[tuple[int, bytes, bytes | None]]
) -> None:
    """Whatever a command wrote, undo leaves contents and counts as they were."""
    space = keyspace()
    change(space, before)
    space.journal.clear()
    was, first = contents(space), space.next_deadline_ms()
    change(space, during)
    space.undo()
    assert contents(space) == was
    assert space.next_deadline_ms() == first
    check_counts(space)


@given(changes=CHANGES, cutoff=st.integers(0, 60), limit=st.integers(1, 5))
def test_keyspace_removes_due_keys_in_order(
    changes: list[tuple[int, bytes, bytes | None]], cutoff: int, limit: int
) -> None:
    """The sweep removes by (deadline, slot, key), as far as cutoff and limit say, and what it says it did."""
    space = keyspace()
    change(space, changes)
    space.journal.clear()
    due = sorted(
        (int.from_bytes(record[1:9], "big"), slot, key)
        for slot in range(3)
        for key, record in space.engine.items(slot)
        if record[0] == ord("T")
    )
    gone = [entry for entry in due if entry[0] <= cutoff][:limit]
    assert space.expire_due(cutoff, limit) == len(gone)
    left = [entry for entry in due if entry not in gone]
    assert all(space.engine.get(slot, key) is None for _, slot, key in gone)
    assert all(space.engine.get(slot, key) is not None for _, slot, key in left)
    assert space.next_deadline_ms() == (left[0][0] if left else None)
    check_counts(space)


def test_keyspace_keeps_few_stale_deadlines() -> None:
    """Giving one key a new deadline again and again does not fill the memory."""
    space = keyspace()
    for number in range(10 * STALE_KEPT):
        space.put(0, b"a", expiring(BODY, 1000 + number))
        space.journal.clear()
    assert len(space.deadlines) <= STALE_KEPT + 4
    assert space.next_deadline_ms() == 1000 + 10 * STALE_KEPT - 1


def test_keyspace_counts_what_an_engine_already_holds() -> None:
    """A keyspace over a filled engine knows its keys and their deadlines."""
    engine = HashEngine()
    engine.put(1, b"a", BODY)
    engine.put(2, b"b", expiring(BODY, 77))
    engine.put(9, b"other", BODY)
    space = Keyspace(engine, range(3))
    assert (space.key_count, space.expiring_count, space.next_deadline_ms()) == (2, 1, 77)


def test_keyspace_clear_leaves_other_groups_slots_alone() -> None:
    """Only owned slots are emptied, counts and deadlines with them."""
    engine = HashEngine()
    engine.put(9, b"other", BODY)
    space = Keyspace(engine, range(3))
    space.put(1, b"a", expiring(BODY, 5))
    space.clear()
    assert (space.key_count, space.used_bytes, space.next_deadline_ms()) == (0, 0, None)
    assert engine.get(1, b"a") is None
    assert engine.get(9, b"other") == BODY
