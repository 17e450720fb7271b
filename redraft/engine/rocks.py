"""RocksDB, by rocksdict, without its write-ahead log: what is not in a checkpoint the group's log still has.

A batch is written to a sorted file beside, which RocksDB then takes in as it is: all or nothing, whatever
breaks off or runs full meanwhile, and ten times as fast as by its memtable.  It checks all it reads.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    IngestExternalFileOptions,
    Options,
    Rdict,
    SstFileWriter,
    WriteBatch,
    WriteOptions,
)

from redraft.engine.stores import StoreDamagedError, Write, damaged, sync

SLICE: Final = 500
"""Keys written at once: about half a millisecond, in which rocksdict keeps the interpreter's lock."""
FILL_BYTES: Final = 32 << 20
"""A store that is filled is flushed each time so much was written."""
BUFFER_BYTES: Final = 2 * FILL_BYTES
"""RocksDB goes on by itself after a full disk once so much is free."""
FILTER_BITS: Final = 10
"""Of a filter, for each key: most files need not be looked at (a new key cost 12.2 us, now 5.7)."""
CACHE_BYTES: Final = 64 << 20
"""Of blocks as they were read, for all stores of a process."""
_CACHE: Final = Cache(CACHE_BYTES)
BATCH: Final = "batch.new"
"""The file of a batch that is being written."""


def _options() -> Options:
    options = Options(raw_mode=True)
    options.set_write_buffer_size(BUFFER_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_avoid_unnecessary_blocking_io(True)
    options.set_paranoid_checks(True)
    options.set_keep_log_file_num(2)
    options.set_max_background_jobs(2)
    tables = BlockBasedOptions()
    tables.set_bloom_filter(FILTER_BITS, False)
    tables.set_block_cache(_CACHE)
    options.set_block_based_table_factory(tables)
    return options


class RocksStore:
    """Implements `redraft.engine.stores.Store`."""

    __slots__ = ("_db", "_filled", "_path", "_pause", "_write_options")

    def __init__(self, path: Path, pause: Callable[[], None] = lambda: None) -> None:
        """Open the database in a directory, a new one if there is none; raises StoreDamagedError, OSError.

        `pause` is called between slices: it is to let go of the interpreter's lock.
        """
        self._pause = pause
        path.mkdir(parents=True, exist_ok=True)
        (path / BATCH).unlink(missing_ok=True)
        self._path = path
        self._filled = 0
        self._write_options = WriteOptions()
        vars_of: Any = self._write_options  # the stub takes it for a method
        vars_of.disable_wal = True
        with _errors(path):
            self._db = Rdict(str(path), _options())

    def get(self, key: bytes) -> bytes | None:
        """See `Store.get`."""
        with _errors(self._path):
            value: bytes | None = self._db.get(key)
        return value

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.range`."""
        return _range(self._db.iter, self._path, low, high, reverse=reverse)

    def write(self, batch: Iterable[Write]) -> None:
        """See `Store.write`."""
        path = self._path / BATCH
        with _errors(self._path):
            try:
                if self._put_in_file(path, batch):
                    moving = IngestExternalFileOptions()
                    moving.set_move_files(True)
                    self._db.ingest_external_file([str(path)], moving)
            finally:
                path.unlink(missing_ok=True)

    def _put_in_file(self, path: Path, batch: Iterable[Write]) -> bool:
        """Write a batch to a file of its own; False if there is nothing in it."""
        writer = SstFileWriter(_options())
        writer.open(str(path))
        count = 0
        for count, (key, value) in enumerate(batch, start=1):
            if value is None:
                del writer[key]
            else:
                writer[key] = value
            if not count % SLICE:
                self._pause()
        if not count:
            return False
        writer.finish()
        sync(path)  # RocksDB syncs no more than its manifest
        return True

    def fill(self, batch: Iterable[Write]) -> None:
        """See `Store.fill`."""
        with _errors(self._path):
            self._filled += self._put(batch)
            if self._filled > FILL_BYTES:
                self._db.flush(False)
                self._filled = 0

    def settle(self) -> None:
        """See `Store.settle`."""
        with _errors(self._path):
            self._db.flush(True)
        self._filled = 0

    def refresh(self) -> None:
        """See `Store.refresh`: reads always see what was written."""

    def view(self) -> RocksView:
        """See `Store.view`."""
        with _errors(self._path):
            return RocksView(self._db.iter(), self._path)

    def close(self) -> None:
        """See `Store.close`: what was filled in and not settled may be lost."""
        with contextlib.suppress(OSError, StoreDamagedError), _errors(self._path):
            self._db.close()

    def _put(self, writes: Iterable[Write]) -> int:
        rest = iter(writes)
        size = 0
        while taken := list(islice(rest, SLICE)):
            batch = WriteBatch(raw_mode=True)
            for key, value in taken:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
                    size += len(key) + len(value)
            self._db.write(batch, self._write_options)
            self._pause()
        return size


class RocksView:
    """Implements `redraft.engine.stores.View`: an iterator, which sees what was there when it was made.

    rocksdict's snapshots do not help: what is iterated from one is the newest.
    """

    __slots__ = ("_found", "_path")

    def __init__(self, found: Any, path: Path) -> None:
        self._found = found
        self._path = path

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `View.range`."""
        return _range(lambda: self._found, self._path, low, high, reverse=reverse)

    def close(self) -> None:
        """See `View.close`."""
        self._found = None


def _range(
    of: Callable[[], Any], path: Path, low: bytes, high: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is between.  The bounds are looked at here: rocksdict frees its options too early."""
    with _errors(path):
        found = of()
        if reverse:
            found.seek_for_prev(high)
            if found.valid() and found.key() == high:
                found.prev()
        else:
            found.seek(low)
        step = found.prev if reverse else found.next
        while found.valid():
            key = found.key()
            if not low <= key < high:
                return
            yield key, found.value()
            step()
        found.status()


class _errors:  # noqa: N801 - reads like a keyword
    """What RocksDB raises, as the errors that stores raise."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, OSError | StoreDamagedError | GeneratorExit):
            return
        text = str(error)
        if "Corruption" in text or "No such file" in text:
            raise damaged(self._path, text) from error
        if "No space" in text:
            raise OSError(errno.ENOSPC, text, str(self._path)) from error
        if "IO error" in text or isinstance(error, DbClosedError):
            raise OSError(errno.EIO, text, str(self._path)) from error
