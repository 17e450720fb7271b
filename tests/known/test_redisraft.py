"""What Jepsen found in RedisRaft (jepsen.io/analyses/redis-raft-1b3fbf6), each failure as a run of ours.

The numbers are those of RedisLabs/redisraft's issues.  Every run has twins in which the rule that prevents
the failure is broken, and is seen to fail there (`rules`).
"""

from __future__ import annotations

from redraft.raft.configuration import Configuration
from redraft.raft.core import Role
from redraft.raft.messages import AppendEntries
from redraft.raft.types import EntryKind
from redraft.transport.messages import ForwardPart
from tests.known.rules import Rule, judged, kept_or
from tests.known.scenes import (
    answered,
    applies_nothing,
    carry,
    got,
    others,
    run_until_in_step,
    settled,
    state,
)
from tests.node.bottle import Cluster
from tests.raft.group import TIMEOUT_MS, Group, Letter

SMALL_LOG = {"snapshot_log_bytes": 16 * 1024, "log_tail_bytes": 0}


@kept_or(no_dedup_of_parts="executed twice")
def test_redisraft_proxy_that_executes_twice(rule: Rule) -> None:
    """#13: with follower-proxy a single RPUSH was executed again and again.

    Here what a node forwards is a part with a number; the group's state remembers what it answered, so a part
    that is sent again, to whatever leader, is answered again and not executed again.
    """
    cluster, leader, proxy, third = settled()
    with judged(rule):
        increment = cluster.ask(proxy, [b"INCR", b"n"], write=True)
        cluster.nodes[proxy].flush()
        carry(cluster, proxy, leader, ForwardPart)
        cluster.nodes[leader].flush()
        carry(cluster, leader, third, AppendEntries)  # the next leader has it already
        cluster.crash(leader)
        assert answered(cluster, increment) == [[b":1\r\n"]]
        cluster.run(2000)
        logged = sum(b"INCR" in entry.data for entry in cluster.disks[proxy].group(1).entries)
        assert logged == 2, "sent to two leaders, and into the log by both"
        assert cluster.call(proxy, [b"GET", b"n"], write=False) == got(b"1"), "executed twice"


@kept_or(
    followers_apply_nothing="all data is lost", votes_for_anyone="all data is lost|overwritten|hold more"
)
def test_redisraft_all_data_lost_at_fail_over(rule: Rule) -> None:
    """#14: every fail-over lost all keys, for a new leader began with a state of its own.

    Here every replica carries out every committed entry, only a node that has all of them is elected (Raft
    §5.4.1), and it serves nothing before it has applied them.
    """
    with judged(rule):
        cluster = Cluster()
        cluster.elect()
        cluster.run(2000)
        for round_ in range(3):
            leader = cluster.leader()
            late, third = others(cluster, leader)
            cluster.partition(leader, late)
            cluster.partition(third, late)
            for key in range(5):
                cluster.call(leader, [b"SET", b"%d:%d" % (round_, key), b"v"], write=True)
            cluster.cut.clear()
            cluster.crash(leader)
            cluster.nodes[third].replicas[1].raft.deadline_ms += 2000  # the one without the keys is first
            cluster.connect(third, late)
            found = cluster.call(late, [b"DBSIZE"], write=False)
            assert found == [b":%d\r\n" % (5 * (round_ + 1))], "all data is lost"
            cluster.start(leader)
            run_until_in_step(cluster)


@kept_or(change_in_one_step="both sides of the partition")
def test_redisraft_updates_lost_in_a_membership_change_under_partition(rule: Rule) -> None:
    """#17: a leader that was cut off was asked to remove a node; windows of updates were lost.

    Here voters change by joint consensus (Raft §6): until a majority of the old voters has agreed too, a
    leader that lost them commits neither the change nor anything behind it, and what it began is taken back.
    """
    minority = {1, 2}

    def parted(letter: Letter) -> bool:
        sender, to, _message = letter
        return (sender in minority) == (to in minority)

    with judged(rule):
        group = Group.of(5)
        cut_off = group.elect(1)
        group.advance(100.0)
        agreed = cut_off.commit_index
        cut_off.change((1, 2, 3))
        group.deliver(parted)
        cut_off.propose(EntryKind.PARTS, b"by the one that is cut off")
        group.deliver(parted)
        group.now += 3 * TIMEOUT_MS
        group[4].tick(group.now)
        group.deliver(parted)
        assert group[4].role is Role.LEADER
        update = group[4].propose(EntryKind.PARTS, b"update")
        group.deliver(parted)
        assert group[4].commit_index == update
        assert cut_off.commit_index == agreed, "both sides of the partition commit"
        group.advance(TIMEOUT_MS)
        for raft in group.rafts.values():
            assert raft.configuration == Configuration((1, 2, 3, 4, 5))
            assert raft.commit_index == update
            assert raft.log.slice(update, update + 1, 1)[0].data == b"update"


@kept_or(read_before_apply="an empty read", read_index_before_noop="an empty read")
def test_redisraft_empty_reads_after_restart(rule: Rule) -> None:
    """#18: nodes that had just been restarted answered reads before they had read their log.

    Here a read waits for an entry of the leader's own term to be committed (Raft §8), and for the state of
    the node that serves it to have come as far.
    """
    cluster, *_ = settled()
    cluster.call(1, [b"SET", b"a", b"value"], write=True)
    with judged(rule):
        for number in cluster.disks:
            cluster.crash(number)
        for number in cluster.disks:
            cluster.start(number)
        reads = {number: cluster.ask(number, [b"GET", b"a"], write=False) for number in cluster.disks}
        assert cluster.catch(5000, lambda: cluster.leader() != 0)
        leader = cluster.leader()
        slow, other = others(cluster, leader)
        with applies_nothing(cluster, slow):
            for disk in cluster.disks.values():  # so that nothing of the new term is committed yet
                disk.stuck = True
            cluster.run(200)
            for disk in cluster.disks.values():
                disk.stuck = False
            assert answered(cluster, reads[leader], reads[other]) == [got(b"value")] * 2, "an empty read"
            cluster.run(200)
            assert reads[slow].replies is None, "an empty read"
        assert answered(cluster, reads[slow]) == [got(b"value")]


@kept_or(read_index_before_noop="a stale read")
def test_redisraft_stale_reads_for_want_of_a_no_op(rule: Rule) -> None:
    """#19: a new leader did not know what its predecessor had committed, and answered reads without it.

    Here it commits an entry of its own term first, and knows then (Raft §8): it serves no read before.
    """
    cluster, leader, *followers = settled()
    cluster.call(leader, [b"SET", b"a", b"old"], write=True)
    cluster.run(200)
    with judged(rule):
        write = cluster.ask(leader, [b"SET", b"a", b"new"], write=True)
        assert cluster.catch(1000, lambda: write.replies is not None)
        committed = cluster.nodes[leader].replicas[1].raft.commit_index
        cluster.crash(leader)
        for number in followers:
            assert cluster.nodes[number].replicas[1].raft.commit_index < committed, "nobody else knows"
        reads = [cluster.ask(number, [b"GET", b"a"], write=False) for number in followers]
        assert cluster.catch(5000, lambda: cluster.leader() != 0)
        for disk in cluster.disks.values():
            disk.stuck = True
        cluster.run(200)
        for disk in cluster.disks.values():
            disk.stuck = False
        for replies in answered(cluster, *reads):
            assert replies == got(b"new"), "a stale read"


@kept_or(unknown_called_refused="told that nothing happened")
def test_redisraft_error_reply_although_committed(rule: Rule) -> None:
    """#23: -NOLEADER was told of writes that were in the log, and were committed by the next leader.

    Here "not executed" is only said of what no log and no link has seen; all else is -TIMEOUT, outcome
    unknown.
    """
    cluster, leader, second, third = settled(request_timeout_ms=1500, leader_wait_ms=1000)
    with judged(rule):
        write = cluster.ask(leader, [b"INCR", b"n"], write=True)
        cluster.nodes[leader].flush()
        carry(cluster, leader, second)
        cluster.partition(leader, second)
        cluster.partition(leader, third)
        assert cluster.call(third, [b"GET", b"n"], write=False) == got(b"1")
        assert write.replies is None
        ((reply,),) = answered(cluster, write)
        assert reply.startswith(b"-TIMEOUT"), "told that nothing happened"
        cluster.heal()
        cluster.run(2000)
        assert cluster.call(leader, [b"GET", b"n"], write=False) == got(b"1")


@kept_or(replies_cross_clients="another client", answers_to_an_earlier_life_taken="another client")
def test_redisraft_proxied_replies_crossing_clients(rule: Rule) -> None:
    """#26: after partitions and crashes a proxy gave clients the replies of others, which it had on its way.

    Here a reply names the part that it answers (incarnation, sequence), and a part deals its replies out to
    its requests in their order.  So neither what is sent again nor what comes for a process that is gone is
    mixed up.
    """
    cluster, leader, proxy, third = settled()
    with judged(rule):
        cluster.paused.add(third)  # nothing is committed without the proxy now
        cluster.ask(proxy, [b"INCRBY", b"old", b"1000"], write=True)
        cluster.nodes[proxy].flush()
        carry(cluster, proxy, leader, ForwardPart)
        cluster.nodes[leader].flush()
        cluster.crash(proxy)
        cluster.start(proxy)
        later = cluster.ask(proxy, [b"INCRBY", b"new", b"2000"], write=True)
        assert answered(cluster, later) == [[b":2000\r\n"]], "another client's reply"
        assert cluster.call(proxy, [b"GET", b"old"], write=False) == got(b"1000")
        cluster.paused.clear()

        asked = []
        for number in range(1, 31):
            asked.append(cluster.ask(proxy, [b"INCRBY", b"own:%d" % number, b"%d" % number], write=True))
            if number % 5 == 0:
                cluster.nodes[proxy].flush()
            if number == 10:
                carry(cluster, proxy, leader)
                cluster.nodes[leader].flush()
            if number == 20:
                cluster.disconnect(proxy, leader)
                cluster.connect(proxy, leader)
        for number, replies in enumerate(answered(cluster, *asked), 1):
            assert replies == [b":%d\r\n" % number], "another client's reply"


@kept_or(compacted_before_the_snapshot_is_durable="what is between is missing")
def test_redisraft_gap_between_snapshot_and_log_at_restart(rule: Rule) -> None:
    """#43: nodes found at a restart that their log began behind the end of their snapshot.

    Here the log is let go only behind a snapshot that is durable, name and all: wherever power is lost while
    one is made, both together are whole.  (What a damaged disk may leave: tests/node/test_snapshots.py.)
    """
    cluster = Cluster(size=1, settings=SMALL_LOG)
    cluster.elect()
    written = 0
    with judged(rule):
        for turns in range(24):
            node = cluster.nodes[1]
            while node._snapshots.idle:
                cluster.call(1, [b"SET", b"%d" % written, b"v" * 1000], write=True)
                written += 1
            passed = iter(range(turns))
            cluster.catch(2000, lambda passed=passed: next(passed, None) is None)
            cluster.crash(1)
            cluster.start(1)
            cluster.elect()
            assert cluster.call(1, [b"DBSIZE"], write=False) == [b":%d\r\n" % written]


@kept_or(
    sessions_left_out_of_snapshots="executed twice",
    append_without_consistency_check="executed twice|histories differ|overwritten",
)
def test_redisraft_duplicate_application_from_dueling_histories(rule: Rule) -> None:
    """#52: after crashes and partitions, elements of lists stood there twice, and nodes held different lists.

    Here what a leader did not commit is cut off by the next one (Raft §5.3), a part that was in both
    histories is executed once, and a snapshot holds what is needed to know that: the sessions.
    """
    cluster, first, second, third = settled(**SMALL_LOG, entry_bytes_max=4096)
    with judged(rule):
        before = cluster.nodes[first].replicas[1].raft.last_index
        dueling = []
        for letter in (b"a", b"b", b"c"):  # an entry each
            dueling.append(cluster.ask(first, [b"APPEND", b"list", letter * 2000], write=True))
            cluster.nodes[first].flush()
        assert cluster.nodes[first].replicas[1].raft.last_index == before + 3
        cluster.partition(first, second)
        cluster.partition(first, third)
        cluster.call(second, [b"APPEND", b"list", b"d" * 2000], write=True)
        leader, heir = (second, third) if cluster.leader() == second else (third, second)
        cluster.cut.discard(frozenset((first, heir)))
        cluster.connect(first, heir)
        cluster.nodes[leader].transfer(cluster.map.groups[0], heir)  # who takes the logs for equal at first
        cluster.run(500)
        cluster.heal()
        lengths = [[b":%d\r\n" % length] for length in (4000, 6000, 8000)]
        assert answered(cluster, *dueling) == lengths, "histories differ"

        leader = cluster.leader()
        proxy = first if first != leader else second
        lost = cluster.ask(proxy, [b"APPEND", b"list", b"e"], write=True)
        cluster.nodes[proxy].flush()
        carry(cluster, proxy, leader)
        for other in others(cluster, proxy):
            cluster.partition(proxy, other)
        for key in range(40):
            cluster.call(leader, [b"SET", b"%d" % key, b"v" * 1000], write=True)
        cluster.run(1000)
        for number in others(cluster, proxy):
            assert cluster.disks[number].group(1).first_index > 10, "the entry is in a snapshot only"
            cluster.crash(number)
        for number in set(cluster.disks) - {proxy}:
            cluster.start(number)
        cluster.heal()
        assert answered(cluster, lost) == [[b":8001\r\n"]], "executed twice"
        run_until_in_step(cluster)
        letters = [letter * 2000 for letter in (b"d", b"a", b"b", b"c")]
        assert cluster.call(proxy, [b"GET", b"list"], write=False) == got(b"".join(letters) + b"e")
        assert state(cluster, 1) == state(cluster, 2) == state(cluster, 3), "histories differ"
