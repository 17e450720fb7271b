"""What went wrong in etcd, each failure as a run of ours; the numbers are those of etcd-io/etcd's issues.

Every run has twins in which the rule that prevents the failure is broken, and is seen to fail there
(`rules`).
"""

from __future__ import annotations

from redraft.raft.messages import Ping, Pong
from redraft.transport.messages import ReadIndexReply, ReadIndexRequest
from tests.known.rules import Rule, judged, kept_or
from tests.known.scenes import answered, carry, got, run_until_in_step, settled, state, under_way
from tests.node.bottle import Cluster


@kept_or(
    snapshot_index_off_by_one="inconsistent after a crash|what is applied must be in the log",
    reapply_after_restart="inconsistent after a crash|never runs back",
)
def test_etcd_inconsistent_apply_after_crash(rule: Rule) -> None:
    """#13766 (v3.5): the index that was applied was stored apart from what it had done to the data.

    A crash between the two left a member that skipped an entry for good, or applied one again.  Here a
    snapshot is the only state on disk.  It is begun between two entries, never within one, and holds the
    index, the keys and the sessions of that moment, while later entries are applied.
    """
    cluster, leader, second, crashed = settled(snapshot_log_bytes=8 * 1024, log_tail_bytes=0)
    with judged(rule):
        for turns in range(0, 100, 5):
            while cluster.nodes[crashed]._snapshots.idle:
                for number in (leader, second, crashed):
                    commands = [[b"INCR", b"n"], [b"APPEND", b"log:%d" % number, b"." * 20]]
                    cluster.ask(number, *commands * 5, write=True)
                cluster.run(40)
            for number in (leader, second, leader, crashed, second):
                cluster.ask(number, [b"INCR", b"n"], write=True)
            passed = iter(range(turns))
            cluster.catch(2000, lambda passed=passed: next(passed, None) is None)
            cluster.crash(crashed)
            cluster.start(crashed)
            run_until_in_step(cluster)
            assert state(cluster, crashed) == state(cluster, leader), "inconsistent after a crash"


def paused_leader() -> tuple[Cluster, int, int, int]:
    """(cluster, old, new, third): a leader is stopped while a read of a follower's is under way at it.

    Its ping has been answered, but it was stopped before the answers reached it.  Another node leads by then,
    and a write to it was acknowledged just now; the third node has voted for it, and knows the write, but not
    yet that it is committed.
    """
    cluster, old, new, third = settled()
    cluster.call(old, [b"SET", b"a", b"old"], write=True)
    cluster.run(500)
    first = cluster.ask(third, [b"GET", b"a"], write=False)
    cluster.nodes[third].flush()
    carry(cluster, third, old, ReadIndexRequest)
    cluster.nodes[old].flush()
    assert under_way(cluster, old, third, Ping)
    cluster.paused.add(old)
    cluster.nodes[third].replicas[1].raft.deadline_ms += 60_000  # another is to lead
    assert cluster.run(5000, until=lambda: cluster.leader() == new)
    assert answered(cluster, first) == [got(b"old")]
    write = cluster.ask(new, [b"SET", b"a", b"new"], write=True)
    assert cluster.catch(1000, lambda: write.replies is not None)
    replica = cluster.nodes[third].replicas[1]
    assert replica.applier.applied_index < cluster.nodes[new].replicas[1].applier.applied_index
    return cluster, old, new, third


@kept_or(read_id_reused="a stale read")
def test_etcd_stale_read_index_after_a_pause(rule: Rule) -> None:
    """#20418: answers that a stopped process finds when it goes on belong to a question of before.

    A retry under the same id takes them for an answer to itself.  Here each asking opens a round with a
    number of its own, and an answer to an older one confirms nothing of what was asked since.
    """
    with judged(rule):
        cluster, old, new, third = paused_leader()
        read = cluster.ask(old, [b"GET", b"a"], write=False)
        for voter in (third, new):
            carry(cluster, voter, old, Pong)
            cluster.nodes[old].flush()
        assert read.replies is None, "a stale read"
        cluster.paused.clear()
        assert answered(cluster, read) == [got(b"new")]


@kept_or(asking_id_reused="a stale read")
def test_etcd_stale_read_index_by_a_delayed_reply_to_a_reused_id(rule: Rule) -> None:
    """#20418: the reply to the first try comes late, when the follower has asked again, for later reads too.

    Here an asking has a fresh id each time, so what the old leader says now is an answer to nobody.
    """
    with judged(rule):
        cluster, old, _new, third = paused_leader()
        read = cluster.ask(third, [b"GET", b"a"], write=False)
        cluster.nodes[third].flush()
        carry(cluster, third, old, Pong)
        cluster.nodes[old].flush()
        carry(cluster, old, third, ReadIndexReply)
        cluster.nodes[third].flush()
        assert read.replies is None, "a stale read"
        cluster.paused.clear()
        assert answered(cluster, read) == [got(b"new")]
