"""The words of the consensus core: entries and what they are for.

An entry is opaque to the core but for its kind: the core itself proposes NOOP at the start of a
term (Raft §8) and acts on CONFIGURATION (`configuration`); everything else belongs to the replica above.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import msgspec


class EntryKind(IntEnum):
    """What an entry's payload is; the number is the one on disk and on the wire."""

    NOOP = 0
    PARTS = 1
    CONFIGURATION = 2
    EXPIRE = 3
    END_SESSIONS = 4


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One log record: `data` is opaque bytes, frozen when the leader of `term` proposed it.

    Tens of thousands are kept; none refers to anything that could refer back, so the garbage collector need
    not look at them, nor count them as they come and go.
    """

    term: int
    index: int
    kind: int
    data: bytes


class HardState(NamedTuple):
    """What must be durable before it is spoken of (Raft figure 2, "persistent state"); 0 votes for nobody."""

    term: int = 0
    voted_for: int = 0
