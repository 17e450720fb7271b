"""The node's clocks, behind one seam that the simulator replaces."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic and wall time in milliseconds."""

    def now_ms(self) -> float:
        """Monotonic time that counts a suspended machine's sleep too; compared only on this node."""
        ...

    def wall_ms(self) -> float:
        """Milliseconds since the Unix epoch, as this machine believes; may step."""
        ...

    def cpu_ms(self) -> float:
        """CPU time this process has used."""
        ...


class SystemClock:
    """The machine's clocks: CLOCK_BOOTTIME, so that a lease runs out while the machine sleeps."""

    __slots__ = ()

    def now_ms(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000.0

    def wall_ms(self) -> float:
        return time.time() * 1000.0

    def cpu_ms(self) -> float:
        return time.process_time() * 1000.0
