"""The walker and the tracker: bounded pieces, each thing once, and only what was written again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.accel.scan import key_slot
from redraft.commands.staging import Operation
from redraft.commands.tracker import NAMES_AT_ONCE, Tracker
from redraft.commands.walker import AHEAD_MAX, Walker
from redraft.engine import kinds, stored
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Engine
from redraft.engine.members import MemoryMembers
from redraft.engine.ordered import UNORDERED_MAX
from redraft.engine.stored import LOOKED_AT_AT_ONCE, ORDERED_AT_ONCE, StoredEngine
from redraft.topology.slots import SLOTS
from tests.commands.moves import Group

A, B = key_slot(b"{a}"), key_slot(b"{b}")


@pytest.fixture(params=["hash", *kinds.STORES])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    """A group that owns all slots, on an engine of each kind."""
    engine: Engine = HashEngine()
    if request.param != "hash":
        engine = StoredEngine(kinds.opener(request.param)(tmp_path))
    yield Group(range(SLOTS), engine)
    engine.close()


def settle(group: Group) -> None:
    """Bring an engine on disk up to date: nothing is in memory only."""
    engine = group.keyspace.engine
    if isinstance(engine, StoredEngine):
        engine.freeze(b"")
        engine.write_frozen()
        engine.thaw()


def begin(group: Group, *slots: int) -> tuple[Tracker, Walker]:
    """Begin to copy slots."""
    keyspace = group.keyspace
    keyspace.tracker = tracker = Tracker(keyspace)
    return tracker, Walker(keyspace, tracker, slots)


def steps(walker: Walker, keys_max: int, bytes_max: int) -> list[list[Operation]]:
    """All steps to the end."""
    made = []
    while not walker.finished:
        made.append(walker.step(keys_max, bytes_max))
        assert len(made) < 100_000
    return made


def walked(group: Group, *slots: int) -> tuple[Tracker, Walker]:
    """Begin to copy, and go through with the walk."""
    tracker, walker = begin(group, *slots)
    steps(walker, 1000, 1 << 20)
    assert not tracker.left
    return tracker, walker


def pieces(operation: Operation) -> int:
    """How many keys or members an operation has."""
    return len(operation[3]) if operation[0] in {"m", "r"} else 1


def size(operation: Operation) -> int:
    """How many bytes of keys, names and values."""
    if operation[0] == "m":
        return sum(map(len, operation[3])) + sum(map(len, operation[4]))
    return sum(len(each) for each in operation[2:] if isinstance(each, bytes))


def copied(made: list[list[Operation]]) -> tuple[dict[bytes, bytes], dict[tuple[int, bytes], bytes], int]:
    """The keys and members that steps have given, and how many they were with those given twice."""
    keys: dict[bytes, bytes] = {}
    members: dict[tuple[int, bytes], bytes] = {}
    count = 0
    for operation in (each for step in made for each in step):
        count += pieces(operation)
        if operation[0] == "k":
            keys[operation[2]] = operation[3]
        else:
            assert operation[0] == "m"
            for name, value in zip(operation[3], operation[4], strict=True):
                members[operation[2], name] = value
    return keys, members, count


@pytest.mark.parametrize("settled", [False, True])
def test_walker_gives_all_of_a_slot_once_in_small_steps(group: Group, *, settled: bool) -> None:
    """No step has more than it was allowed, but for one value."""
    for number in range(0, 3000, 100):
        words = [b"%b{a}%d" % (word, n) for n in range(number, number + 100) for word in (b"", b"value ")]
        group.entry([[b"MSET", *[word.replace(b"value {a}", b"v") for word in words]]])
    group.entry([[b"RPUSH", b"{a}list", *(b"%d" % n for n in range(2000))]])
    group.entry([[b"SADD", b"{a}set", b"x", b"y"]])
    group.ask("SET {b}other v")
    if settled:
        settle(group)
    tracker, walker = begin(group, A)
    made = steps(walker, 70, 1000)
    assert max(sum(map(pieces, step)) for step in made) <= 70
    assert max(sum(map(size, step)) for step in made) <= 1000 + 100
    keys, members, count = copied(made)
    assert count == len(keys) + len(members) == 3002 + 2002
    assert keys == dict(group.keyspace.engine.items(A))
    assert not tracker.left


def test_walker_goes_through_empty_slots_in_steps(group: Group) -> None:
    """However many there are."""
    group.ask("SET {a}1 v")
    _, walker = begin(group, *range(SLOTS))
    made = steps(walker, 100, 1000)
    assert len(made) > SLOTS // 101
    assert copied(made)[2] == 1


def test_large_values_come_one_by_one(group: Group) -> None:
    """Of keys, of members, and of those that were written again."""
    large = b"v" * 5000
    group.entry([[b"HSET", b"{a}hash", *(word for n in range(50) for word in (b"%d" % n, large))]])
    for number in range(20):
        group.entry([[b"SET", b"{a}%d" % number, large]])
    tracker, walker = begin(group, A)
    made = steps(walker, 1000, 6000)
    assert max(sum(map(size, step)) for step in made) <= 6000 + 5100
    assert copied(made)[2] == 71
    group.entry([[b"HSET", b"{a}hash", *(word for n in range(50) for word in (b"%d" % n, large))]])
    assert tracker.left == 50
    given = 0
    while operations := tracker.take(1000, 6000):
        assert sum(map(size, operations)) <= 6000 + 5100
        given += sum(map(pieces, operations))
    assert (given, tracker.left) == (50, 0)


def test_walker_keeps_no_order_of_small_collections(group: Group) -> None:
    """A walk through a million of them must not cost memory that stays."""
    group.entry([[b"SADD", b"{a}set", b"x", b"y"]])
    walked(group, A)
    members = group.keyspace.engine.members(A, 1)
    assert not isinstance(members, MemoryMembers) or members._order is None


def test_what_was_deleted_lately_is_passed_over_in_bounded_steps(group: Group) -> None:
    """A queue's beginning, on an engine on disk."""
    count = 4 * max(LOOKED_AT_AT_ONCE, ORDERED_AT_ONCE, UNORDERED_MAX)
    group.entry([[b"RPUSH", b"{a}list", *(b"%d" % n for n in range(count))]])
    settle(group)
    group.entry([[b"LPOP", b"{a}list", b"%d" % (count - 1)]])
    _, walker = begin(group, A)
    made = steps(walker, AHEAD_MAX, 100_000)
    assert copied(made)[2] == 2
    if group.keyspace.engine.on_disk:
        assert len(made) > 4


def test_what_was_written_lately_is_put_in_order_in_bounded_steps(group: Group) -> None:
    """A step may give nothing; what is written between them does not keep it from the end."""
    for number in range(0, 4 * ORDERED_AT_ONCE, 500):
        group.entry([[b"MSET", *(b"{a}%d" % (n // 2) for n in range(2 * number, 2 * number + 1000))]])
    _, walker = begin(group, A)
    made = []
    while not walker.finished:
        made.append(walker.step(10_000, 1 << 20))
        group.entry([[b"SET", b"{a}new%d" % len(made), b"v"]])
    assert copied(made)[2] >= 4 * ORDERED_AT_ONCE
    if group.keyspace.engine.on_disk:
        assert len([step for step in made if not step]) >= 3


def test_tracker_gives_again_what_was_written_and_only_that(group: Group) -> None:
    """Keys, members, each once, as they are when they are asked for."""
    group.entry(
        [[b"HSET", b"{a}hash", b"f", b"1", b"g", b"2"], [b"SET", b"{a}1", b"v"], [b"SET", b"{a}2", b"v"]]
    )
    tracker, _ = walked(group, A)
    group.entry(
        [[b"SET", b"{a}1", b"x"], [b"SET", b"{a}1", b"y"], [b"DEL", b"{a}2"], [b"SET", b"{b}1", b"v"]]
    )
    group.entry(
        [[b"HSET", b"{a}hash", b"f", b"3"], [b"HDEL", b"{a}hash", b"g"], [b"HSET", b"{a}hash", b"f", b"4"]]
    )
    assert tracker.left == 5
    operations = tracker.take(100, 10_000)
    engine = group.keyspace.engine
    record = engine.get(A, b"{a}hash")
    found = {(each[0], *each[2:3]): each[3:] for each in operations}
    assert found["k", b"{a}1"] == (b"$1\r\ny\r\n",)
    assert found["d", b"{a}2"] == ()
    assert found["k", b"{a}hash"] == (record,)
    assert [pieces(each) for each in operations if each[0] in {"m", "r"}] == [1, 1]
    assert not tracker.left
    assert tracker.take(100, 10_000) == []


def test_short_lived_collections_leave_nothing_to_be_told(group: Group) -> None:
    """A queue that is empty most of the time makes collections without end."""
    group.entry([[b"RPUSH", b"{a}old", b"x"]])
    tracker, _ = walked(group, A)
    for _ in range(50):
        group.entry([[b"RPUSH", b"{a}queue", b"x"], [b"LPOP", b"{a}queue"]])
    assert tracker.left == 1
    assert tracker.take(10, 1000) == [("d", A, b"{a}queue")]
    group.entry([[b"RPUSH", b"{a}queue", b"x"]])
    assert len(tracker.take(10, 1000)) == 2
    group.ask("DEL {a}queue {a}old")
    assert [each[0] for each in tracker.take(10, 1000)] == ["x", "x", "d", "d"]
    assert not tracker.left


@pytest.mark.parametrize("command", ["RENAME {a}big {a}new", "COPY {a}big {a}new", "RENAME {b}big {a}new"])
def test_a_whole_collection_counts_as_all_of_its_members(group: Group, command: str) -> None:
    """And is given in pieces: who freezes because little is left must be able to rely on it."""
    count = 3 * NAMES_AT_ONCE
    for key in (b"{a}big", b"{b}big"):
        group.entry([[b"SADD", key, *(b"%d" % n for n in range(count))]])
    tracker, _ = walked(group, A)
    group.ask(command)
    assert count < tracker.left <= count + 3
    given: set[bytes] = set()
    before = tracker.left + 1
    while tracker.left:
        assert tracker.left < before
        before = tracker.left
        operations = tracker.take(50, 100_000)
        assert sum(map(pieces, operations)) <= 50
        given.update(name for each in operations if each[0] == "m" for name in each[3])
    assert len(given) == count


def test_what_is_emptied_goes_first(group: Group) -> None:
    """FLUSHALL: what was noted before is forgotten, what comes behind is given."""
    group.entry([[b"SADD", b"{a}set", b"x"], [b"SET", b"{a}1", b"v"]])
    tracker, _ = walked(group, A, B)
    group.entry([[b"SADD", b"{a}set", b"y", b"z"], [b"FLUSHALL"], [b"SET", b"{a}2", b"v"]])
    assert tracker.left == 2
    assert tracker.take(10, 1000) == [("e", A), ("k", A, b"{a}2", b"$1\r\nv\r\n")]
    assert not tracker.left


def test_what_expires_is_noted(group: Group) -> None:
    """By an entry that removes it, or when a command meets it."""
    group.entry([[b"SET", b"{a}1", b"v", b"PX", b"5"], [b"SET", b"{a}2", b"v", b"PX", b"5"]])
    tracker, _ = walked(group, A)
    group.now_ms += 10
    assert group.entry([[b"GET", b"{a}1"]]) == [b"$-1\r\n"]
    assert tracker.left == 1
    assert group.keyspace.expire_due(group.now_ms, 10) == 1
    assert sorted(tracker.take(10, 1000)) == [("d", A, b"{a}1"), ("d", A, b"{a}2")]


def test_what_is_taken_back_is_not_noted(group: Group) -> None:
    """A command that is refused in its midst has changed nothing."""
    group.entry([[b"RPUSH", b"{a}list", b"x"]])
    tracker, _ = walked(group, A)
    assert group.ask("LSET {a}list 5 y").startswith(b"-ERR")
    assert group.ask("INCR {a}list").startswith(b"-WRONGTYPE")
    assert not tracker.left


def test_what_was_given_in_between_is_told_of_when_it_is_gone(group: Group) -> None:
    """By the walker, or by the tracker, after it was made."""
    group.entry([[b"SET", b"{a}1", b"v"]])
    tracker, walker = begin(group, A)
    group.entry([[b"RPUSH", b"{a}list", b"x"]])
    steps(walker, 10, 1000)
    group.ask("DEL {a}list")
    assert sorted(tracker.take(10, 1000)) == [("d", A, b"{a}list"), ("x", A, 1)]


def test_collection_in_the_place_of_another_is_not_taken_for_it(group: Group) -> None:
    """A walk in the midst of a collection, while its key becomes another one, or none."""
    for replaced in (True, False):
        group.entry([[b"SADD", b"{a}set", *(b"%d" % n for n in range(100))]])
        settle(group)
        tracker, walker = begin(group, A)
        walker.step(20, 1000)
        group.ask("DEL {a}set")
        if replaced:
            group.ask("SADD {a}set x")
        assert copied(steps(walker, 1000, 100_000))[2] == 0
        while tracker.left:
            tracker.take(100, 1000)
        group.ask("DEL {a}set")
        engine = group.keyspace.engine
        assert not isinstance(engine, HashEngine) or not engine.collections[A]


def test_member_that_is_written_after_the_visit_is_sent_as_it_is(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the engine has made room since a client opened the collection."""
    monkeypatch.setattr(stored, "COLLECTIONS_KEPT", 4)
    names = [b"{a}%d" % number for number in range(20)]
    group.entry([[b"HSET", name, b"f", b"old"] for name in names])
    settle(group)
    assert group.read([[b"HGET", name, b"f"] for name in names]) == [b"$3\r\nold\r\n"] * 20
    tracker, walker = begin(group, A)
    steps(walker, 5, 10_000)
    group.entry([[b"HSET", name, b"f", b"new"] for name in names])
    values = []
    while tracker.left:
        for operation in tracker.take(100, 10_000):
            if operation[0] == "m":
                values += operation[4]
    assert len(values) == 20
    assert set(values) == {values[0]}
    assert b"new" in values[0]
