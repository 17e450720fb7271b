"""The log as the core sees it: what is appended, cut off, cached, read back, and in how many writes."""

from __future__ import annotations

import os
import random
import select
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.accel.record import BATCH_RECORDS_MAX
from redraft.base.errors import ConfigError, DamagedError
from redraft.raft.log import CompactedError
from redraft.raft.types import Entry, HardState
from redraft.wal import Log, LogOptions
from tests.wal.faultyfiles import FaultyFiles
from tests.wal.steps import DIRECTORY, SMALL, append, contents, entry, opened


def test_new_group_is_empty() -> None:
    """A group nobody wrote to begins at index 1, in term 0, with no vote."""
    view = opened(FaultyFiles()).group(7)
    assert (view.first_index, view.last_index, view.hard_state) == (1, 0, HardState(0, 0))
    assert (view.term(0), view.term(1)) == (0, 0)


def test_append_is_visible_at_once_and_durable_later() -> None:
    """Entries can be read before the writer has run; the durable sequence moves only when it has."""
    files = FaultyFiles()
    log = opened(files)
    view = log.group(1)
    view.append([entry(1), entry(2, term=2)])
    view.save(HardState(2, 3))
    assert view.slice(1, 3, 1000) == [entry(1), entry(2, term=2)]
    assert (view.term(1), view.term(2), view.term(3)) == (1, 2, 0)
    assert view.hard_state == HardState(2, 3)
    before = log.take_durable()
    sequence = log.flush()
    assert log.take_durable() == before < sequence
    log.step()
    assert log.take_durable() == sequence


def test_fileno_is_readable_when_durable_has_moved() -> None:
    """The descriptor is quiet until a batch is durable, readable then, and quiet again once asked."""
    log = opened(FaultyFiles())
    log.take_durable()
    ready = select.poll()
    ready.register(log.fileno(), select.POLLIN)
    append(log, 1)
    assert not ready.poll(0)
    log.step()
    assert ready.poll(0)
    log.take_durable()
    assert not ready.poll(0)


def test_flush_writes_all_groups_in_one_write() -> None:
    """Whatever the groups appended since the last flush is one write and one fdatasync."""
    files = FaultyFiles()
    log = opened(files)
    for group in range(1, 9):
        log.group(group).append([entry(1), entry(2)])
        log.group(group).save(HardState(1, 1))
    sequence = log.flush()
    writes, syncs = files.writes, files.syncs
    log.step()
    assert (files.writes - writes, files.syncs - syncs) == (1, 1)
    assert log.take_durable() == sequence


def test_flushes_while_the_disk_is_busy_share_a_sync() -> None:
    """What is flushed while a sync runs goes out before the next one, however many batches it is."""
    files = FaultyFiles()
    log = opened(files)
    syncs = files.syncs
    sequences = [append(log, 1) for _ in range(5)]
    log.step()
    assert files.syncs - syncs == 1
    assert log.take_durable() == sequences[-1] == sequences[0] + 4


def test_flush_of_nothing_returns_the_last_sequence() -> None:
    """An empty flush writes nothing and is covered by what went before."""
    files = FaultyFiles()
    log = opened(files)
    sequence = append(log, 1)
    assert log.flush() == sequence
    log.step()
    writes = files.writes
    assert log.flush() == sequence
    log.step()
    assert files.writes == writes


def test_slice_gives_one_entry_at_least_then_stays_within_bytes() -> None:
    """bytes_max counts data; the first entry comes whatever its size."""
    log = opened(FaultyFiles())
    append(log, 1, 10, size=100)
    view = log.group(1)
    assert [e.index for e in view.slice(1, 11, 1)] == [1]
    assert [e.index for e in view.slice(1, 11, 299)] == [1, 2]
    assert [e.index for e in view.slice(4, 11, 300)] == [4, 5, 6]
    assert [e.index for e in view.slice(9, 11, 10**6)] == [9, 10]


def test_append_cuts_off_a_conflicting_suffix() -> None:
    """An append at a taken index drops it and all behind it (Raft §5.3), at once and after a restart."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 6, term=1)
    append(log, 2, 3, term=1)
    view = log.group(1)
    view.append([entry(4, term=3), entry(5, term=3)])
    assert (view.last_index, view.term(3), view.term(4), view.term(6)) == (5, 1, 3, 0)
    log.close()
    view = opened(files).group(1)
    assert contents(view) == [entry(1), entry(2), entry(3), entry(4, 3), entry(5, 3)]


def test_append_with_a_gap_or_a_falling_term_is_a_bug() -> None:
    """Indexes are dense and terms never fall: anything else is ours to crash on."""
    log = opened(FaultyFiles())
    append(log, 1, 3, term=2)
    with pytest.raises(AssertionError, match="5 does not follow 3"):
        log.group(1).append([entry(5, term=2)])
    with pytest.raises(AssertionError, match="the term falls"):
        log.group(1).append([entry(4, term=1)])
    log.group(2).save(HardState(3, 1))
    with pytest.raises(AssertionError, match="the term falls"):
        log.group(2).save(HardState(2, 1))


def test_slice_below_the_first_index_is_compacted() -> None:
    """What lies below first_index is a snapshot's."""
    log = opened(FaultyFiles())
    append(log, 1, 3)
    with pytest.raises(CompactedError):
        log.group(1).slice(0, 2, 100)


def test_close_and_open_restores_groups_terms_and_votes() -> None:
    """All groups' entries and hard states are there after a restart, and the log goes on."""
    files = FaultyFiles()
    log = opened(files)
    for group in (1, 2, 5):
        append(log, group, 3 * group, term=group)
        log.group(group).save(HardState(group + 1, group))
    log.close()
    log = opened(files)
    assert log.groups() == [1, 2, 5]
    for group in (1, 2, 5):
        view = log.group(group)
        assert contents(view) == [entry(index, group) for index in range(1, 3 * group + 1)]
        assert view.hard_state == HardState(group + 1, group)
    append(log, 5, 1, term=9)
    log.close()
    assert opened(files).group(5).last_index == 16


def test_entries_and_empty_data_keep_their_kind() -> None:
    """A NOOP without data, and kinds the log has never heard of, come back as they were."""
    files = FaultyFiles()
    log = opened(files)
    entries = [Entry(1, 1, 0, b""), Entry(1, 2, 200, b"x"), Entry(1, 3, 3, b"")]
    log.group(1).append(entries)
    log.close()
    assert contents(opened(files).group(1)) == entries


def test_segments_roll_and_a_batch_larger_than_one_still_fits() -> None:
    """The log goes through many segments; a batch larger than a segment makes its own grow."""
    files = FaultyFiles()
    log = opened(files)
    expected = []
    for index in range(1, 41):
        size = 200_000 if index == 20 else 5000
        log.group(1).append([entry(index, size=size)])
        expected.append(entry(index, size=size))
        log.sync()
    log.close()
    assert len(files.names(DIRECTORY)) > 4
    assert contents(opened(files).group(1)) == expected


def test_batch_waits_for_the_next_segment_without_stalling_the_caller() -> None:
    """While no spare is ready, flush returns and the entries are readable; they become durable in order."""
    files = FaultyFiles()
    log = Log.open(DIRECTORY, SMALL, files)  # no step yet: no spare
    for _ in range(12):
        sequence = append(log, 1, size=5000)
    log._writer.step()
    assert log.take_durable() < sequence
    assert len(contents(log.group(1))) == 12
    log.step()
    log.take_durable()
    log.step()
    assert log.take_durable() == sequence
    log.close()
    assert len(contents(opened(files).group(1))) == 12


def test_a_batch_has_a_limit_of_records() -> None:
    """More records than a batch may have become several batches; nobody has to count."""
    files = FaultyFiles()
    log = opened(files)
    before = log.flush()
    view = log.group(1)
    view.append([Entry(1, index, 1, b"") for index in range(1, BATCH_RECORDS_MAX + 100)])
    assert log.flush() == before + 2
    log.close()
    assert opened(files).group(1).last_index == BATCH_RECORDS_MAX + 99


def test_cache_forgets_durable_entries_only_and_reads_them_back() -> None:
    """Over its limit the cache drops the oldest durable entries; slices read them from disk, unchanged."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=5000))
    append(log, 1, 20)
    append(log, 2, 20)
    assert log._cache.bytes == 40 * 300
    log.step()
    log.take_durable()
    assert log._cache.bytes <= 5000
    append(log, 1, 30)
    assert log._cache.bytes >= 30 * 300
    log.take_durable()
    assert log._cache.bytes >= 30 * 300, "not durable, so not on disk"
    assert contents(log.group(1)) == [entry(index) for index in range(1, 51)]
    assert contents(log.group(2)) == [entry(index) for index in range(1, 21)]


def test_damage_met_when_reading_back_is_named() -> None:
    """An entry that rotted after the start is not served: DamagedError names file, offset and group."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1)
    append(log, 3, 5)
    log.sync()
    name = files.names(DIRECTORY)[0]
    at = files.content(name).index(entry(4).data)
    files.flip(name, at + 30, 2)
    assert log.group(3).slice(1, 4, 10**6) == [entry(1), entry(2), entry(3)]
    with pytest.raises(DamagedError, match=rf"{name} is damaged at offset {at - 40}, in an entry of group 3"):
        log.group(3).slice(2, 6, 10**6)


@pytest.mark.parametrize("seed", range(30))
def test_log_agrees_with_a_list(seed: int) -> None:
    """Random appends, cuts, votes, flushes, slices and restarts: the log answers as a plain list does."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = FaultyFiles(seed)
    options = replace(SMALL, cache_bytes=chance.choice([0, 3000, 1 << 20]))
    log = opened(files, options)
    model: dict[int, list[Entry]] = {group: [] for group in (1, 2, 3)}
    votes = dict.fromkeys(model, HardState())
    term = 1
    for _ in range(300):
        group = chance.choice(list(model))
        entries, view = model[group], log.group(group)
        match chance.randrange(12):
            case 0:
                term += 1
                votes[group] = HardState(term, chance.randrange(4))
                view.save(votes[group])
            case 1 if entries:
                del entries[chance.randrange(len(entries)) :]
                entries.append(entry(len(entries) + 1, term, chance.randrange(3000)))
                view.append(entries[-1:])
            case 2:
                log.close()
                log = opened(files, options)
            case 3 | 4:
                log.step()
                log.take_durable()
            case 5:
                log.flush()
            case 6 | 7 if entries:
                low = chance.randrange(len(entries))
                high = chance.randrange(low, len(entries)) + 1
                limit = chance.randrange(8000)
                got = view.slice(low + 1, high + 1, limit)
                assert got == entries[low : low + len(got)]
                assert len(got) == high - low or sum(len(e.data) for e in entries[low:high]) > limit
            case _:
                first, count = len(entries) + 1, chance.randrange(1, 4)
                added = [entry(i, term, chance.randrange(2000)) for i in range(first, first + count)]
                view.append(added)
                entries += added
        for number, expected in model.items():
            view = log.group(number)
            assert (view.last_index, view.hard_state) == (len(expected), votes[number])
            asked = chance.randrange(len(expected) + 2)
            assert view.term(asked) == (expected[asked - 1].term if 0 < asked <= len(expected) else 0)
    log.close()
    log = opened(files, options)
    assert {group: contents(log.group(group)) for group in model} == model


def test_real_files_and_threads_carry_the_log_over_restarts(tmp_path: Path) -> None:
    """The real disk, the real writer thread and the real preparer, through several segments and restarts."""
    options = LogOptions(segment_bytes=256 << 10, first_segment_bytes=128 << 10, reserve_bytes=16 << 10)
    count = 0
    for _ in range(3):
        log = Log.open(tmp_path / "log", options)
        assert log.group(1).last_index == count
        for _ in range(100):
            append(log, 1, size=4000)
            append(log, 2, size=10)
            count += 1
        log.sync()
        assert contents(log.group(1)) == [entry(index, size=4000) for index in range(1, count + 1)]
        log.close()
        log.close()
    assert Log.exists(tmp_path / "log")
    assert not Log.exists(tmp_path)


def test_descriptors_are_closed_with_the_log(tmp_path: Path) -> None:
    """Opening, rolling, reading back and closing leaves no descriptor behind."""
    options = LogOptions(
        segment_bytes=64 << 10, first_segment_bytes=32 << 10, reserve_bytes=4 << 10, cache_bytes=0
    )
    before = len(os.listdir("/proc/self/fd"))
    log = Log.open(tmp_path, options)
    for _ in range(300):
        append(log, 1, size=4000)
        log.sync()
    assert len(contents(log.group(1))) == 300
    assert len(os.listdir("/proc/self/fd")) - before < 25
    log.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_options_that_leave_no_room_for_the_reserve_are_refused() -> None:
    """The relation between segment and reserve is checked, with a sentence that says what to do."""
    with pytest.raises(ConfigError, match="make them at least four and two times as large"):
        LogOptions(segment_bytes=1 << 20, reserve_bytes=1 << 20)
    with pytest.raises(ConfigError, match="multiple of 4096"):
        LogOptions(segment_bytes=(64 << 20) + 1)
