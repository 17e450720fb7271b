"""What clients did and what they were told: the operations of a history, pure data.

Times are seconds of one monotonic clock shared by all clients.  An operation took effect, if it
did, at one moment between `start` and `end`; an UNKNOWN one at any moment after `start`, once at
most; a FAILED one was promised never to have taken effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an operation does to its key."""

    READ = "read"  # result: the value, None where there is none
    WRITE = "write"  # argument: the value
    INCREMENT = "increment"  # argument: by how much; result: the sum
    APPEND = "append"  # argument: what is added to the value; result: the value's length with it


class Outcome(Enum):
    """What the client may conclude from the reply, or from its absence."""

    OK = "ok"
    UNKNOWN = "unknown"
    FAILED = "failed"


@dataclass(slots=True)
class Operation:
    """One command of one client on one key.

    Operations of one `session` (a connection) on one key take effect in the order of `number`, also
    where their times overlap because they went out in one pipeline.
    """

    key: str
    kind: Kind
    argument: str | int | None
    start: float
    end: float = float("inf")
    result: str | int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    session: int = 0
    number: int = 0

    def __str__(self) -> str:
        span = f"{self.start:.6f}..{self.end:.6f}"
        given = "" if self.argument is None else f" {self.argument!r}"
        told = f" -> {self.result!r}" if self.outcome is Outcome.OK else f" ({self.outcome.value})"
        return f"[{span}] session {self.session}: {self.kind.value} {self.key}{given}{told}"


@dataclass(frozen=True)
class Violation:
    """Why the history of a key is not linearizable, and the operations that show it."""

    key: str
    what: str
    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        lines = "".join(f"\n    {operation}" for operation in self.operations)
        return f"{self.key}: {self.what}:{lines}"
