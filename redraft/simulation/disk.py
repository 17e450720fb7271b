"""A machine's disk in memory: loses what was not synced, tears writes, rots, fills up and fails, by the seed.

What it models, as Linux does it:
- A write goes to the page cache.  A power cut keeps, of every sector of 512 bytes, any version it had
  since its last sync, and of the file's length the old or the new; killing the process loses nothing.
- Names are journaled: a power cut keeps the creates, renames and removes of a directory since its last
  sync up to some point, in order.
- A failed sync marks pages clean: what they hold is seen until the cache goes, and was never written.
- `capacity` bytes in all, ENOSPC from then on.

Every call that changes something is announced to `effect` before it happens: a crash may come there.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from redraft.accel.pywriter import PythonWriter, Writer

SECTOR = 512
BOUNDLESS = 1 << 40
DESCRIPTOR_FIRST = 1000


class _File:
    """One file: what reading sees, and which older versions of its sectors a power cut may bring back."""

    __slots__ = ("cache", "phantoms", "size", "versions")

    def __init__(self) -> None:
        self.cache = bytearray()
        self.size = 0
        """Its length on the disk."""
        self.versions: dict[int, list[bytes]] = {}
        """sector -> what it was before each write since the last sync; the first one is on the disk."""
        self.phantoms: dict[int, bytes] = {}
        """sector -> what is on the disk under a page that a failed sync marked clean."""

    def write(self, data: bytes, offset: int) -> None:
        cache, versions = self.cache, self.versions
        end = offset + len(data)
        if end > len(cache):
            cache.extend(bytes(end - len(cache)))
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            before = bytes(cache[sector * SECTOR : (sector + 1) * SECTOR])
            known = versions.get(sector)
            if known is not None:
                known.append(before)
            elif sector in self.phantoms:
                versions[sector] = [self.phantoms[sector], before]
            else:
                versions[sector] = [before]
        cache[offset:end] = data

    def sync(self) -> None:
        for sector in self.versions:
            self.phantoms.pop(sector, None)
        self.versions.clear()
        self.size = len(self.cache)

    def fail_sync(self) -> None:
        for sector, versions in self.versions.items():
            self.phantoms.setdefault(sector, versions[0])
        self.versions.clear()

    def lose(self, choose: Callable[[int], int]) -> int:
        """Cut the power; return how many sectors fell back."""
        cache, fallen = self.cache, 0
        for sector, versions in sorted(self.versions.items()):
            kept = choose(len(versions) + 1)
            if kept < len(versions):
                cache[sector * SECTOR : (sector + 1) * SECTOR] = versions[kept].ljust(SECTOR, b"\0")
                fallen += 1
        for sector, version in self.phantoms.items():
            if sector not in self.versions:
                cache[sector * SECTOR : (sector + 1) * SECTOR] = version.ljust(SECTOR, b"\0")
                fallen += 1
        if len(cache) != self.size and choose(2) == 0:
            del cache[self.size :]
            cache.extend(bytes(self.size - len(cache)))
        self.versions.clear()
        self.phantoms.clear()
        self.size = len(cache)
        return fallen


_Names = dict[str, _File]
_Change = Callable[[_Names], object]


class SimulatedFiles:
    """Satisfies `redraft.wal.files.Files`; all directories of one machine."""

    def __init__(self, rng: random.Random) -> None:
        self.capacity = BOUNDLESS
        self.sync_fails_in = 0
        """The n-th sync from now fails with EIO; 0: none does."""
        self.effect: Callable[[], None] = lambda: None
        self.on_work: Callable[[], None] = lambda: None
        """The log's writer was given something to do."""
        self.writer: Writer | None = None
        self.event_fds: list[int] = []
        """Real descriptors that a crash must close, as it ends a process."""
        self._rng = rng
        self._names: _Names = {}
        self._durable: _Names = {}
        self._journal: dict[str, list[_Change]] = {}
        self._open: dict[int, _File] = {}
        self._next_fd = DESCRIPTOR_FIRST

    # ---- what may happen to a disk ----

    def crash(self, *, power: bool) -> int:
        """End whoever uses the files: kill -9, or with `power` a power cut; return the sectors lost."""
        self._open.clear()
        self.writer = None
        while self.event_fds:
            os.close(self.event_fds.pop())
        if not power:
            return 0
        choose = self._rng.choice((lambda _count: 0, self._rng.randrange, self._rng.randrange))
        for _directory, changes in sorted(self._journal.items()):
            for change in changes[: choose(len(changes) + 1)]:
                change(self._durable)
        self._journal.clear()
        self._names = dict(self._durable)
        return sum(file.lose(choose) for _name, file in sorted(self._names.items()))

    def paths(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self._names)

    def size_of(self, path: str) -> int:
        """Return a file's length."""
        return len(self._names[path].cache)

    def flip(self, path: str, offset: int, bit: int) -> None:
        """Rot: one bit of a file becomes another."""
        file = self._names[path]
        file.cache[offset] ^= 1 << bit
        for old in (file.versions.get(offset // SECTOR), file.phantoms.get(offset // SECTOR)):
            assert not old, "only what is on the disk can rot there"

    def is_rest(self, path: str, offset: int) -> bool:
        """Whether what is at an offset is on the disk as it is seen."""
        file = self._names[path]
        sector = offset // SECTOR
        return offset < file.size and sector not in file.versions and sector not in file.phantoms

    @property
    def used(self) -> int:
        """Bytes in files that have a name or are open."""
        files = {id(file): file for file in (*self._names.values(), *self._open.values())}
        return sum(len(file.cache) for file in files.values())

    # ---- Files ----

    def make_directory(self, directory: Path) -> None:
        """Directories need not be made."""

    def names(self, directory: Path) -> list[str]:
        """Return the names in `directory`, sorted."""
        prefix = f"{directory}/"
        return sorted(name[len(prefix) :] for name in self._names if name.startswith(prefix))

    def create(self, path: Path) -> int:
        """Create a file in the place of whatever has that name."""
        self.effect()
        file, name = _File(), str(path)
        self._change(path.parent, lambda names: names.__setitem__(name, file))
        return self._descriptor(file)

    def open(self, path: Path) -> int:
        """Open for reading."""
        file = self._names.get(str(path))
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return self._descriptor(file)

    def close(self, fd: int) -> None:
        """Close."""
        self._open.pop(fd, None)

    def reserve(self, fd: int, size: int) -> None:
        """Allocate `size` bytes; ENOSPC now rather than later."""
        self.effect()
        file = self._open[fd]
        self._take(size - len(file.cache))
        file.cache.extend(bytes(size - len(file.cache)))

    def size(self, fd: int) -> int:
        """Return the file's size."""
        return len(self._open[fd].cache)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return `length` bytes, fewer only at the end of the file."""
        return bytes(self._open[fd].cache[offset : offset + length])

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        """Write all of `data`."""
        self._write(fd, bytes(data), offset)

    def sync(self, fd: int) -> None:
        """Make the file's data durable."""
        self.effect()
        self.sync_fails_in -= 1
        if self.sync_fails_in == 0:
            self._open[fd].fail_sync()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._open[fd].sync()

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""
        self.effect()
        for change in self._journal.pop(str(directory), []):
            change(self._durable)

    def rename(self, old: Path, new: Path) -> None:
        """Rename, replacing; within one directory."""
        self.effect()
        assert old.parent == new.parent
        before, after = str(old), str(new)

        def change(names: _Names) -> None:
            file = names.pop(before, None)
            if file is not None:
                names[after] = file

        self._change(new.parent, change)

    def remove(self, path: Path) -> None:
        """Remove."""
        self.effect()
        name = str(path)
        self._change(path.parent, lambda names: names.pop(name, None))

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size`, durably."""
        self.effect()
        file = self._names[str(path)]
        del file.cache[size:]
        file.versions = {sector: old for sector, old in file.versions.items() if sector * SECTOR < size}
        file.phantoms = {sector: old for sector, old in file.phantoms.items() if sector * SECTOR < size}
        file.sync()

    def free_bytes(self, directory: Path) -> int:  # noqa: ARG002 - a machine has one disk
        """Return what the file system has left."""
        return self.capacity - self.used if self.capacity < BOUNDLESS else BOUNDLESS

    def random_bytes(self, count: int) -> bytes:
        """Return bytes nobody can guess who does not know the seed."""
        return self._rng.randbytes(count)

    def start_writer(self, event_fd: int, durable: int, chain: int, threaded: bool) -> Writer:
        """Return a writer that works when the simulation lets it."""
        assert not threaded
        self.event_fds.append(event_fd)
        self.writer = _Writer(self, event_fd, durable, chain)
        return self.writer

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        """Write all of it."""
        self._write(fd, bytes(data), offset)
        return len(data)

    def _write(self, fd: int, data: bytes, offset: int) -> None:
        self.effect()
        file = self._open[fd]
        self._take(offset + len(data) - len(file.cache))
        file.write(data, offset)

    def _take(self, size: int) -> None:
        if size > 0 and size > self.free_bytes(Path()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _change(self, directory: Path, change: _Change) -> None:
        change(self._names)
        self._journal.setdefault(str(directory), []).append(change)

    def _descriptor(self, file: _File) -> int:
        self._next_fd += 1
        self._open[self._next_fd] = file
        return self._next_fd


class _Writer(PythonWriter):
    """The log's writer in Python, which tells when it has something to do instead of doing it in a thread."""

    def __init__(self, files: SimulatedFiles, event_fd: int, durable: int, chain: int) -> None:
        super().__init__(event_fd, durable, chain, threaded=False, pwrite=files.pwrite, fdatasync=files.sync)
        self._files = files

    def submit(self, fd: int, offset: int, batch: bytearray, seed: int, restart: bool) -> None:
        """Queue one batch."""
        super().submit(fd, offset, batch, seed, restart)
        self._files.on_work()
