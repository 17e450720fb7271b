"""The snapshots of a node on disk: one file a group, the newest; whole or not there.

    DIR/snapshots/GROUP-INDEX.snap    whole and durable (the name comes last: write, fdatasync, rename, fsync)
    DIR/snapshots/GROUP-INDEX.new     being written; removed at the next start
    DIR/snapshots/GROUP-INDEX.damaged found damaged, and set aside to be looked at; nobody reads it

Reading is for the node's thread, writing goes through the worker.  Invariants: a .snap file never changes;
an older one of a group is removed only behind a newer one that is durable.  What stands in a file is
`format`'s; that it is whole is seen when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redraft.base.errors import DamagedError
from redraft.snapshot.format import Decoder, Header, Item, SnapshotDamagedError
from redraft.snapshot.worker import Worker
from redraft.wal.files import Files

SUFFIX, SUFFIX_NEW, SUFFIX_DAMAGED = ".snap", ".new", ".damaged"
READ_BYTES: Final = 1 << 20
SYNC_BYTES: Final = 4 << 20
"""Written between two syncs: one large one at the end would hold up the log's."""

Then = Callable[[OSError | None], None]
Checked = Callable[[DamagedError | None], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole snapshot on disk."""

    header: Header
    path: Path
    size: int

    @property
    def index(self) -> int:
        """The last entry it covers."""
        return self.header.index


class Store:
    """Made at the start, before any replica; `newest` is by group."""

    def __init__(self, directory: Path, files: Files, worker: Worker) -> None:
        """Clear away what is unfinished or out of date; raises OSError."""
        self.directory = directory
        self.newest: dict[int, Snapshot] = {}
        self.damaged: dict[int, str] = {}
        """Groups whose newest snapshot can't be read, with a sentence that names the file."""
        self._files = files
        self.worker = worker
        """Who writes; for other work on the disk that must not hold up the node, too."""
        files.make_directory(directory)
        for name in sorted(files.names(directory)):
            if name.endswith(SUFFIX_NEW):
                files.remove(directory / name)
            elif name.endswith(SUFFIX):
                self._take(name)

    def create(self, group: int, index: int) -> Writing:
        """Begin a new snapshot of a group; it is told to the store by `add` once it is finished."""
        return Writing(self._files, self.worker, self.directory, f"{group:05d}-{index:020d}")

    def add(self, header: Header, path: Path, size: int) -> bool:
        """A finished file is the newest of its group, the one before goes; False: there is a newer one."""
        before = self.newest.get(header.group)
        if before is not None and before.index >= header.index:
            if before.path != path:
                self._remove(path)
            return False
        self.newest[header.group] = Snapshot(header, path, size)
        self.damaged.pop(header.group, None)
        if before is not None:
            self._remove(before.path)
        return True

    def forget(self, snapshot: Snapshot, why: str) -> None:
        """A snapshot turned out to be damaged: it is nobody's any more, and left for people to look at."""
        if self.newest.get(snapshot.header.group) == snapshot:
            del self.newest[snapshot.header.group]
            self.damaged[snapshot.header.group] = why

    def set_aside(self, group: int) -> None:
        """Take a group's damaged snapshots out of the way, before anything of the replica is made anew."""
        self.newest.pop(group, None)
        self.damaged.pop(group, None)
        for name in self._files.names(self.directory):
            if name.endswith(SUFFIX) and int(name.partition("-")[0]) == group:
                kept = name.removesuffix(SUFFIX) + SUFFIX_DAMAGED
                self._files.rename(self.directory / name, self.directory / kept)
        self._files.sync_directory(self.directory)

    def discard(self, group: int, path: Path) -> None:
        """Remove a finished file that nobody wants any more."""
        newest = self.newest.get(group)
        if newest is None or newest.path != path:
            self._remove(path)

    def drop(self, group: int) -> None:
        """Remove a group's snapshot: its replica is gone."""
        snapshot = self.newest.pop(group, None)
        if snapshot is not None:
            self._remove(snapshot.path)

    def items(self, snapshot: Snapshot) -> Iterator[Item]:
        """Yield all of a snapshot; raises DamagedError, which names it, when it is not whole."""
        decoder = Decoder()
        try:
            fd = self._files.open(snapshot.path)
            try:
                for offset in range(0, snapshot.size, READ_BYTES):
                    yield from decoder.feed(self._files.read(fd, READ_BYTES, offset))
            finally:
                self._files.close(fd)
            if not decoder.ended:
                raise SnapshotDamagedError(f"it ends at offset {snapshot.size}")
        except (SnapshotDamagedError, OSError) as error:
            raise DamagedError(f"{snapshot.path} is damaged: {error}.") from error

    def check(self, snapshot: Snapshot, then: Checked) -> None:
        """Read all of a snapshot in the worker; `then` hears what is wrong with it."""
        found: list[DamagedError] = []

        def read() -> None:
            try:
                for _item in self.items(snapshot):
                    pass
            except DamagedError as error:
                found.append(error)

        self.worker.submit(read, lambda _error: then(found[0] if found else None))

    def open(self, snapshot: Snapshot) -> Reading:
        """Open a snapshot to send it; it can be read to its end, also when it is removed meanwhile."""
        return Reading(self._files, self._files.open(snapshot.path), snapshot)

    def _take(self, name: str) -> None:
        """See what a file is by its first block; the rest is seen when it is loaded.

        Older ones come first: damage counts only when nothing newer takes the file's place.
        """
        path = self.directory / name
        group = int(name.partition("-")[0])
        fd = self._files.open(path)
        try:
            size = self._files.size(fd)
            first = next(iter(Decoder().feed(self._files.read(fd, READ_BYTES, 0))), None)
        except SnapshotDamagedError as error:
            self.damaged[group] = f"{path} is damaged: {error}"
            return
        finally:
            self._files.close(fd)
        if not isinstance(first, Header) or first.group != group:
            self.damaged[group] = f"{path} is damaged: it has no header"
            return
        before = self.newest.get(group)
        if before is None or before.index < first.index:
            self.newest[group] = Snapshot(first, path, size)
            self.damaged.pop(group, None)
            before, path = None, before.path if before is not None else path
        if path != self.newest[group].path:
            self._files.remove(path)

    def _remove(self, path: Path) -> None:
        self.worker.submit(lambda: self._files.remove(path), lambda _error: None)


class Reading:
    """An open snapshot."""

    __slots__ = ("_fd", "_files", "snapshot")

    def __init__(self, files: Files, fd: int, snapshot: Snapshot) -> None:
        self._files = files
        self._fd = fd
        self.snapshot = snapshot

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of it; raises OSError."""
        return self._files.read(self._fd, length, offset)

    def close(self) -> None:
        """Let go of the file."""
        self._files.close(self._fd)


class Writing:
    """A file on its way; ends with `finish` or `abandon`."""

    __slots__ = (
        "_directory",
        "_exists",
        "_fd",
        "_files",
        "_name",
        "_unsynced",
        "_worker",
        "failed",
        "size",
        "waiting",
    )

    def __init__(self, files: Files, worker: Worker, directory: Path, name: str) -> None:
        self._files = files
        self._worker = worker
        self._directory = directory
        self._name = name
        self._fd = -1
        self._unsynced = 0
        self._exists = False
        self.failed: OSError | None = None
        """Why there will be no file."""
        self.size = 0
        self.waiting = 0
        """Bytes that are not yet in the file: whoever writes should wait while there are many."""

    @property
    def path(self) -> Path:
        """The name it will have."""
        return self._directory / (self._name + SUFFIX)

    def write(self, data: bytes) -> None:
        """Add bytes at the end."""
        offset = self.size
        self.size += len(data)
        self.waiting += len(data)
        self._worker.submit(lambda: self._write(data, offset), lambda error: self._written(len(data), error))

    def finish(self, then: Then) -> None:
        """Make it durable and give it its name; `then` hears whether that went well."""
        self._worker.submit(self._publish, lambda error: then(self.failed or error))

    def abandon(self) -> None:
        """Remove what there is."""
        self._worker.submit(self._discard, lambda _error: None)

    # ---- in the worker ----

    def _write(self, data: bytes, offset: int) -> None:
        if self.failed is not None:
            return
        try:
            if self._fd < 0:
                self._fd = self._files.create(self._directory / (self._name + SUFFIX_NEW))
                self._exists = True
            self._files.write(self._fd, data, offset)
            self._unsynced += len(data)
            if self._unsynced >= SYNC_BYTES:
                self._files.sync(self._fd)
                self._unsynced = 0
        except OSError as error:
            self.failed = error
            self._discard()
            raise

    def _publish(self) -> None:
        if self.failed is not None:
            raise self.failed
        try:
            self._files.sync(self._fd)
            self._close()
            self._files.rename(self._directory / (self._name + SUFFIX_NEW), self.path)
            self._exists = False
            self._files.sync_directory(self._directory)
        except OSError as error:
            self.failed = error
            self._discard()
            raise

    def _discard(self) -> None:
        if self._fd >= 0:
            self._close()
        if self._exists:
            self._exists = False
            self._files.remove(self._directory / (self._name + SUFFIX_NEW))

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        self._files.close(fd)

    def _written(self, count: int, _error: OSError | None) -> None:
        self.waiting -= count
