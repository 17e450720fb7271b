"""Where the states of a node's replicas come from: made anew, or found on disk as their engine left them.

With an engine on disk each group has a directory, and in it one of a generation: a snapshot that arrives is
loaded into a new generation, which takes over when all of it is there.  A generation counts once it has a
checkpoint; what was left of others by a crash is removed when the group is opened.  What is removed gets
another name first, so that no half of it is ever taken for a state.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from redraft.base.errors import DamagedError, DirectoryError
from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import HashEngine
from redraft.engine.stored import StoredEngine
from redraft.engine.stores import Store, damage_noted, sync
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.replica.snapshotting import resume
from redraft.snapshot.format import Header
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Group

log = logging.getLogger("redraft.node")

GONE: Final = ".gone"
"""Behind the name of a directory that is being removed."""

OpenStore = Callable[[Path], Store]
"""Opens a store in a directory, or makes one there."""


class States(Protocol):
    """The states of a node's replicas, but for the topology group's."""

    def open(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """Return a group's state, and the checkpoint it is of; an empty one when there is none.

        Raises DamagedError.
        """

    def fresh(self, group: Group, view: LogView) -> Applier:
        """Return an empty state for a group, beside the one that it has."""

    def adopt(self, group: int) -> None:
        """The fresh state takes the place of the one before."""

    def abandon(self, group: int) -> None:
        """The fresh state, if there is one, is not needed: nobody uses it any more."""

    def drop(self, group: int) -> None:
        """Remove a group's state; whoever uses it has let go of it."""

    def close(self) -> None:
        """Let go of files; no worker uses them any more."""


class MemoryStates:
    """States that are made anew each time (implements `States`)."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Group, LogView], Applier] | None = None) -> None:
        self._make = make or _in_memory

    def open(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """See `States.open`."""
        return self._make(group, view), None

    def fresh(self, group: Group, view: LogView) -> Applier:
        """See `States.fresh`."""
        return self._make(group, view)

    def adopt(self, group: int) -> None:
        """See `States.adopt`."""

    def abandon(self, group: int) -> None:
        """See `States.abandon`."""

    def drop(self, group: int) -> None:
        """See `States.drop`."""

    def close(self) -> None:
        """See `States.close`."""


def _in_memory(group: Group, view: LogView) -> Applier:
    return Applier(Keyspace(HashEngine(), group.slots_at_first), view)


class DiskStates:
    """States of engines on disk (implements `States`)."""

    __slots__ = ("_coming", "_current", "_going", "_memory_bytes", "_open_store", "_path", "_worker")

    def __init__(self, path: Path, open_store: OpenStore, worker: Worker, *, memory_bytes: int) -> None:
        """Keep states below `path`; stores are closed and removed in the worker, behind its work for them."""
        self._path = path
        self._open_store = open_store
        self._worker = worker
        self._memory_bytes = memory_bytes
        self._current: dict[int, tuple[Path, StoredEngine]] = {}
        self._coming: dict[int, tuple[Path, StoredEngine]] = {}
        self._going: dict[Path, StoredEngine | None] = {}
        """What the worker is still to close and to remove: nobody opens it any more."""

    def open(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """See `States.open`; raises DirectoryError when the files can't be opened."""
        number = group.group_id
        self._sweep(number)
        try:
            for path in reversed(self._generations(number)):
                if number in self._current:
                    self._remove(path)
                else:
                    self._find(number, path)
            if number not in self._current:
                self._current[number] = self._new(number)
                return self._empty(group, view, self._current[number][1]), None
        except OSError as error:
            raise DirectoryError(
                f"The keys of group {number} in {self._path} can't be opened: {error.strerror or error}."
            ) from error
        return resume(self._current[number][1], group.slots_at_first, view)

    def _find(self, number: int, path: Path) -> None:
        """Open a generation, unless it was not filled to its end."""
        why = damage_noted(path)
        if why:
            raise DamagedError(why)
        engine = self._opened(path)
        if engine.checkpoint is None:
            engine.close()
            self._remove(path)
        else:
            self._current[number] = path, engine

    def fresh(self, group: Group, view: LogView) -> Applier:
        """See `States.fresh`; raises OSError."""
        number = group.group_id
        self.abandon(number)
        self._coming[number] = self._new(number)
        return self._empty(group, view, self._coming[number][1])

    def adopt(self, group: int) -> None:
        """See `States.adopt`."""
        self._close(self._current.pop(group, None))
        self._current[group] = self._coming.pop(group)

    def abandon(self, group: int) -> None:
        """See `States.abandon`."""
        self._close(self._coming.pop(group, None))

    def drop(self, group: int) -> None:
        """See `States.drop`."""
        self._close(self._current.pop(group, None))
        self.abandon(group)
        for path in self._generations(group):
            self._remove(path)
        self._sweep(group)

    def close(self) -> None:
        """See `States.close`."""
        known = [*self._current.values(), *self._coming.values(), *self._going.items()]
        for _path, engine in known:
            if engine is not None:
                engine.close()
        for kept in (self._current, self._coming, self._going):
            kept.clear()

    def _empty(self, group: Group, view: LogView, engine: StoredEngine) -> Applier:
        return Applier(Keyspace(engine, group.slots_at_first, (0, 0, 0)), view)

    def _generations(self, group: int) -> list[Path]:
        """All of a group that are not on their way out, the oldest first."""
        return [path for path in generations(self._path, group) if path not in self._going]

    def _new(self, group: int) -> tuple[Path, StoredEngine]:
        below = self._path / str(group)
        going = [path for path in self._going if path.parent == below]
        names = [int(path.name) for path in (*generations(self._path, group), *going)]
        path = below / str(max(names, default=0) + 1)
        path.mkdir(parents=True)
        try:
            _sync_way(path.parent, self._path.parent.parent)
            return path, self._opened(path)
        except OSError:
            self._remove(path)
            raise

    def _opened(self, path: Path) -> StoredEngine:
        store = self._open_store(path)
        try:
            return StoredEngine(store, self._memory_bytes)
        except BaseException:
            store.close()
            raise

    def _close(self, known: tuple[Path, StoredEngine] | None) -> None:
        if known is not None:
            path, engine = known
            engine.release()
            self._remove(path, engine)

    def _remove(self, path: Path, engine: StoredEngine | None = None) -> None:
        def remove() -> None:
            if engine is not None:
                engine.close()
            remove_whole(path)

        def removed(error: OSError | None) -> None:
            self._going.pop(path, None)
            _told(error)

        self._going[path] = engine
        self._worker.submit(remove, removed)

    def _sweep(self, group: int) -> None:
        """Go on with what a crash kept from being removed."""
        self._worker.submit(lambda: sweep(self._path / str(group)), _told)


def generations(path: Path, group: int) -> list[Path]:
    """Return the directories of a group's generations below an engine's, the oldest first."""
    below = path / str(group)
    found = [each for each in below.iterdir() if each.name.isdecimal()] if below.exists() else []
    return sorted(found, key=lambda each: int(each.name))


def remove_whole(path: Path) -> None:
    """Remove a directory; a crash leaves all of it, or nothing of that name.  Raises OSError."""
    gone = path.with_name(path.name + GONE)
    shutil.rmtree(gone, ignore_errors=True)
    path.rename(gone)
    sync(path.parent)
    shutil.rmtree(gone, ignore_errors=True)


def sweep(below: Path) -> None:
    """Remove what a crash left of directories that were being removed."""
    for path in below.glob(f"*{GONE}"):
        shutil.rmtree(path, ignore_errors=True)


def _sync_way(path: Path, top: Path) -> None:
    """Make durable which files a directory has, and its name in all above it."""
    while True:
        sync(path)
        if path == top or not path.is_relative_to(top):
            return
        path = path.parent


def _told(error: OSError | None) -> None:
    if error is not None:
        log.error("the files of an engine could not be removed: %s", error)
