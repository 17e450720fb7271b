"""What a start makes of what it finds: every rule of "The log on disk", by crash, by rot, and by chance."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.accel.record import BATCH_HEADER, BATCH_HEADER_BYTES, batch_seal, crc32c
from redraft.base.errors import DamagedError, DirectoryError, StorageFailedError
from redraft.raft.types import Entry, HardState
from redraft.wal import Log
from redraft.wal.batch import encode_batch
from redraft.wal.segment import DATA_START, SegmentHeader, name_of
from tests.wal.faultyfiles import SECTOR, FaultyFiles
from tests.wal.steps import DIRECTORY, SMALL, append, contents, entry, opened

FIRST = name_of(1)


def batches(files: FaultyFiles, name: str) -> list[int]:
    """Return where the batches of a segment stand, by following their lengths."""
    content, at, found = files.content(name), DATA_START, []
    while at + BATCH_HEADER_BYTES <= len(content) and any(content[at : at + BATCH_HEADER_BYTES]):
        found.append(at)
        at += BATCH_HEADER_BYTES + BATCH_HEADER.unpack_from(content, at)[4]
    return found


def written(count: int, size: int = 300) -> FaultyFiles:
    """Return a disk on which `count` batches of one entry were written and synced, then the power cut."""
    files = FaultyFiles()
    log = opened(files)
    for index in range(count):
        append(log, 1 + index % 2, size=size)
        log.sync()
    files.crash("nothing")
    return files


def test_first_start_makes_an_empty_log() -> None:
    """An empty directory becomes a log whose first segment is durable before the node speaks."""
    files = FaultyFiles()
    Log.open(DIRECTORY, SMALL, files)
    files.crash("nothing")
    assert files.names(DIRECTORY) == [FIRST]
    assert opened(files).groups() == []


def test_what_was_durable_survives_a_crash() -> None:
    """With everything unsynced lost, all that take_durable covered is there."""
    files = written(10)
    log = opened(files)
    assert [log.group(group).last_index for group in (1, 2)] == [5, 5]


def test_unsynced_batch_is_cut_at_every_length() -> None:
    """A last batch of which only the first bytes reached the disk is cut; what is before it stays."""
    size = len(encode_batch(1, b"", 0)) + 40 + 304
    for length in range(0, size, 7):
        files = written(3)
        content = files.content(FIRST)
        last = batches(files, FIRST)[-1]
        assert BATCH_HEADER_BYTES + BATCH_HEADER.unpack_from(content, last)[4] == size
        files.damage(FIRST, last + length, bytes(size - length))
        whole = not any(content[last + length : last + size])
        log = opened(files)
        assert [log.group(group).last_index for group in (1, 2)] == [2 if whole else 1, 1]


def test_unsynced_batch_is_cut_with_garbage_in_it() -> None:
    """A torn last batch may hold anything: no byte of it can make it valid."""
    for position in range(BATCH_HEADER_BYTES + 40 + 300):
        files = written(3)
        files.flip(FIRST, batches(files, FIRST)[-1] + position, position % 8)
        log = opened(files)
        assert [log.group(group).last_index for group in (1, 2)] == [1, 1]


def test_file_that_ends_in_a_batch_is_cut() -> None:
    """A file shorter than its last batch says is a torn tail too."""
    files = written(3)
    files.truncate(DIRECTORY / FIRST, batches(files, FIRST)[-1] + 100)
    assert opened(files).group(1).last_index == 1


def test_batch_kept_behind_a_lost_one_is_cut() -> None:
    """A power cut may keep batch N+1 and lose N: neither was synced, so both are tail."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, size=SECTOR)
    log.sync()
    for _ in range(3):
        append(log, 1, size=3 * SECTOR)
    log.step()  # three batches in one sync ...
    files.crash("all")
    second = batches(files, FIRST)[1]
    files.damage(FIRST, second, bytes(SECTOR))  # ... of which the first sector was lost
    log = opened(files)
    assert contents(log.group(1)) == [entry(1, size=SECTOR)]


def test_rot_below_the_durable_point_is_refused_by_name() -> None:
    """A bad record that a later batch says was durable is damage: file, offset and group are named."""
    files = written(4)
    third = batches(files, FIRST)[1]
    record = third + BATCH_HEADER_BYTES
    files.flip(FIRST, record + 40 + 17, 3)
    with pytest.raises(DamagedError) as caught:
        opened(files)
    assert f"{DIRECTORY / FIRST} is damaged at offset {record}, in a record of group 2" in str(caught.value)
    assert "rebuild it from its peers" in str(caught.value)


def test_rot_of_a_batch_header_below_the_durable_point_is_refused() -> None:
    """The search for later claims does not depend on the length that rotted."""
    for position in range(BATCH_HEADER_BYTES):
        files = written(4)
        second = batches(files, FIRST)[1]
        files.flip(FIRST, second + position, 5)
        with pytest.raises(DamagedError, match=f"offset {second}:"):
            opened(files)


def test_zeros_below_the_durable_point_are_refused() -> None:
    """A block that reads as zeros (a lost extent) is no end of the log when later batches stand behind it."""
    files = written(12)
    places = batches(files, FIRST)
    files.damage(FIRST, places[3], bytes(places[-1] - places[3]))
    with pytest.raises(DamagedError, match=f"offset {places[3]}:"):
        opened(files)


def test_rot_of_an_earlier_segment_is_refused() -> None:
    """A later segment bears witness for an earlier one."""
    files = written(150, size=2000)
    assert len(files.names(DIRECTORY)) > 4
    name = files.names(DIRECTORY)[1]
    last = batches(files, name)[-1]
    files.damage(name, last, bytes(100))
    with pytest.raises(DamagedError, match=f"{name} is damaged at offset {last}.* says"):
        opened(files)


def test_rot_of_the_last_batch_is_refused_after_a_clean_stop() -> None:
    """A clean stop states that all is durable, so that nothing synced passes for a tail."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 3)
    log.close()
    files.flip(FIRST, DATA_START + 100, 1)
    with pytest.raises(DamagedError):
        opened(files)


def test_rot_of_the_last_batch_is_refused_after_a_seal() -> None:
    """seal() states what is durable while the node runs on; asked again, it writes nothing."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, 3)
    log.sync()
    assert log.seal() == log.seal() == log.sync()
    files.crash("nothing")
    files.flip(FIRST, DATA_START + 100, 1)
    with pytest.raises(DamagedError):
        opened(files)


def test_rot_of_a_segment_header_is_refused() -> None:
    """A segment gets its name when its header is durable: a bad header is never a torn write."""
    for position in range(56):
        files = written(2)
        files.flip(FIRST, position, 0)
        with pytest.raises(DamagedError, match=FIRST):
            opened(files)


def test_missing_segment_is_refused() -> None:
    """A gap in the numbers, or a missing beginning, is named."""
    for missing in (0, 2):
        files = written(150, size=2000)
        names = files.names(DIRECTORY)
        files.remove(DIRECTORY / names[missing])
        with pytest.raises(DamagedError, match=f"{names[missing]} is missing"):
            opened(files)


def test_segment_of_another_log_is_refused() -> None:
    """A file copied from another node's directory is told by its log id; a renamed one by its number."""
    files, other = written(2), written(2)
    header = SegmentHeader.decode(other.content(FIRST), Path(FIRST))
    foreign = header._replace(number=2, log_id=header.log_id ^ 1)
    fd = files.create(DIRECTORY / name_of(2))
    files.write(fd, foreign.encode(), 0)
    with pytest.raises(DamagedError, match="belongs to another log"):
        opened(files)
    files.write(fd, header._replace(number=3).encode(), 0)
    with pytest.raises(DamagedError, match="renamed or copied"):
        opened(files)


def test_newer_format_is_refused_without_touching_it() -> None:
    """A version we don't know is not damage: it is named, and stays as it is."""
    files = written(2)
    block = bytearray(files.content(FIRST)[:DATA_START])
    block[12] = 2
    block[8:12] = crc32c(bytes(block[12:56])).to_bytes(4, "little")
    files.damage(FIRST, 0, bytes(block))
    before = files.content(FIRST)
    with pytest.raises(DirectoryError, match="log format 2"):
        opened(files)
    assert files.content(FIRST) == before


def test_rot_anywhere_is_refused_or_harmless() -> None:
    """One flipped bit anywhere in a cleanly stopped log: damage is named, or nothing of the log was hit."""
    seed = 20
    print(f"seed {seed}")
    chance = random.Random(seed)
    refused = harmless = 0
    for _ in range(300):
        files = FaultyFiles(seed)
        log = opened(files)
        for index in range(30):
            append(log, 1 + index % 3, size=chance.randrange(1500))
            log.group(1).save(HardState(index, 1))
            log.sync()
        expected = [contents(log.group(group)) for group in (1, 2, 3)]
        log.close()
        name = chance.choice(files.names(DIRECTORY))
        files.flip(name, chance.randrange(len(files.content(name))), chance.randrange(8))
        try:
            log = opened(files)
        except DamagedError as error:
            refused += name in str(error)
        else:
            harmless += 1
            assert [contents(log.group(group)) for group in (1, 2, 3)] == expected
            assert log.group(1).hard_state == HardState(29, 1)
    assert refused + harmless == 300, "each refusal names the file"
    assert refused > 30


def test_stale_records_behind_a_cut_do_not_become_valid_again() -> None:
    """After a cut the same entries are written again: what stood behind the cut stays dead."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1, size=SECTOR)
    log.sync()
    for _ in range(3):
        append(log, 1, size=SECTOR)  # 2, 3, 4 in one sync
    log.step()
    files.crash("all")
    places = batches(files, FIRST)
    files.damage(FIRST, places[1], bytes(places[2] - places[1]))  # 2 is lost, 3 and 4 are stale
    log = opened(files)
    assert log.group(1).last_index == 1
    append(log, 1, size=SECTOR)  # the same 2 again: 3 would fit behind it
    log.sync()
    files.crash("all")
    log = opened(files)
    assert log.group(1).last_index == 2
    files.kill()
    assert opened(files).group(1).last_index == 2


def test_a_batch_is_valid_only_behind_the_one_it_was_written_behind() -> None:
    """Same seed, same place, same sequence, another past: the chain refuses it."""
    files = written(3)
    header = SegmentHeader.decode(files.content(FIRST), DIRECTORY / FIRST)
    places = batches(files, FIRST)
    second = bytearray(files.content(FIRST)[places[1] : places[2]])
    chain = int.from_bytes(second[4:8], "little")
    batch_seal(second, header.seed, chain ^ 1, 1)  # valid by itself
    files.damage(FIRST, places[1], bytes(second))
    files.damage(FIRST, places[2], bytes(1000))
    log = opened(files)
    assert (log.group(1).last_index, log.group(2).last_index) == (1, 0)


def test_recovery_makes_what_it_read_durable_before_it_returns() -> None:
    """After kill -9 the tail may be in the page cache only; once open returned, no power cut takes it."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1)
    log.sync()
    files.before_sync = lambda: (_ for _ in ()).throw(
        InterruptedError("killed in fdatasync")
    )  # written, unsynced
    append(log, 1)
    log.group(1).save(HardState(4, 2))
    log.flush()
    log._writer.step()
    files.before_sync = lambda: None
    files.kill()
    log = Log.open(DIRECTORY, SMALL, files)
    assert (log.group(1).last_index, log.group(1).hard_state) == (2, HardState(4, 2))
    files.crash("nothing")
    log = opened(files)
    assert (log.group(1).last_index, log.group(1).hard_state) == (2, HardState(4, 2))


def test_recovery_after_a_failed_fdatasync_writes_the_tail_anew() -> None:
    """A failed fdatasync leaves pages clean and unwritten: what recovery reads there must go elsewhere."""
    files = FaultyFiles()
    log = opened(files)
    append(log, 1)
    log.sync()
    files.sync_fails_in = 1
    append(log, 1)
    log.step()
    with pytest.raises(StorageFailedError):
        log.take_durable()
    files.kill()
    log = Log.open(DIRECTORY, SMALL, files)
    assert contents(log.group(1)) == [entry(1), entry(2)]
    files.crash("nothing")
    assert contents(opened(files).group(1)) == [entry(1), entry(2)]


def test_restart_after_restart_takes_little_disk() -> None:
    """Each start cuts the segment it leaves, and removes the spare nobody wrote to."""
    files = written(3)
    for _ in range(10):
        log = opened(files)
        assert log.group(1).last_index == 2
        files.kill()
    sizes = [len(files.content(name)) for name in files.names(DIRECTORY)]
    assert sum(sizes[:-2]) < 20 * 4096
    assert len(sizes) == 12


def test_rot_of_a_copied_tail_is_named_where_it_is_now() -> None:
    """What recovery copied was synced there: its rot is damage, in the fresh segment."""
    files = written(3)
    opened(files)
    files.kill()
    files.flip(name_of(2), DATA_START + 60, 1)
    with pytest.raises(DamagedError, match=f"{name_of(2)} is damaged at offset {DATA_START + 40}"):
        opened(files)


def test_fresh_segment_bears_witness_by_its_header() -> None:
    """A segment made by a recovery says how far earlier ones were durable, though all its data is gone."""
    files = written(3)
    opened(files)
    files.kill()
    files.flip(FIRST, DATA_START + 60, 1)
    files.damage(name_of(2), DATA_START, bytes(2000))
    with pytest.raises(DamagedError, match=f"{FIRST} is damaged at offset .*: {name_of(2)} says"):
        opened(files)


def test_copied_tail_is_stated_durable_before_open_returns() -> None:
    """The seal behind the copied tail is synced too: a batch that claims it may be kept where it is lost."""
    files = written(3)
    opened(files)
    files.crash("nothing")
    assert len(batches(files, name_of(2))) == 2


def test_witness_is_found_across_reads() -> None:
    """A batch header that lies across two reads bears witness as well."""
    for read_bytes in range(48, 300, 8):
        files = written(3)
        files.flip(FIRST, batches(files, FIRST)[1], 1)
        with pytest.raises(DamagedError):
            opened(files, replace(SMALL, read_bytes=read_bytes))


def test_damage_under_a_superseded_tail_is_still_found() -> None:
    """What a recovery left behind is refused when it rots; what it copied away no longer counts."""
    for target, refused in ((0, True), (2, False)):
        files = written(3)
        places = batches(files, FIRST)
        files.kill()
        log = opened(files)
        append(log, 1)
        log.close()
        files.flip(FIRST, places[target] + 60, 1)
        if refused:
            with pytest.raises(DamagedError, match=FIRST):
                opened(files)
        else:
            assert opened(files).group(1).last_index == 3


def state_of(log: Log) -> list[tuple[list[Entry], HardState]]:
    """Return all that a crash may not mix."""
    return [(contents(log.group(group)), log.group(group).hard_state) for group in (1, 2, 3)]


@pytest.mark.parametrize("seed", range(60))
def test_random_crashes_lose_nothing_durable_and_mix_nothing(seed: int) -> None:
    """After any crash the log is what it was after some flush, and not before the last durable one."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = FaultyFiles(seed)
    for _ in range(8):
        log = opened(files)
        durable = log.flush()
        history = {durable: state_of(log)}
        for _ in range(chance.randrange(60)):
            view = log.group(chance.randrange(1, 4))
            match chance.randrange(10):
                case 0 if view.last_index:
                    term = view.hard_state.term + 5
                    view.save(HardState(term, chance.randrange(4)))
                    index = chance.randrange(1, view.last_index + 1)
                    view.append([entry(index, term, chance.randrange(900))])
                case 1:
                    view.save(HardState(view.hard_state.term + 1, chance.randrange(4)))
                case 2 | 3:
                    log._preparer.step()
                    log._writer.step()
                    durable = log.take_durable()
                case _:
                    size = chance.choice([0, 10, 300, 3000])
                    term = max(view.hard_state.term, 1)
                    view.append([entry(view.last_index + 1, term, size)])
            if chance.random() < 0.7:
                sequence = log.flush()
                history[sequence] = state_of(log)
        if chance.random() < 0.3:
            # ... in the middle of the writer's work.
            files.before_sync = _raise_at(chance.randrange(1, 4))
            with contextlib.suppress(KeyboardInterrupt):
                log.step()
            files.before_sync = lambda: None
        elif chance.random() < 0.2:
            durable = log.flush()
            history[durable] = state_of(log)
            log.close()
        chance.choice([files.crash, files.crash, files.kill])()
        if not log._closed:
            os.close(log.fileno())
        if chance.random() < 0.4:
            # A start that is itself cut short by a power cut, at any of its syncs.
            files.before_sync = _raise_at(chance.randrange(1, 6))
            with contextlib.suppress(KeyboardInterrupt):
                os.close(Log.open(DIRECTORY, SMALL, files).fileno())
            files.before_sync = lambda: None
            files.crash()
        log = opened(files)
        allowed = [after for sequence, after in history.items() if sequence >= durable]
        assert state_of(log) in allowed, f"not a state since batch {durable}"
        files.kill()
        os.close(log.fileno())


def _raise_at(count: int) -> Callable[[], None]:
    left = count

    def before_sync() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    return before_sync
