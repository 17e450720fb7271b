"""A replica's state made into a snapshot, and a snapshot made into state, a bounded piece at a time.

What a snapshot holds is all that apply depends on: keys with their records (deadlines are in them), the
sessions with the replies that are not yet acknowledged, the group's clock; and which entry was the last.
`Making` fixes all of it when it begins, while apply goes on; `Loading` fills an empty applier.
"""

from __future__ import annotations

from redraft.engine.capture import Run
from redraft.replica.apply import Applier
from redraft.snapshot.format import Encoder, End, Header, Item, SessionState


class Making:
    """The blocks of one snapshot, in order; `header` says of when it is."""

    __slots__ = ("_captured", "_encoder", "_ended", "_engine", "_sessions", "_started", "header")

    def __init__(self, applier: Applier, group: int, term: int, configuration: bytes) -> None:
        """Fix the state as of the last applied entry, whose term is given."""
        self.header = Header(
            group, applier.applied_index, term, configuration, applier.clock_ms, applier.expired_keys
        )
        self._engine = applier.keyspace.engine
        self._captured = self._engine.capture()
        self._sessions = applier.sessions.copy_states()
        self._encoder = Encoder()
        self._started = False
        self._ended = False

    def step(self, keys_max: int) -> list[bytes]:
        """Return the next blocks, of about `keys_max` keys; none when there are no more."""
        if self._ended:
            return []
        encoder = self._encoder
        blocks: list[bytes] = []
        if not self._started:
            self._started = True
            blocks.append(encoder.header(self.header))
            for state in self._sessions:
                blocks += encoder.session(state)
            self._sessions = []
        runs = self._captured.take(keys_max)
        for slot, keys, records in runs:
            blocks += encoder.run(slot, keys, records)
        if not runs:
            self._ended = True
            blocks.append(encoder.end())
            self._engine.release()
        return blocks

    def close(self) -> None:
        """Let go of the state before the end was reached."""
        if not self._ended:
            self._ended = True
            self._engine.release()


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
            applier.keyspace.load(item.slot, item.keys, item.records)
        elif isinstance(item, SessionState):
            applier.sessions.load(item)
        elif isinstance(item, Header):
            self.header = item
        else:
            assert isinstance(item, End)
            header = self.header
            assert header is not None
            applier.applied_index = header.index
            applier.clock_ms = header.clock_ms
            applier.expired_keys = header.expired_keys
            applier.keyspace.engine.commit(header.index)
            return True
        return False
