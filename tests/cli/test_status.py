"""`redraft status`: several nodes' reports made one, drawn, and what can go wrong when asking."""

from __future__ import annotations

import io
from functools import partial

import msgspec
import pytest
import trio
from rich.console import Console

from redraft.base.address import Address
from redraft.cli.report import (
    GroupRow,
    NoAnswerError,
    NodeRow,
    ReplicaRow,
    Report,
    ask_report,
    joined,
    read_report,
)
from redraft.cli.statusview import draw, duration, number_ranges

HERE = Address("127.0.0.1", 6379)


def group(role: str, term: int, **facts: int) -> GroupRow:
    """Group 1, led by node 2."""
    replicas = [ReplicaRow(2, 90), ReplicaRow(1, 90), ReplicaRow(3, 40, "probe")] if role == "leader" else []
    return GroupRow(1, [(0, 8191), (9000, 9000)], role, 2, term, 90, 88, 90, replicas, **facts)


def drawn(report: Report) -> str:
    """What is printed of a report."""
    screen = io.StringIO()
    draw(report, HERE, Console(file=screen, width=140))
    return screen.getvalue()


def test_report_of_several_is_the_leaders_view() -> None:
    """A group is shown as the leader of the highest term sees it, whoever was asked first."""
    first = Report(node=1, groups=[group("follower", 4)])
    stale = Report(node=3, groups=[group("leader", 3)])
    fresh = Report(node=2, groups=[group("leader", 5), GroupRow(2)])
    for others in ([stale, fresh], [fresh, stale]):
        report = joined(first, others)
        assert [(each.id, each.role, each.term) for each in report.groups] == [(1, "leader", 5), (2, "", 0)]


def test_report_bears_older_and_newer_nodes() -> None:
    """Unknown fields are ignored, missing ones have defaults, and nonsense is a sentence."""
    report = read_report(b'{"node": 3, "later": [1], "groups": [{"id": 1, "leader": null}]}', HERE)
    assert (report.node, report.ready, report.groups[0].leader) == (3, False, None)
    with pytest.raises(NoAnswerError, match="can't be read"):
        read_report(b'{"node": "three"}', HERE)


def test_status_shows_how_far_a_snapshot_is() -> None:
    """A follower that gets one: per cent in the place of its state."""
    sending = msgspec.structs.replace(group("leader", 5), snapshot_sending={3: (3 << 20, 4 << 20)})
    assert "3 -50 (snapshot 75%)" in drawn(Report(node=2, groups=[sending]))


def test_status_draws_nodes_and_groups() -> None:
    """Who is down, who leads, how far, who is behind by how much: all on the screen."""
    nodes = [
        NodeRow(1, "a" * 40, "h:1", alive=True),
        NodeRow(2, "b" * 40, "h:2", alive=True, rtt_ms=1.25),
        NodeRow(3),
    ]
    text = drawn(Report(1, "a" * 40, "c" * 40, "1", True, nodes, [group("leader", 5, keys=12)], 4000))
    for expected in (
        "2/3 up",
        "1/1 led",
        "1h 6m",
        "down",
        "1.2 ms",
        "0-8191, 9000-9000",
        "node 2",
        "-50 (probe)",
        "in step",
    ):
        assert expected in text, expected


def test_status_draws_a_group_without_a_leader() -> None:
    """No leader is told as such, and no lag is made up."""
    text = drawn(Report(node=1, groups=[GroupRow(1, leader=0)]))
    assert "none" in text
    assert "0/1 led" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59.9, "59s"), (60, "1m 0s"), (3600 * 25, "1d 1h"), (86400 * 400, "400d 0h")],
)
def test_status_durations_have_two_units(seconds: float, words: str) -> None:
    """Long times are told coarsely."""
    assert duration(seconds) == words


def test_status_numbers_are_folded() -> None:
    """A node that leads hundreds of groups takes one line."""
    assert number_ranges([3, 1, 2, 9, 5, 6]) == "1-3, 5-6, 9"
    assert number_ranges([]) == ""


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b"-ERR unknown command 'REDRAFT'\r\n", "is no redraft node: it says ERR unknown command"),
        (b"+OK\r\n", "can't be read"),
        (b":1\r\n", "is no redraft node"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak the Redis protocol"),
        (b"", "closed the connection"),
        (b"$2\r\n[]\r\n", "can't be read"),
    ],
)
async def test_report_asks_strangers_in_vain(nursery: trio.Nursery, reply: bytes, sentence: str) -> None:
    """Whatever else listens at the address is told apart in a sentence."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(reply)
        await stream.aclose()

    listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(NoAnswerError, match=sentence) as caught:
        await ask_report(Address("127.0.0.1", port), 5.0)
    assert f"127.0.0.1:{port}" in str(caught.value)


async def test_report_does_not_wait_for_ever(nursery: trio.Nursery) -> None:
    """A node that accepts but does not answer is given up on, by name."""

    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    listeners = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.05 s"):
        await ask_report(Address("127.0.0.1", port), 0.05)


def test_status_draws_what_comes_and_goes() -> None:
    """A node that is being removed, and a group on its way to other nodes."""
    leaving = NodeRow(3, address="127.0.0.1:6381", alive=True, leaving=True)
    moving = GroupRow(1, role="leader", leader=1, voters=[4, 1, 2], moving=True)
    shown = drawn(Report(node=1, nodes=[leaving], groups=[moving]))
    assert "leaving" in shown
    assert "moving to 4, 1, 2" in shown
