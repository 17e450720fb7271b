"""The rules of replay, one by one: records in, a group's log out; most of all when the beginning is gone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from redraft.raft.types import EntryKind, HardState
from redraft.wal.replay import InvalidRecordError, Replayed

PARTS, CONFIGURATION = int(EntryKind.PARTS), int(EntryKind.CONFIGURATION)


def replayed(*records: tuple[str, int, int] | tuple[str, int]) -> Replayed:
    """Replay records given as (what, index, term): the n-th stands at address 100 n, and is n bytes long."""
    group = Replayed()
    for number, (what, index, *rest) in enumerate(records, 1):
        address, term = 100 * number, rest[0] if rest else 1
        match what:
            case "entry":
                group.entry(address, number, PARTS, term, index)
            case "configuration":
                group.entry(address, number, CONFIGURATION, term, index)
            case "copy":
                group.copy(address, number, PARTS, term, index)
            case "copy of configuration":
                group.copy(address, number, CONFIGURATION, term, index)
            case "compact":
                group.compact(address, term, index)
            case "restore":
                group.restore(address, term, index)
    return group


def entries_of(group: Replayed) -> list[tuple[int, int]]:
    """Return (index, address) of each entry, once all is read."""
    group.finish()
    return list(enumerate(group.addresses, group.first_index))


def entries(indexes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return entries of term 1."""
    return [("entry", index, 1) for index in indexes]


def test_replay_of_nothing_is_an_empty_group() -> None:
    """A group of which only a vote was saved begins with entry 1."""
    group = Replayed()
    group.save(40, HardState(3, 1))
    assert entries_of(group) == []
    assert (group.first_index, group.last_index, group.hard_state) == (1, 0, HardState(3, 1))


def test_replay_of_an_entry_cuts_off_what_is_behind() -> None:
    """Raft §5.3: a conflicting entry, and all that follow it."""
    group = replayed(*entries([1, 2, 3, 4]), ("entry", 2, 2), ("entry", 3, 2))
    assert entries_of(group) == [(1, 100), (2, 500), (3, 600)]
    assert (group.run_starts, group.run_terms) == ([0, 1, 2], [0, 1, 2])


def test_replay_of_copies_fills_what_was_removed_before() -> None:
    """Entries 1 to 3 went with their segment; their copies come when 4 and 5 were read already."""
    group = replayed(*entries([4, 5]), ("copy", 1), ("copy", 2), ("copy", 3))
    assert entries_of(group) == [(1, 300), (2, 400), (3, 500), (4, 100), (5, 200)]


def test_replay_of_a_copy_takes_the_place_of_its_entry() -> None:
    """While the old segment is there, the copy is the same entry, read elsewhere; nothing is cut off."""
    group = Replayed()
    for index in (1, 2, 3):
        group.entry(100 * index, 7, PARTS, 1, index)
    group.copy(900, 7, PARTS, 1, 2)
    assert entries_of(group) == [(1, 100), (2, 900), (3, 300)]


def test_replay_of_a_copy_that_is_overwritten_later_drops_it() -> None:
    """What follows a copy in the log counts against it as against any entry."""
    group = replayed(("copy", 1), ("copy", 2), ("copy", 3), ("entry", 2, 2))
    assert entries_of(group) == [(1, 100), (2, 400)]


def test_replay_that_begins_in_the_middle_follows_cuts_below_what_it_knows() -> None:
    """5 and 6 were overwritten from 3 on, of which the beginning is gone: 1 and 2 come as copies."""
    group = replayed(*entries([5, 6]), ("entry", 3, 2), ("copy", 1), ("copy", 2))
    assert entries_of(group) == [(1, 400), (2, 500), (3, 300)]


def test_replay_that_begins_in_the_middle_takes_entries_far_behind_the_base() -> None:
    """The base was said again, 4 to 6 wait for their copies, 7 comes before them."""
    group = replayed(("compact", 3), ("entry", 7), ("copy", 4), ("copy", 5), ("copy", 6))
    assert entries_of(group) == [(4, 300), (5, 400), (6, 500), (7, 200)]
    assert group.run_starts[0] == 3


def test_replay_of_a_compaction_in_front_of_what_is_known_waits_for_copies() -> None:
    """The base is known before the entries behind it are: their places are kept."""
    group = replayed(("entry", 5), ("compact", 2), ("copy", 3), ("copy", 4))
    assert entries_of(group) == [(3, 300), (4, 400), (5, 100)]


def test_replay_of_a_compaction_behind_all_that_is_known_drops_all() -> None:
    """What was compacted never comes as a copy, so nothing is missing."""
    group = replayed(("compact", 3), *entries([8]), ("compact", 8), ("entry", 9))
    assert entries_of(group) == [(9, 400)]


def test_replay_of_a_restore_begins_anew() -> None:
    """Nothing before counts, not even places that wait for copies."""
    group = replayed(("entry", 9), ("compact", 4), ("restore", 20, 3), ("entry", 21, 3))
    assert entries_of(group) == [(21, 400)]
    group = replayed(("entry", 9), ("restore", 0, 0))
    assert (entries_of(group), group.first_index) == ([], 1)


def test_replay_keeps_configurations_in_order_whenever_their_copies_come() -> None:
    """Cut off, compacted, copied early or late: the indexes of those present, ascending."""
    group = replayed(
        ("configuration", 6),
        ("entry", 7),
        ("configuration", 8),
        ("entry", 8, 2),
        ("compact", 2),
        ("copy of configuration", 3),
        ("copy", 4),
        ("copy of configuration", 5),
        ("compact", 3),
    )
    assert [index for index, _ in entries_of(group)] == [4, 5, 6, 7, 8]
    assert group.configurations == [5, 6]


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([("entry", 5)], "what comes before entry 5 is missing"),
        ([("entry", 1), ("entry", 4)], "entry 2 is missing"),
        ([("compact", 3), ("entry", 5)], "entry 4 is missing"),
        ([("copy", 1), ("copy", 3)], "entry 2 is missing"),
        ([("entry", 1, 3), ("entry", 2, 2)], "the term falls at entry 2"),
        ([("restore", 3, 5), ("entry", 4, 2)], "the term falls at entry 4"),
    ],
)
def test_replay_that_makes_no_log_is_refused(records: list[tuple[str, int, int]], complaint: str) -> None:
    """In the end nothing may be missing, whatever became of it."""
    with pytest.raises(InvalidRecordError, match=complaint):
        entries_of(replayed(*records))


@pytest.mark.parametrize("what", ["entry", "copy", "compact"])
def test_replay_of_what_is_compacted_already_is_refused(what: str) -> None:
    """Below a known base nothing is written any more."""
    with pytest.raises(InvalidRecordError, match="comes after all up to 6 is compacted"):
        replayed(("compact", 6), (what, 4))


def test_replay_of_a_copy_of_another_entry_is_refused() -> None:
    """A copy says again what is there: another term or length is not the same entry."""
    with pytest.raises(InvalidRecordError, match="the copy of entry 1 is of another one"):
        replayed(("entry", 1, 1), ("copy", 1, 2))
