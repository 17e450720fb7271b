"""EXEC and WATCH as a group carries them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from redraft.accel.scan import key_slot
from redraft.commands import execute, transaction
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import ExpiredKeyError, Keyspace
from redraft.commands.table import IDS
from redraft.engine.hash import HashEngine
from redraft.topology.slots import SLOTS
from tests.commands.executors import OutOfLine, check_counts, encode

NOW_MS = 1_700_000_000_000


class Group:
    """A keyspace that entries are applied to, one call each."""

    def __init__(self, *, fast: bool) -> None:
        engine = HashEngine() if fast else OutOfLine()
        self.ctx = Context(Keyspace(engine, range(SLOTS)))  # type: ignore[arg-type]
        self.now_ms = NOW_MS

    def apply(self, *lines: str, deny_oom: bool = False) -> list[bytes]:
        """Apply requests as one entry."""
        return self.apply_words([line.encode().split() for line in lines], deny_oom=deny_oom)

    def apply_words(self, requests: Sequence[Sequence[bytes]], *, deny_oom: bool = False) -> list[bytes]:
        self.ctx.keyspace.index += 1
        self.ctx.begin(now_ms=self.now_ms, write=True, seed=7, deny_oom=deny_oom)
        replies = execute_batch(self.ctx, b"".join(map(encode, requests)), [(len(requests), 2)])
        check_counts(self.ctx.keyspace)
        return replies

    def read(self, *words: bytes) -> bytes:
        """Execute a read."""
        self.ctx.begin(now_ms=self.now_ms, write=False)
        return execute_batch(self.ctx, encode(words), [(1, 2)])[0]

    def watch(self, *keys: bytes) -> list[tuple[bytes, int]]:
        """Watch keys."""
        index = int(self.read(b"WATCH", *keys)[1:])
        return [(key, index) for key in keys]


@pytest.fixture(params=[True, False], ids=["fast", "handlers"])
def group(request: pytest.FixtureRequest) -> Group:
    """A group, with and without the fast branches."""
    return Group(fast=request.param)


def exec_of(*lines: str, watched: Sequence[tuple[bytes, int]] = (), proto: int = 2) -> list[bytes]:
    """EXEC of one segment."""
    requests = b"".join(encode(line.encode().split()) for line in lines)
    return transaction.encode([(len(lines), proto, requests)], watched)


def test_exec_between_others_of_its_entry(group: Group) -> None:
    """It stands in a batch like any command: what is before it is seen, what is behind it sees."""
    requests = [[b"SET", b"a", b"1"], exec_of("INCR a", "GET a", "SET b x"), [b"INCR", b"a"], [b"GET", b"b"]]
    assert group.apply_words(requests) == [
        b"+OK\r\n",
        b"*3\r\n:2\r\n$1\r\n2\r\n+OK\r\n",
        b":3\r\n",
        b"$1\r\nx\r\n",
    ]


def test_exec_of_several_segments_answers_each_in_its_protocol(group: Group) -> None:
    """The segments' replies are bulks; what is behind the EXEC has its own protocol again."""
    segments = [(1, 2, encode([b"GET", b"a"])), (0, 3, b""), (2, 3, encode([b"GET", b"a"]) * 2)]
    replies = group.apply_words([transaction.encode(segments, ()), [b"GET", b"a"]])
    assert replies == [b"*3\r\n$5\r\n$-1\r\n\r\n$0\r\n\r\n$6\r\n_\r\n_\r\n\r\n", b"$-1\r\n"]


def test_exec_undoes_only_what_was_refused(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails, even by a bug of ours, is undone alone."""
    lines = ["SET a 1", "INCRBY a x", "MSETNX a 1 b 2", "HSET a f v", "APPEND a 2", "SET b 1 EX 0", "GET a"]
    reply = group.apply_words([exec_of(*lines)])[0]
    assert reply.startswith(b"*7\r\n+OK\r\n-ERR value is not an integer")
    assert reply.endswith(b"$2\r\n12\r\n")
    assert group.read(b"EXISTS", b"b") == b":0\r\n"

    def broken(ctx: Context, args: list[bytes]) -> bytes:
        ctx.keyspace.put(key_slot(args[1]), args[1], b":9\r\n")
        raise RuntimeError("a bug")

    number = IDS[b"append"]
    monkeypatch.setitem(execute._PLAIN, number, replace(execute._PLAIN[number], handler=broken))
    reply = group.apply_words([exec_of("SET b 5", "APPEND b 1", "INCR b")])[0]
    assert reply == b"*3\r\n+OK\r\n-ERR internal error\r\n:6\r\n"
    assert len(group.ctx.bugs) == 1


def test_watch_sees_changes_by_entries_behind_it_only(group: Group) -> None:
    """In the same entry before the EXEC, by an EXEC, by the fast branches and by handlers."""
    group.apply("SET a 1")
    for change in ("SET a 1", "INCR a", "DEL a", "APPEND a 1", "MSET z 1 a 2", "FLUSHALL"):
        watched = group.watch(b"a")
        unchanged = group.apply_words([exec_of("STRLEN a", watched=watched)])
        assert unchanged[0].startswith(b"*1\r\n:")
        requests = [change.encode().split(), exec_of("SET a 9", watched=watched)]
        assert group.apply_words(requests)[1] == b"*-1\r\n", change
        assert group.apply_words([exec_of("SET a 9", watched=watched)]) == [b"*-1\r\n"]
        group.apply("SET a 1")


def test_watch_counts_nothing_that_changed_nothing(group: Group) -> None:
    """Reads, refused writes and writes without effect."""
    group.apply("SET a x", "SET n 1")
    watched = group.watch(b"a", b"none")
    lines = [
        "GET a",
        "INCR a",
        "SETNX a 1",
        "DEL none",
        "MSETNX a 1 none 2",
        "PERSIST a",
        "EXPIRE none 1",
        "TTL a",
    ]
    group.apply(*lines)
    group.apply_words([exec_of(*lines)])
    group.apply("INCR n", "FLUSHALL x")
    assert group.apply_words([exec_of(watched=watched)]) == [b"*0\r\n"]


def test_watch_is_by_slot(group: Group) -> None:
    """Another key of the slot counts as well: told in docs/commands-differences.md."""
    watched = group.watch(b"{t}a")
    group.apply("SET {t}b 1")
    assert group.apply_words([exec_of(watched=watched)]) == [b"*-1\r\n"]


def test_watch_in_a_collection(group: Group) -> None:
    """A member that is written is a change of its key, whether or not the number of members changes."""
    group.apply("HSET h f 1")
    for line in ("HSET h f 2", "HINCRBY h f 1", "HSET h g 1", "HDEL h g", "HDEL h f"):
        watched = group.watch(b"h")
        assert group.apply_words([exec_of("HGET h f", watched=watched)]) != [b"*-1\r\n"]
        group.apply(line)
        assert group.apply_words([exec_of(watched=watched)]) == [b"*-1\r\n"], line


def test_watch_meets_deadlines(group: Group) -> None:
    """A key that was watched and is past its deadline has changed, by whatever entry or read finds it."""
    for write in (True, False):
        group.apply("SET a 1 PX 100")
        watched = group.watch(b"a")
        assert group.apply_words([exec_of(watched=watched)]) == [b"*0\r\n"]
        group.now_ms += 100
        words = exec_of(watched=watched)
        if not write:
            with pytest.raises(ExpiredKeyError):
                group.read(*words)
            with pytest.raises(ExpiredKeyError):
                group.watch(b"a")
            group.ctx.keyspace.index += 1
            assert group.ctx.keyspace.expire_due(group.now_ms, 10) == 1
            assert group.read(*words) == b"*-1\r\n"
        assert group.apply_words([words]) == [b"*-1\r\n"]
        assert group.ctx.keyspace.key_count == 0
        assert group.apply_words([exec_of(watched=group.watch(b"a"))]) == [b"*0\r\n"]


def test_exec_over_the_memory_limit_is_refused_whole(group: Group) -> None:
    """One command that may need memory refuses all; without one it is carried out."""
    group.apply("SET a 1")
    replies = group.apply_words(
        [exec_of("DEL a", "SET b 1"), exec_of("GET a", "DEL a"), exec_of("GET a")], deny_oom=True
    )
    assert replies[0] == (
        b"-EXECABORT Transaction discarded because of: "
        b"OOM command not allowed when used memory > 'maxmemory'.\r\n"
    )
    assert replies[1:] == [b"*2\r\n$1\r\n1\r\n:1\r\n", b"*1\r\n$-1\r\n"]


def test_exec_draws_from_the_entry_s_chance(group: Group) -> None:
    """Inside and outside of EXEC one sequence of random numbers goes on: the same on every replica."""
    group.apply(*(f"SET k{number} 1" for number in range(50)))
    plain = group.apply(*["RANDOMKEY"] * 6)
    mixed = group.apply_words([[b"RANDOMKEY"], exec_of(*["RANDOMKEY"] * 4), [b"RANDOMKEY"]])
    assert b"".join(mixed) == plain[0] + b"*4\r\n" + b"".join(plain[1:5]) + plain[5]


def test_exec_with_keys_answers_the_same_whatever_the_engine_s_order() -> None:
    """KEYS and RANDOMKEY in an entry: replicas that got their keys in another order reply alike."""
    names = [f"{{t}}{number}" for number in range(30)]
    one, other = Group(fast=True), Group(fast=True)
    one.apply(*(f"SET {name} 1" for name in names))
    other.apply(*(f"SET {name} 1" for name in reversed(names)))
    words = exec_of("KEYS *", "RANDOMKEY", "RANDOMKEY", "SET a 1", "SCAN 0", "KEYS *")
    assert one.apply_words([words]) == other.apply_words([words])
