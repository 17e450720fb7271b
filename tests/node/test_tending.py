"""What deletions leave is freed a bit each tick, and never as part of what somebody waits for."""

from __future__ import annotations

import pytest

from redraft.base.limits import TICK_MS
from redraft.commands.keyspace import Keyspace
from redraft.engine.hash import FREED_AT_ONCE
from tests.node.bottle import Cluster

SLICES = 4


def test_what_flushall_leaves_is_freed_by_ticks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slice a tick and group, until nothing is left; only then may the node tick more rarely."""
    cluster = Cluster(size=1, groups=1)
    cluster.elect()
    words = [b"%s%d" % (word, number) for number in range(SLICES * FREED_AT_ONCE) for word in (b"k", b"v")]
    for begin in range(0, len(words), 2000):
        cluster.call(1, [b"MSET", *words[begin : begin + 2000]], write=True)
    assert cluster.run(1000, until=lambda: cluster.nodes[1].idle)
    tended: list[tuple[float, bool]] = []
    keyspace = cluster.nodes[1].replicas[1].applier.keyspace

    def tend(self: Keyspace) -> bool:
        more = original(self)
        if self is keyspace:
            tended.append((cluster.now, more))
        return more

    original = Keyspace.tend
    monkeypatch.setattr(Keyspace, "tend", tend)
    flushed = cluster.ask(1, [b"FLUSHALL"], write=True)
    cluster.settle()
    assert flushed.replies == [b"+OK\r\n"]
    assert not tended, "freed while clients wait"
    began = cluster.now
    assert cluster.run(10_000, until=lambda: cluster.nodes[1].idle)
    times = [time for time, _more in tended]
    assert times == [began + TICK_MS * number for number in range(1, len(times) + 1)], "once a tick"
    assert len(times) >= SLICES
    assert [more for _time, more in tended] == [True] * (len(times) - 1) + [False]
