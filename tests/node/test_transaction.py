"""Transactions in a bottle: what EXEC and WATCH promise when leaders die, nodes restart and links break."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from redraft.commands import transaction
from tests.node.bottle import Asked, Cluster, encode

SEEDS = range(1, 6)


def exec_of(*commands: Sequence[bytes], watched: Sequence[tuple[bytes, int]] = ()) -> list[bytes]:
    """EXEC as the front end sends it."""
    return transaction.encode([(len(commands), 2, b"".join(map(encode, commands)))], watched)


def watch(cluster: Cluster, number: int, key: bytes) -> tuple[bytes, int]:
    """Watch a key by way of a node."""
    (reply,) = cluster.call(number, [b"WATCH", key], write=False)
    assert reply.startswith(b":"), reply
    return key, int(reply[1:])


def lose_leader(cluster: Cluster) -> int:
    """Crash the leader and wait for the next; returns the one that is gone."""
    leader = cluster.leader()
    cluster.crash(leader)
    assert cluster.run(10_000, until=lambda: cluster.leader() not in (0, leader))
    return leader


def test_exec_on_every_node() -> None:
    """Leader, followers, nodes without a replica: writes, reads, and a watch of one node used at another."""
    cluster = Cluster(size=5)
    cluster.elect()
    for number in cluster.nodes:
        key = b"k%d" % number
        commands = [[b"SET", key, b"1"], [b"INCR", key], [b"GET", key]]
        watched = watch(cluster, number, key)
        for other in cluster.nodes:
            assert cluster.call(other, exec_of(watched=[watched]), write=False) == [b"*0\r\n"]
        reply = cluster.call(number, exec_of(*commands, watched=[watched]), write=True)
        assert reply == [b"*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"]
        for other in cluster.nodes:
            assert cluster.call(other, exec_of([b"GET", key]), write=False) == [b"*1\r\n$1\r\n2\r\n"]
            assert cluster.call(other, exec_of(watched=[watched]), write=False) == [b"*-1\r\n"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("changed", [False, True])
def test_watch_holds_over_a_change_of_leader(seed: int, changed: bool) -> None:
    """The leader dies between WATCH and EXEC: the next one knows as well whether the key was changed."""
    print("seed", seed)
    cluster = Cluster(seed=seed)
    cluster.elect()
    other = next(number for number in cluster.nodes if number != cluster.leader())
    cluster.call(other, [b"SET", b"a", b"1"], write=True)
    watched = watch(cluster, cluster.leader(), b"a")
    if changed:
        cluster.call(other, [b"SET", b"a", b"1"], write=True)
    lose_leader(cluster)
    cluster.call(other, [b"SET", b"elsewhere", b"1"], write=True)
    reply = cluster.call(other, exec_of([b"INCR", b"a"], watched=[watched]), write=True)
    assert reply == [b"*-1\r\n" if changed else b"*1\r\n:2\r\n"]


@pytest.mark.parametrize("changed", [False, True])
def test_watch_holds_over_snapshots_and_restarts(changed: bool) -> None:
    """All nodes restart from snapshots that have let the log go: what was changed when is in them."""
    cluster = Cluster(settings={"snapshot_log_bytes": 2000, "log_tail_bytes": 0})
    cluster.elect()
    cluster.call(1, [b"SET", b"a", b"1"], write=True)
    watched = watch(cluster, 1, b"a")
    if changed:
        cluster.call(2, [b"DEL", b"a"], write=True)
    for number in range(60):
        cluster.call(3, [b"SET", b"other%d" % (number % 9), b"x" * 100], write=True)
    cluster.run(2000)
    for log in (cluster.disks[number].group(1) for number in cluster.nodes):
        assert log.first_index > watched[1] + 2, "the log was not compacted: this proves nothing"
    for number in list(cluster.nodes):
        cluster.crash(number)
    for number in range(1, 4):
        cluster.start(number)
    cluster.elect()
    reply = cluster.call(2, exec_of([b"EXISTS", b"a"], watched=[watched]), write=True)
    assert reply == [b"*-1\r\n" if changed else b"*1\r\n:1\r\n"]


@pytest.mark.parametrize("seed", SEEDS)
def test_exec_sent_again_to_the_next_leader_takes_effect_once(seed: int) -> None:
    """The leader dies with the EXEC anywhere between its socket and its reply."""
    print("seed", seed)
    cluster = Cluster(seed=seed)
    cluster.elect()
    leader = cluster.leader()
    other = next(number for number in cluster.nodes if number != leader)
    watched = watch(cluster, other, b"n")
    commands = [[b"INCR", b"n"], [b"APPEND", b"log", b"x"], [b"INCR", b"n"]]
    asked = cluster.ask(other, exec_of(*commands, watched=[watched]), write=True)
    cluster.nodes[other].flush()
    for _ in range(seed):
        for number in list(cluster.nodes):
            cluster._turn(number)
    lose_leader(cluster)
    assert cluster.run(10_000, until=lambda: asked.replies is not None)
    assert asked.replies == [b"*3\r\n:1\r\n:1\r\n:2\r\n"]
    assert cluster.call(other, [b"MGET", b"n", b"log"], write=False) == [b"*2\r\n$1\r\n2\r\n$1\r\nx\r\n"]


def test_exec_whose_reply_was_lost_is_answered_as_at_first() -> None:
    """The watched key was changed by the EXEC itself: sent again, it is not refused for that."""
    cluster = Cluster()
    cluster.elect()
    leader = cluster.leader()
    other = next(number for number in cluster.nodes if number != leader)
    watched = watch(cluster, other, b"n")
    asked = cluster.ask(other, exec_of([b"INCR", b"n"], watched=[watched]), write=True)
    cluster.nodes[other].flush()
    link = cluster.links[other, leader]
    while link.queue:
        cluster.nodes[leader].on_frame(other, *link.queue.popleft())
    cluster.partition(leader, other)
    cluster.run(60)
    cluster.heal()
    assert cluster.run(3000, until=lambda: asked.replies is not None)
    assert asked.replies == [b"*1\r\n:1\r\n"]
    assert cluster.call(leader, [b"GET", b"n"], write=False) == [b"$1\r\n1\r\n"]


@pytest.mark.parametrize("seed", SEEDS)
def test_watch_loops_lose_no_update(seed: int) -> None:
    """WATCH, GET, EXEC of SET on all nodes at once while leaders die: no EXEC that said so is missing."""
    print("seed", seed)
    cluster = Cluster(seed=seed)
    cluster.elect()
    rng = random.Random(seed)
    loops = [Loop(cluster, rng) for _ in range(6)]
    for turn in range(60):
        for loop in loops:
            loop.step()
        if turn % 20 == 10:
            lost = lose_leader(cluster)
            cluster.start(lost)
        cluster.run(rng.choice((20, 40, 100)))
    cluster.run(5000, until=lambda: all(loop.rest() for loop in loops))
    total = cluster.call(1, [b"GET", b"n"], write=False)[0]
    count = int(total.split(b"\r\n")[1])
    done, unknown = sum(loop.done for loop in loops), sum(loop.unknown for loop in loops)
    print("done", done, "unknown", unknown)
    assert done > 10
    assert done <= count <= done + unknown


class Loop:
    """A client that counts by WATCH, GET and SET in a transaction, at any node."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster, self._rng = cluster, rng
        self._asked: Asked | None = None
        self._node: object = None
        self._watched: tuple[bytes, int] | None = None
        self._writes = False
        self._value: int | None = None
        self.done = self.unknown = 0

    def rest(self) -> bool:
        """Take what was answered; whether nothing is under way."""
        asked = self._asked
        if asked is not None and asked.replies is None:
            if self._node in self._cluster.nodes.values():
                return False
            self.unknown += self._writes  # its node is gone
        elif asked is not None:
            assert asked.replies is not None
            self._take(asked.replies[0])
        self._asked = None
        return True

    def step(self) -> None:
        """Ask for the next thing, if nothing is under way."""
        if not self.rest():
            return
        number = self._rng.choice(sorted(self._cluster.nodes))
        self._node = self._cluster.nodes[number]
        self._writes = isinstance(self._value, int)
        if self._writes:
            command = exec_of([b"SET", b"n", b"%d" % (self._value + 1)], watched=[self._watched])
            self._value, self._watched = None, None
        elif self._watched is None:
            command = [b"WATCH", b"n"]
        else:
            command = [b"GET", b"n"]
        self._asked = self._cluster.ask(number, command, write=self._writes)

    def _take(self, reply: bytes) -> None:
        if self._writes:
            self.done += reply == b"*1\r\n+OK\r\n"
            self.unknown += reply.startswith(b"-TIMEOUT")
        elif reply.startswith(b":"):
            self._watched = (b"n", int(reply[1:]))
        elif reply.startswith(b"$"):
            self._value = int(reply.split(b"\r\n")[1]) if reply != b"$-1\r\n" else 0


@pytest.mark.parametrize("reader", [1, 2, 3])
def test_exec_of_reads_meets_a_key_past_its_deadline(reader: int) -> None:
    """Watched or read: it waits for the entry that removes the key, and that is a change."""
    cluster = Cluster()
    cluster.elect()
    cluster.call(1, [b"SET", b"a", b"1", b"PX", b"200"], write=True)
    watched = watch(cluster, reader, b"a")
    asked = cluster.ask(reader, exec_of([b"GET", b"a"], watched=[watched]), write=False)
    cluster.run(100, until=lambda: asked.replies is not None)
    assert asked.replies == [b"*1\r\n$1\r\n1\r\n"]
    cluster.now += 250
    assert cluster.call(reader, exec_of([b"GET", b"a"], watched=[watched]), write=False) == [b"*-1\r\n"]
    assert cluster.call(reader, exec_of([b"GET", b"a"]), write=False) == [b"*1\r\n$-1\r\n"]
