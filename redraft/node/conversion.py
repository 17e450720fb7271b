"""States that engines on disk left behind: found without a node, and made into snapshots for another engine.

A node may be started with another engine than before.  What the other one left, its newest checkpoint, is
written to the snapshot store before the node begins, and loaded from there like any snapshot; only when that
is durable the other engine's directory goes.  A crash in between leaves both, and the next start goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from redraft.base.errors import DamagedError, DirectoryError
from redraft.engine.kinds import STORES, opener
from redraft.engine.stored import CHECKPOINT, StoredEngine
from redraft.engine.stores import damage_noted
from redraft.node.states import generations, remove_whole, sweep
from redraft.replica.snapshotting import Making, header_of
from redraft.snapshot.format import Header
from redraft.snapshot.store import Store

SLICE_KEYS: Final = 5000
SLICE_BYTES: Final = 4 << 20
TOLD_BYTES: Final = 256 << 20
"""How often it is said how far a state has come."""
SUFFIX_DAMAGED: Final = ".damaged"
"""Behind the name of a group's directory that nobody reads any more."""

log = logging.getLogger("redraft.node")


def checkpoints(path: Path) -> dict[int, Header]:
    """Return of when the newest checkpoints are that engines left below `path`, by group.

    Raises DamagedError and OSError.
    """
    found: dict[int, Header] = {}
    for kind, group in _groups(path):
        for generation in reversed(generations(path / kind, group)):
            header = _header(kind, generation)
            if header is not None:
                if group not in found or found[group].index < header.index:
                    found[group] = header
                break
    return found


def _groups(path: Path) -> Iterator[tuple[str, int]]:
    """The kinds of engines and the groups that have a directory."""
    for kind in STORES:
        below = path / kind
        if below.exists():
            yield from ((kind, int(each.name)) for each in sorted(below.iterdir()) if each.name.isdecimal())


def _header(kind: str, generation: Path) -> Header | None:
    """Of when a generation's checkpoint is; None when it was not filled to its end."""
    why = damage_noted(generation)
    if why:
        raise DamagedError(why)
    with closing(opener(kind)(generation)) as store:
        checkpoint = store.get(CHECKPOINT)
    return header_of(checkpoint) if checkpoint is not None else None


def convert(
    path: Path,
    kind: str,
    store: Store,
    dropped: Collection[int],
    is_stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Make snapshots of what engines of other kinds than `kind` left below `path`, and remove it.

    Takes long; for a thread.  The worker of `store` has none itself: its work is done here.  Groups in
    `dropped` have no replica any more.  Returns early when it is stopped.  Raises DirectoryError.
    """
    for known in STORES:
        sweep(path / known)
    for other, group in [(other, group) for other, group in _groups(path) if other != kind]:
        below = path / other / str(group)
        try:
            if group not in dropped and not _convert(path / other, other, group, store, is_stopped):
                return
            remove_whole(below)
        except DamagedError as error:
            log.error("%s What engine %s had of group %d is lost.", error, other, group)
            below.rename(below.with_name(below.name + SUFFIX_DAMAGED))
        except OSError as error:
            raise DirectoryError(
                f"What engine {other} has of group {group} in {below} could not be made a snapshot for "
                f"engine {kind}: {error.strerror or error}. Mend that, or start with --engine {other} again."
            ) from error


def _convert(path: Path, kind: str, group: int, store: Store, is_stopped: Callable[[], bool]) -> bool:
    """Make a snapshot of a group's newest state; False when that was stopped."""
    for generation in reversed(generations(path, group)):
        header = _header(kind, generation)
        if header is None:
            continue
        known = store.newest.get(group)
        if known is None or known.index < header.index:
            log.info(
                "group %d: making the state of engine %s, of entry %d, a snapshot", group, kind, header.index
            )
            with closing(StoredEngine(opener(kind)(generation))) as engine:
                return _write(engine, group, store, is_stopped)
        return True
    return True


def _write(engine: StoredEngine, group: int, store: Store, is_stopped: Callable[[], bool]) -> bool:
    making = Making.of_checkpoint(engine)
    writing = store.create(group, making.header.index)
    failed: list[OSError | None] = []
    told = 0
    try:
        while not making.finished and not is_stopped() and writing.failed is None:
            for block in making.step(SLICE_KEYS, SLICE_BYTES):
                writing.write(block)
            _work(store)
            if writing.size - told >= TOLD_BYTES:
                told = writing.size
                log.info("group %d: %d MB of the snapshot are written", group, told >> 20)
        if making.finished:
            writing.finish(failed.append)
            _work(store)
    finally:
        making.close()
        if not failed:
            writing.abandon()
            _work(store)
    if writing.failed is not None:
        raise writing.failed
    if failed:
        store.add(making.header, writing.path, writing.size)
        _work(store)
        log.info("group %d: the snapshot is whole, with %d MB", group, writing.size >> 20)
    return bool(failed)


def _work(store: Store) -> None:
    while store.worker.step():
        store.worker.take_done()
