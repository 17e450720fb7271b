"""The network between machines: links that are slow, stall, break and are made anew; frames that go astray.

A link is what TCP makes of a network: first in, first out, until it breaks; then what was under way is
lost from some point on, and each end notices in its own time.  A pair of machines that can't talk has
links that hold what is sent: healing delivers it, late.

Raft needs less than that, so it gets less: a Raft message may also be lost, arrive twice, or be
overtaken, even by a whole later link (`Weather`).  Liveness frames and clients' parts rely on the order
of a link (docs/peer-protocol.md) and only meet what TCP can do to them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from redraft.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    InstallSnapshotReply,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from redraft.simulation.agenda import MS, Agenda

ASTRAY = frozenset(
    (
        AppendEntries,
        AppendReply,
        InstallSnapshot,
        InstallSnapshotReply,
        RequestVote,
        TimeoutNow,
        VoteReply,
    )
)
"""Messages that need no link to be right."""
Message = tuple[int, Any]
"""(group, message)."""


@dataclass
class Weather:
    """What the network does when nothing special happens to it."""

    latency_us: tuple[int, int] = (100, 1000)
    slow: float = 0.02
    """Part of the flushes that take ten times as long."""
    lost: float = 0.0
    twice: float = 0.0
    overtaken: float = 0.0
    """Parts of the Raft messages."""

    @property
    def loses(self) -> bool:
        """Whether links lose some of what they carry, which TCP does not."""
        return self.lost > 0.0 or self.overtaken > 0.0


class Endpoint(Protocol):
    """The life of a process that a link ends at."""

    number: int
    alive: bool

    def receive(self, link: Link, messages: list[Message]) -> None: ...
    def receive_stray(self, sender: int, message: Message) -> None: ...
    def link_up(self, link: Link) -> None: ...
    def link_down(self, link: Link) -> None: ...
    def effect(self) -> None: ...


class Link:
    """One end of a link: what its process sends with (satisfies `redraft.node.seams.PeerLink`)."""

    __slots__ = ("_network", "arrival_us", "closed", "cut_us", "held", "here", "queue", "session", "there")
    queued_bytes = 0

    def __init__(self, network: Network, here: Endpoint, there: Endpoint, session: int) -> None:
        self._network = network
        self.here = here
        self.there = there
        self.session = session
        self.queue: list[Message] = []
        self.held: list[list[Message]] = []
        """What was sent while it could not leave."""
        self.arrival_us = 0
        """Nothing sent from now on arrives before that."""
        self.closed = False
        self.cut_us = -1
        """Nothing arrives after that, once it is closed."""

    def send(self, group: int, message: Any) -> None:
        """Queue a message."""
        if not self.closed:
            self._network.watch(self.here, self.there.number, group, message)
            self.queue.append((group, message))

    def flush(self) -> None:
        """Hand what is queued to the network."""
        if self.queue:
            self.here.effect()
            messages, self.queue = self.queue, []
            if not self.closed:
                self._network.transmit(self, messages)


class Network:
    """All links; `blocked` are the directions (from, to) in which nothing gets through."""

    def __init__(
        self, agenda: Agenda, rng: random.Random, watch: Callable[[Endpoint, int, int, Any], None]
    ) -> None:
        self.weather = Weather()
        self.watch = watch
        self.blocked: set[tuple[int, int]] = set()
        self.links: dict[tuple[int, int], Link] = {}
        self._agenda = agenda
        self._rng = rng
        self._sessions = 0

    # ---- links come and go ----

    def connect(self, one: Endpoint, other: Endpoint) -> None:
        """Make a link; each end learns of it in its own time, and an older one of the two is replaced."""
        self._sessions += 1
        session = self._sessions
        for here, there in ((one, other), (other, one)):
            old = self.links.get((here.number, there.number))
            if old is not None and not old.closed:
                self._close(old, 0)
            self.links[here.number, there.number] = Link(self, here, there, session)
        for here, there in ((one, other), (other, one)):
            up_us = self._agenda.now_us + self._rng.choice((100, 500, 3000, 20_000))
            self.links[there.number, here.number].arrival_us = up_us
            self._agenda.at(up_us, partial(self._up, self.links[here.number, there.number]))

    def _up(self, link: Link) -> None:
        if link.here.alive and not link.closed:
            link.here.link_up(link)

    def break_link(self, one: int, other: int, notice_us: tuple[int, int]) -> bool:
        """Break the link of a pair: each end may still get some of what is under way, then notices."""
        found = False
        for pair in ((one, other), (other, one)):
            link = self.links.get(pair)
            if link is None or link.closed:
                continue
            found = True
            self._close(link, self._rng.randrange(2000))
        for pair in ((one, other), (other, one)):
            link = self.links.get(pair)
            if found and link is not None:
                down_us = self._rng.randrange(notice_us[0], notice_us[1] + 1) + 2000
                self._agenda.after(down_us, partial(self._down, link))
        return found

    def _close(self, link: Link, more_us: int) -> None:
        link.closed = True
        link.cut_us = self._agenda.now_us + more_us
        link.queue.clear()
        link.held.clear()

    def _down(self, link: Link) -> None:
        if link.here.alive:
            link.here.link_down(link)

    def is_linked(self, one: int, other: int) -> bool:
        """Whether there is a link that is not broken."""
        link = self.links.get((one, other))
        return link is not None and not link.closed

    def can_connect(self, one: int, other: int) -> bool:
        """Whether a handshake would get through."""
        return (one, other) not in self.blocked and (other, one) not in self.blocked

    # ---- what can't get through ----

    def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Let nothing through in these directions."""
        self.blocked.update(pairs)

    def unblock(self, pairs: Iterable[tuple[int, int]]) -> None:
        """End that; what was held leaves now."""
        for pair in pairs:
            self.blocked.discard(pair)
            link = self.links.get(pair)
            if link is not None and not link.closed and link.held:
                held, link.held = link.held, []
                for messages in held:
                    self.transmit(link, messages)

    # ---- messages ----

    def transmit(self, link: Link, messages: list[Message]) -> None:
        """Carry messages to the other end, in order; some of Raft's on ways of their own."""
        if (link.here.number, link.there.number) in self.blocked:
            link.held.append(messages)
            return
        weather, rng, agenda = self.weather, self._rng, self._agenda
        if weather.loses or weather.twice:
            messages = [message for message in messages if not self._goes_astray(link, message)]
        low, high = weather.latency_us
        latency = low + int((high - low) * rng.random())
        if weather.slow and rng.random() < weather.slow:
            latency *= 10
        link.arrival_us = max(link.arrival_us, agenda.now_us + latency)
        if messages:
            agenda.at(link.arrival_us, partial(self._arrive, link, messages))

    def _goes_astray(self, link: Link, message: Message) -> bool:
        if type(message[1]) not in ASTRAY:
            return False
        weather, rng = self.weather, self._rng
        chance = rng.random()
        if chance < weather.lost:
            return True
        chance -= weather.lost
        if chance < weather.twice:
            self._stray(link, message)
            return False
        if chance - weather.twice < weather.overtaken:
            self._stray(link, message)
            return True
        return False

    def _stray(self, link: Link, message: Message) -> None:
        delay_us = self._rng.choice((1, 5, 30, 300)) * self._rng.randrange(MS // 2, 2 * MS)
        self._agenda.after(delay_us, partial(self._arrive_astray, link, message))

    def _arrive(self, link: Link, messages: list[Message]) -> None:
        if link.there.alive and not (link.closed and self._agenda.now_us > link.cut_us):
            link.there.receive(link, messages)

    def _arrive_astray(self, link: Link, message: Message) -> None:
        """To the process that has that number now: Raft's messages know no lives."""
        there = self.links[link.here.number, link.there.number].there
        if there.alive and (link.here.number, link.there.number) not in self.blocked:
            there.receive_stray(link.here.number, message)
