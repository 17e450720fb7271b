"""What the log asks of the operating system, behind a seam that tests swap for a faulty one.

Every call raises OSError as the system does; nothing here knows the log's format.  A file is durable
when `sync` returned, its name when `sync_directory` did.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from redraft.accel.pywriter import PythonWriter, write_all
from redraft.accel.writer import FileWriter, Writer


class Files(Protocol):
    """The system calls of the log."""

    def make_directory(self, directory: Path) -> None:
        """Create `directory` where it is missing, durably."""

    def names(self, directory: Path) -> list[str]:
        """Return the names in `directory`, sorted."""

    def create(self, path: Path) -> int:
        """Create a file in the place of whatever has that name, open for reading and writing."""

    def open(self, path: Path) -> int:
        """Open for reading."""

    def close(self, fd: int) -> None:
        """Close."""

    def reserve(self, fd: int, size: int) -> None:
        """Allocate `size` bytes; ENOSPC now rather than later."""

    def size(self, fd: int) -> int:
        """Return the file's size."""

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return `length` bytes, fewer only at the end of the file."""

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        """Write all of `data`."""

    def sync(self, fd: int) -> None:
        """Make the file's data durable."""

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""

    def rename(self, old: Path, new: Path) -> None:
        """Rename, replacing."""

    def remove(self, path: Path) -> None:
        """Remove."""

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size`, durably."""

    def free_bytes(self, directory: Path) -> int:
        """Return what the file system has left for us."""

    def random_bytes(self, count: int) -> bytes:
        """Return bytes nobody can guess."""

    def start_writer(self, event_fd: int, durable: int, chain: int, threaded: bool) -> Writer:
        """Start what writes batches, behind the durable one given."""


class SystemFiles:
    """The real thing."""

    def make_directory(self, directory: Path) -> None:
        """Create `directory` where it is missing, durably."""
        if not directory.is_dir():
            directory.mkdir(parents=True)
            self.sync_directory(directory.parent)

    def names(self, directory: Path) -> list[str]:
        """Return the names in `directory`, sorted."""
        return sorted(os.listdir(directory))

    def create(self, path: Path) -> int:
        """Create a file in the place of whatever has that name, open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)

    def open(self, path: Path) -> int:
        """Open for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        """Close."""
        os.close(fd)

    def reserve(self, fd: int, size: int) -> None:
        """Allocate `size` bytes; ENOSPC now rather than later."""
        os.posix_fallocate(fd, 0, size)

    def size(self, fd: int) -> int:
        """Return the file's size."""
        return os.fstat(fd).st_size

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """Return `length` bytes, fewer only at the end of the file."""
        data = os.pread(fd, length, offset)
        while len(data) < length and (more := os.pread(fd, length - len(data), offset + len(data))):
            data += more
        return data

    def write(self, fd: int, data: bytes | bytearray, offset: int) -> None:
        """Write all of `data`."""
        write_all(os.pwrite, fd, data, offset)

    def sync(self, fd: int) -> None:
        """Make the file's data durable."""
        os.fdatasync(fd)

    def sync_directory(self, directory: Path) -> None:
        """Make the directory's names durable."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Rename, replacing."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove."""
        path.unlink()

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size`, durably."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, directory: Path) -> int:
        """Return what the file system has left for us."""
        state = os.statvfs(directory)
        return state.f_bavail * state.f_frsize

    def random_bytes(self, count: int) -> bytes:
        """Return bytes nobody can guess."""
        return os.urandom(count)

    def start_writer(self, event_fd: int, durable: int, chain: int, threaded: bool) -> Writer:
        """Start what writes batches, behind the durable one given."""
        if threaded:
            return FileWriter(event_fd, durable, chain)
        return PythonWriter(event_fd, durable, chain, threaded=False)
