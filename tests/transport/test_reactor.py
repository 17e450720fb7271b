"""The reactor's promises: who is called, in which order, and who else may live beside it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from select import EPOLLET, EPOLLIN, EPOLLOUT

import pytest
import trio
import trio.testing

from redraft.transport.reactor import Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def test_reactor_calls_back_then_flushes_once(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A cycle calls every ready descriptor's callback, and the hooks once after all of them."""
    left, right = pair
    calls: list[str] = []
    reactor.register(left.fileno(), lambda mask: calls.append("left"), EPOLLIN)
    reactor.register(right.fileno(), lambda mask: calls.append("right"), EPOLLIN)
    reactor.add_flush(lambda: calls.append("first hook"))
    reactor.add_flush(lambda: calls.append("second hook"))
    left.send(b"x")
    right.send(b"x")
    assert reactor.cycle()
    assert sorted(calls[:2]) == ["left", "right"]
    assert calls[2:] == ["first hook", "second hook"]


def test_reactor_edge_triggered_reports_once(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    """With EPOLLET what was not drained is reported again only when more comes, or after `modify`."""
    left, right = pair
    masks: list[int] = []
    reactor.register(left.fileno(), masks.append, EPOLLIN | EPOLLET)
    right.send(b"x")
    assert reactor.cycle()
    assert not reactor.cycle()
    reactor.modify(left.fileno(), EPOLLIN | EPOLLOUT | EPOLLET)
    assert reactor.cycle()
    assert masks == [EPOLLIN, EPOLLIN | EPOLLOUT]


def test_reactor_without_events_does_not_flush(reactor: Reactor) -> None:
    """Nothing ready and nobody woke it: no cycle is counted, no hook runs."""
    calls: list[str] = []
    reactor.add_flush(lambda: calls.append("hook"))
    assert not reactor.cycle()
    assert calls == []
    assert reactor.cycles == 0


def test_reactor_wake_makes_one_cycle(reactor: Reactor) -> None:
    """`wake` asks for one cycle, however often it is called before it; a hook may ask for one more."""
    calls: list[str] = []

    def hook() -> None:
        calls.append("hook")
        if len(calls) == 1:
            reactor.wake()

    reactor.add_flush(hook)
    reactor.wake()
    reactor.wake()
    assert reactor.cycle()
    assert reactor.cycle()
    assert not reactor.cycle()
    assert calls == ["hook", "hook"]


def test_reactor_call_soon_runs_once_before_the_hooks(reactor: Reactor) -> None:
    """What is called soon runs once, before the hooks; when it asks again, that is the next cycle's."""
    calls: list[str] = []

    def again() -> None:
        calls.append("soon")
        if len(calls) == 1:
            reactor.call_soon(again)

    reactor.add_flush(lambda: calls.append("hook"))
    reactor.call_soon(again)
    while reactor.cycle():
        pass
    assert calls == ["soon", "hook", "soon", "hook"]


def test_reactor_unregistered_is_not_called(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A callback that unregisters another descriptor of the same cycle keeps it from being called."""
    calls: list[int] = []

    def ends_the_other(own: socket.socket, other: socket.socket) -> None:
        calls.append(own.fileno())
        reactor.unregister(other.fileno())

    left, right = pair
    reactor.register(left.fileno(), lambda mask: ends_the_other(left, right), EPOLLIN)
    reactor.register(right.fileno(), lambda mask: ends_the_other(right, left), EPOLLIN)
    left.send(b"x")
    right.send(b"x")
    assert reactor.cycle()
    assert len(calls) == 1


def test_reactor_reused_descriptor_gets_no_old_event(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A descriptor registered anew in a cycle is not called for what epoll had said of its number before."""
    left, right = pair
    old: list[str] = []
    new: list[str] = []

    def replaces(own: socket.socket, other: socket.socket) -> None:
        old.append("called")
        reactor.unregister(other.fileno())
        reactor.register(other.fileno(), lambda mask: new.append("called"), EPOLLIN)

    reactor.register(left.fileno(), lambda mask: replaces(left, right), EPOLLIN | EPOLLET)
    reactor.register(right.fileno(), lambda mask: replaces(right, left), EPOLLIN | EPOLLET)
    left.send(b"x")
    right.send(b"x")
    reactor.cycle()
    assert (old, new) == (["called"], [])
    reactor.cycle()
    assert new == ["called"]


async def test_reactor_wakes_from_its_sleep(reactor: Reactor) -> None:
    """Parked in Trio, `wake` and a ready descriptor both bring it back."""
    flushed = trio.Event()
    reactor.add_flush(flushed.set)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        await trio.testing.wait_all_tasks_blocked()
        assert reactor.cycles == 0
        reactor.wake()
        await flushed.wait()
        assert reactor.cycles == 1
        nursery.cancel_scope.cancel()


async def test_reactor_idle_runs_no_cycles(
    reactor: Reactor, pair: tuple[socket.socket, socket.socket]
) -> None:
    """After work it parks again: all tasks are blocked and the count of cycles stands still."""
    left, right = pair
    reactor.register(left.fileno(), lambda mask: None, EPOLLIN | EPOLLET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        for sent in range(1, 4):
            right.send(b"x")
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(5):
                while reactor.cycles < sent:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            assert reactor.cycles == sent
        nursery.cancel_scope.cancel()


async def test_reactor_busy_lets_others_run(reactor: Reactor) -> None:
    """A reactor that always has work still yields to other Trio tasks."""
    reactor.add_flush(reactor.wake)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        reactor.wake()
        with trio.fail_after(5):
            for _ in range(5):
                await trio.lowlevel.checkpoint()
        assert reactor.cycles > 5
        nursery.cancel_scope.cancel()


async def test_reactor_ticks_on_its_own_clock(reactor: Reactor) -> None:
    """`every` ticks inside a cycle, before its hooks, whether or not anything else happens."""
    calls: list[str] = []
    ticked = trio.Event()

    def tick() -> None:
        calls.append("tick")
        if len(calls) >= 6:
            ticked.set()

    reactor.every(0.001, tick)
    reactor.add_flush(lambda: calls.append("hook"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run)
        with trio.fail_after(5):
            await ticked.wait()
        nursery.cancel_scope.cancel()
    assert calls[:6] == ["tick", "hook"] * 3


async def test_reactor_attention_is_given_soon(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a Trio task asks for attention, a reactor that would sleep long in epoll comes back soon."""
    monkeypatch.setattr("redraft.transport.reactor.YIELD_MS", 60_000.0)
    reactor.every(60.0, lambda: None)
    async with trio.open_nursery() as nursery:
        with reactor.attention(), trio.fail_after(5):
            nursery.start_soon(reactor.run)
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


async def test_reactor_error_of_a_callback_ends_it(reactor: Reactor) -> None:
    """A callback that raises is a bug of ours: it is heard, not swallowed."""

    def broken() -> None:
        raise AssertionError("a bug")

    reactor.add_flush(broken)
    reactor.wake()
    with pytest.raises(AssertionError, match="a bug"):
        await reactor.run()
