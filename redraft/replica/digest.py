"""A digest of a replica's whole state as of one entry: the same on all replicas, whatever their engines.

It is a sum over hashes of all keys, members of collections and the rest of the state, so it does not depend
on the order in which they are read, and can be made from a capture, a piece at a time, while apply goes on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from redraft.engine.capture import Run
from redraft.engine.interface import Engine
from redraft.replica.apply import Applier

DIGEST_BYTES: Final = 16
_MODULUS: Final = 1 << (8 * DIGEST_BYTES)


class Digesting:
    """One digest on its way; `of` is the entry it is of."""

    __slots__ = ("_captured", "_engine", "_sum", "finished", "keys", "of")

    def __init__(self, applier: Applier) -> None:
        """Begin one of the state as it is now; with an engine on disk behind a checkpoint of it."""
        keyspace = applier.keyspace
        self.of = applier.applied_index
        self.keys = keyspace.key_count
        self.finished = False
        self._engine: Engine = keyspace.engine
        self._captured = self._engine.capture()
        modified = [(slot, index) for slot, index in enumerate(keyspace.modified) if index]
        rest = (
            applier.clock_ms,
            applier.expired_keys,
            keyspace.collections_made,
            keyspace.counts,
            modified,
            keyspace.ownership.encode() if keyspace.ownership is not None else b"",
            sorted(
                (state.origin, state.incarnation, state.acknowledged_below, sorted(state.replies.items()))
                for state in applier.sessions.copy_states()
            ),
        )
        self._sum = _hash(b"rest", msgspec.msgpack.encode(rest))

    def step(self, keys_max: int) -> None:
        """Take the next keys."""
        runs = self._captured.take(keys_max)
        for run in runs:
            self._sum += _sum(run)
        if not runs:
            self.close()
            self.finished = True

    def close(self) -> None:
        """Let go of the state."""
        self._engine.release()

    @property
    def hexdigest(self) -> str:
        """The digest, once it is finished."""
        return f"{self._sum % _MODULUS:0{2 * DIGEST_BYTES}x}"


def _sum(run: Run) -> int:
    place = b"%d %d" % (run.slot, run.id)
    return sum(_hash(place, key, record) for key, record in zip(run.keys, run.records, strict=True))


def _hash(*parts: bytes) -> int:
    made = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return int.from_bytes(made.digest(), "big")
