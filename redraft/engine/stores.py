"""What an engine on disk has to bring: a store of ordered keys; `stored` makes an engine of it.

A store is written by one thread at a time, a batch at once, and read by another meanwhile: what is read is
as of the last `refresh`, or newer.  After a crash it holds all of every batch that `write` returned from, and
all or nothing of the next one.  The name of its directory is durable before it is opened; those of its files
are the store's own business.  Damage that is met is told by `StoreDamagedError`, never given as data.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from redraft.base.errors import DamagedError

Write = tuple[bytes, bytes | None]
"""A key and its new value; None deletes it."""


class StoreDamagedError(DamagedError):
    """What the store has on disk is not what was written; says where."""


DAMAGE_NOTE: Final = "damaged"
"""A file in a store's directory: damage was met there, and it is not to be opened again."""


def damaged(path: Path, why: str) -> StoreDamagedError:
    """Return an error to raise, and note it in the store's directory."""
    error = StoreDamagedError(f"{path} is damaged: {why}.")
    with contextlib.suppress(OSError):
        (path / DAMAGE_NOTE).write_text(f"{error}\n", encoding="utf-8")
    return error


def damage_noted(path: Path) -> str:
    """Return what was noted of damage in a store's directory, "" if nothing was."""
    try:
        return (path / DAMAGE_NOTE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def sync(path: Path) -> None:
    """Make durable what a file holds, or which files a directory has."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class View(Protocol):
    """A store as of one moment; readable from any thread, by one at a time, and one range at a time."""

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `low` up to, not including, `high` and their values, in order."""

    def close(self) -> None:
        """Let the store forget that moment."""


class Store(Protocol):
    """Ordered keys on disk, in a directory of its own."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None when there is none."""

    def range(self, low: bytes, high: bytes, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `low` up to, not including, `high` and their values, in order."""

    def write(self, batch: Iterable[Write]) -> None:
        """Carry out a batch, in the order of its keys, all or nothing, and make it durable.

        Takes long: not for the loop's thread.  Raises OSError; then nothing was written, and it may be tried
        again.
        """

    def fill(self, batch: Iterable[Write]) -> None:
        """Write to a store that is not in use yet, in any order; nothing of it counts before `settle`."""

    def settle(self) -> None:
        """All was filled in: make it durable; from now on the store is used.

        In a worker, when nobody else uses the store yet.
        """

    def refresh(self) -> None:
        """Let reads see what was written."""

    def view(self) -> View:
        """Return the store as of now."""

    def close(self) -> None:
        """Close it; what was written stays."""
