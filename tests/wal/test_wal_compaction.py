"""What a snapshot does to the log: entries compacted behind it, or the whole log replaced."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from msgspec import structs

from redraft.raft.log import CompactedError
from redraft.raft.types import EntryKind, HardState
from tests.wal.faultyfiles import FaultyFiles
from tests.wal.model import Model, change, state_of
from tests.wal.steps import SMALL, append, contents, entry, opened


def test_compact_forgets_entries_and_keeps_the_last_ones_term() -> None:
    """first_index moves at once; term is known of the last compacted entry, not below; reads below fail."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 4, term=1)
    append(log, 1, 4, term=3)
    view = log.group(1)
    for _ in range(2):
        view.compact(5)
        assert (view.first_index, view.last_index, view.bytes) == (6, 8, 300)
        assert (view.term(5), view.term(6), view.term(9)) == (3, 3, 0)
        assert contents(view) == [entry(6, 3), entry(7, 3), entry(8, 3)]
        with pytest.raises(CompactedError):
            view.term(4)
        with pytest.raises(CompactedError):
            view.slice(5, 7, 1000)
        log.close()
        log = opened(files)
        view = log.group(1)
    with pytest.raises(AssertionError, match=r"is not in 5\.\.8"):
        view.compact(9)
    with pytest.raises(AssertionError, match=r"is not in 5\.\.8"):
        view.compact(4)


def test_compact_to_the_end_leaves_an_empty_log_that_goes_on() -> None:
    """A log may be compacted whole: its last index and term are the snapshot's, and entries follow."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 4, term=2)
    log.group(1).compact(4)
    assert (log.group(1).last_index, log.group(1).term(4), log.group(1).bytes) == (4, 2, 0)
    log.close()
    log = opened(files)
    assert (log.group(1).first_index, log.group(1).last_index, log.group(1).term(4)) == (5, 4, 2)
    append(log, 1, 1, term=2)
    log.close()
    assert contents(opened(files).group(1)) == [entry(5, 2)]


def test_compact_in_the_middle_of_a_term_keeps_terms_right() -> None:
    """Terms on both sides of the base are found, whether it stands on a border of terms or not."""
    for index in range(9):
        files = FaultyFiles()
        log = opened(files)
        for term in (1, 2, 4):
            append(log, 1, 3, term=term)
        log.group(1).compact(index)
        for _ in range(2):
            view = log.group(1)
            terms = [view.term(each) for each in range(index, 10)]
            assert terms == [0, 1, 1, 1, 2, 2, 2, 4, 4, 4][index:]
            log.close()
            log = opened(files)


def test_restore_replaces_the_log_and_keeps_term_and_vote() -> None:
    """Nothing of the old log remains, not even what lies above; the snapshot's term is known."""
    for index in (2, 5, 20):
        files = FaultyFiles()
        log = opened(files)
        append(log, 1, 5, term=2)
        log.group(1).save(HardState(7, 3))
        log.group(1).restore(index, 4)
        log.flush()
        for _ in range(2):
            view = log.group(1)
            assert (view.first_index, view.last_index, view.bytes) == (index + 1, index, 0)
            assert (view.term(index), view.term(index + 1)) == (4, 0)
            assert view.hard_state == HardState(7, 3)
            log.close()
            log = opened(files)
        append(log, 1, 2, term=5)
        assert contents(log.group(1)) == [entry(index + 1, 5), entry(index + 2, 5)]


def test_removed_replica_keeps_its_term_and_vote_for_ever() -> None:
    """restore(0, 0): an empty log that begins at 1 again, behind a vote that can't be given twice."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 5, term=2)
    log.group(1).compact(3)
    log.group(1).save(HardState(7, 3))
    log.group(1).restore(0, 0)
    log.close()
    log = opened(files)
    view = log.group(1)
    assert (view.first_index, view.last_index, view.term(0), view.hard_state) == (1, 0, 0, HardState(7, 3))
    append(log, 1, 1, term=8)
    log.close()
    assert contents(opened(files).group(1)) == [entry(1, 8)]


def test_configurations_are_the_indexes_of_those_entries() -> None:
    """After append, cut-off, compact, restore and restart: exactly the CONFIGURATION entries present."""
    files = FaultyFiles()
    log = opened(files)
    view = log.group(1)
    kinds = [EntryKind.CONFIGURATION if index in (2, 5, 6, 9) else EntryKind.PARTS for index in range(1, 11)]
    view.append([structs.replace(entry(index), kind=kind) for index, kind in enumerate(kinds, 1)])
    assert view.configurations() == [2, 5, 6, 9]
    view.append([entry(9, 2)])
    assert view.configurations() == [2, 5, 6]
    view.compact(2)
    assert view.configurations() == [5, 6]
    view.append([structs.replace(entry(10, 2), kind=EntryKind.CONFIGURATION)])
    log.close()
    log = opened(files)
    view = log.group(1)
    assert view.configurations() == [5, 6, 10]
    view.configurations().clear()
    assert view.configurations() == [5, 6, 10], "a list of the caller's own"
    view.append([entry(6, 3)])
    assert view.configurations() == [5]
    view.restore(6, 3)
    assert view.configurations() == []
    log.close()
    assert opened(files).group(1).configurations() == []


def test_compaction_and_restore_are_in_order_with_appends_in_a_batch() -> None:
    """What rides in one batch is replayed in its order: the last word counts."""
    files = FaultyFiles()
    log = opened(files)
    view = log.group(1)
    view.append([entry(1), entry(2), entry(3)])
    view.compact(2)
    view.append([entry(3, 2), entry(4, 2)])
    view.restore(9, 2)
    view.append([entry(10, 3)])
    view.compact(10)
    view.append([entry(11, 3)])
    log.close()
    view = opened(files).group(1)
    assert (view.first_index, contents(view), view.term(10)) == (11, [entry(11, 3)], 3)


def test_compaction_gives_memory_back() -> None:
    """What is compacted no longer counts as cached, durable or not; its objects are freed by and by."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 20)
    log.sync()
    append(log, 1, 20)
    log.group(1).compact(30)
    assert log._cache.bytes == 10 * 300
    log.sync()
    assert len(contents(log.group(1))) == 10
    log.group(1).restore(50, 1)
    assert log._cache.bytes == 0
    append(log, 1, 5)
    log.sync()
    assert log._cache.bytes == 5 * 300


def test_cached_entries_are_not_forgotten_for_what_stood_at_their_index_before() -> None:
    """Entries behind a restore may have older ones' indexes, but are durable later: memory keeps them."""
    files = FaultyFiles()
    log = opened(files, replace(SMALL, cache_bytes=0))
    append(log, 1, 20)
    log.step()
    log.group(1).restore(5, 1)
    view = log.group(1)
    view.append([entry(index, 2) for index in range(6, 12)])
    log.flush()
    log.take_durable()
    assert [each.term for each in contents(view)] == [2] * 6
    log.sync()
    assert [each.term for each in contents(view)] == [2] * 6


@pytest.mark.parametrize("seed", range(40))
def test_groups_agree_with_a_model(seed: int) -> None:
    """Random appends, cuts, compactions, restores, votes and restarts: the log answers as the model does."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = FaultyFiles(seed)
    options = replace(SMALL, cache_bytes=chance.choice([0, 3000, 1 << 20]))
    log = opened(files, options)
    models = {group: Model() for group in (1, 2, 3)}
    for _ in range(300):
        group = chance.choice(list(models))
        change(chance, models[group], log.group(group))
        match chance.randrange(20):
            case 0:
                log.close()
                log = opened(files, options)
            case 1 | 2 | 3:
                log.step()
                log.take_durable()
            case 4 | 5 | 6 | 7:
                log.flush()
        assert state_of(log.group(group)) == models[group].state()
    log.close()
    log = opened(files, options)
    for group, model in models.items():
        assert state_of(log.group(group)) == model.state()


@pytest.mark.parametrize("seed", range(10))
def test_wal_tail_index_leaves_so_many_bytes_behind_it(seed: int) -> None:
    """As many entries as are needed for the bytes, and not one more; all when they are fewer."""
    print("seed", seed)
    rng = random.Random(seed)
    log = opened(FaultyFiles())
    view = log.group(1)
    for index in range(1, 400):
        view.append([entry(index, 1, rng.choice((0, 1, 50, 200)))])
    log.sync()
    view.compact(rng.randrange(200))
    sizes = {each.index: len(each.data) for each in contents(view)}
    for wanted in (0, 1, 50, 1000, 5000, 1 << 30):
        index = view.tail_index(wanted)
        behind = sum(size for at, size in sizes.items() if at > index)
        assert behind >= wanted or index == view.first_index - 1
        assert index == view.last_index or behind - sizes[index + 1] < wanted or index == view.first_index - 1
    log.close()
