"""Our executor over every engine there is, side by side: what the oracle's tests hold to redis-server.

Each executor carries out a sequence of requests in entries, which are the same for all of them.  Between two
entries an engine on disk goes on with a checkpoint, so that reads go through the overlay, a frozen overlay
and the store.  What always holds: a sequence begins with an engine that holds no key, and engines on disk
are opened once and emptied in between, as FLUSHALL does it; a sequence that failed has its engine replaced.
"""

from __future__ import annotations

import random
from binascii import crc32
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from redraft.accel.scan import key_slot
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Counts, Keyspace
from redraft.engine import kinds
from redraft.engine.hash import HashEngine
from redraft.engine.record import collection_id, with_id
from redraft.engine.stored import StoredEngine
from redraft.topology.slots import SLOTS

Requests = Sequence[Sequence[bytes]]
Keys = list[tuple[int, bytes, bytes, list[tuple[bytes, bytes]]]]
"""Slot, key, record, members; ids count from the sequence's beginning."""

NOTHING: Counts = (0, 0, 0)
STAGES = 3
"""Of a checkpoint: freeze, write, thaw."""
REQUESTS_PER_CHECKPOINT = 60
CHECKPOINTS_MAX = 6
CLEANED = 0.3
"""Of checkpoints, those after which what was deleted is cleaned up."""
CAPTURED = 0.2
"""Of sequences, those after which all that the engine holds is read as for a snapshot."""


def encode(words: Sequence[bytes]) -> bytes:
    """Return a request."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Sequenced(NamedTuple):
    """A sequence of requests, and how it is carried out."""

    entries: list[Requests]
    """Some may be empty; between two of them an engine on disk does the next step of a checkpoint."""
    cleaned: list[bool]
    """By checkpoint."""
    is_captured: bool
    slots: frozenset[int]
    """Of all words, so of all keys."""
    proto: int
    now_ms: int


def sequenced(requests: Requests, proto: int, now_ms: int) -> Sequenced:
    """Divide requests into entries, at places that follow from the requests alone."""
    chance = random.Random(crc32(b"".join(map(encode, requests))) + proto)
    rounds = min(1 + len(requests) // REQUESTS_PER_CHECKPOINT, CHECKPOINTS_MAX)
    places = sorted(chance.randint(1, len(requests)) for _ in range(STAGES * rounds))
    return Sequenced(
        [requests[start:end] for start, end in pairwise((0, *places, len(requests)))],
        [chance.random() < CLEANED for _ in range(rounds)],
        chance.random() < CAPTURED,
        frozenset(map(key_slot, {word for words in requests for word in words[1:]})),
        proto,
        now_ms,
    )


class Outcome(NamedTuple):
    """What has to be the same on all engines: the replies, and what is left behind."""

    replies: list[bytes]
    counts: Counts
    modified: list[int]
    next_deadline_ms: int | None
    keys: Keys


class Executor(Protocol):
    """Carries out sequences over an engine of its own."""

    name: str

    def carry_out(self, sequence: Sequenced) -> Outcome:
        """Return what comes of a sequence; a handler that raises, and counts that are wrong, are failures."""

    def close(self) -> None:
        """Let go of the engine."""


class OutOfLine:
    """A hash engine that is not known as one, so that every command goes to its handler."""

    def __init__(self) -> None:
        self._inner = HashEngine()
        self.last_applied = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def new_context(*, fast: bool = True) -> Context:
    """Return a context for an empty keyspace of all slots, over a hash engine."""
    engine = HashEngine() if fast else OutOfLine()
    return Context(Keyspace(engine, range(SLOTS), NOTHING))  # type: ignore[arg-type]


class InMemory:
    """Over a new hash engine for every sequence; `fast` with, else without the branches made for it."""

    def __init__(self, *, fast: bool) -> None:
        self.name = "hash" if fast else "hash, by handlers"
        self._fast = fast

    def carry_out(self, sequence: Sequenced) -> Outcome:
        """See `Executor.carry_out`."""
        ctx = new_context(fast=self._fast)
        replies: list[bytes] = []
        for number, requests in enumerate(sequence.entries):
            replies += entry(ctx, requests, sequence, number)
        found = outcome(ctx.keyspace, sequence, replies)
        if sequence.is_captured:
            check_captured(ctx.keyspace, found.keys)
        return found

    def close(self) -> None:
        """See `Executor.close`."""


class OnDisk:
    """Over one engine of a kind for all sequences."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.name = kind
        self._directory = directory / kind
        self._engines = 0
        self._open()

    def carry_out(self, sequence: Sequenced) -> Outcome:
        """See `Executor.carry_out`."""
        with self._emptied_after() as keyspace:
            ctx = Context(keyspace)
            replies: list[bytes] = []
            for number, requests in enumerate(sequence.entries):
                if number:
                    self._go_on(number - 1, sequence.cleaned)
                replies += entry(ctx, requests, sequence, number)
            assert not self._engine.is_frozen
            found = outcome(keyspace, sequence, replies, self._made)
            if sequence.is_captured:
                for step in range(STAGES):
                    self._go_on(step, [False])
                check_captured(keyspace, found.keys, self._made)
            return found

    def close(self) -> None:
        """See `Executor.close`."""
        self._engine.close()

    def _open(self) -> None:
        path = self._directory / str(self._engines)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engines += 1
        self._engine = StoredEngine(kinds.opener(self.name)(path))
        self._made = 0
        """Collections, by sequences before: an id is never used twice in an engine."""

    def _go_on(self, step: int, cleaned: Sequence[bool]) -> None:
        checkpoint, stage = divmod(step, STAGES)
        if stage == 0:
            self._engine.freeze(b"")
        elif stage == 1:
            self._engine.write_frozen()
        else:
            self._engine.thaw()
            if cleaned[checkpoint]:
                self._engine.clean()

    @contextmanager
    def _emptied_after(self) -> Iterator[Keyspace]:
        """Yield a keyspace without keys."""
        keyspace = Keyspace(self._engine, range(SLOTS), NOTHING)
        keyspace.collections_made = self._made
        try:
            yield keyspace
            keyspace.clear()  # of the slots that `outcome` has found to be in use
            assert Keyspace(self._engine, keyspace.slots).counts == NOTHING
        except BaseException:
            self._engine.close()
            self._open()
            raise
        self._made = keyspace.collections_made


def entry(ctx: Context, requests: Requests, sequence: Sequenced, number: int) -> list[bytes]:
    """Carry out requests as one entry of a sequence; a handler that raised is a failure."""
    ctx.keyspace.index = number + 1
    ctx.begin(now_ms=sequence.now_ms, write=True, seed=number)
    if not requests:
        return []
    return executed(ctx, requests, sequence.proto)


def executed(ctx: Context, requests: Requests, proto: int) -> list[bytes]:
    """Execute requests as one batch, as the context is set; a handler that raised is a failure."""
    replies = execute_batch(ctx, b"".join(map(encode, requests)), [(len(requests), proto)])
    if ctx.bugs:
        raise AssertionError(f"a handler raised in {requests!r}") from ctx.bugs[0]
    return replies


def outcome(keyspace: Keyspace, sequence: Sequenced, replies: list[bytes], made: int = 0) -> Outcome:
    """Return what came of a sequence, its counts checked; `made` collections were made before it."""
    next_deadline_ms, modified = keyspace.next_deadline_ms(), list(keyspace.modified)
    keyspace.slots = sorted(sequence.slots)
    check_counts(keyspace)  # so there are no keys in other slots
    keys = []
    for slot in keyspace.slots:
        found = sorted(keyspace.engine.items(slot))
        assert len(found) == keyspace.engine.slot_size(slot)
        for key, record in found:
            number = collection_id(record)
            members = keyspace.engine.members(slot, number).range() if number else []
            keys.append((slot, key, with_id(record, number - made) if number else record, members))
    return Outcome(replies, keyspace.counts, modified, next_deadline_ms, keys)


def check_captured(keyspace: Keyspace, keys: Keys, made: int = 0) -> None:
    """Assert that a snapshot has these keys and members, and no others: what was dropped is gone."""
    captured = keyspace.engine.capture()
    found = {
        (run.slot, run.id, name): value
        for runs in iter(lambda: captured.take(1000), [])
        for run in runs
        for name, value in zip(run.keys, run.records, strict=True)
    }
    keyspace.engine.release()
    expected = {}
    for slot, key, record, members in keys:
        number = collection_id(record)
        expected[slot, 0, key] = with_id(record, number + made) if number else record
        expected.update(((slot, number + made, name), value) for name, value in members)
    assert found == expected


def check_counts(keyspace: Keyspace) -> None:
    """Assert that the keyspace's counts are those of a fresh look at the engine."""
    fresh = Keyspace(keyspace.engine, keyspace.slots)
    for name in ("key_count", "expiring_count", "data_bytes"):
        assert getattr(keyspace, name) == getattr(fresh, name), name
    assert not keyspace.journal


def executors(directory: Path) -> list[Executor]:
    """Return one for each way to use an engine; those on disk have theirs in a directory."""
    on_disk = [OnDisk(kind, directory) for kind in kinds.STORES]
    return [InMemory(fast=True), InMemory(fast=False), *on_disk]
