"""A disk in memory that loses what was not synced, tears writes, rots, fills up and fails, by a seed.

What it models, as Linux does it:
- A write goes to the cache.  A crash keeps, of every 512-byte sector, any version since its last sync;
  `keep="nothing"` and `keep="all"` are the two ends.
- Names are journaled: a crash keeps the creates, renames and removes since the last directory sync up to
  some point, in order.
- A failed sync leaves the pages marked clean: a later sync succeeds and writes nothing, reads still see them.
- `capacity` bytes in all; ENOSPC from then on.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from redraft.accel.pywriter import PythonWriter, Writer

SECTOR = 512


class _File:
    def __init__(self) -> None:
        self.cache = bytearray()
        self.disk = bytearray()
        self.dirty: dict[int, list[bytes]] = {}  # sector -> versions since the last sync

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
        self.cache[offset:end] = data
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            version = bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR])
            self.dirty.setdefault(sector, []).append(version)

    def put(self, sector: int, version: bytes) -> None:
        end = sector * SECTOR + len(version)
        if end > len(self.disk):
            self.disk.extend(bytes(end - len(self.disk)))
        self.disk[sector * SECTOR : end] = version

    def sync(self) -> None:
        for sector, versions in self.dirty.items():
            self.put(sector, versions[-1])
        self.dirty.clear()
        del self.disk[len(self.cache) :]
        self.disk.extend(bytes(len(self.cache) - len(self.disk)))

    def lose(self, choose: Callable[[int], int]) -> None:
        for sector, versions in sorted(self.dirty.items()):
            kept = choose(len(versions) + 1)
            if kept:
                self.put(sector, versions[kept - 1])
        self.dirty.clear()
        self.cache = bytearray(self.disk)


class FaultyFiles:
    """Satisfies `redraft.wal.files.Files`; one directory."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.capacity = 1 << 40
        self.writes = 0  # write calls
        self.syncs = 0
        self.sync_fails_in = 0  # the n-th sync from now fails with EIO; 0 never
        self.write_fails_in = 0
        self.before_sync: Callable[[], None] = lambda: None
        self.before_change: Callable[[], None] = lambda: None  # before each call that changes anything
        self._names: dict[str, _File] = {}
        self._names_on_disk: dict[str, _File] = {}
        self._journal: list[Callable[[dict[str, _File]], None]] = []
        self._open: dict[int, _File] = {}
        self._next_fd = 1000

    # ---- faults ------------------------------------------------------------------------------------

    def crash(self, keep: str = "some") -> None:
        """Cut the power: forget descriptors, and of what was not synced all but what chance keeps."""

        def choose(count: int) -> int:
            return {"some": self.random.randrange(count), "nothing": 0, "all": count - 1}[keep]

        for change in self._journal[: choose(len(self._journal) + 1)]:
            change(self._names_on_disk)
        self._journal.clear()
        self._names = dict(self._names_on_disk)
        for file in {id(file): file for file in self._names.values()}.values():
            file.lose(choose)
        self._open.clear()

    def kill(self) -> None:
        """Kill the process only: the page cache stays."""
        self._open.clear()

    def content(self, name: str) -> bytes:
        """Return what reading the file sees."""
        return bytes(self._names[name].cache)

    def damage(self, name: str, offset: int, data: bytes) -> None:
        """Rot: bytes on disk become others."""
        file = self._names[name]
        file.cache[offset : offset + len(data)] = data
        file.disk[offset : offset + len(data)] = data

    def flip(self, name: str, offset: int, bit: int) -> None:
        """Rot: one bit."""
        self.damage(name, offset, bytes([self._names[name].cache[offset] ^ (1 << bit)]))

    # ---- Files -------------------------------------------------------------------------------------

    def make_directory(self, directory: Path) -> None:
        """There is only one."""

    def names(self, directory: Path) -> list[str]:
        return sorted(self._names)

    def create(self, path: Path) -> int:
        self.before_change()
        file = _File()
        self._change(lambda names: names.__setitem__(path.name, file))
        return self._descriptor(file)

    def open(self, path: Path) -> int:
        return self._descriptor(self._names[path.name])

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)

    def reserve(self, fd: int, size: int) -> None:
        self.before_change()
        file = self._open[fd]
        self._take(size - len(file.cache))
        file.cache.extend(bytes(size - len(file.cache)))

    def size(self, fd: int) -> int:
        return len(self._open[fd].cache)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        return bytes(self._open[fd].cache[offset : offset + length])

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        written = 0
        while written < len(data):
            written += self.pwrite(fd, memoryview(data)[written:], offset + written)

    def sync(self, fd: int) -> None:
        self.before_change()
        self.before_sync()
        self.syncs += 1
        self.sync_fails_in -= 1
        if self.sync_fails_in == 0:
            # The kernel marks the pages clean: they are seen until the cache goes, and never written.
            self._open[fd].dirty.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._open[fd].sync()

    def sync_directory(self, directory: Path) -> None:
        self.before_change()
        for change in self._journal:
            change(self._names_on_disk)
        self._journal.clear()

    def rename(self, old: Path, new: Path) -> None:
        self.before_change()

        def change(names: dict[str, _File]) -> None:
            if old.name in names:
                names[new.name] = names.pop(old.name)

        self._change(change)

    def remove(self, path: Path) -> None:
        self.before_change()
        self._change(lambda names: names.pop(path.name, None))

    def truncate(self, path: Path, size: int) -> None:
        self.before_change()
        file = self._names[path.name]
        del file.cache[size:]
        file.dirty = {sector: kept for sector, kept in file.dirty.items() if sector * SECTOR < size}
        file.sync()

    def free_bytes(self, directory: Path) -> int:
        files = {id(file): file for file in [*self._names.values(), *self._open.values()]}
        return self.capacity - sum(len(file.cache) for file in files.values())

    def random_bytes(self, count: int) -> bytes:
        return self.random.randbytes(count)

    def start_writer(self, event_fd: int, durable: int, chain: int, threaded: bool) -> Writer:
        assert not threaded
        return PythonWriter(event_fd, durable, chain, threaded=False, pwrite=self.pwrite, fdatasync=self.sync)

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        """Write at most a few hundred KiB, as a system may."""
        self.before_change()
        self.writes += 1
        self.write_fails_in -= 1
        if self.write_fails_in == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        file = self._open[fd]
        taken = bytes(data[: 300 << 10])
        self._take(offset + len(taken) - len(file.cache))
        file.write(taken, offset)
        return len(taken)

    def _take(self, size: int) -> None:
        if size > 0 and size > self.free_bytes(Path()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _change(self, change: Callable[[dict[str, _File]], object]) -> None:
        change(self._names)
        self._journal.append(change)  # type: ignore[arg-type]

    def _descriptor(self, file: _File) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = file
        return self._next_fd
