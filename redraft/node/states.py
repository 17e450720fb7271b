"""Where the states of a node's replicas come from: made anew, or found on disk as their engine left them.

With an engine on disk each group has a directory, and in it one of a generation: a snapshot that arrives is
loaded into a new generation, which takes over when all of it is there.  A generation counts once it has a
checkpoint; what was left of others by a crash is removed when the group is opened.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from redraft.base.errors import DamagedError
from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import HashEngine
from redraft.engine.stored import StoredEngine
from redraft.engine.stores import Store, damage_noted
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.replica.snapshotting import resume
from redraft.snapshot.format import Header
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Group

log = logging.getLogger("redraft.node")

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

    def drop(self, group: int) -> None:
        """Remove a group's state; whoever uses it has let go of it."""


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

    def drop(self, group: int) -> None:
        """See `States.drop`."""


def slots_of(group: Group) -> list[int]:
    """Return all slots of a group."""
    return [slot for low, high in group.slots for slot in range(low, high + 1)]


def _in_memory(group: Group, view: LogView) -> Applier:
    return Applier(Keyspace(HashEngine(), slots_of(group)), view)


class DiskStates:
    """States of engines on disk (implements `States`)."""

    __slots__ = ("_coming", "_current", "_memory_bytes", "_open_store", "_path", "_worker")

    def __init__(self, path: Path, open_store: OpenStore, worker: Worker, *, memory_bytes: int) -> None:
        """Keep states below `path`; stores are closed and removed in the worker, behind its work for them."""
        self._path = path
        self._open_store = open_store
        self._worker = worker
        self._memory_bytes = memory_bytes
        self._current: dict[int, tuple[Path, StoredEngine]] = {}
        self._coming: dict[int, tuple[Path, StoredEngine]] = {}

    def open(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """See `States.open`."""
        number = group.group_id
        for path in reversed(self._generations(number)):
            if number in self._current:
                shutil.rmtree(path)
                continue
            why = damage_noted(path)
            if why:
                raise DamagedError(why)
            engine = StoredEngine(self._open_store(path), self._memory_bytes)
            if engine.checkpoint is None:  # it was not filled to its end
                engine.close()
                shutil.rmtree(path)
            else:
                self._current[number] = path, engine
        if number not in self._current:
            self._current[number] = self._new(number)
            return self._empty(group, view, self._current[number][1]), None
        return resume(self._current[number][1], slots_of(group), view)

    def fresh(self, group: Group, view: LogView) -> Applier:
        """See `States.fresh`."""
        number = group.group_id
        self._remove(self._coming.pop(number, None))
        self._coming[number] = self._new(number)
        return self._empty(group, view, self._coming[number][1])

    def adopt(self, group: int) -> None:
        """See `States.adopt`."""
        self._remove(self._current.pop(group, None))
        self._current[group] = self._coming.pop(group)

    def drop(self, group: int) -> None:
        """See `States.drop`."""
        for kept in (self._current, self._coming):
            self._remove(kept.pop(group, None))
        for path in self._generations(group):
            self._worker.submit(lambda path=path: shutil.rmtree(path, ignore_errors=True), _told)  # type: ignore[misc]

    def close(self) -> None:
        """Close all engines; no worker uses them any more."""
        for kept in (self._current, self._coming):
            for _path, engine in kept.values():
                engine.close()
            kept.clear()

    def _empty(self, group: Group, view: LogView, engine: StoredEngine) -> Applier:
        return Applier(Keyspace(engine, slots_of(group), (0, 0, 0)), view)

    def _generations(self, group: int) -> list[Path]:
        path = self._path / str(group)
        return sorted(path.iterdir(), key=lambda each: int(each.name)) if path.exists() else []

    def _new(self, group: int) -> tuple[Path, StoredEngine]:
        names = [int(path.name) for path in self._generations(group)]
        path = self._path / str(group) / str(max(names, default=0) + 1)
        path.mkdir(parents=True)
        return path, StoredEngine(self._open_store(path), self._memory_bytes)

    def _remove(self, known: tuple[Path, StoredEngine] | None) -> None:
        if known is None:
            return
        path, engine = known

        def remove() -> None:
            engine.close()
            shutil.rmtree(path, ignore_errors=True)

        engine.release()
        self._worker.submit(remove, _told)


def _told(error: OSError | None) -> None:
    if error is not None:
        log.error("the files of an engine could not be removed: %s", error)
