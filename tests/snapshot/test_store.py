"""The files of snapshots: whole or not there, whatever the disk does at whatever step."""

from __future__ import annotations

import errno
import select
from pathlib import Path

import pytest

from redraft.base.errors import DamagedError
from redraft.engine.capture import Run
from redraft.snapshot.format import Encoder, Header, Item
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Worker
from redraft.wal.files import SystemFiles
from tests.wal.faultyfiles import FaultyFiles

DIRECTORY = Path("/snapshots")


class Disk(FaultyFiles):
    """Fails or loses power at the n-th call that changes something."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.calls = 0
        self.fails_at = 0
        self.error = errno.EIO

    def _step(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise OSError(self.error, "broken")

    def create(self, path: Path) -> int:
        self._step()
        return super().create(path)

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        self._step()
        return super().pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        self._step()
        super().sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync_directory(self, directory: Path) -> None:
        self._step()
        super().sync_directory(directory)


def settle(worker: Worker) -> None:
    """Let all jobs be done and reported."""
    while worker.step():
        worker.take_done()


def blocks(index: int, keys: int) -> tuple[Header, list[bytes]]:
    """A snapshot of group 1."""
    header, encoder = Header(1, index, 1, b"", 0, 0), Encoder()
    run = Run(7, [b"%d" % number for number in range(keys)], [b"v%d" % index] * keys)
    return header, [encoder.header(header), *encoder.run(run), encoder.end()]


def write(store: Store, worker: Worker, index: int, keys: int = 5) -> list[OSError | None]:
    """Write a snapshot; returns how it ended, if it did."""
    ended: list[OSError | None] = []
    header, pieces = blocks(index, keys)
    writing = store.create(1, index)
    for piece in pieces:
        writing.write(piece)

    def finished(error: OSError | None) -> None:
        ended.append(error)
        if error is None:
            store.add(header, writing.path, writing.size)

    writing.finish(finished)
    settle(worker)
    return ended


def keys_of(items: list[Item]) -> int:
    return sum(len(item.keys) for item in items if isinstance(item, Run))


def test_store_keeps_the_newest_of_each_group() -> None:
    """A finished snapshot takes the place of the one before, which is removed."""
    files, worker = FaultyFiles(), Worker(threaded=False)
    store = Store(DIRECTORY, files, worker)
    assert write(store, worker, 10) == write(store, worker, 20) == [None]
    again = Store(DIRECTORY, files, worker)
    assert again.newest[1].index == 20
    assert keys_of(list(again.items(again.newest[1]))) == 5
    assert files.names(DIRECTORY) == [again.newest[1].path.name]
    again.drop(1)
    settle(worker)
    assert files.names(DIRECTORY) == []
    worker.close()


@pytest.mark.parametrize("keep", ["nothing", "some", "all"])
def test_store_has_a_whole_snapshot_wherever_power_is_lost(keep: str) -> None:
    """At every step of writing a second one: the first or the second is there, whole, and nothing else."""
    step, done = 0, False
    while not done:
        step += 1
        files, worker = Disk(step), Worker(threaded=False)
        store = Store(DIRECTORY, files, worker)
        write(store, worker, 10)
        files.calls, files.fails_at = 0, step
        done = write(store, worker, 20) == [None]
        files.crash(keep)
        after = Store(DIRECTORY, files, worker)
        assert after.newest[1].index in ((20,) if done else (10, 20))
        assert keys_of(list(after.items(after.newest[1]))) == 5
        assert not after.damaged
        assert len(files.names(DIRECTORY)) == 1
        worker.close()
    assert step > 5


def test_store_tells_of_a_full_disk_and_leaves_nothing_behind() -> None:
    """A snapshot that can't be written is no snapshot; the next one can be."""
    files, worker = Disk(), Worker(threaded=False)
    store = Store(DIRECTORY, files, worker)
    files.fails_at, files.error = 3, errno.ENOSPC
    (error,) = write(store, worker, 10)
    assert error is not None
    assert error.errno == errno.ENOSPC
    assert files.names(DIRECTORY) == []
    assert not store.newest
    assert write(store, worker, 11) == [None]
    worker.close()


def test_store_names_a_damaged_file() -> None:
    """A flipped bit in a header shows at the start, elsewhere when the file is read."""
    files, worker = FaultyFiles(), Worker(threaded=False)
    store = Store(DIRECTORY, files, worker)
    write(store, worker, 10, keys=100)
    name = store.newest[1].path.name
    files.flip(name, store.newest[1].size // 2, 3)
    with pytest.raises(DamagedError, match=r"00001-0+10\.snap is damaged: a checksum is wrong at offset"):
        list(store.items(store.newest[1]))
    files.flip(name, 25, 3)
    assert name in Store(DIRECTORY, files, worker).damaged[1]
    worker.close()


def test_store_writes_in_a_thread(tmp_path: Path) -> None:
    """The real thing: files of the system, written behind the caller's back."""
    worker = Worker()
    store = Store(tmp_path / "snapshots", SystemFiles(), worker)
    header, pieces = blocks(10, 1000)
    writing = store.create(1, 10)
    for piece in pieces:
        writing.write(piece)
    ended: list[OSError | None] = []
    writing.finish(ended.append)

    ready = select.poll()
    ready.register(worker.fileno(), select.POLLIN)
    while not ended:
        assert ready.poll(10_000)
        worker.take_done()
    assert ended == [None]
    assert writing.waiting == 0
    store.add(header, writing.path, writing.size)
    reading = store.open(store.newest[1])
    store.drop(1)
    while writing.path.exists():
        assert ready.poll(10_000)
        worker.take_done()
    assert reading.read(0, 8) == b"rdrsnap1"
    reading.close()
    worker.close()


def test_store_takes_no_older_snapshot_for_a_newer_one() -> None:
    """One that was made here, slowly, while a newer one came from the leader: its file goes."""
    files, worker = FaultyFiles(), Worker(threaded=False)
    store = Store(DIRECTORY, files, worker)
    write(store, worker, 20)
    write(store, worker, 10)
    settle(worker)
    assert store.newest[1].index == 20
    assert files.names(DIRECTORY) == [store.newest[1].path.name]
    worker.close()


def test_store_starts_with_a_newer_snapshot_whatever_became_of_an_older_one() -> None:
    """One was found damaged and left to be looked at, another was made: the damage is nobody's any more."""
    files, worker = FaultyFiles(), Worker(threaded=False)
    store = Store(DIRECTORY, files, worker)
    write(store, worker, 10)
    found: list[DamagedError | None] = []
    store.check(store.newest[1], found.append)
    settle(worker)
    files.flip(store.newest[1].path.name, 25, 3)
    store.check(store.newest[1], found.append)
    settle(worker)
    assert found[0] is None
    store.forget(store.newest[1], str(found[1]))
    write(store, worker, 20)
    again = Store(DIRECTORY, files, worker)
    assert again.newest[1].index == 20
    assert not again.damaged
    worker.close()


def test_store_leaves_nothing_unfinished_whichever_step_fails() -> None:
    """The last one too, when all is written and only the name is missing."""
    step, done = 0, False
    while not done:
        step += 1
        files, worker = Disk(), Worker(threaded=False)
        store = Store(DIRECTORY, files, worker)
        files.fails_at = files.calls + step
        done = write(store, worker, 10) == [None]
        assert not [name for name in files.names(DIRECTORY) if name.endswith(".new")]
        worker.close()
    assert step > 5
