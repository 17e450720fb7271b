"""What nodes say to each other about consensus: Raft's RPCs per group, and liveness per pair of nodes.

Owns the words only: the wire format is `redraft.transport.frames`, the rules are `core.py` and
`liveness.py`.  Raft's messages carry no group and no sender: the frame and the link carry those.
Requests and replies are one-way messages; a reply names what it answers, so that a late or repeated
one is harmless.  Terms, indexes, rounds and versions are unsigned 64-bit numbers, groups 16-bit;
`wall_ms` is the sender's wall clock in milliseconds since 1970.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from redraft.raft.types import Entry

# ---- one group (Raft figure 2, thesis §3.10 and §9.6) ----


class RequestVote(NamedTuple):
    """A candidate's question.  With `pre_vote`, `term` is the one it *would* campaign in (thesis §9.6).

    `transfer`: the leader itself asked for this election (thesis §3.10), so stickiness does not apply.
    """

    term: int
    pre_vote: bool
    last_log_index: int
    last_log_term: int
    transfer: bool


class VoteReply(NamedTuple):
    """`term` is the asked term where a pre-vote is granted, else the voter's own."""

    term: int
    pre_vote: bool
    granted: bool


class AppendEntries(NamedTuple):
    """Entries after (prev_log_index, prev_log_term); none: a probe, or a notice of `commit_index`."""

    term: int
    prev_log_index: int
    prev_log_term: int
    commit_index: int
    entries: tuple[Entry, ...]


class AppendReply(NamedTuple):
    """Sent only when what it claims is durable here.

    Success: the log equals the leader's up to `match_index`; hints are 0.
    Refusal: `match_index` is the refused prev_log_index, and (`hint_index`, `hint_term`) the last place in
    the follower's log, at or below it, whose term is not above the leader's prev_log_term (Raft §5.3's
    shortcut: the leader skips all it can rule out at once).
    Refusal of index 0, which every log has: the replica has no state and needs a snapshot, not older than
    `hint_index`.
    """

    term: int
    success: bool
    match_index: int
    hint_index: int
    hint_term: int


class TimeoutNow(NamedTuple):
    """Campaign at once, without pre-vote: the leader hands over (thesis §3.10)."""

    term: int


class InstallSnapshot(NamedTuple):
    """The bytes from `offset` on of a snapshot of `size` bytes up to (index, snapshot_term) (Raft figure 13).

    The leader sends the next piece when the last one is answered, or several ahead: the reply says where to
    go on.
    """

    term: int
    index: int  # type: ignore[assignment]  # hides the tuple's method
    snapshot_term: int
    size: int
    offset: int
    data: bytes


class InstallSnapshotReply(NamedTuple):
    """The follower has the bytes below `offset`; `done`: all of them, durably, and its state is of `index`.

    `term` is that of the message it answers.  An offset below what was sent says: go on from there.
    """

    term: int
    index: int  # type: ignore[assignment]  # hides the tuple's method
    snapshot_term: int
    offset: int
    done: bool


RaftMessage: TypeAlias = RequestVote | VoteReply | AppendEntries | AppendReply | TimeoutNow
"""What `Raft.step` takes."""
SnapshotMessage: TypeAlias = InstallSnapshot | InstallSnapshotReply
"""What the driver takes, and asks the core about (`Raft.on_install_snapshot` and its reply's)."""

# ---- a pair of nodes (liveness.py) ----


class Ping(NamedTuple):
    """Vouches for every (group, term) of the sender's set of led groups at `set_version`; opens a round.

    Rounds grow for ever: the sender's incarnation is their upper half.
    """

    round: int
    set_version: int
    wall_ms: int
    flags: int


class Pong(NamedTuple):
    """Answers that round and all before it; `set_version` is the version of the pinger's set known here."""

    round: int
    set_version: int
    wall_ms: int
    flags: int


class Leads(NamedTuple):
    """What changed in the sender's set of led groups up to `version`; `full`: forget what was said before.

    Pairs are (group, term), term 0 for a group no longer led.
    """

    version: int
    full: bool
    groups: tuple[tuple[int, int], ...]


class Support(NamedTuple):
    """The sender follows the receiver as leader of these (group, term)."""

    pairs: tuple[tuple[int, int], ...]


class Withdraw(NamedTuple):
    """The sender no longer supports these (group, term); comes before any later Pong on the link."""

    pairs: tuple[tuple[int, int], ...]


LivenessMessage: TypeAlias = Ping | Pong | Leads | Support | Withdraw

OVER_MEMORY = 1
"""Ping/Pong flag: the node is over its memory limit."""
DISK_FULL = 2
"""Ping/Pong flag: the node's log has no room; it wants to lead nothing."""
STOPPING = 4
"""Ping/Pong flag: the node is about to stop; it wants to lead nothing."""
