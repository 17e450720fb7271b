"""One pair of nodes, for as long as one link between them lasts: what each says of the groups it leads.

Both directions stand here.  Ours: the groups we lead, told by Leads, and who supports us.  Theirs: the
groups they claim, and which of these we support.  All of it dies with the link, so nothing that was said
to or by an earlier life of a process can count (docs/guarantees.md, "Reads and leases").

Invariant: on the wire, Withdraw comes before Support and both before Pong, Leads before Ping.  What waits
to be sent is kept as state, not as a queue: it is bounded by the number of groups.
"""

from __future__ import annotations

from redraft.raft.messages import Leads, LivenessMessage, Ping, Pong, Support, Withdraw
from redraft.raft.state import NEVER_MS

SMOOTHING = 0.125
"""Part of a new sample in round trip and clock offset."""


class Session:
    """The pair (this node, a peer) since their link was made; empty while there is none."""

    __slots__ = (
        "acked_round",
        "claims",
        "contact_ms",
        "first_round",
        "flags",
        "heard_ms",
        "known_version",
        "leads_due",
        "leads_full",
        "leads_round",
        "ping_due",
        "pong_due",
        "rtt_ms",
        "sent_version",
        "support_due",
        "supporters",
        "supporting",
        "up",
        "wall_offset_ms",
        "withdraw_due",
    )

    def __init__(self) -> None:
        self.reset(first_round=0)
        self.up = False

    def reset(self, first_round: int) -> None:
        """A new link: nothing of the old one counts; rounds below first_round are not ours to be answered."""
        self.up = True
        self.first_round = first_round
        # We lead.
        self.supporters: dict[int, int] = {}
        """group -> term in which the peer supports us."""
        self.acked_round = 0
        self.contact_ms = NEVER_MS
        """When the latest round that the peer answered was opened."""
        self.sent_version = 0
        self.leads_round = 0
        """The last round opened when Leads was sent last: later ones must know it."""
        # They lead.
        self.claims: dict[int, int] = {}
        """group -> term in which the peer says it leads."""
        self.supporting: dict[int, int] = {}
        """group -> term in which we support the peer; a part of claims."""
        self.known_version = 0
        self.heard_ms = NEVER_MS
        """When the peer last vouched for its claims."""
        # The peer itself.
        self.flags = 0
        self.rtt_ms = 0.0
        self.wall_offset_ms = 0.0
        # To be sent.
        self.leads_full = False
        self.leads_due: dict[int, int] = {}
        self.withdraw_due: dict[int, int] = {}
        self.support_due: dict[int, int] = {}
        self.ping_due: tuple[int, int, int] | None = None
        self.pong_due: tuple[int, int, int] | None = None

    def support(self, group: int, term: int) -> None:
        """We follow the peer in (group, term)."""
        self.supporting[group] = term
        self.support_due[group] = term

    def withdraw(self, group: int) -> None:
        """We do not support the peer in this group any more."""
        term = self.supporting.pop(group, 0)
        if term:
            self.support_due.pop(group, None)
            self.withdraw_due[group] = term

    def is_lost(self, round_: int, set_version: int) -> bool:
        """Whether a Pong shows that the peer missed what we said we lead."""
        return round_ > self.leads_round and set_version != self.sent_version

    def measure(self, rtt_ms: float, wall_offset_ms: float) -> None:
        """Take a sample of round trip and clock offset."""
        if self.rtt_ms == 0.0:
            self.rtt_ms, self.wall_offset_ms = rtt_ms, wall_offset_ms
        else:
            self.rtt_ms += SMOOTHING * (rtt_ms - self.rtt_ms)
            self.wall_offset_ms += SMOOTHING * (wall_offset_ms - self.wall_offset_ms)

    def take_messages(self, version: int, round_: int) -> list[LivenessMessage]:
        """Everything due, in the order of the invariant; version and round_ are the node's current ones."""
        messages: list[LivenessMessage] = []
        if self.withdraw_due:
            messages.append(Withdraw(tuple(sorted(self.withdraw_due.items()))))
            self.withdraw_due = {}
        if self.support_due:
            messages.append(Support(tuple(sorted(self.support_due.items()))))
            self.support_due = {}
        if self.leads_full or self.leads_due:
            messages.append(Leads(version, self.leads_full, tuple(sorted(self.leads_due.items()))))
            self.leads_full, self.leads_due = False, {}
            self.sent_version = version
            self.leads_round = round_
        if self.ping_due is not None:
            number, wall_ms, flags = self.ping_due
            messages.append(Ping(number, self.sent_version, wall_ms, flags))
            self.ping_due = None
        if self.pong_due is not None:
            number, wall_ms, flags = self.pong_due
            messages.append(Pong(number, self.known_version, wall_ms, flags))
            self.pong_due = None
        return messages
