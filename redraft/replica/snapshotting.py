"""A replica's state made into a snapshot, and a snapshot made into state, a bounded piece at a time.

What a snapshot holds is all that apply depends on: keys with their records (deadlines are in them), the
sessions with the replies that are not yet acknowledged, the group's clock, when each slot was changed last;
and which entry was the last.
`Making` fixes all of it when it begins, while apply goes on; `Loading` fills an empty applier.
"""

from __future__ import annotations

from collections.abc import Iterator

from redraft.engine.capture import Run
from redraft.replica.apply import Applier
from redraft.snapshot.format import Encoder, End, Header, Item, Modified, SessionState


class Making:
    """The blocks of one snapshot, in order; `header` says of when it is."""

    __slots__ = ("_captured", "_coming", "_encoder", "_engine", "_held", "finished", "header")

    def __init__(self, applier: Applier, group: int, term: int, configuration: bytes) -> None:
        """Fix the state as of the last applied entry, whose term is given."""
        self.header = Header(
            group,
            applier.applied_index,
            term,
            configuration,
            applier.clock_ms,
            applier.expired_keys,
            applier.keyspace.collections_made,
        )
        self.finished = False
        """Whether `step` has returned all blocks."""
        self._engine = applier.keyspace.engine
        self._captured = self._engine.capture()
        self._held = True
        self._encoder = Encoder()
        self._coming = self._begin(applier.sessions.copy_states(), list(applier.keyspace.modified))

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

    def _begin(self, sessions: list[SessionState], modified: list[int]) -> Iterator[bytes]:
        yield self._encoder.header(self.header)
        for state in sessions:
            yield from self._encoder.session(state)
        if modified:
            by_slot = {slot: index for slot, index in enumerate(modified) if index}
            yield self._encoder.modified(Modified(by_slot))

    def _go_on(self, keys_max: int) -> Iterator[bytes]:
        """The blocks of the next keys; behind the last ones the end."""
        runs = self._captured.take(keys_max)
        if not runs:
            self._release()
            return iter((self._encoder.end(),))
        return (block for run in runs for block in self._encoder.run(*run))


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
