"""What went wrong in TiKV, each failure as a run of ours; the number is that of tikv/tikv's issue.

Every run has twins in which the rule that prevents the failure is broken, and is seen to fail there
(`rules`).
"""

from __future__ import annotations

import pytest

from redraft.raft.messages import TimeoutNow
from tests.known.rules import Rule, judged, kept_or
from tests.known.scenes import answered, applies_nothing, carry, got, settled, under_way


@kept_or(lease_kept_in_transfer="a stale read")
def test_tikv_lease_read_during_a_transfer(rule: Rule) -> None:
    """#1593: the target of a transfer campaigns at once, whatever the voters promised to the old leader.

    So a lease that rests on their promise proves nothing any more, also when the old leader has given the
    transfer up.  Here it is over, for the rest of the term, before the target is told to campaign.
    """
    cluster, old, target, third = settled(read_mode="lease")
    cluster.call(old, [b"SET", b"a", b"old"], write=True)
    group = cluster.map.groups[0]
    with judged(rule):
        cluster.paused.add(target)
        cluster.nodes[old].transfer(group, target)
        cluster.nodes[old].flush()
        assert under_way(cluster, old, target, TimeoutNow)
        cluster.run(cluster.config.election_timeout_ms - 40)
        cluster.silence(old, third)  # it answered until now: that is what the lease rests on
        cluster.paused.clear()
        carry(cluster, old, target)
        cluster.silence(old, target)
        assert cluster.run(200, until=lambda: cluster.leader() == target)
        cluster.call(target, [b"SET", b"a", b"new"], write=True, within_ms=100)
        read = cluster.ask(old, [b"GET", b"a"], write=False)
        assert cluster.run(200, until=lambda: cluster.nodes[old].replicas[1].proposes), (
            "it goes on as a leader"
        )
        cluster.run(100)
        assert read.replies is None, "a stale read"
        for other in (target, third):
            cluster.disconnect(old, other)
            cluster.connect(old, other)
        assert answered(cluster, read) == [got(b"new")]


@pytest.mark.parametrize("read_mode", ["index", "lease"])
@kept_or(read_before_apply="a stale read")
def test_tikv_follower_ahead_of_leader_reads(rule: Rule, read_mode: str) -> None:
    """A follower applies faster than its leader: who read from it reads something older from the leader.

    So a leader, too, must not answer from the state it happens to have (tikv/rfcs, consistent replica read).
    Here every read waits until the state has come to the read index, at the leader and with a lease as well.
    """
    cluster, leader, follower, _third = settled(read_mode=read_mode)
    cluster.call(leader, [b"SET", b"a", b"old"], write=True)
    cluster.run(200)
    with judged(rule):
        with applies_nothing(cluster, leader):
            assert cluster.call(follower, [b"SET", b"a", b"new"], write=True) == [b"+OK\r\n"]
            assert cluster.call(follower, [b"GET", b"a"], write=False) == got(b"new")
            read = cluster.ask(leader, [b"GET", b"a"], write=False)
            cluster.run(200)
            assert read.replies is None, "a stale read"
        assert answered(cluster, read) == [got(b"new")]
