"""Which engines on disk there are: the one place that knows them by name.

A further one is a file beside `btree` that implements `redraft.engine.stores.Store`, a row here, and a word
in the setting `engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from redraft.engine.btree import BTreeStore
from redraft.engine.rocks import RocksStore
from redraft.engine.stores import Store

Pause = Callable[[], None]
"""Lets go of the interpreter's lock for a moment; a store calls it where its library keeps it for long."""


def _no_pause() -> None:
    pass


STORES: Final[dict[str, Callable[[Path, Pause], Store]]] = {
    "btree": lambda path, _pause: BTreeStore(path),
    "rocksdb": RocksStore,
}


def opener(kind: str, pause: Pause = _no_pause) -> Callable[[Path], Store]:
    """Return what opens stores of a kind; raises StoreDamagedError, OSError."""
    open_store = STORES[kind]
    return lambda path: open_store(path, pause)
