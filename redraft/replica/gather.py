"""Gathering: how long a batch waits for the clients that were just answered to ask again.

Clients in a closed loop fall into two crowds that take turns: while one's batch is under way the other
waits, and each pays for a batch of its own.  A short wait after an answer makes one crowd of them: an
entry costs the same for twice the commands.  The wait is bounded by what answering costs the clients,
so that a lone client, or one that thinks, waits for next to nothing.

Measured on two cores, three nodes, 50 clients, no pipeline: entries of 23 commands became entries of
48, and 29k SET/s became 39k (docs/performance.md).
"""

from __future__ import annotations

GATHER_MS_MAX = 1.0
"""The longest a batch is held back."""
GATHER_MS_PER_REQUEST = 0.02
"""Wait for each request that was just answered: about what a client takes to send the next one."""


class Gathering:
    """What is expected to come soon, for one kind of batch of one group."""

    __slots__ = ("_expected", "_until_ms")

    def __init__(self) -> None:
        self._expected = 0
        self._until_ms = 0.0

    def answered(self, requests: int, waiting: int, now_ms: float) -> None:
        """So many requests were answered now, and so many others wait already."""
        self._expected = requests + waiting
        self._until_ms = now_ms + min(GATHER_MS_MAX, requests * GATHER_MS_PER_REQUEST)

    def complete(self, waiting: int, now_ms: float) -> bool:
        """Whether `waiting` requests should go now: all that were expected are there, or it took too long."""
        if waiting >= self._expected or now_ms >= self._until_ms:
            self._expected = 0
            return True
        return False
