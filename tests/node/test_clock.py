"""The machine's clocks: what a lease counts by goes on while the machine sleeps."""

from __future__ import annotations

import time

import pytest

from redraft.node.clock import SystemClock


def test_clock_counts_the_time_that_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC stands still in a suspended machine: a leader would wake up with its lease unspent."""
    slept_s = 3600.0
    clocks = {time.CLOCK_BOOTTIME: 100.0 + slept_s, time.CLOCK_MONOTONIC: 100.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    monkeypatch.setattr(time, "monotonic", lambda: clocks[time.CLOCK_MONOTONIC])
    assert SystemClock().now_ms() == (100.0 + slept_s) * 1000
