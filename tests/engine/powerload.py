"""What stores do while power may be cut: run in a recorded process, and known again by the test.

    python -m tests.engine.powerload WORKLOAD KIND PATH SEED FIRST

Batches are numbered from 1 on; all of a batch follows from the seed and its number.  "begun N" and
"written N" in the trace stand around the call that makes batch N durable.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from redraft.engine import kinds, rocks
from redraft.engine.stores import sync
from tests.engine.recorded import mark

NUMBER = b"batch"
"""The key that says which batch was the last."""
BATCHES = 20
KEYS = 1500
FILLED = 12
"""Pieces that a store is filled with."""
Items = dict[bytes, bytes]


def batch_of(seed: int, number: int) -> dict[bytes, bytes | None]:
    """Return a batch: keys of all lengths, values that can't be compressed, deletions."""
    rng = random.Random(f"{seed} {number}")
    keys = [_key(rng.randrange(KEYS)) for _ in range(rng.choice((1, 10, 100, 400)))]
    long = rng.choice((10, 100, 100, 3000 if len(keys) < 200 else 300))
    batch: dict[bytes, bytes | None] = {
        key: None if rng.random() < 0.3 else rng.randbytes(rng.randrange(long)) for key in keys
    }
    return batch | {NUMBER: b"%d" % number}


def _key(number: int) -> bytes:
    return b"k%05d" % number + b"x" * (600 if number % 50 == 0 else 0)


def applied(items: Items, batch: dict[bytes, bytes | None]) -> Items:
    """Return what there is behind a batch."""
    return {key: value for key, value in (items | batch).items() if value is not None}


def filled_of(seed: int, piece: int) -> Items:
    """Return a piece of what a store is filled with, in no order."""
    rng = random.Random(f"{seed} filled {piece}")
    return {_key(rng.randrange(KEYS)): rng.randbytes(rng.randrange(500)) for _ in range(200)}


def write(kind: str, path: Path, seed: int, first: int) -> None:
    """Batches one after another; the store is opened anew now and then."""
    rng = random.Random(seed)
    store = kinds.opener(kind)(path)
    sync(path)
    for number in range(first, first + BATCHES):
        mark(f"begun {number}")
        store.write(sorted(batch_of(seed, number).items()))
        mark(f"written {number}")
        store.refresh()
        if rng.random() < 0.15:
            store.close()
            store = kinds.opener(kind)(path)
    store.close()


def fill(kind: str, path: Path, seed: int, first: int) -> None:
    """A new store is filled, settled, and then written to."""
    rocks.FILL_BYTES = 100_000  # type: ignore[misc]
    store = kinds.opener(kind)(path)
    sync(path)
    for piece in range(FILLED):
        store.fill(filled_of(seed, piece).items())
        store.refresh()
    store.settle()
    mark("settled")
    for number in range(first, first + 3):
        mark(f"begun {number}")
        store.write(sorted(batch_of(seed, number).items()))
        mark(f"written {number}")
    store.close()


WORKLOADS = {"write": write, "fill": fill}

if __name__ == "__main__":
    WORKLOADS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
