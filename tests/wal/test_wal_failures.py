"""A disk that fails, and a disk that is full: the first stops the node, the second does not."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from redraft.base.errors import DirectoryError, StorageFailedError
from redraft.raft.types import HardState
from redraft.wal import Log, SystemFiles
from tests.wal.faultyfiles import FaultyFiles
from tests.wal.steps import DIRECTORY, SMALL, append, contents, opened


@pytest.mark.parametrize("call", ["sync", "write"])
def test_failed_write_or_sync_is_final(call: str) -> None:
    """After the first failure nothing more is written or called durable, and every call says so."""
    files = FaultyFiles()
    log = opened(files)
    durable = append(log, 1)
    log.step()
    assert log.take_durable() == durable
    setattr(files, f"{call}_fails_in", 1)
    append(log, 1)
    log.step()
    for _ in range(2):
        with pytest.raises(StorageFailedError, match=r"Input/output error.*this node stops"):
            log.take_durable()
    with pytest.raises(StorageFailedError):
        append(log, 1)
    writes = files.writes
    log.step()
    log.close()
    assert files.writes == writes
    assert contents(log.group(1))[0].index == 1, "reads go on"


def test_failure_to_make_a_segment_stops_the_node() -> None:
    """An EIO while the next segment is made is a failing disk, not a full one."""
    files = FaultyFiles()
    log = Log.open(DIRECTORY, SMALL, files)
    files.sync_fails_in = 1
    log.step()
    with pytest.raises(StorageFailedError, match="making a log segment"):
        log.take_durable()


def fill(log: Log, size: int = 1000) -> int:
    """Append as a leader does, asking first, until the answer is no; return how many it were."""
    count = 0
    while log.has_room(size):
        append(log, 1, size=size)
        log.step()
        log.take_durable()
        count += 1
    return count


def test_full_disk_refuses_entries_while_terms_and_votes_still_fit() -> None:
    """ENOSPC is a state: has_room says no in time, and the reserve takes what must go on."""
    files = FaultyFiles()
    log = opened(files)
    files.capacity = 200 << 10
    count = fill(log)
    assert count > 80
    assert log.disk_full
    for term in range(1, 30):
        log.group(1).save(HardState(term, 1))
        log.group(2).save(HardState(term, 2))
        log.sync()
    append(log, 1, term=30)  # a new leader's NOOP
    log.sync()
    log.close()
    files.crash("nothing")
    log = opened(files)
    assert (log.group(1).last_index, log.group(2).hard_state) == (count + 1, HardState(29, 2))


def test_full_disk_takes_entries_again_when_there_is_space() -> None:
    """The next segment is tried again; has_room says yes when it is there."""
    files = FaultyFiles()
    log = opened(files)
    files.capacity = 200 << 10
    count = fill(log)
    assert not log.has_room(1000)
    files.capacity = 400 << 10
    log.step()
    assert log.has_room(1000)
    assert not log.disk_full
    assert fill(log) > 50
    log.close()
    assert opened(files).group(1).last_index > count + 50


def test_has_room_counts_what_is_pending() -> None:
    """Many entries asked for before a flush do not all get the same room."""
    files = FaultyFiles()
    log = opened(files)
    files.capacity = 200 << 10
    fill(log)
    files.capacity = 264 << 10
    log.step()
    files.capacity = 200 << 10
    appended = 0
    view = log.group(1)
    while log.has_room(1000):
        view.append([replace(view.slice(1, 2, 1)[0], index=view.last_index + 1)])
        appended += 1
    log.step()
    log.sync()
    assert 0 < appended < 64


def test_has_room_for_an_entry_larger_than_a_segment_asks_the_disk() -> None:
    """A large entry is taken when the file system has space for it, and refused when it has not."""
    files = FaultyFiles()
    files.capacity = 4 << 20
    log = opened(files)
    assert log.has_room(1 << 20)
    assert not log.has_room(4 << 20)
    append(log, 1, size=1 << 20)
    log.sync()
    log.close()
    assert opened(files).group(1).last_index == 1


def test_reserve_used_up_waits_and_tells_at_close() -> None:
    """When even the reserve is gone nothing is lost or claimed: batches wait, a stop says why it can't."""
    files = FaultyFiles()
    log = opened(files)
    files.capacity = 200 << 10
    fill(log)
    durable = log.take_durable()
    for _ in range(20):
        sequence = append(log, 1, size=1000)
        log.step()
    assert durable < log.take_durable() < sequence
    with pytest.raises(StorageFailedError, match="full, and the log's reserve used up"):
        log.close()


def test_start_on_a_full_disk_uses_what_the_last_run_left() -> None:
    """The spare and the unused zeros are given back first, so a node on a full disk can start."""
    files = FaultyFiles()
    log = opened(files)
    files.capacity = 200 << 10
    count = fill(log)
    files.kill()
    log = opened(files)
    assert log.group(1).last_index == count
    log.group(1).save(HardState(9, 1))
    log.sync()


def test_start_without_any_space_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """No room for the fresh segment, or a directory that can't be written: DirectoryError says it."""
    files = FaultyFiles()
    files.capacity = 4096
    with pytest.raises(DirectoryError, match=r"has no room for the .* bytes that a start needs"):
        Log.open(DIRECTORY, SMALL, files)
    assert files.names(DIRECTORY) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="can't be opened: Not a directory"):
        Log.open(tmp_path / "file" / "log", SMALL, SystemFiles())


def test_failed_read_is_named() -> None:
    """EIO while recovering is a failing disk; while reading back it names the file."""

    class Unreadable(FaultyFiles):
        failing = False

        def read(self, fd: int, length: int, offset: int) -> bytes:
            if self.failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(fd, length, offset)

    files = Unreadable()
    log = opened(files)
    append(log, 1, 3)
    log.close()
    log = opened(files)
    files.failing = True
    with pytest.raises(StorageFailedError, match=r"0000000000000001.log failed: Input/output error"):
        log.group(1).slice(1, 3, 1000)
    with pytest.raises(StorageFailedError, match="can't be opened: Input/output error"):
        opened(files)


def test_threads_try_a_full_disk_again(tmp_path: Path) -> None:
    """With real threads: the preparer meets ENOSPC, tells, waits, and succeeds when there is space."""

    class Filling(SystemFiles):
        full = False

        def reserve(self, fd: int, size: int) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().reserve(fd, size)

    files = Filling()
    options = type(SMALL)(
        segment_bytes=64 << 10, first_segment_bytes=32 << 10, reserve_bytes=8 << 10, retry_s=0.001
    )
    log = Log.open(tmp_path, options, files)
    files.full = True
    deadline = time.monotonic() + 30
    while not log.disk_full:
        assert time.monotonic() < deadline
        if log.has_room(1000):
            append(log, 1, size=1000)
            log.sync()
    files.full = False
    while log.disk_full:
        assert time.monotonic() < deadline
    for _ in range(200):
        append(log, 1, size=1000)
    log.close()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".new")]
