"""Waiting for a condition with a deadline: the only place of these tests and benchmarks that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.02


class DeadlineError(AssertionError):
    """What was waited for did not come true in time; says what, and the last error met while asking."""


def wait_until(
    condition: Callable[[], T],
    *,
    timeout_s: float,
    what: str,
    poll_s: float = POLL_S,
    expected: tuple[type[Exception], ...] = (),
) -> T:
    """Ask `condition` until it is true and return its value; exceptions in `expected` count as "not yet"."""
    deadline = time.monotonic() + timeout_s
    last: Exception | None = None
    while True:
        try:
            value = condition()
        except expected as error:
            last = error
        else:
            last = None
            if value:
                return value
        if time.monotonic() > deadline:
            raise DeadlineError(f"{what}: not within {timeout_s:g} s" + (f"; last: {last!r}" if last else ""))
        time.sleep(poll_s)
