"""Gathering: a batch waits for those who were just answered, and for nobody else, and never long."""

from __future__ import annotations

from redraft.replica.gather import GATHER_MS_MAX, GATHER_MS_PER_REQUEST, Gathering


def test_gathering_waits_for_those_just_answered() -> None:
    """25 wait while 25 are answered: one batch of 50 instead of two."""
    gathering = Gathering()
    gathering.answered(25, 25, 0.0)
    assert not gathering.complete(25, 0.01)
    assert not gathering.complete(49, 0.02)
    assert gathering.complete(50, 0.03)


def test_gathering_gives_up_after_what_the_answers_are_worth() -> None:
    """Clients that think do not hold up the others, and however many they are not for long."""
    gathering = Gathering()
    gathering.answered(10, 1, 0.0)
    assert not gathering.complete(1, 10 * GATHER_MS_PER_REQUEST - 0.001)
    assert gathering.complete(1, 10 * GATHER_MS_PER_REQUEST)
    gathering.answered(100_000, 1, 0.0)
    assert gathering.complete(1, GATHER_MS_MAX)


def test_gathering_holds_up_nobody_who_comes_later() -> None:
    """Once a batch went, the next request goes at once until something is answered again."""
    gathering = Gathering()
    assert gathering.complete(1, 0.0)
    gathering.answered(5, 0, 0.0)
    assert gathering.complete(5, 0.0)
    assert gathering.complete(1, 0.0)
