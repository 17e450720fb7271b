"""Exactly once: what a group's log executes of parts that come late, twice, or from the dead."""

from __future__ import annotations

from redraft.replica.part import Part
from redraft.replica.sessions import Sessions


def part(
    sequence: int, *, incarnation: int = 1, below: int = 1, registers: bool = True, origin: int = 1
) -> Part:
    return Part(origin, incarnation, sequence, below, registers, [(1, 2)], b"")


def execute(sessions: Sessions, given: Part, reply: bytes) -> list[bytes] | None:
    """Do with a part what apply does; None when it was refused."""
    session = sessions.admit(given)
    if session is None:
        return None
    return session.replies.setdefault(given.sequence, [reply])


def test_sessions_answer_a_repeated_part_with_its_first_reply() -> None:
    """A retry after a lost reply takes effect once and gets the first answer."""
    sessions = Sessions()
    assert execute(sessions, part(1), b"first") == [b"first"]
    assert execute(sessions, part(1), b"second") == [b"first"]


def test_sessions_never_execute_below_the_acknowledged_mark() -> None:
    """A late duplicate after its reply was acknowledged must not run again."""
    sessions = Sessions()
    execute(sessions, part(1), b"one")
    execute(sessions, part(2, below=2), b"two")
    assert sessions.admit(part(1)) is None
    assert sessions.answered(1, 1, 1) is None


def test_sessions_refuse_an_incarnation_that_never_registered() -> None:
    """A part whose session is not in the log is not executed, however young it looks."""
    assert Sessions().admit(part(5, registers=False)) is None


def test_sessions_end_with_a_newer_incarnation() -> None:
    """Parts of a process that was replaced are dropped, registering or not."""
    sessions = Sessions()
    execute(sessions, part(1, incarnation=1), b"old")
    execute(sessions, part(1, incarnation=2), b"new")
    assert sessions.admit(part(2, incarnation=1)) is None
    assert sessions.answered(1, 1, 1) is None
    assert sessions.answered(1, 2, 1) == [b"new"]


def test_sessions_take_parts_of_one_origin_in_any_order() -> None:
    """Parts overtake each other after a change of leader; each still executes once."""
    sessions = Sessions()
    assert execute(sessions, part(2), b"two") == [b"two"]
    assert execute(sessions, part(1), b"one") == [b"one"]
    assert execute(sessions, part(2), b"again") == [b"two"]


def test_sessions_of_two_nodes_do_not_touch() -> None:
    """Equal sequences of different origins are different parts."""
    sessions = Sessions()
    execute(sessions, part(1, origin=1), b"a")
    assert execute(sessions, part(1, origin=2), b"b") == [b"b"]


def test_sessions_of_a_removed_node_end_for_good() -> None:
    """What of it is still under way, its first part even, may have been executed before: never again."""
    sessions = Sessions()
    execute(sessions, part(1, origin=4), b"done")
    execute(sessions, part(1, origin=5), b"kept")
    assert sessions.open_origins() == [4, 5]
    sessions.end(4)
    assert sessions.open_origins() == [5]
    assert execute(sessions, part(1, origin=4), b"again") is None
    assert execute(sessions, part(1, origin=4, incarnation=9), b"again") is None
    copied = Sessions()
    for state in sessions.copy_states():
        copied.load(state)
    assert execute(copied, part(1, origin=4), b"again") is None
    assert execute(copied, part(1, origin=5), b"again") == [b"kept"]
