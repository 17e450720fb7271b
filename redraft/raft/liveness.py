"""Liveness per pair of nodes: one small frame a peer and round vouches for all groups led from here.

A leader tells each peer once which (group, term) it leads; a peer that follows it there supports it once
and withdraws when it stops following.  From then on a Ping stands for a heartbeat of every claimed group,
a Pong for the answer of every supported one.  ReadIndex, lease and CheckQuorum count supporters only.

Why a Pong may count for a support that came after it: the peer's term in that group only grows, so one
that follows us in the term now was not beyond it then; and its promise to vote for nobody else counts from
the last Ping it heard, whenever it began to support (`vouched_ms`).  A Pong after a Withdraw does not count,
for the link keeps their order.

The driver calls `recheck` as soon as a core's (leader, term) changes, and sends `take_messages` before
anything the cores want sent.  Rounds of a cycle may be merged: a Pong answers all rounds before it.
"""

from __future__ import annotations

from collections.abc import Callable

from redraft.raft.configuration import Configuration
from redraft.raft.messages import Leads, LivenessMessage, Ping, Pong, Support, Withdraw
from redraft.raft.session import Session
from redraft.raft.state import NEVER_MS

__all__ = ["Leads", "Liveness", "LivenessMessage", "Ping", "Pong", "Session", "Support", "Withdraw"]

ROUNDS_KEPT = 1024
"""Rounds whose time of sending is kept; an answer to an older one confirms it but renews no contact."""
INCARNATION_SHIFT = 32
"""A round's upper half is the incarnation of the node that opened it, so no life answers for another."""


class Liveness:
    """All pairs (this node, peer), for all groups."""

    __slots__ = (
        "_claimants",
        "_due",
        "_led",
        "_opened",
        "_round",
        "_sessions",
        "_supports",
        "_version",
        "changes",
        "node_id",
    )

    def __init__(
        self, node_id: int, supports: Callable[[int, int, int], bool], *, incarnation: int = 0
    ) -> None:
        """`supports(peer, group, term)`: does this node follow that peer as leader of (group, term) now?"""
        self.node_id = node_id
        self._supports = supports
        self._sessions: dict[int, Session] = {}
        self._claimants: dict[int, tuple[int, ...]] = {}
        """By group the peers whose sessions have a claim to it: with many peers not all need be asked."""
        self._led: dict[int, int] = {}
        self._version = 0
        self._round = incarnation << INCARNATION_SHIFT
        # (round, time of opening, wall clock) by round modulo the ring's length.
        self._opened: list[tuple[int, float, int]] = [(-1, NEVER_MS, 0)] * ROUNDS_KEPT
        self._due: set[int] = set()
        self.changes = 0
        """Counts what may change who leads or who supports us: until it moves, what was asked holds."""

    # ---- links ----

    def link_up(self, peer: int, now_ms: float) -> None:  # noqa: ARG002 - as all inputs, it has a time
        """A new link to the peer's process; also right when the end of the old one went unnoticed."""
        session = self.peer_state(peer)
        self._reset(peer, session)
        self.changes += 1
        self._tell_all(peer, session)

    def link_down(self, peer: int, now_ms: float) -> None:  # noqa: ARG002 - as all inputs, it has a time
        """The link is gone, and with it all support in both directions."""
        session = self.peer_state(peer)
        self._reset(peer, session)
        session.up = False
        self.changes += 1
        self._due.discard(peer)

    def _reset(self, peer: int, session: Session) -> None:
        for group in session.claims:
            self._unclaim(peer, group)
        session.reset(self._round + 1)

    def _unclaim(self, peer: int, group: int) -> None:
        """The peer has no claim to the group any more, if it had one."""
        others = tuple(each for each in self._claimants.get(group, ()) if each != peer)
        if others:
            self._claimants[group] = others
        else:
            self._claimants.pop(group, None)

    def _tell_all(self, peer: int, session: Session) -> None:
        session.leads_full = True
        session.leads_due = dict(self._led)
        self._due.add(peer)

    # ---- we lead ----

    def lead(self, group: int, term: int) -> None:
        """This node leads (group, term); the peers hear of it before the next Ping."""
        if self._led.get(group) != term:
            self._led[group] = term
            self._tell_change(group, term)

    def unlead(self, group: int) -> None:
        """This node does not lead the group."""
        if self._led.pop(group, 0):
            self._tell_change(group, 0)

    def _tell_change(self, group: int, term: int) -> None:
        self._version += 1
        self.changes += 1
        for peer, session in self._sessions.items():
            session.supporters.pop(group, None)
            if session.up:
                session.leads_due[group] = term
                self._due.add(peer)

    def open_round(self, now_ms: float, wall_ms: float, flags: int) -> int:
        """Start a round: Ping every linked peer; returns its number, higher than all before."""
        self._round = number = self._round + 1
        wall = int(wall_ms)
        self._opened[number % ROUNDS_KEPT] = (number, now_ms, wall)
        for peer, session in self._sessions.items():
            if session.up:
                session.ping_due = (number, wall, flags)
                self._due.add(peer)
        return number

    def confirmed_round(self, group: int, configuration: Configuration) -> int:
        """The latest round that a quorum answered in support of our term, this node at once; 0 if none."""
        term = self._led.get(group)
        if term is None:
            return 0
        return configuration.reached(
            lambda voter: self._round if voter == self.node_id else self._acked(voter, group, term)
        )

    def _acked(self, peer: int, group: int, term: int) -> int:
        session = self._sessions.get(peer)
        return session.acked_round if session is not None and session.supporters.get(group) == term else 0

    def quorum_contact(self, group: int, configuration: Configuration) -> float:
        """When the latest round was opened that a quorum of supporters answered; NEVER_MS if none was.

        Lease and CheckQuorum count from here.  A node that is its group's only voter is always in contact.
        """
        term = self._led.get(group)
        if term is None:
            return NEVER_MS
        return configuration.reached(
            lambda voter: float("inf") if voter == self.node_id else self._contact(voter, group, term)
        )

    def contact_floor(self) -> float:
        """When the round was opened that every linked peer has answered; NEVER_MS if one has answered none.

        No group whose supporters were a quorum, and have not changed since, is in older contact than that.
        """
        return min(
            (session.contact_ms for session in self._sessions.values() if session.up), default=NEVER_MS
        )

    def _contact(self, peer: int, group: int, term: int) -> float:
        session = self._sessions.get(peer)
        return (
            session.contact_ms if session is not None and session.supporters.get(group) == term else NEVER_MS
        )

    # ---- they lead ----

    def recheck(self, group: int) -> None:
        """This node's (leader, term) of the group changed: support who is followed now, withdraw the rest."""
        for peer, session in self._sessions.items():
            term = session.claims.get(group, 0)
            if term:
                self._consider(peer, session, group, term)

    def withdraw(self, group: int) -> None:
        """Support nobody in this group until it is rechecked."""
        for peer, session in self._sessions.items():
            if group in session.supporting:
                session.withdraw(group)
                self._due.add(peer)

    def _consider(self, peer: int, session: Session, group: int, term: int) -> None:
        followed = self._supports(peer, group, term)
        supported = session.supporting.get(group, 0)
        if supported and (supported != term or not followed):
            session.withdraw(group)
            self._due.add(peer)
        if followed and supported != term:
            session.support(group, term)
            self._due.add(peer)

    def vouched_ms(self, leader: int, group: int, term: int) -> float:
        """When that leader last vouched for a (group, term) in which we support it; or NEVER_MS."""
        session = self._sessions.get(leader)
        if session is None or session.supporting.get(group) != term:
            return NEVER_MS
        return session.heard_ms

    def leader_claim(self, group: int, since_ms: float = NEVER_MS) -> tuple[int, int]:
        """(leader, term) by the claims of linked peers that were heard since then.

        The newest term wins; (0, 0) if none claims it.
        """
        best = (0, 0)
        for peer in self._claimants.get(group, ()):
            session = self._sessions[peer]
            if session.heard_ms >= since_ms:
                best = max(best, (session.claims[group], peer))
        return best[1], best[0]

    # ---- messages ----

    def heard_ms(self, peer: int) -> float:
        """When the peer's last Ping came; NEVER_MS without a link."""
        return self.peer_state(peer).heard_ms

    def peer_state(self, peer: int) -> Session:
        """What is known of a peer: flags, rtt_ms, wall_offset_ms (its clock minus ours); zeros if nothing."""
        session = self._sessions.get(peer)
        if session is None:
            session = self._sessions[peer] = Session()
        return session

    def step(self, peer: int, message: LivenessMessage, now_ms: float, wall_ms: float, flags: int) -> None:
        """Take one message; `wall_ms` and `flags` are this node's own, for the answer.

        Without a link to the peer it is a late one, and ignored.
        """
        session = self._sessions.get(peer)
        if session is None or not session.up:
            return
        if isinstance(message, Pong):
            self._on_pong(peer, session, message, now_ms)
        elif isinstance(message, Ping):
            self._on_ping(peer, session, message, now_ms, (message.round, int(wall_ms), flags))
        elif isinstance(message, Leads):
            self._on_leads(peer, session, message)
        elif isinstance(message, Support):
            self.changes += 1
            for group, term in message.pairs:
                if self._led.get(group) == term:
                    session.supporters[group] = term
        else:
            self.changes += 1
            for group, term in message.pairs:
                if session.supporters.get(group) == term:
                    del session.supporters[group]

    def _on_ping(
        self, peer: int, session: Session, message: Ping, now_ms: float, answer: tuple[int, int, int]
    ) -> None:
        session.flags = message.flags
        if message.set_version == session.known_version:
            # Otherwise it vouches for what we did not hear of; the version in our answer says so.
            session.heard_ms = now_ms
        session.pong_due = answer
        self._due.add(peer)

    def _on_pong(self, peer: int, session: Session, message: Pong, now_ms: float) -> None:
        number = message.round
        if not session.first_round <= number <= self._round or number <= session.acked_round:
            return  # an answer to an earlier life or link of ours, or an old one
        session.flags = message.flags
        if session.is_lost(number, message.set_version):
            session.supporters.clear()
            self.changes += 1
            self._tell_all(peer, session)
            return
        session.acked_round = number
        opened, sent_ms, sent_wall_ms = self._opened[number % ROUNDS_KEPT]
        if opened == number:
            session.contact_ms = sent_ms
            rtt_ms = now_ms - sent_ms
            session.measure(rtt_ms, message.wall_ms - (sent_wall_ms + rtt_ms / 2))

    def _on_leads(self, peer: int, session: Session, message: Leads) -> None:
        claimed = dict(message.groups)
        dropped = [group for group in session.claims if group not in claimed] if message.full else []
        for group in [*dropped, *(group for group, term in claimed.items() if not term)]:
            session.claims.pop(group, None)
            self._unclaim(peer, group)
            session.withdraw(group)
        session.known_version = message.version
        self.changes += 1
        for group, term in claimed.items():
            if term:
                if group not in session.claims:
                    self._claimants[group] = (*self._claimants.get(group, ()), peer)
                session.claims[group] = term
                if message.full:
                    session.supporting.pop(group, None)  # the peer forgot: say it again
                self._consider(peer, session, group, term)
        self._due.add(peer)

    def take_messages(self) -> list[tuple[int, LivenessMessage]]:
        """What to send, in order; each peer's must stay in order on its link."""
        if not self._due:
            return []
        due, self._due = sorted(self._due), set()
        return [
            (peer, message)
            for peer in due
            for message in self._sessions[peer].take_messages(self._version, self._round)
        ]
