"""Random runs of whole nodes: whatever happens, each write takes effect once and no read is stale."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.cluster.history import Kind, Outcome
from tests.cluster.linearizability import violations
from tests.node.chaos import Append, Chaos

SEEDS = [*range(1, 37), 2893]
"""2893: a lease outlived by its follower's memory of it, once the link was gone."""
DURATION_MS = 3000


def run(seed: int, duration_ms: float = DURATION_MS) -> Chaos:
    """One run with all its checks."""
    print("seed", seed)
    chaos = Chaos(seed)
    chaos.run(duration_ms)
    chaos.heal()
    found = violations(chaos.history)
    assert not found, "\n".join(map(str, found))
    check_counters(chaos)
    check_logs(chaos)
    return chaos


def check_counters(chaos: Chaos) -> None:
    """A counter is what was acknowledged, and at most what is unknown above it."""
    done: defaultdict[str, int] = defaultdict(int)
    unknown: defaultdict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for operation in chaos.history:
        if operation.kind is Kind.INCREMENT and operation.outcome is Outcome.OK:
            done[operation.key] += 1
        elif operation.kind is Kind.INCREMENT and operation.outcome is Outcome.UNKNOWN:
            unknown[operation.key] += 1
        elif operation.key.startswith("counter") and operation.outcome is Outcome.OK:
            last[operation.key] = int(operation.result or 0)
    for key, total in last.items():
        assert done[key] <= total <= done[key] + unknown[key], (key, total, done[key], unknown[key])


def check_logs(chaos: Chaos) -> None:
    """Appends stand in the log once each, in an order that time and every read agree with."""
    final = {read.key: read.value or b"" for read in chaos.log_reads}
    for key, value in final.items():
        tokens = [value[at : at + 2] for at in range(0, len(value), 2)]
        place = {token: at for at, token in enumerate(tokens)}
        assert len(place) == len(tokens), f"{key!r}: a token was appended twice"
        appends = [append for append in chaos.appends if append.key == key]
        for append in appends:
            assert not (append.refused and append.token in place), "what was refused took effect"
            if append.length:
                assert place.get(append.token) == append.length // 2 - 1, "an append is not where it said"
        known = {append.token: append for append in appends}
        in_order = [known[token] for token in tokens]
        check_times(in_order)
        for read in chaos.log_reads:
            if read.key == key:
                assert read.value is not None
                seen = len(read.value) // 2
                assert value.startswith(read.value), "a read saw what is no beginning of the log"
                assert all(append.start < read.end for append in in_order[:seen])
                assert all(append.end > read.start for append in in_order[seen:]), "a stale read"


def check_times(in_order: list[Append]) -> None:
    """No append stands before one that had ended when it began."""
    ended = float("inf")
    for append in reversed(in_order):
        assert append.start < ended, "an append overtook one that began after it had ended"
        ended = min(ended, append.end)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_run_is_linearizable(seed: int) -> None:
    """Crashes, pauses, partitions, slow links, clock steps, hand-overs: see `chaos`."""
    run(seed)
