"""Garbage collection: what is dead goes, what lives is copied, and nothing dead comes back."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest

from redraft.base.errors import DamagedError
from redraft.raft.types import Entry, HardState
from redraft.wal import Log
from redraft.wal.collector import PACE_MAX
from redraft.wal.segment import DATA_START, SegmentHeader, name_of
from tests.wal.faultyfiles import FaultyFiles
from tests.wal.steps import DIRECTORY, SMALL, append, contents, entry, let_go, opened

SEGMENT = SMALL.segment_bytes


def settle(log: Log, calls: int = 400) -> None:
    """Tend the log until there is nothing to do for it."""
    for _ in range(calls):
        log.tend(0)
        log.step()
        log.take_durable()


def busy(log: Log, group: int = 2, count: int = 60, size: int = 3000) -> None:
    """Write several segments full of entries that are compacted away."""
    for _ in range(count):
        append(log, group, size=size)
        log.step()
        log.take_durable()
    log.group(group).compact(log.group(group).last_index)
    log.sync()


def numbers(files: FaultyFiles) -> list[int]:
    """Return the segments' numbers."""
    return [int(name[:16]) for name in files.names(DIRECTORY)]


def disk_bytes(files: FaultyFiles) -> int:
    """Return what all files take."""
    return sum(len(files.content(name)) for name in files.names(DIRECTORY))


def test_dead_segments_are_removed() -> None:
    """When a compaction leaves nothing alive, only what is written to, and the spare, stay on disk."""
    files = FaultyFiles()
    log = opened(files)
    busy(log)
    assert len(numbers(files)) > 4
    settle(log)
    assert len(numbers(files)) == 2
    assert numbers(files)[0] >= 4
    assert log.disk_bytes == disk_bytes(files) == 2 * SEGMENT
    append(log, 2, 3)
    log.close()
    log = opened(files)
    assert (log.group(2).first_index, log.group(2).last_index) == (61, 63)


def test_what_lives_in_old_segments_is_copied() -> None:
    """An idle group's entries, vote and base survive the removal of the segments they were written to."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 8, term=2)
    log.group(1).compact(3)
    log.group(1).save(HardState(5, 2))
    append(log, 3, 1)
    log.group(3).restore(0, 0)
    log.group(3).save(HardState(9, 9))
    for _ in range(4):
        busy(log)
        settle(log)
        assert numbers(files)[0] > 1
        expected = [entry(index, 2) for index in range(4, 9)]
        assert contents(log.group(1)) == expected
        first = numbers(files)[0]
        log.close()
        log = opened(files)
        assert numbers(files)[0] == first, "a start brings nothing back"
        assert contents(log.group(1)) == expected
        assert (log.group(1).term(3), log.group(1).hard_state) == (2, HardState(5, 2))
        assert (log.group(3).first_index, log.group(3).last_index) == (1, 0)
        assert log.group(3).hard_state == HardState(9, 9)


def test_copies_cut_off_nothing() -> None:
    """A copied entry is older than those behind it, though it stands later in the log."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1, 4)
    busy(log)
    append(log, 1, 4)  # behind what the sweep takes
    settle(log)
    assert numbers(files)[0] > 1
    log.close()
    log = opened(files)
    assert contents(log.group(1)) == [entry(index) for index in range(1, 9)]


def test_overwritten_suffix_does_not_come_back() -> None:
    """Entries that were copied, then overwritten, stay overwritten; so do those overwritten before a copy."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 8, term=1)
    busy(log)
    settle(log)
    view = log.group(1)
    view.append([entry(5, 2), entry(6, 2)])
    busy(log)
    settle(log)
    view.append([entry(6, 3)])
    log.sync()
    log.close()
    log = opened(files)
    expected = [*(entry(index) for index in range(1, 5)), entry(5, 2), entry(6, 3)]
    assert contents(log.group(1)) == expected
    busy(log)
    settle(log)
    files.crash("nothing")
    assert contents(opened(files).group(1)) == expected


def test_old_vote_does_not_win() -> None:
    """A vote that was copied loses against the one given later, wherever the two stand."""
    files = FaultyFiles()
    log = opened(files)
    for term in range(1, 6):
        log.group(1).save(HardState(term, 1))
        busy(log)
        settle(log)
        log.group(1).save(HardState(term, 3))
        log.sync()
        files.crash("nothing")
        log = opened(files)
        assert log.group(1).hard_state == HardState(term, 3)


def test_entries_are_readable_while_their_copies_are_under_way() -> None:
    """Until a copy is durable its entry is read where it was; afterwards, where it is now."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1, 20)
    busy(log)
    expected = [entry(index) for index in range(1, 21)]
    for _ in range(100):
        log.collect(500)
        log.take_durable()
        assert contents(log.group(1)) == expected
        assert numbers(files)[0] == 1 or not log._collector.busy
        log.step()
        log.take_durable()
        assert contents(log.group(1)) == expected
    assert numbers(files)[0] > 1


def test_entries_overwritten_or_compacted_while_copied_stay_so() -> None:
    """What changes between two steps of a sweep, or before the copies are durable, is not undone."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1, 30)
    append(log, 3, 30)
    busy(log)
    view = log.group(1)
    while not (log.collect(3000) and view._addresses and log._collector._moves):
        pass
    view.compact(2)
    view.append([entry(25, 2), entry(26, 2)])
    log.group(3).restore(40, 3)
    for _ in range(200):
        log.collect(3000)
        log.step()
        log.take_durable()
    assert numbers(files)[0] > 1
    for _ in range(2):
        view = log.group(1)
        expected = [*(entry(index) for index in range(3, 25)), entry(25, 2), entry(26, 2)]
        assert contents(view) == expected
        assert (log.group(3).first_index, log.group(3).last_index, log.group(3).term(40)) == (41, 40, 3)
        log.close()
        log = opened(files)


def test_step_copies_no_more_than_it_is_told() -> None:
    """A step writes about bytes_max, up to PACE_MAX times, and one entry at least, however large."""
    files = FaultyFiles()
    log = opened(files)
    for size in (100, 5000, 20_000, 100):
        append(log, 1, 20 if size < 5000 else 1, size=size)
    busy(log, count=100)
    written = []
    while not written or log._collector.busy:
        address = log._batch.address
        log.collect(4000)
        written.append(log._batch.address - address)
        log.step()
        log.take_durable()
    sizes = sorted(size for size in written if size)
    assert sizes[-1] < 4000 * PACE_MAX + 20_000
    assert sizes[-3] < 4000 * PACE_MAX
    assert len(contents(log.group(1))) == 42


@pytest.mark.parametrize("live_kib", [1, 100, 600])
def test_disk_use_stays_within_the_stated_multiple(live_kib: int) -> None:
    """One idle group among busy ones: never more than 2.5 times what lives, and four segments."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    idle = live_kib << 10
    log.group(1).save(HardState(1, 1))
    while log.group(1).bytes < idle:
        append(log, 1, size=5000)
        log.sync()
    low = 0
    for step in range(1500):
        append(log, 2 + step % 2, size=2500)
        if step % 10 == 0:
            for group in (2, 3):
                view = log.group(group)
                view.compact(max(view.first_index - 1, view.last_index - 3))
        log.step()
        log.take_durable()
        log.tend(0)
        assert log.disk_bytes <= 2.5 * log.live_bytes + 4 * SEGMENT, step
        low = max(low, numbers(files)[0])
    assert low > 3
    assert len(contents(log.group(1))) == -(-idle // 5000)


def test_collection_comes_to_rest() -> None:
    """When nothing is written, nothing is collected for ever: a log full of live entries is left alone."""
    files = FaultyFiles()
    log = opened(files)
    for _ in range(200):
        append(log, 1, size=3000)
        append(log, 2, size=0)
        log.sync()
    settle(log)
    address = log._batch.address
    first = numbers(files)[0]
    settle(log, 100)
    assert (log._batch.address, numbers(files)[0]) == (address, first)


def test_many_restarts_leave_few_files() -> None:
    """Each start makes a small segment; they are swept together when they are many."""
    files = FaultyFiles()
    for index in range(1, 60):
        log = opened(files)
        append(log, 1)
        log.tend(0)
        log.sync()
        settle(log, 20)
        log.close()
        assert len(numbers(files)) <= 20
        assert log.group(1).last_index == index
    assert contents(opened(files).group(1)) == [entry(index) for index in range(1, 60)]


def test_full_segment_gives_back_what_is_left_over() -> None:
    """A segment that the next batch did not fit into is cut to what it holds."""
    files = FaultyFiles()
    log = opened(files)
    for _ in range(4):
        append(log, 1, size=40_000)
        log.step()
        log.take_durable()
    log.step()
    sizes = [len(files.content(name)) for name in files.names(DIRECTORY)]
    assert sizes[1] < 41_000 + DATA_START
    assert log.disk_bytes == sum(sizes)
    log.close()
    assert len(contents(opened(files).group(1))) == 4


def test_full_disk_is_freed_by_a_compaction() -> None:
    """has_room says no, a snapshot lets the log be compacted, the segments go, has_room says yes again."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 10)
    files.capacity = 300 << 10
    for _ in range(3):
        while log.has_room(1000):
            append(log, 2, size=1000)
            log.step()
            log.take_durable()
        assert log.disk_full
        log.tend(0)
        log.step()
        log.take_durable()
        assert not log.has_room(1000)
        view = log.group(2)
        view.compact(view.last_index - 5)
        log.flush()
        settle(log)
        assert log.has_room(1000)
        assert not log.disk_full
    assert contents(log.group(1)) == [entry(index) for index in range(1, 11)]
    log.close()
    assert contents(opened(files).group(1)) == [entry(index) for index in range(1, 11)]


@pytest.mark.parametrize(("size", "count"), [(700, 120), (6000, 15)])
def test_collection_leaves_half_of_the_reserve_on_a_full_disk(size: int, count: int) -> None:
    """Copies never take the room of terms and votes: a sweep that finds none waits."""
    files = FaultyFiles()
    log = opened(files)
    for _ in range(count):
        for group in (1, 2):
            append(log, group, size=size)
        log.step()
        log.take_durable()
    files.capacity = disk_bytes(files)
    for small in (700, 0):
        while log.has_room(small):
            append(log, 2, size=small)
            log.step()
            log.take_durable()
    view = log.group(2)
    view.compact(view.last_index - 1)
    settle(log)
    assert log._collector.busy
    assert not log.has_room(0)
    newest = log._segments.newest
    assert newest.size - DATA_START - (log._end - newest.start) >= SMALL.reserve_bytes // 2
    for term in range(1, 20):
        log.group(1).save(HardState(term, 1))
        log.sync()
    files.capacity += 4 * SEGMENT
    settle(log)
    assert log.has_room(1000)
    assert log.disk_bytes <= 2.5 * log.live_bytes + 4 * SEGMENT
    log.close()
    assert len(contents(opened(files).group(1))) == count


def test_idle_log_is_sealed() -> None:
    """After a moment without writes the log states that all is durable: rot is told from a torn tail."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 3)
    log.sync()
    for now in range(0, 1000, 50):
        log.tend(float(now))
        log.step()
        log.take_durable()
    writes = files.writes
    log.tend(5000.0)
    log.step()
    assert files.writes == writes, "once is enough"
    files.crash("nothing")
    files.flip(name_of(1), DATA_START + 100, 1)
    with pytest.raises(DamagedError, match=name_of(1)):
        opened(files)


def test_removed_files_that_come_back_are_removed_again() -> None:
    """A crash may undo the removal of any of the old files: a start finds the log without them.

    Among them are segments that never held a batch.  (Found by the simulator: such a one was the oldest.)
    """
    seed = 5
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = FaultyFiles(seed)
    for _ in range(4):
        log = opened(files)
        let_go(log)
        files.kill()
    log = opened(files)
    append(log, 1, 5)
    for round_of in range(6):
        busy(log, count=20)
        append(log, 3)
        log.step()
        for _ in range(round_of):
            let_go(log)
            files.crash()
            log = opened(files)
        while log._segments.newest.number < 3 * round_of:
            append(log, 2, size=3000)
            if chance.random() < 0.5:
                log.step()
    log.sync()
    expected = [contents(log.group(group)) for group in (1, 3)]
    old = {name: files._names[name] for name in files.names(DIRECTORY)}
    log.group(2).compact(log.group(2).last_index)
    log.flush()
    settle(log)
    log.close()
    gone = [name for name in old if name not in files.names(DIRECTORY)]
    assert len(gone) > 10
    kept = files._names
    for attempt in range(60):
        back = gone[attempt:]
        if attempt >= len(gone):
            back = [name for name in gone if chance.random() < 0.7]
        files._names = copy.deepcopy(kept | {name: old[name] for name in back})
        log = opened(files)
        assert not set(files.names(DIRECTORY)) & set(gone)
        assert [contents(log.group(group)) for group in (1, 3)] == expected
        log.close()


def test_oldest_segment_that_lost_its_beginning_is_refused() -> None:
    """Where older segments were removed, zeros where the log begins are no empty segment."""
    files = FaultyFiles()
    log = opened(files)
    busy(log, count=120)
    for _ in range(60):
        append(log, 1, size=3000)
        log.sync()
    settle(log)
    log.close()
    assert len(numbers(files)) > 3
    for name in files.names(DIRECTORY)[1:]:
        header = SegmentHeader.decode(files.content(name), DIRECTORY / name)
        files.damage(name, 0, header._replace(oldest=1, oldest_sequence=1).encode())
    name = files.names(DIRECTORY)[0]
    size = len(files.content(name))
    files.damage(name, DATA_START, bytes(size - DATA_START))
    with pytest.raises(DamagedError, match=f"{name} is missing or damaged"):
        opened(files)


def test_removal_undone_back_to_an_empty_segment_is_no_damage() -> None:
    """A start that wrote nothing leaves an empty segment: that it comes back first is no reason to refuse."""
    files = FaultyFiles()
    for index in range(1, 41):
        log = opened(files)
        if index % 4 == 0:
            append(log, 1)
            log.sync()
        old = {name: files._names[name] for name in files.names(DIRECTORY)}
        if index == 40:
            log.group(1).compact(9)
            settle(log)
            log.close()
        files.kill()
    gone = [name for name in old if name not in files.names(DIRECTORY)]
    assert len(gone) >= 8
    for first in range(len(gone)):
        after = copy.deepcopy(files)
        for name in gone[first:]:
            after._names[name] = copy.deepcopy(old[name])
        log = opened(after)
        assert not set(after.names(DIRECTORY)) & set(gone)
        assert (log.group(1).first_index, log.group(1).last_index) == (10, 10)
        log.close()


def test_missing_oldest_segment_is_refused_after_a_collection() -> None:
    """That older segments were removed does not make it right that one more is missing."""
    files = FaultyFiles()
    log = opened(files, SMALL)
    append(log, 1, 5)
    busy(log)
    settle(log)
    for _ in range(60):
        append(log, 1, size=3000)
        log.sync()
    log.close()
    names = files.names(DIRECTORY)
    files.remove(DIRECTORY / names[0])
    with pytest.raises(DamagedError, match=names[0]):
        opened(files)


def test_rot_of_a_live_entry_met_by_the_collection_is_named() -> None:
    """A copy is made of what was read and checked: rot stops the collection, with file, offset and group."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1, 5)
    log.sync()
    at = files.content(name_of(1)).index(entry(4).data)
    busy(log)
    files.flip(name_of(1), at + 30, 2)
    with pytest.raises(DamagedError, match=rf"{name_of(1)} is damaged at offset {at - 40}, .* group 1"):
        settle(log)


def test_rot_of_a_copy_is_refused() -> None:
    """The original is gone, so its copy is the log: it is refused by name as anything else."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 5)
    busy(log)
    settle(log)
    log.close()
    name = files.names(DIRECTORY)[0]
    at = files.content(name).index(entry(4).data)
    files.flip(name, at + 3, 2)
    with pytest.raises(DamagedError, match=rf"{name} is damaged at offset {at - 40}, in a record of group 1"):
        opened(files)


def test_collected_entries_keep_kind_and_empty_data() -> None:
    """A copy has all that its entry had."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    entries = [Entry(1, 1, 0, b""), Entry(1, 2, 2, b"x"), Entry(1, 3, 200, b""), Entry(2, 4, 2, b"yz")]
    log.group(1).append(entries)
    busy(log)
    settle(log)
    log.close()
    view = opened(files).group(1)
    assert contents(view) == entries
    assert view.configurations() == [2, 4]
