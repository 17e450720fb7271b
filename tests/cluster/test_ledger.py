"""The ledger against outcomes whose verdict is known."""

from __future__ import annotations

from redraft.simulation.history import Kind, Operation, Outcome
from tests.cluster.ledger import complaints, ledger


def write(key: str, value: str, outcome: Outcome) -> Operation:
    return Operation(f"fresh:{key}", Kind.WRITE, value, 0, 1, None, outcome)


def increment(outcome: Outcome) -> Operation:
    return Operation("counter", Kind.INCREMENT, 1, 0, 1, None, outcome)


HISTORY = [
    write("kept", "a", Outcome.OK),
    write("maybe", "b", Outcome.UNKNOWN),
    write("refused", "c", Outcome.FAILED),
    *[increment(Outcome.OK)] * 3,
    *[increment(Outcome.UNKNOWN)] * 2,
    increment(Outcome.FAILED),
]


def judged(found: dict[str, str | None], total: int) -> list[str]:
    keys = {f"fresh:{key}": value for key, value in found.items()}
    return complaints(ledger(HISTORY, "fresh:"), keys, {"counter": total})


def test_ledger_accepts_what_was_acknowledged_and_up_to_all_that_is_unknown() -> None:
    """Unknown writes may be there or not, and a counter may lie anywhere between its bounds."""
    assert judged({"kept": "a"}, 3) == []
    assert judged({"kept": "a", "maybe": "b"}, 5) == []


def test_ledger_names_a_lost_write() -> None:
    """An acknowledged write that is not found is named."""
    assert "fresh:kept" in judged({}, 3)[0]


def test_ledger_names_a_wrong_value() -> None:
    """A key that holds what nobody wrote to it is named, also where the write's outcome is unknown."""
    assert "fresh:kept" in judged({"kept": "z"}, 3)[0]
    assert "fresh:maybe" in judged({"kept": "a", "maybe": "z"}, 3)[0]


def test_ledger_names_a_refused_write_that_took_effect() -> None:
    """A reply that promised "not executed" was a lie."""
    assert "fresh:refused" in judged({"kept": "a", "refused": "c"}, 3)[0]


def test_ledger_refuses_lost_and_doubled_increments() -> None:
    """A sum below the acknowledged, or above the acknowledged and unknown together."""
    assert "counter is 2" in judged({"kept": "a"}, 2)[0]
    assert "counter is 6" in judged({"kept": "a"}, 6)[0]
