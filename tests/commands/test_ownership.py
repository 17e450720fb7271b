"""A group's part in moves of slots: each step, each step again, and what is served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.accel.scan import key_slot
from redraft.commands.moving import Status
from redraft.commands.ownership import Ownership, format_slots, parse_slots
from redraft.commands.reply import OK, REFUSED
from redraft.commands.staging import Operation, encode_operations
from redraft.engine import kinds
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Engine
from redraft.engine.record import expiring, string_body
from redraft.engine.stored import StoredEngine
from redraft.topology.slots import SLOTS
from tests.commands.executors import check_counts
from tests.commands.moves import NOW_MS, Group

A, B = key_slot(b"{a}"), key_slot(b"{b}")
ACCEPTED, NOT_ACCEPTED = b"+ACCEPTED\r\n", b"+REFUSED\r\n"
GAP, DECIDED = b"-MOVE gap\r\n", b"-MOVE decided\r\n"
BODY = string_body(b"v")


@pytest.fixture
def source() -> Group:
    """A group that owns all slots, with two keys in A and one in B."""
    made = Group(range(SLOTS))
    for line in ("SET {a}1 v", "SET {a}2 v PX 5000", "SET {b}1 v", "RPUSH {a}list x y"):
        made.ask(line)
    return made


@pytest.fixture
def target() -> Group:
    """A group that owns no slots but B."""
    return Group([B])


@pytest.fixture(params=["hash", *kinds.STORES])
def stored_target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    """Likewise, on an engine of each kind."""
    engine: Engine = HashEngine()
    if request.param != "hash":
        engine = StoredEngine(kinds.opener(request.param)(tmp_path))
    yield Group([B], engine)
    engine.close()


def unfit(reply: bytes) -> bool:
    """Whether a step was refused for its slots."""
    return reply.startswith(b"-MOVE refused")


def test_slots_are_written_as_ranges() -> None:
    """What is written is read again; anything else is refused."""
    for slots in ([0], [1, 2, 3], [0, 5, 6, 16383], range(SLOTS)):
        assert list(parse_slots(format_slots(slots))) == list(slots)
    for text in (b"", b"3-1", b"5,4", b"1-2,3", b"16384", b"-1", b"a", b"1,1"):
        with pytest.raises(ValueError):
            parse_slots(text)


def test_source_serves_until_it_is_frozen(source: Group) -> None:
    """BEGIN changes nothing for clients; FREEZE stops reads and writes of these slots only."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.ask("INCR {a}n") == b":1\r\n"
    assert source.move("FREEZE", 7, 2) == GAP
    assert source.move("FREEZE", 7, 1) == b":%d\r\n" % NOW_MS
    assert source.move("FREEZE", 7, 1) == b":%d\r\n" % NOW_MS
    assert source.entry([[b"SET", b"{a}1", b"w"], [b"GET", b"{b}1"]], [[b"GET", b"{b}1"]]) == [
        REFUSED, REFUSED, b"$1\r\nv\r\n",
    ]  # fmt: skip
    assert source.read([[b"GET", b"{b}1"], [b"GET", b"{a}1"], [b"GET", b"{b}1"]]) == [
        b"$1\r\nv\r\n", REFUSED, REFUSED,
    ]  # fmt: skip
    assert source.ask("DBSIZE") == b":1\r\n", "a bare one means what is served"
    assert source.status(7) == Status("frozen", 1)


def test_freeze_in_the_entry_of_begin_is_too_early(source: Group) -> None:
    """What is served changes from one entry to the next, or within a batch that is looked at."""
    move = [b"REDRAFT", b"MOVE"]
    begin = [*move, b"BEGIN", b"7", b"%d" % A, b"2", b"1"]
    assert source.entry([begin, [*move, b"FREEZE", b"7", b"1"]]) == [OK, GAP]
    assert source.entry(
        [[b"SET", b"{a}1", b"x"]], [[*move, b"FREEZE", b"7", b"1"]], [[b"GET", b"{a}1"]]
    ) == [OK, b":%d\r\n" % NOW_MS, REFUSED]  # fmt: skip


def test_begin_wants_slots_that_are_owned_and_not_on_their_way(source: Group, target: Group) -> None:
    """Another group's, those of another move, those that come."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert unfit(source.move("BEGIN", 8, format_slots(sorted((A, B))), 2, 1))
    assert unfit(source.move("BEGIN", 7, A, 3, 1)), "another target"
    assert unfit(target.move("BEGIN", 8, A, 2, 1))
    assert target.imports(9, [A], 1, 1) == OK
    assert unfit(target.move("BEGIN", 8, A, 2, 1))


def test_higher_attempt_thaws_and_a_lower_one_does_nothing(source: Group) -> None:
    """A new leader copies anew; what the old one still sends does not fit."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("FREEZE", 7, 1).startswith(b":")
    assert source.move("BEGIN", 7, A, 2, 2) == OK
    assert source.ask("GET {a}1") == b"$1\r\nv\r\n"
    assert source.move("FREEZE", 7, 1) == GAP
    assert source.move("BEGIN", 7, A, 2, 1) == GAP
    assert source.status(7) == Status("copying", 2)


@pytest.mark.parametrize("known", [True, False])
def test_release_drops_the_slots_and_their_counts(source: Group, *, known: bool) -> None:
    """Whether the counts are told or not; what is told and can't be right is not believed."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("RELEASE", 7) == GAP
    assert source.move("FREEZE", 7, 1).startswith(b":")
    whole = source.keyspace.counts
    rest = Group([B])
    rest.ask("SET {b}1 v")
    told = [whole[at] - rest.keyspace.counts[at] for at in range(3)] if known else [1, 1, 1]
    assert source.move("RELEASE", 7, *told) == OK
    assert source.move("RELEASE", 7, *told) == OK
    assert source.keyspace.counts == rest.keyspace.counts
    check_counts(source.keyspace)
    assert source.keyspace.next_deadline_ms() is None
    assert source.ask("GET {a}1") == REFUSED
    assert source.ask("GET {b}1") == b"$1\r\nv\r\n"
    assert source.status(7) == Status("closed")
    assert unfit(source.move("BEGIN", 7, B, 2, 9)), "a late one of a move that is over"
    assert not source.keyspace.engine.members(A, 1).count()


def test_unfreeze_serves_again_and_forgets(source: Group) -> None:
    """Deadlines that came meanwhile come now; a late BEGIN does not begin again."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("FREEZE", 7, 1).startswith(b":")
    assert source.keyspace.next_deadline_ms() is None, "what is frozen does not expire"
    source.now_ms += 6000
    assert source.keyspace.expire_due(source.now_ms, 10) == 0
    assert source.move("UNFREEZE", 7) == OK
    assert source.move("UNFREEZE", 7) == OK
    assert source.keyspace.next_deadline_ms() == NOW_MS + 5000
    assert source.keyspace.expire_due(source.now_ms, 10) == 1
    assert source.ask("EXISTS {a}1 {a}2") == b":1\r\n"
    assert unfit(source.move("BEGIN", 7, A, 2, 1))


def test_imports_come_in_order_and_once(target: Group) -> None:
    """A number too far is a gap, one that was had is OK and does nothing."""
    one, two = ["k", A, b"{a}1", BODY], ["d", A, b"{a}1"]
    assert target.imports(7, [A], 1, 2, one) == GAP
    assert target.imports(7, [A], 1, 1, one) == OK
    assert target.imports(7, [A], 1, 3, two) == GAP
    assert target.imports(7, [A], 1, 2, two) == OK
    assert target.imports(7, [A], 1, 1, one) == OK
    assert target.status(7) == Status("importing", 1, 2)
    assert unfit(target.imports(7, [A, A + 1], 1, 3, one)), "other slots"
    assert unfit(target.imports(8, [A], 1, 1, one)), "slots of another move"
    assert unfit(target.imports(8, [B], 1, 1)), "owned"
    assert target.imports(7, [A], 1, 3, ["k", B, b"{b}1", BODY]) == b"-MOVE malformed\r\n"
    assert target.move("IMPORT", 7, A, 1, 3, b"nothing of the kind") == b"-MOVE malformed\r\n"


def test_staged_keys_are_seen_by_nobody(target: Group) -> None:
    """Not counted, not listed, not expiring; they take memory all the same."""
    record = expiring(BODY, NOW_MS + 100)
    assert target.imports(7, [A], 1, 1, ["k", A, b"{a}1", record], ["m", A, 5, [b"n"], [b"v"]]) == OK
    assert target.ask("GET {a}1") == REFUSED
    assert target.entry([[b"DBSIZE"], [b"KEYS", b"*"], [b"RANDOMKEY"]]) == [b":0\r\n", b"*0\r\n", b"$-1\r\n"]
    assert target.entry([[b"SCAN", b"0"]]) == [REFUSED]
    assert target.ask(f"SCAN {A << 48}") == REFUSED
    assert target.keyspace.next_deadline_ms() is None
    assert target.keyspace.counts == (0, 0, len(b"{a}1") + len(record))
    assert target.ask("FLUSHALL") == OK
    assert target.keyspace.counts == (0, 0, len(b"{a}1") + len(record)), "what comes is not the group's yet"
    assert target.keyspace.engine.members(A, 5).get(b"n") == b"v"


def test_accept_makes_them_the_groups_own(target: Group) -> None:
    """Counts, deadlines, ids, the clock, WATCH; the same answer ever after."""
    record = expiring(BODY, NOW_MS + 5000)
    assert target.imports(7, [A], 3, 1, ["k", A, b"{a}1", record], ["k", A, b"{a}2", BODY]) == OK
    assert target.accept(7, 3, 2) == GAP
    assert target.accept(7, 2, 1) == GAP
    assert target.accept(7, 3, 1, NOW_MS + 1000, 55) == ACCEPTED
    assert target.accept(7, 3, 1) == ACCEPTED
    assert target.move("REFUSE", 7) == ACCEPTED
    check_counts(target.keyspace)
    assert target.keyspace.key_count == 2
    assert target.keyspace.next_deadline_ms() == NOW_MS + 5000
    assert target.keyspace.collections_made == 55
    assert target.keyspace.modified[A] == 4
    assert target.ask("PTTL {a}1") == b":4000\r\n"
    size = 2 * len(b"{a}1") + len(record) + len(BODY)
    assert target.status(7) == Status("accepted", keys=2, expiring=1, bytes=size)
    assert target.imports(7, [A], 4, 1) == DECIDED
    assert target.move("FORGET", 7) == OK
    assert target.imports(7, [A], 4, 1) == DECIDED
    assert target.accept(7, 3, 1) == DECIDED
    assert target.ask("GET {a}1") == b"$1\r\nv\r\n"


def test_accept_in_the_midst_of_an_entry_counts_for_what_follows(target: Group) -> None:
    """At the clock of the source: nothing that was gone there is there again."""
    assert target.imports(7, [A], 1, 1, ["k", A, b"{a}1", expiring(BODY, NOW_MS + 50)]) == OK
    accept = [
        b"REDRAFT",
        b"MOVE",
        b"ACCEPT",
        b"7",
        b"1",
        b"1",
        b"\x92\xcf" + (NOW_MS + 50).to_bytes(8, "big") + b"\x00",
    ]
    get = [b"GET", b"{a}1"]
    assert target.entry([get], [accept], [get]) == [REFUSED, ACCEPTED, b"$-1\r\n"]
    check_counts(target.keyspace)


def test_refuse_drops_what_has_come(target: Group) -> None:
    """For good: what comes late is told so."""
    assert target.imports(7, [A], 1, 1, ["k", A, b"{a}1", BODY], ["m", A, 5, [b"n"], [b"v"]]) == OK
    assert target.move("FORGET", 7) == GAP
    assert target.move("REFUSE", 7) == NOT_ACCEPTED
    assert target.move("REFUSE", 7) == NOT_ACCEPTED
    assert target.accept(7, 1, 1) == NOT_ACCEPTED
    assert target.imports(7, [A], 1, 2) == DECIDED
    assert target.keyspace.counts == (0, 0, 0)
    assert target.keyspace.engine.get(A, b"{a}1") is None
    assert target.keyspace.engine.members(A, 5).get(b"n") is None
    assert target.move("REFUSE", 8) == NOT_ACCEPTED, "of which nothing has come"
    assert target.imports(8, [A], 1, 1) == DECIDED
    assert target.imports(9, [A], 1, 1) == OK, "another move of the same slots"


@pytest.mark.parametrize("refused", [False, True])
def test_members_that_came_without_their_key_go_too(stored_target: Group, *, refused: bool) -> None:
    """Of a wiped attempt, or a refused move; the same collection may come again, with other members."""
    target = stored_target
    target.imports(7, [A], 1, 1, ["m", A, 5, [b"m", b"n"], [b"1", b"2"]])
    engine = target.keyspace.engine
    if isinstance(engine, StoredEngine):
        engine.freeze(b"")
        engine.write_frozen()
        engine.thaw()
    if refused:
        assert target.move("REFUSE", 7) == NOT_ACCEPTED
    move, attempt = (8, 1) if refused else (7, 2)
    assert target.imports(move, [A], attempt, 1, ["m", A, 5, [b"n"], [b"3"]]) == OK
    assert target.keyspace.engine.members(A, 5).range() == [(b"n", b"3")]


def test_new_attempt_begins_anew(target: Group) -> None:
    """With its first import; what the one before has brought is gone, and what it still sends is late."""
    assert (
        target.imports(
            7, [A], 1, 1, ["k", A, b"{a}1", expiring(BODY, NOW_MS + 9)], ["m", A, 5, [b"n"], [b"v"]]
        )
        == OK
    )
    assert target.imports(7, [A], 2, 2) == GAP
    assert target.imports(7, [A], 2, 1, ["k", A, b"{a}2", BODY]) == OK
    assert target.imports(7, [A], 1, 2) == GAP
    assert target.accept(7, 1, 1) == GAP
    assert target.accept(7, 2, 1) == ACCEPTED
    check_counts(target.keyspace)
    assert target.ask("EXISTS {a}1 {a}2") == b":1\r\n"
    assert target.keyspace.next_deadline_ms() is None
    assert target.keyspace.engine.members(A, 5).get(b"n") is None


def test_operations_of_an_import(target: Group) -> None:
    """Each does what it says, and the counts follow."""
    due = expiring(BODY, NOW_MS + 9)
    assert (
        target.imports(
            7, [A, A + 1], 1, 1, ["k", A, b"a", due], ["k", A, b"b", BODY], ["k", A + 1, b"c", due]
        )
        == OK
    )
    assert (
        target.imports(7, [A, A + 1], 1, 2, ["k", A, b"a", BODY], ["k", A, b"b", due], ["d", A, b"none"])
        == OK
    )
    assert (
        target.imports(
            7, [A, A + 1], 1, 3, ["m", A, 1, [b"m", b"n"], [b"1", b"2"]], ["r", A, 1, [b"m", b"o"]]
        )
        == OK
    )
    assert target.keyspace.engine.members(A, 1).range() == [(b"n", b"2")]
    assert target.imports(7, [A, A + 1], 1, 4, ["x", A, 1], ["e", A + 1], ["d", A, b"b"]) == OK
    assert target.keyspace.engine.members(A, 1).range() == []
    assert target.status(7) == Status("importing", 1, 4, 1, 0, len(b"a") + len(BODY))
    assert target.accept(7, 1, 4) == ACCEPTED
    check_counts(target.keyspace)
    assert target.keyspace.next_deadline_ms() is None


def test_imports_are_refused_over_the_memory_limit(target: Group) -> None:
    """Like any command that needs memory; the number is not used up.  An attempt may begin: it makes room."""

    def step(attempt: int, number: int, *operations: Operation) -> list[bytes]:
        words = [b"%d" % A, b"%d" % attempt, b"%d" % number, encode_operations(operations)]
        return [b"REDRAFT", b"MOVE", b"IMPORT", b"7", *words]

    piece: Operation = ["k", A, b"{a}1", BODY]
    assert target.entry([step(1, 1)], deny_oom=True) == [OK]
    assert target.entry([step(1, 2, piece)], deny_oom=True)[0].startswith(b"-OOM")
    assert target.entry([step(1, 2, piece)]) == [OK]
    assert target.keyspace.engine.get(A, b"{a}1") is not None
    assert target.entry([step(2, 1)], deny_oom=True) == [OK]
    assert target.keyspace.engine.get(A, b"{a}1") is None


def test_requests_are_refused_whole(source: Group) -> None:
    """All keys of a request have to be served: keys of several slots, transactions, watched keys."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("FREEZE", 7, 1).startswith(b":")
    for line in (
        "MSET {b}1 w {a}1 w", "DEL {b}1 {a}1", "SINTERSTORE {b}2 {a}set", "ZUNION 2 {b}z {a}z",
        "XREAD STREAMS {b}x {a}x 0 0", "SORT {b}1 STORE {a}l", "RENAME {b}1 {a}3", "WATCH {b}1 {a}1",
        f"CLUSTER COUNTKEYSINSLOT {A}", f"REDRAFT SLOTS {A} DBSIZE", "REDRAFT SLOTS 0-16383 FLUSHALL",
    ):  # fmt: skip
        assert source.ask(line) == REFUSED, line
    inner = b"*2\r\n$3\r\nGET\r\n$4\r\n{b}1\r\n*2\r\n$3\r\nGET\r\n$4\r\n{a}1\r\n"
    served, whole = b"*2\r\n$3\r\nGET\r\n$4\r\n{b}1\r\n", b"*1\r\n$6\r\nDBSIZE\r\n"
    assert source.entry([[b"EXEC", b"1", b"2", b"2", inner]]) == [REFUSED]
    assert source.entry([[b"EXEC", b"1", b"1", b"2", served, b"1", b"{a}1"]]) == [REFUSED]
    assert source.entry([[b"EXEC", b"1", b"2", b"2", served + whole]]) == [REFUSED], "it means all slots"
    assert source.entry([[b"EXEC", b"1", b"1", b"2", served]]) == [b"*1\r\n$1\r\nv\r\n"]
    assert source.ask("MSET {b}1").startswith(b"-ERR wrong number"), "an error is no matter of slots"
    assert source.ask("NOSUCH {a}1").startswith(b"-ERR unknown command")
    assert source.keyspace.key_count == 4


def test_whole_commands_mean_the_slots_that_are_named(source: Group) -> None:
    """And all of these have to be served."""
    rest = format_slots(slot for slot in range(SLOTS) if slot != A).decode()
    assert source.ask(f"REDRAFT SLOTS {A} DBSIZE") == b":3\r\n"
    assert source.ask(f"REDRAFT SLOTS {rest} KEYS *") == b"*1\r\n$4\r\n{b}1\r\n"
    assert source.ask(f"REDRAFT SLOTS {B} RANDOMKEY") == b"$4\r\n{b}1\r\n"
    assert source.ask("REDRAFT SLOTS 0-16383 DBSIZE") == b":4\r\n"
    assert source.ask("REDRAFT SLOTS 0 GET {a}1").startswith(b"-ERR")
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("FREEZE", 7, 1).startswith(b":")
    assert source.ask(f"REDRAFT SLOTS {rest} FLUSHALL") == OK
    assert source.keyspace.key_count == 3
    check_counts(source.keyspace)
    assert source.move("UNFREEZE", 7) == OK
    assert source.ask("REDRAFT SLOTS 0-16383 FLUSHALL") == OK
    assert source.keyspace.counts == (0, 0, 0)


def test_whole_commands_ask_no_group_for_slots_of_others(target: Group) -> None:
    """Also in a group that never took part in a move."""
    assert target.ask(f"REDRAFT SLOTS {A} DBSIZE") == REFUSED
    assert target.ask(f"REDRAFT SLOTS {B} DBSIZE") == b":0\r\n"


def test_scan_stops_at_what_is_not_served(source: Group) -> None:
    """The cursor goes back to the client, which comes again."""
    assert source.move("BEGIN", 7, A, 2, 1) == OK
    assert source.move("FREEZE", 7, 1).startswith(b":")
    first = source.ask(f"SCAN {(A - 5) << 48} COUNT 1000")
    cursor = b"%d" % (A << 48)
    assert first == b"*2\r\n$%d\r\n%b\r\n*0\r\n" % (len(cursor), cursor)
    assert source.ask(f"SCAN {A << 48}") == REFUSED


def test_ownership_is_the_same_after_encoding() -> None:
    """What a snapshot has of it; equal states have equal bytes."""
    group = Group(range(100))
    assert group.move("BEGIN", 9, "3-7", 2, 1) == OK
    assert group.move("BEGIN", 7, "10", 2, 4) == OK
    assert group.move("FREEZE", 7, 4).startswith(b":")
    assert group.imports(12, [200, 205], 3, 1, ["k", 205, b"k", BODY], ["k", 200, b"k", BODY]) == OK
    assert group.move("REFUSE", 4) == NOT_ACCEPTED
    assert group.move("UNFREEZE", 3) == OK
    assert group.keyspace.ownership is not None
    encoded = group.keyspace.ownership.encode()
    again = Ownership.decode(encoded)
    assert again.encode() == encoded
    assert (again.outgoing, again.incoming) == (
        group.keyspace.ownership.outgoing,
        group.keyspace.ownership.incoming,
    )
    assert again.foreign == group.keyspace.foreign


def test_moves_that_are_over_are_forgotten_when_the_topology_says_so(target: Group) -> None:
    """Those below become one number; one that is open keeps what is above it, however much that is."""
    assert target.imports(5, [A], 1, 1) == OK
    for move in range(6, 2000):
        assert target.move("REFUSE", move) == NOT_ACCEPTED
        assert target.move("FORGET", move) == OK
    assert target.accept(5, 1, 1) == ACCEPTED
    assert target.move("OVER", 2000) == GAP, "what was decided about 5 may be asked for"
    assert target.move("FORGET", 5) == OK
    ownership = target.keyspace.ownership
    assert ownership is not None
    assert len(ownership.closed) == 1995
    assert target.move("OVER", 2000) == OK
    assert (ownership.closed, ownership.closed_below) == (set(), 2000)
    assert all(map(ownership.is_closed, range(2000)))
    assert not ownership.is_closed(2000)
    assert target.move("OVER", 1000) == OK, "an older topology's word"
    assert ownership.closed_below == 2000
    assert target.imports(4, [A], 1, 1) == DECIDED
