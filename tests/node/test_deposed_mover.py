"""A mover whose node leads the source no longer: what it still hears must not move anything."""

from __future__ import annotations

import pytest

from redraft.accel.scan import key_slot
from redraft.control.slotmoves import MoveSlots
from redraft.node.mover import Mover
from tests.node.bottle import Asked, Cluster

SLOTS = ((0, 8191),)
KEY = next(key for key in (b"k%d" % number for number in range(100)) if key_slot(key) < 8192)


@pytest.mark.parametrize("seed", range(1, 13))
def test_mover_that_is_deposed_while_its_freeze_waits_loses_no_write(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next leader's log takes in a SET, then the old one's FREEZE, which is answered before the old one
    has applied the SET: handed over by its copy, the SET would be gone."""
    print("seed", seed)
    cluster = Cluster(groups=2, seed=seed)
    cluster.elect()
    cluster.call(1, [b"SET", KEY, b"old"], write=True)
    source = cluster.leader(1)
    heir = next(number for number in cluster.nodes if number != source)
    asked: list[Asked] = []
    original = Mover._put

    def put(mover: Mover, group: int, what: str, *arguments: object, **more: object) -> None:
        if what == "FREEZE" and not asked:
            node = cluster.nodes[source]
            assert mover.replica is node.replicas[1]
            node.transfer(node.replicas[1].group, heir)
            asked.append(cluster.ask(source, [b"SET", KEY, b"new"], write=True))
        original(mover, group, what, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Mover, "_put", put)
    cluster.change(1, MoveSlots(SLOTS, 1, 2))
    assert cluster.run(20_000, until=lambda: not cluster.nodes[1].moves), "the move does not end"
    assert cluster.leader(1) == heir, "nobody was deposed"
    assert asked[0].replies == [b"+OK\r\n"]
    assert cluster.call(1, [b"GET", KEY], write=False, group=2) == [b"$3\r\nnew\r\n"]
