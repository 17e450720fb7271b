"""The reactor: one epoll set, plain callbacks, and a flush at the end of each cycle.

Owns: the epoll set that holds a node's client sockets, peer sockets and the log's eventfd, and the
order in which they are served.  A **cycle** takes what epoll has, calls each descriptor's callback,
what `call_soon` left, then every flush hook once.  Callbacks collect; hooks send: that makes batches.

Invariants: callbacks and hooks are synchronous and run in the Trio thread, never nested.  A callback
is not called for an event that was fetched before its descriptor was registered.  A cycle costs one
epoll_wait and no Trio task switch; other Trio tasks run every `YIELD_MS`, and soon while any of them
has asked for attention.  Without work and without a clock the reactor sleeps in Trio and costs
nothing.  An exception of a callback or hook is a bug of ours and ends `run`; a socket's errors are its
callback's business.

Why it sleeps in epoll first: waking through Trio was measured at 100 us a round trip between two
nodes against 21 us, and an idle node's tick at 245 us of CPU against 114 us.

Must not know: what the descriptors are, or what is said over them.
"""

from __future__ import annotations

import math
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import trio

EVENTS_MAX = 1024
"""Events taken per cycle; more wait for the next one (the kernel serves them in turn)."""
YIELD_MS = 20.0
"""The longest the reactor keeps other Trio tasks waiting, but for one cycle's own work."""
ATTENTIVE_MS = 2.0
"""The same while a Trio task has asked for attention."""

NAP_S = 0.00002
"""How long the reactor sleeps for `nap` (the kernel adds about 50 us)."""

Callback = Callable[[int], None]
Hook = Callable[[], None]


class Reactor:
    """Calls back when descriptors are ready; masks are epoll's, EPOLLET if the caller says so."""

    __slots__ = (
        "_attending",
        "_callbacks",
        "_epoll",
        "_fresh",
        "_hooks",
        "_interval_s",
        "_napping",
        "_on_tick",
        "_parked",
        "_soon",
        "_tick_at",
        "_wake_fd",
        "_woken",
        "cycles",
    )

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._hooks: list[Hook] = []
        self._soon: list[Hook] = []
        self._fresh: set[int] = set()  # registered during this dispatch: earlier events are not theirs
        self._on_tick: Hook | None = None
        self._interval_s = 0.0
        self._tick_at = math.inf
        self._attending = 0
        self._woken = False
        self._napping = False
        self._parked = False
        self.cycles = 0
        # Edge-triggered: each write is an event of its own, and the counter need never be read back.
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, select.EPOLLIN | select.EPOLLET)

    def register(self, fd: int, callback: Callback, mask: int) -> None:
        """Calls `callback(events)` in each cycle in which epoll reports `fd`; ERR and HUP always count."""
        assert fd not in self._callbacks, f"descriptor {fd} is registered already"
        self._epoll.register(fd, mask)
        self._callbacks[fd] = callback
        self._fresh.add(fd)

    def modify(self, fd: int, mask: int) -> None:
        """Replaces the mask; with EPOLLET this re-arms: what is ready now is reported once more."""
        self._epoll.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        """Forgets `fd`, before it is closed; events of this cycle not yet delivered are dropped."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def add_flush(self, hook: Hook) -> None:
        """Runs `hook()` once per cycle, after all callbacks, in the order of adding."""
        self._hooks.append(hook)

    def every(self, interval_s: float, on_tick: Hook) -> None:
        """Runs `on_tick()` in a cycle every `interval_s` while `run` runs; late ticks are not made up for."""
        assert self._on_tick is None, "one clock drives all timers of a node"
        self._on_tick = on_tick
        self._interval_s = interval_s
        self._tick_at = monotonic() + interval_s

    def set_interval(self, interval_s: float) -> None:
        """Ticks come `interval_s` apart after the next one."""
        self._interval_s = interval_s

    @contextmanager
    def attention(self) -> Iterator[None]:
        """While the block runs, other Trio tasks are served soon (a handshake's, say), at some cost."""
        self._attending += 1
        try:
            yield
        finally:
            self._attending -= 1

    def call_soon(self, call: Hook) -> None:
        """Runs `call()` once, after this cycle's callbacks, or in the next cycle, which it asks for."""
        self._soon.append(call)
        self.wake()

    def wake(self) -> None:
        """Asks for a cycle although no descriptor may be ready; from the Trio thread only."""
        if not self._woken:
            self._woken = True
            if self._parked:
                os.eventfd_write(self._wake_fd, 1)

    def nap(self) -> None:
        """Asks for a cycle at the next event, or after NAP_S if none comes; finer than epoll's time-outs."""
        self._napping = True
        self.wake()

    def cycle(self, timeout_s: float = 0.0) -> bool:
        """One cycle, blocking up to `timeout_s` for the first event; False if nothing was to do."""
        events = self._epoll.poll(0 if self._woken else timeout_s, EVENTS_MAX)
        if self._napping:
            self._napping = False
            if not events:
                sleep(NAP_S)
                events = self._epoll.poll(0, EVENTS_MAX)
        if not events and not self._woken:
            return False
        self._woken = False
        self.cycles += 1
        callbacks, fresh = self._callbacks, self._fresh
        fresh.clear()
        for fd, mask in events:
            callback = callbacks.get(fd)
            if callback is not None and (not fresh or fd not in fresh):
                callback(mask)
        if self._soon:
            soon, self._soon = self._soon, []
            for call in soon:
                call()
        for hook in self._hooks:
            hook()
        return True

    async def run(self) -> None:
        """Cycles until cancelled."""
        yielded_at = 0.0
        while True:
            now = monotonic()
            if now >= self._tick_at:
                self._tick_at = now + self._interval_s
                assert self._on_tick is not None
                self.call_soon(self._on_tick)
            patience_s = (ATTENTIVE_MS if self._attending else YIELD_MS) / 1000
            if not self.cycle(min(patience_s, self._tick_at - now)) and monotonic() < self._tick_at:
                await self._park()
                yielded_at = monotonic()
            elif now - yielded_at >= patience_s:
                await trio.lowlevel.checkpoint()
                yielded_at = monotonic()

    async def _park(self) -> None:
        """Sleeps in Trio until a descriptor is ready, somebody wakes the reactor, or a tick is due."""
        self._parked = True
        try:
            with trio.CancelScope(deadline=trio.current_time() + self._tick_at - monotonic()):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
        finally:
            self._parked = False

    def close(self) -> None:
        """Ends the reactor; the registered descriptors stay open, they are their owners'."""
        self._callbacks.clear()
        self._hooks.clear()
        self._epoll.close()
        os.close(self._wake_fd)
