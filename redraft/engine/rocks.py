"""RocksDB, by rocksdict, without its write-ahead log: what is not flushed the group's log still has.

A batch is written in slices, for rocksdict keeps the interpreter's lock while it writes, and flushed at the
end: RocksDB must not flush in the middle, so its buffer is larger than any batch.  It checks all it reads.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from redraft.engine.stores import Write, damaged

SLICE: Final = 500
"""Keys written at once: about half a millisecond."""
BUFFER_BYTES: Final = 1 << 30
"""More than any batch; what is not used costs nothing."""
WRITING: Final = b"\xffw"
"""There while a batch is written in slices: RocksDB flushes what it has when it is closed."""
FILL_BYTES: Final = 32 << 20
"""A store that is filled is flushed each time so much was written."""


def _options() -> Options:
    options = Options(raw_mode=True)
    options.set_write_buffer_size(BUFFER_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_avoid_unnecessary_blocking_io(True)
    options.set_paranoid_checks(True)
    options.set_keep_log_file_num(2)
    options.set_max_background_jobs(2)
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
        self._path = path
        self._filled = 0
        self._write_options = WriteOptions()
        vars_of: Any = self._write_options  # the stub takes it for a method
        vars_of.disable_wal = True
        with _errors(path):
            self._db = Rdict(str(path), _options())
        if self.get(WRITING) is not None:
            self.close()
            raise damaged(path, "it holds a part of a batch, for it was closed after a write had failed")

    def get(self, key: bytes) -> bytes | None:
        """See `Store.get`."""
        with _errors(self._path):
            value: bytes | None = self._db.get(key)
        return value

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.range`."""
        return _range(self._db, self._path, low, high, reverse=reverse)

    def write(self, batch: Iterable[Write]) -> None:
        """See `Store.write`."""
        with _errors(self._path):
            self._put(chain([(WRITING, b"")], batch, [(WRITING, None)]))
            self._db.flush(True)
            self._filled = 0

    def fill(self, batch: Iterable[Write]) -> None:
        """See `Store.fill`."""
        with _errors(self._path):
            self._filled += self._put(batch)
            if self._filled > FILL_BYTES:
                self._db.flush(False)
                self._filled = 0

    def settle(self) -> None:
        """See `Store.settle`: `write` flushes what was filled in."""

    def delete_range(self, low: bytes, high: bytes, limit: int) -> bool:  # noqa: ARG002 - a range is one deletion
        """See `Store.delete_range`."""
        with _errors(self._path):
            batch = WriteBatch(raw_mode=True)
            batch.delete_range(low, high)
            self._db.write(batch, self._write_options)
        return False

    def refresh(self) -> None:
        """See `Store.refresh`: reads always see what was written."""

    def view(self) -> RocksView:
        """See `Store.view`."""
        return RocksView(self._db.snapshot(), self._path)

    def close(self) -> None:
        """See `Store.close`."""
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
    """Implements `redraft.engine.stores.View`: a snapshot."""

    __slots__ = ("_path", "_snapshot")

    def __init__(self, snapshot: Any, path: Path) -> None:
        self._snapshot = snapshot
        self._path = path

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `View.range`."""
        return _range(self._snapshot, self._path, low, high, reverse=reverse)

    def close(self) -> None:
        """See `View.close`."""
        self._snapshot = None


def _range(
    source: Any, path: Path, low: bytes, high: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is between.  The bounds are looked at here: rocksdict frees its options too early."""
    with _errors(path):
        found = source.iter()
        if not reverse:
            found.seek(low)
            while found.valid() and (key := found.key()) < high:
                yield key, found.value()
                found.next()
        else:
            found.seek_for_prev(high)
            while found.valid() and (key := found.key()) >= low:
                if key < high:
                    yield key, found.value()
                found.prev()
        found.status()


class _errors:  # noqa: N801 - reads like a keyword
    """What RocksDB raises, as the errors that stores raise."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, GeneratorExit):
            return
        if "Corruption" in str(error):
            raise damaged(self._path, str(error)) from error
        if "No space" in str(error):
            raise OSError(errno.ENOSPC, str(error), str(self._path)) from error
        if "IO error" in str(error):
            raise OSError(errno.EIO, str(error), str(self._path)) from error
