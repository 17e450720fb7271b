"""The origin: frozen parts, answers to the right connections, honest errors."""

from __future__ import annotations

from redraft.commands.reply import REFUSED
from redraft.replica.origin import CLUSTERDOWN, MISCONF, TIMEOUT, Origin
from redraft.replica.part import decode_parts, encode_payload
from redraft.replica.request import TRYAGAIN, Request


class Asked(Request):
    """A request that keeps its replies."""

    __slots__ = ("replies",)

    def __init__(self, data: bytes = b"x", count: int = 1, *, at_ms: float = 0.0) -> None:
        super().__init__(1, data, count, 2, write=True)
        self.submitted_ms = at_ms
        self.replies: list[bytes] | None = None

    def complete(self, replies: list[bytes]) -> None:
        assert self.replies is None, "a request is answered once"
        self.replies = replies


def origin_with(*requests: Asked, bytes_max: int = 1000, commands_max: int = 1000) -> Origin:
    origin = Origin(1, 7, bytes_max=bytes_max, commands_max=commands_max)
    for request in requests:
        origin.submit(request)
    return origin


def decoded(data: bytes):
    (part,) = decode_parts(encode_payload(0, 0, False, [data]), 1)
    return part


def test_origin_hands_each_connection_its_own_replies() -> None:
    """Replies of one part are dealt out by the number of each request's commands."""
    first, second = Asked(count=2), Asked(count=1)
    origin = origin_with(first, second)
    part = origin.form(0)
    assert part is not None
    origin.resolve(part.sequence, [b"a", b"b", b"c"])
    assert (first.replies, second.replies) == ([b"a", b"b"], [b"c"])


def test_origin_ignores_a_second_answer() -> None:
    """The leader's reply and the own apply may both answer a part."""
    request = Asked()
    origin = origin_with(request)
    part = origin.form(0)
    assert part is not None
    origin.resolve(part.sequence, [b"a"])
    origin.resolve(part.sequence, [b"b"])
    assert request.replies == [b"a"]


def test_origin_acknowledges_only_below_the_oldest_open_part() -> None:
    """A part answered out of order is not acknowledged before the ones below it are answered."""
    origin = origin_with(Asked(), Asked(), Asked(), commands_max=1)
    one, two = origin.form(0), origin.form(0)
    assert one is not None
    assert two is not None
    origin.resolve(two.sequence, [b""])
    three = origin.form(0)
    assert three is not None
    assert decoded(three.data).acknowledged_below == one.sequence


def test_origin_registers_until_the_group_has_answered() -> None:
    """Every part sent before the first answer may open the session; later ones need it to exist."""
    origin = origin_with(Asked(), Asked(), Asked(), commands_max=1)
    parts = [origin.form(0), origin.form(0)]
    assert all(decoded(part.data).registers for part in parts if part)
    origin.resolve(1, [b""])
    last = origin.form(0)
    assert last is not None
    assert not decoded(last.data).registers


def test_origin_keeps_a_parts_bytes_when_it_is_sent_again() -> None:
    """What is unsent on a new route is the very same part."""
    origin = origin_with(Asked())
    part = origin.form(0)
    assert part is not None
    part.route, before = (1, 1, 1), part.data
    (again,) = origin.unsent((2, 2, 1))
    assert again is part
    assert again.data is before
    assert origin.unsent((1, 1, 1)) == []


def test_origin_says_not_executed_only_of_what_was_never_sent() -> None:
    """CLUSTERDOWN for pending requests, TIMEOUT for parts that may be in somebody's log."""
    sent, waiting = Asked(), Asked()
    origin = origin_with(sent)
    part = origin.form(0)
    assert part is not None
    part.sends = 1
    origin.submit(waiting)
    origin.expire(10_000, leader_wait_ms=4000, answer_wait_ms=5000)
    assert sent.replies == [TIMEOUT]
    assert waiting.replies == [CLUSTERDOWN]
    assert origin.pending_bytes == 0


def test_origin_fails_a_refused_part_only_if_no_other_leader_may_have_it() -> None:
    """A full disk at the second leader says nothing about the first one's log."""
    request = Asked()
    origin = origin_with(request)
    part = origin.form(0)
    assert part is not None
    part.sends = 2
    assert not origin.refuse(part.sequence, MISCONF)
    assert request.replies is None
    part.sends = 1
    assert origin.refuse(part.sequence, MISCONF)
    assert request.replies == [MISCONF]


def test_origin_limits_a_part_by_bytes_and_by_commands() -> None:
    """A batch stops growing at its limits; a request larger than them goes alone."""
    origin = origin_with(Asked(b"x" * 600), Asked(b"y" * 600), Asked(b"z"), bytes_max=1000)
    first = origin.form(0)
    assert first is not None
    assert len(first.requests) == 2
    assert origin.pending_bytes == 1


def test_origin_counts_a_requests_time_from_when_it_came() -> None:
    """What waited for a leader and then for an answer waits no longer than the one limit allows."""
    request = Asked(at_ms=1000.0)
    origin = origin_with(request)
    part = origin.form(4900.0)
    assert part is not None
    part.sends = 1
    origin.expire(6001.0, leader_wait_ms=4000, answer_wait_ms=5000)
    assert request.replies == [TIMEOUT]


def test_origin_gives_back_what_was_refused() -> None:
    """A request whose last commands were refused is not completed but handed on, with the replies it has."""
    refused: list[tuple[Request, list[bytes]]] = []

    def refuse(request: Request, replies: list[bytes]) -> None:
        refused.append((request, replies))

    origin = Origin(1, 7, bytes_max=1000, commands_max=1000, refuse=refuse)
    whole, half, none = Asked(), Asked(count=2), Asked()
    for request in (whole, half, none):
        origin.submit(request)
    part = origin.form(0.0)
    assert part is not None
    assert origin.resolve(part.sequence, [b"a", b"b", REFUSED, REFUSED]) == 3
    assert whole.replies == [b"a"]
    assert refused == [(half, [b"b", REFUSED]), (none, [REFUSED])]
    assert half.replies is None
    assert not origin.inflight


def test_origin_says_not_executed_of_what_nobody_sends_on() -> None:
    """A node that serves no clients has nowhere to send what was refused."""
    half = Asked(count=2)
    origin = origin_with(half)
    part = origin.form(0.0)
    assert part is not None
    origin.resolve(part.sequence, [b"a", REFUSED])
    assert half.replies == [b"a", TRYAGAIN]
