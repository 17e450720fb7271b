"""The B+ tree: LMDB.  Writes whole pages copied, so that a crash leaves the old tree or the new one.

LMDB checks nothing of what it reads, so every value carries a checksum of its key and itself.  LMDB's keys
are short (511 bytes): a longer one is kept under its first bytes and a digest, and in front of its value;
those that begin alike are put in order as they are read.

    value = crc u32 (of key and rest), rest; of a long key: crc u32, key length u32, key, value
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import lmdb

from redraft.engine.stores import Write, damaged, sync

PLAIN_BYTES_MAX: Final = 480
"""A key with more bytes is a long one."""
_DIGEST_BYTES: Final = 16
_CRC: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">I")
MAP_BYTES: Final = 1 << 38
"""Of addresses, which cost nothing until they are used: no tree grows beyond."""

DATA: Final = "data.mdb"
NEW: Final = "new.mdb"
"""A tree in the making."""
UNSYNCED: Final = "unsynced"
"""A file that is there while a tree is filled without syncing."""


class BTreeStore:
    """Implements `redraft.engine.stores.Store`."""

    __slots__ = ("_env", "_path", "_read", "_synced")

    def __init__(self, path: Path) -> None:
        """Open the tree in a directory, a new one if there is none; raises StoreDamagedError, OSError."""
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._synced = True
        if (path / UNSYNCED).exists() or not (path / DATA).exists():
            self._begin()
        self._open()

    def _begin(self) -> None:
        """Make an empty tree; in the place of one that was being filled, which may be anything by now.

        LMDB does not sync a new tree, so it gets its name when it is durable.
        """
        new = self._path / NEW
        new.unlink(missing_ok=True)
        with _errors(self._path):
            lmdb.open(str(new), subdir=False, lock=False, map_size=MAP_BYTES).close()
        sync(new)
        new.rename(self._path / DATA)
        sync(self._path)
        if (self._path / UNSYNCED).exists():
            (self._path / UNSYNCED).unlink()
            sync(self._path)

    def _open(self) -> None:
        with _errors(self._path):
            self._env = lmdb.open(
                str(self._path),
                map_size=MAP_BYTES,
                meminit=False,
                readahead=False,
                max_readers=16,
                sync=self._synced,
            )
            self._read = self._env.begin()

    def get(self, key: bytes) -> bytes | None:
        """See `Store.get`."""
        try:
            with_crc = self._read.get(key if len(key) <= PLAIN_BYTES_MAX else _stored_key(key))
        except lmdb.Error as error:
            raise _translated(error, self._path) from error
        if with_crc is None:
            return None
        return self._checked(key, with_crc)[1]

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Store.range`."""
        return _range(self._read, self._path, low, high, self._checked, reverse=reverse)

    def write(self, batch: Iterable[Write]) -> None:
        """See `Store.write`."""
        with _errors(self._path), self._env.begin(write=True) as txn:
            _write(txn, batch)

    def fill(self, batch: Iterable[Write]) -> None:
        """See `Store.fill`."""
        if self._synced:
            self.close()
            (self._path / UNSYNCED).touch()
            sync(self._path)
            self._synced = False
            self._open()
        self.write(batch)

    def settle(self) -> None:
        """See `Store.settle`."""
        if not self._synced:
            with _errors(self._path):
                self._env.sync(True)
            (self._path / UNSYNCED).unlink()
            sync(self._path)
            self.close()
            self._synced = True
            self._open()

    def refresh(self) -> None:
        """See `Store.refresh`."""
        self._read.abort()
        with _errors(self._path):
            self._read = self._env.begin()

    def view(self) -> BTreeView:
        """See `Store.view`."""
        with _errors(self._path):
            return BTreeView(self._env.begin(), self._path, self._checked)

    def close(self) -> None:
        """See `Store.close`."""
        self._read.abort()
        self._env.close()

    def _checked(self, key: bytes, with_crc: bytes) -> tuple[bytes, bytes]:
        """Return the key, the whole of it, and the value that stand under a stored key."""
        rest = with_crc[_CRC.size :]
        if len(key) > PLAIN_BYTES_MAX:
            (length,) = _LENGTH.unpack_from(rest) if len(rest) >= _LENGTH.size else (0,)
            key, rest = rest[_LENGTH.size : _LENGTH.size + length], rest[_LENGTH.size + length :]
        if len(with_crc) < _CRC.size or crc32(rest, crc32(key)) != _CRC.unpack_from(with_crc)[0]:
            raise damaged(self._path, f"a checksum in data.mdb is wrong, of key {key[:40]!r}")
        return key, rest


class BTreeView:
    """Implements `redraft.engine.stores.View`: a transaction that only reads."""

    __slots__ = ("_checked", "_path", "_txn")

    def __init__(self, txn: Any, path: Path, checked: Any) -> None:
        self._txn = txn
        self._path = path
        self._checked = checked

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `View.range`."""
        return _range(self._txn, self._path, low, high, self._checked, reverse=reverse)

    def close(self) -> None:
        """See `View.close`."""
        self._txn.abort()


def _stored_key(key: bytes) -> bytes:
    return key[:PLAIN_BYTES_MAX] + b"\xff" + blake2b(key, digest_size=_DIGEST_BYTES).digest()


def _write(txn: Any, batch: Iterable[Write]) -> None:
    put, delete = txn.put, txn.delete
    for key, value in batch:
        long = len(key) > PLAIN_BYTES_MAX
        stored = _stored_key(key) if long else key
        if value is None:
            delete(stored)
        else:
            crc = _CRC.pack(crc32(value, crc32(key)))
            put(stored, crc + _LENGTH.pack(len(key)) + key + value if long else crc + value)


def _range(
    txn: Any, path: Path, low: bytes, high: bytes, checked: Any, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is between, long keys that begin alike in their own order."""
    alike: list[tuple[bytes, bytes]] = []  # long keys with the same beginning
    start = b""
    for stored, with_crc in _walk(txn, path, low, high, reverse=reverse):
        key, value = checked(stored, with_crc)
        if alike and (len(stored) <= PLAIN_BYTES_MAX or stored[:PLAIN_BYTES_MAX] != start):
            yield from sorted(alike, reverse=reverse)
            alike = []
        if len(stored) > PLAIN_BYTES_MAX:
            if low <= key < high:
                start = stored[:PLAIN_BYTES_MAX]
                alike.append((key, value))
        else:
            yield key, value
    yield from sorted(alike, reverse=reverse)


def _walk(txn: Any, path: Path, low: bytes, high: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield stored keys that may be between."""
    first = low[:PLAIN_BYTES_MAX]
    end = high if len(high) <= PLAIN_BYTES_MAX else high[:PLAIN_BYTES_MAX] + b"\xff" * (_DIGEST_BYTES + 2)
    with _errors(path):
        found = _backward(txn, end) if reverse else _forward(txn, first)
        for stored, value in found:
            if stored < first if reverse else stored >= end:
                return
            if stored >= low or len(stored) > PLAIN_BYTES_MAX:
                yield stored, value


def _forward(txn: Any, first: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor = txn.cursor()
    return cursor.iternext() if cursor.set_range(first) else iter(())


def _backward(txn: Any, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor = txn.cursor()
    found = cursor.prev() if cursor.set_range(end) else cursor.last()
    return cursor.iterprev() if found else iter(())


class _errors:  # noqa: N801 - reads like a keyword
    """What LMDB raises, as the errors that stores raise."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, lmdb.Error):
            raise _translated(error, self._path) from error


def _translated(error: lmdb.Error, path: Path) -> Exception:
    if isinstance(
        error,
        lmdb.CorruptedError
        | lmdb.CursorFullError
        | lmdb.InvalidError
        | lmdb.PageNotFoundError
        | lmdb.VersionMismatchError,
    ):
        return damaged(path, str(error))
    full = isinstance(error, lmdb.DiskError | lmdb.MapFullError)
    return OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path))
