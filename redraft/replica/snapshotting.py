"""A replica's state made into a snapshot, and a snapshot made into state, a bounded piece at a time.

What a snapshot holds is all that apply depends on: keys with their records (deadlines are in them), the
sessions with the replies that are not yet acknowledged, the group's clock, when each slot was changed last;
which slots the group owns, if it ever took part in a move; and which entry was the last.
`Making` fixes all of it when it begins, while apply goes on; `Loading` fills an empty applier.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from redraft.commands.keyspace import Keyspace
from redraft.commands.ownership import Ownership
from redraft.engine.capture import Run
from redraft.engine.interface import Durable, Engine, is_durable
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.snapshot.format import Decoder, Encoder, End, Header, Item, Modified, Owned, SessionState

_COUNTS: Final = struct.Struct(">QQQ")
"""What a checkpoint begins with: the keyspace's counts; blocks as of a snapshot, but for keys, follow."""


class Making:
    """The blocks of one snapshot, in order; `header` says of when it is."""

    __slots__ = ("_captured", "_coming", "_encoder", "_engine", "_held", "finished", "header")

    def __init__(self, applier: Applier, group: int, term: int, configuration: bytes) -> None:
        """Fix the state as of the last applied entry, whose term is given.

        With an engine on disk it is the state of the newest checkpoint, which has to be written just before.
        """
        engine = applier.keyspace.engine
        if is_durable(engine):
            self._begin(engine, _checkpoint_items(engine))
        else:
            self._begin(engine, _beside_keys(applier, group, term, configuration))

    @classmethod
    def of_checkpoint(cls, engine: Durable) -> Making:
        """Fix the state that an engine on disk has as of its newest checkpoint."""
        making = cls.__new__(cls)
        making._begin(engine, _checkpoint_items(engine))
        return making

    def _begin(self, engine: Engine, items: list[Item]) -> None:
        header = items[0]
        assert isinstance(header, Header)
        self.header = header
        self.finished = False
        """Whether `step` has returned all blocks."""
        self._engine = engine
        self._captured = engine.capture()
        self._held = True
        self._encoder = Encoder()
        self._coming = self._encoder.items(items)

    def step(self, keys_max: int, bytes_max: int) -> list[bytes]:
        """Return the next blocks: of about `keys_max` keys, fewer when those have `bytes_max` bytes.

        There may be none although more are to come: `finished` says when there are no more.
        """
        blocks: list[bytes] = []
        size, took = 0, False
        while size < bytes_max:
            block = next(self._coming, None)
            if block is not None:
                blocks.append(block)
                size += len(block)
            elif not self._held:
                self.finished = True
                break
            elif took:
                break
            else:
                self._coming, took = self._go_on(keys_max), True
        return blocks

    def close(self) -> None:
        """Let go of the state; was the end not reached, nothing more comes."""
        self._release()
        self._coming = iter(())

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._engine.release()

    def _go_on(self, keys_max: int) -> Iterator[bytes]:
        """The blocks of the next keys; behind the last ones the end."""
        runs = self._captured.take(keys_max)
        if not runs:
            self._release()
            return iter((self._encoder.end(),))
        return (block for run in runs for block in self._encoder.run(run))


class Loading:
    """Fills an empty applier with the items of a snapshot; it is to be used once the last one was taken."""

    __slots__ = ("applier", "header")

    def __init__(self, applier: Applier) -> None:
        self.applier = applier
        self.header: Header | None = None

    def take(self, item: Item) -> bool:
        """Take the next item; True when it was the last one."""
        applier = self.applier
        if isinstance(item, Run):
            if item.id:
                applier.keyspace.load_members(item.slot, item.id, item.keys, item.records)
            else:
                applier.keyspace.load(item.slot, item.keys, item.records)
        elif isinstance(item, SessionState):
            applier.sessions.load(item)
        elif isinstance(item, Modified):
            modified = applier.keyspace.open_modified()
            for slot, index in item.index_by_slot.items():
                modified[slot] = index
        elif isinstance(item, Header):
            self.header = item
        elif isinstance(item, Owned):
            applier.keyspace.own(Ownership.decode(item.state))
        else:
            assert isinstance(item, End)
            header = self.header
            assert header is not None
            applier.applied_index = header.index
            applier.clock_ms = header.clock_ms
            applier.expired_keys = header.expired_keys
            applier.keyspace.collections_made = header.collections_made
            applier.keyspace.index = header.index
            applier.keyspace.engine.commit(header.index)
            return True
        return False


def _beside_keys(applier: Applier, group: int, term: int, configuration: bytes) -> list[Item]:
    """What a state is besides keys, the header first."""
    header = Header(
        group,
        applier.applied_index,
        term,
        configuration,
        applier.clock_ms,
        applier.expired_keys,
        applier.keyspace.collections_made,
    )
    items: list[Item] = [header]
    if applier.keyspace.ownership is not None:
        items.append(Owned(applier.keyspace.ownership.encode()))
    items += applier.sessions.copy_states()
    if applier.keyspace.modified:
        by_slot = {slot: index for slot, index in enumerate(applier.keyspace.modified) if index}
        items.append(Modified(by_slot))
    return items


def _decoded(checkpoint: bytes) -> list[Item]:
    return list(Decoder().feed(checkpoint[_COUNTS.size :]))


def _checkpoint_items(engine: Durable) -> list[Item]:
    checkpoint = engine.checkpoint
    assert checkpoint is not None
    return _decoded(checkpoint)


def header_of(checkpoint: bytes) -> Header:
    """Return of when a checkpoint is."""
    header = _decoded(checkpoint)[0]
    assert isinstance(header, Header)
    return header


def checkpoint_of(applier: Applier, group: int, term: int, configuration: bytes) -> bytes:
    """Return what an engine on disk has to keep with its keys, as of the last applied entry."""
    blocks = Encoder().items(_beside_keys(applier, group, term, configuration))
    return _COUNTS.pack(*applier.keyspace.counts) + b"".join(blocks)


def resume(engine: Durable, slots: list[int], view: LogView) -> tuple[Applier, Header]:
    """Return the state that an engine on disk has, as of its newest checkpoint."""
    checkpoint = engine.checkpoint
    assert checkpoint is not None
    applier = Applier(Keyspace(engine, slots, _COUNTS.unpack_from(checkpoint)), view)
    loading = Loading(applier)
    for item in _decoded(checkpoint):
        loading.take(item)
    header = loading.header
    assert header is not None
    loading.take(End(0, 0))
    engine.durable_index = header.index
    return applier, header
