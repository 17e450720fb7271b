"""The other nodes: meets them, keeps one link to each, and hands links and messages to the node.

Owns the peer port, the tasks that dial, and the table of links.  Invariants: of two nodes the one
with the smaller id dials, so that no two connections are made at cross purposes; a newer link replaces
an older one, for the process at its end may be a new one; `on_down` is called for every `on_up`, before
the next `on_up` of that node.  A node that starts shows itself to all others at once, so that nobody
waits out a back-off, and to those it does not hear from again and again: they may not know it yet.
At most HANDSHAKES_MAX connections are without proof at a time.  Members come and go: `refresh` asks anew
who they are.

Must not know how it is decided who belongs to the cluster (`Membership`), or what messages mean.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import trio

from redraft.base.address import Address
from redraft.base.errors import PeerRefusedError
from redraft.base.limits import DIAL_BACKOFF_FIRST_MS, DIAL_BACKOFF_LAST_MS
from redraft.topology.cluster_map import Member
from redraft.transport.dial import accept, bind, dial, give_answer, hear_answer
from redraft.transport.frames import Message
from redraft.transport.handshake import (
    Admitted,
    Card,
    Kind,
    Outcome,
    Party,
    Purpose,
    Refusal,
    TheyRefuseError,
)
from redraft.transport.link import Link
from redraft.transport.reactor import Reactor

HANDSHAKES_MAX: Final = 64
"""Connections whose handshake is not over; for one more the oldest is cut off."""
STEADY_LINK_S: Final = 1.0
"""A link that lasts so long resets the back-off of its dialler."""
SHOW_AGAIN_S: Final = 2.0
"""How often a node shows itself to one that should dial it and does not."""
TOLD_MAX: Final = 256
"""Sentences remembered so as not to repeat them in the log."""

log = logging.getLogger("redraft.peers")


class Membership(Protocol):
    """Who belongs to the cluster (`redraft.node.bootstrap`)."""

    def card(self) -> Card: ...
    def judge(self, card: Card, purpose: Purpose) -> Refusal | None: ...

    def met(self, card: Card) -> bool:
        """Learn from the card of a node that was accepted; True when anything is other than before."""
        ...

    def members(self) -> Sequence[Member]:
        """All nodes there should be links with, this one included."""
        ...


class Peers:
    """All that is between this node and the others; `links` are the established ones by node id."""

    def __init__(
        self, reactor: Reactor, membership: Membership, *, secret: bytes, queue_bytes_max: int
    ) -> None:
        self.links: dict[int, Link] = {}
        self._reactor = reactor
        self._membership = membership
        self._party = Party(secret, membership.card, self._judge)
        self._queue_bytes_max = queue_bytes_max
        self._changed = trio.Event()
        self._unproven: dict[trio.CancelScope, None] = {}  # handshakes going on, oldest first
        self._told: dict[str, str] = {}
        self._members: dict[str, Member] = {}
        self._keepers: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._own_id = 0
        self.admit: Callable[[Card], Awaitable[Admitted | Refusal]] | None = None
        """Asks the cluster to make a new node a member; None while this node can't."""
        self._nudges: dict[int, trio.Event] = {}
        self._ended: dict[int, trio.Event] = {}
        self._on_up: Callable[[int, Link], None] = _unexpected
        self._on_down: Callable[[int], None] = _unexpected
        self._on_message: Callable[[int, int, Message], None] = _unexpected

    # ---- the Trio side ----

    async def listen(
        self, host: str, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept peers until cancelled; started once bound, with the port.  Raises AddressError."""
        listeners = await bind(host, port)
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(self._accept, listeners)

    async def introduce(self, address: Address) -> None:
        """Show this node's card to another and see its own; raises OSError or PeerRefusedError."""
        _outcome, connection = await self._dial(
            address.client, address.host, address.peer_port, Purpose.INTRODUCE
        )
        connection.close()

    async def join(self, host: str, port: int) -> tuple[Card, Admitted]:
        """Ask the node at a peer address to have this node made a member; returns its card and the answer.

        Raises OSError or PeerRefusedError.
        """
        with self._reactor.attention():
            party = self._party._replace(judge=self._membership.judge)
            outcome, connection = await dial(host, port, party, Purpose.JOIN)
            return outcome.card, await hear_answer(connection)

    def changed(self) -> trio.Event:
        """An event that is set when a meeting next changes what this node is."""
        if self._changed.is_set():
            self._changed = trio.Event()
        return self._changed

    async def keep_linked(
        self,
        own_id: int,
        *,
        on_up: Callable[[int, Link], None],
        on_down: Callable[[int], None],
        on_message: Callable[[int, int, Message], None],
    ) -> None:
        """Hold a link to every other member until cancelled, then close them all.

        The three are called in the Trio thread: from the reactor's callbacks or between its cycles.
        Raises PeerRefusedError when a member says that this node was removed.
        """
        self._on_up, self._on_down, self._on_message = on_up, on_down, on_message
        self._own_id = own_id
        try:
            async with trio.open_nursery() as self._nursery:
                self.refresh()
                await trio.sleep_forever()  # the node with the highest id dials nobody and still has links
        finally:
            self._nursery = None
            for link in list(self.links.values()):
                link.close("this node stops")
            self._members = {}
            self._keepers = {}

    def refresh(self) -> None:
        """Ask anew who the members are: links to new ones are made, those to others closed."""
        if self._nursery is None:
            return
        before = self._members
        self._members = {member.hex_id: member for member in self._membership.members()}
        for hex_id, member in before.items():
            if hex_id not in self._members:
                if hex_id in self._keepers:
                    self._keepers.pop(hex_id).cancel()
                link = self.links.get(member.node_id)
                if link is not None:
                    link.close("it is no member any more")
        for hex_id, member in self._members.items():
            if hex_id not in self._keepers and member.node_id != self._own_id:
                scope = self._keepers[hex_id] = trio.CancelScope()
                self._nursery.start_soon(self._keep, hex_id, scope)

    async def _keep(self, hex_id: str, scope: trio.CancelScope) -> None:
        with scope:
            if self._members[hex_id].node_id > self._own_id:
                await self._keep_dialling(hex_id)
            else:
                await self._keep_showing(hex_id)

    async def _keep_dialling(self, hex_id: str) -> None:
        backoff_ms = DIAL_BACKOFF_FIRST_MS
        while True:
            member = self._members[hex_id]
            started = trio.current_time()
            self._nudges[member.node_id] = nudge = trio.Event()
            connection = await self._reach(member, Purpose.LINK)
            if connection is not None and self._establish(*connection):
                await self._ended[member.node_id].wait()
            if trio.current_time() - started > STEADY_LINK_S:
                backoff_ms = DIAL_BACKOFF_FIRST_MS
            with trio.move_on_after(backoff_ms / 1000):
                await nudge.wait()
            backoff_ms = min(2 * backoff_ms, DIAL_BACKOFF_LAST_MS)

    async def _keep_showing(self, hex_id: str) -> None:
        while True:
            member = self._members[hex_id]
            if member.node_id not in self.links:
                connection = await self._reach(member, Purpose.INTRODUCE)
                if connection is not None:
                    connection[1].close()
            if member.node_id in self.links:
                await self._ended[member.node_id].wait()
            await trio.sleep(SHOW_AGAIN_S)

    async def _reach(self, member: Member, purpose: Purpose) -> tuple[Card, socket.socket] | None:
        """Dial a member; None when that failed, which was told already."""
        try:
            outcome, connection = await self._dial(member.address, member.host, member.peer_port, purpose)
        except PeerRefusedError as error:
            if isinstance(error, TheyRefuseError) and error.kind == Kind.REMOVED:
                raise
            return None
        except OSError:
            return None
        return outcome.card, connection

    async def _dial(self, name: str, host: str, port: int, purpose: Purpose) -> tuple[Outcome, socket.socket]:
        try:
            with self._reactor.attention():
                outcome, connection = await dial(host, port, self._party, purpose)
        except PeerRefusedError as error:
            if not (isinstance(error, TheyRefuseError) and error.kind == Kind.NOT_READY):
                self._tell(
                    name, "refused by" if isinstance(error, TheyRefuseError) else "refusing", str(error)
                )
            raise
        except OSError as error:
            self._tell(name, "no connection to", error.strerror or str(error), logging.DEBUG)
            raise
        if outcome.card.address != name:
            connection.close()
            reason = f"{outcome.card.address} answers there: let no two nodes have one peer port."
            self._tell(name, "wrong node behind", reason)
            raise PeerRefusedError(reason)
        self._told.pop(name, None)
        self._meet(outcome)
        return outcome, connection

    async def _accept(self, stream: trio.SocketStream) -> None:
        """Take a connection; strangers who hold many and say nothing can't keep a peer out."""
        if len(self._unproven) >= HANDSHAKES_MAX:
            oldest = next(iter(self._unproven))
            del self._unproven[oldest]
            oldest.cancel()
        accepted: tuple[Outcome, socket.socket] | None = None
        with trio.CancelScope() as scope:
            self._unproven[scope] = None
            accepted = await self._shake_hands(stream)
        self._unproven.pop(scope, None)
        if accepted is None:
            return
        outcome, connection = accepted
        self._told.pop(outcome.card.address, None)
        if outcome.purpose == Purpose.JOIN:
            await self._admit(outcome.card, connection)
            return
        self._meet(outcome)
        if outcome.purpose == Purpose.LINK:
            self._establish(outcome.card, connection)
        else:
            connection.close()

    async def _admit(self, card: Card, connection: socket.socket) -> None:
        assert self.admit is not None, "judged to be not ready"
        log.info("%s asks to join", card.address)
        with self._reactor.attention():
            answer = await self.admit(card)
            if isinstance(answer, Refusal):
                log.warning("%s is not admitted: %s", card.address, answer.reason)
            await give_answer(connection, answer)

    async def _shake_hands(self, stream: trio.SocketStream) -> tuple[Outcome, socket.socket] | None:
        name = "somebody"
        try:
            name = str(stream.socket.getpeername()[0])
            with self._reactor.attention():
                return await accept(stream, self._party)
        except PeerRefusedError as error:
            if getattr(error, "kind", "") != Kind.NOT_READY:
                self._tell(name, "refusing a connection from", str(error))
        except OSError as error:
            self._tell(name, "a handshake failed with", error.strerror or str(error), logging.DEBUG)
        return None

    # ---- the synchronous side ----

    def _judge(self, card: Card, purpose: Purpose) -> Refusal | None:
        refusal = self._membership.judge(card, purpose)
        ready = purpose == Purpose.INTRODUCE or (
            self._nursery is not None if purpose == Purpose.LINK else self.admit is not None
        )
        if refusal is None and not ready:
            return Refusal(Kind.NOT_READY, f"{self._membership.card().address} is still starting.")
        return refusal

    def _meet(self, outcome: Outcome) -> None:
        if self._membership.met(outcome.card):
            self._changed.set()
            self.refresh()
        member = self._members.get(outcome.card.hex_id)
        if member is not None and outcome.purpose == Purpose.INTRODUCE:
            nudge = self._nudges.get(member.node_id)
            if nudge is not None:
                nudge.set()

    def _establish(self, card: Card, connection: socket.socket) -> bool:
        member = self._members.get(card.hex_id)
        if member is None:  # the node has begun to stop meanwhile
            connection.close()
            return False
        old = self.links.get(member.node_id)
        if old is not None:
            old.close("a newer link takes its place")
            self._down(old)
        try:
            link = Link(
                connection,
                node_id=member.node_id,
                incarnation=card.incarnation,
                reactor=self._reactor,
                on_message=self._on_message,
                on_close=self._closed,
                queue_bytes_max=self._queue_bytes_max,
            )
        except OSError:  # the peer has gone already
            connection.close()
            return False
        self.links[member.node_id] = link
        self._ended[member.node_id] = trio.Event()
        log.info("linked with node %d at %s", member.node_id, member.address)
        self._on_up(member.node_id, link)
        self._reactor.wake()
        return True

    def _closed(self, link: Link, reason: str) -> None:
        if self.links.get(link.node_id) is link:
            log.warning("link with node %d ended: %s", link.node_id, reason)
            self._down(link)

    def _down(self, link: Link) -> None:
        del self.links[link.node_id]
        self._ended[link.node_id].set()
        self._on_down(link.node_id)

    def _tell(self, name: str, what: str, reason: str, level: int = logging.WARNING) -> None:
        """Log a sentence about a peer, once until it changes."""
        if self._told.get(name) != reason:
            if len(self._told) >= TOLD_MAX:
                self._told.clear()
            self._told[name] = reason
            log.log(level, "%s %s: %s", what, name, reason)


def _unexpected(*_arguments: object) -> None:
    raise AssertionError("links are made only while keep_linked runs")
