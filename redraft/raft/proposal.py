"""The leader's own log: it only ever grows ("Leader Append-Only", Raft figure 3)."""

from __future__ import annotations

from redraft.raft.state import State
from redraft.raft.types import Entry


def propose(state: State, kind: int, data: bytes) -> int:
    """Append an entry to the leader's log and return its index; it leaves with the next output."""
    index = state.log.last_index + 1
    entry = Entry(state.term, index, kind, data)
    state.log.append((entry,))
    state.wrote = True
    state.fresh.append(entry)
    state.fresh_bytes += len(data)
    state.replicate_due = True
    return index
