"""The executor's own pseudo-random numbers: SplitMix64.

Choices a command makes must be the same on every replica, whatever the Python version, so they
come from the entry's seed through this generator and from nothing else.
"""

from __future__ import annotations

_MASK = 2**64 - 1


class SplitMix64:
    """Numbers from a 64-bit seed (Steele, Lea and Flood 2014)."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def next(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1 (the bias of at most bound / 2**64 is accepted)."""
        assert bound > 0
        return (self.next() * bound) >> 64
