"""A machine's clocks: monotonic time that runs a little fast or slow, and a wall clock that may be wrong.

Monotonic time never stands still while the machine's process does (CLOCK_BOOTTIME: a stopped process and
a suspended machine find it gone on), and never runs back, also where its rate changes.
"""

from __future__ import annotations

from redraft.simulation.agenda import MS, Agenda

EPOCH_MS = 1_700_000_000_000.0
"""What an exact wall clock shows when a run begins."""


class SimulatedClock:
    """Satisfies `redraft.node.clock.Clock`; `offset_ms` is how wrong the wall clock is."""

    __slots__ = ("_agenda", "_base_ms", "_rate", "_since_us", "offset_ms")

    def __init__(self, agenda: Agenda, *, uptime_ms: float, rate: float, offset_ms: float) -> None:
        self._agenda = agenda
        self._base_ms = uptime_ms
        self._since_us = agenda.now_us
        self._rate = rate
        self.offset_ms = offset_ms

    def now_ms(self) -> float:
        """Monotonic time since the machine started."""
        return self._base_ms + (self._agenda.now_us - self._since_us) / MS * self._rate

    def wall_ms(self) -> float:
        """Milliseconds since 1970, as this machine believes."""
        return EPOCH_MS + self._agenda.now_us / MS + self.offset_ms

    def cpu_ms(self) -> float:
        """Nothing costs time here."""
        return 0.0

    def drift(self, rate: float) -> None:
        """Run at another rate from now on."""
        self._base_ms = self.now_ms()
        self._since_us = self._agenda.now_us
        self._rate = rate
