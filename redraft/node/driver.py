"""The driver: what lets a node's logic run on a real machine.

Owns the reactor's part in it: the log's eventfd is a descriptor like any other, the node's `flush`
ends each cycle, and the reactor's clock ticks.  All deciding is in `node`; here nothing is decided.

It also keeps Python's garbage collector off the keys: what a replica's state is made of lives as long as
the replica, but each full collection would walk its lists.  With 1,000,000 keys that expire that was a
pause of 40 to 75 ms, and is 3 to 13 ms now that they are frozen (`gc.freeze`).
"""

from __future__ import annotations

import gc
import logging
import select
from collections.abc import Callable
from typing import Protocol

import trio

from redraft.base.limits import TICK_MS
from redraft.node.node import Node
from redraft.node.seams import Next
from redraft.snapshot.worker import Worker
from redraft.transport.reactor import Reactor

IDLE_TICK_MS = 50
"""How often a node ticks that has no request to look after: an idle cluster should cost next to nothing."""
HAND_OVER_S = 2.0
"""How long a graceful stop waits for others to lead what this node led, and for its last answers."""

log = logging.getLogger("redraft.node")


class LogEvents(Protocol):
    """The log's notification descriptor."""

    def fileno(self) -> int: ...


class Driver:
    """Runs one node on one reactor."""

    __slots__ = ("_installed", "_node", "_reactor", "_ticks")

    def __init__(self, node: Node, reactor: Reactor, node_log: LogEvents, worker: Worker) -> None:
        self._node = node
        self._installed = node.installed
        self._reactor = reactor
        self._ticks: list[Callable[[], None]] = [node.tick]
        reactor.register(node_log.fileno(), self._on_log, select.EPOLLIN)
        reactor.register(worker.fileno(), lambda _mask: worker.take_done(), select.EPOLLIN)
        reactor.add_flush(self._flush)

    def add_tick(self, tick: Callable[[], None]) -> None:
        """Call `tick` every TICK_MS too."""
        self._ticks.append(tick)

    async def run(self) -> None:
        """Run until cancelled; raises StorageFailedError when the log can't be written any more."""
        gc.collect()
        gc.freeze()
        self._reactor.every(TICK_MS / 1000, self._tick)
        await self._reactor.run()

    async def hand_over(self) -> None:
        """Before a stop: take no more requests, give what this node leads to others, answer what was taken.

        Waits a bounded time for that.
        """
        with trio.move_on_after(HAND_OVER_S) as scope, self._reactor.attention():
            while not (self._node.hand_over() and self._node.drained):
                self._reactor.wake()
                await trio.sleep(TICK_MS / 1000 / 4)
        if scope.cancelled_caught:
            log.warning("stopping although not every group was handed over and not every request answered")

    def _on_log(self, _mask: int) -> None:
        self._node.on_durable()

    def _flush(self) -> None:
        following = self._node.flush()
        if following is Next.NOW:
            self._reactor.wake()
        elif following is Next.SOON:
            self._reactor.nap()

    def _tick(self) -> None:
        for tick in self._ticks:
            tick()
        if self._node.installed != self._installed:
            self._installed = self._node.installed
            gc.freeze()  # another state took the place of one
        self._reactor.set_interval((IDLE_TICK_MS if self._node.idle else TICK_MS) / 1000)
