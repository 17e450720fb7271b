"""What must hold after every step, whatever happens (Raft figure 3, figure 2's persistent state).

Watches a cluster from outside, across crashes: it knows every log as its node showed it, what of it the
node was told is durable, all that was ever chosen, and all that was said.  It trusts the nodes' code for
nothing but reading: durability is held against what recovery finds after each crash.

- Election safety: one leader a term.  Leader completeness: it has all that was ever chosen.
- Log matching: one index and term, one entry, behind the same one.
- State machine safety: one entry at a chosen index, for ever; applied never ahead of commit.
- One change of members at a time, and voters change by way of a joint configuration (Raft §6).
- Chosen means durable on a quorum; terms, votes and acknowledged entries are durable before told.
- The log: recovery finds the state of one flush, in all groups, and none older than was claimed durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from redraft.control.topology import TOPOLOGY_GROUP
from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft, Role
from redraft.raft.log import LogView
from redraft.raft.messages import AppendReply, RequestVote, VoteReply
from redraft.raft.types import Entry, HardState
from redraft.replica.replica import Replica


class ViolationError(Exception):
    """Something that must hold does not."""


def must(holds: bool, sentence: str) -> None:
    """Raise ViolationError with the sentence of what went wrong, unless it holds."""
    if not holds:
        raise ViolationError(sentence)


class LogState(NamedTuple):
    """One group's log at one moment: terms as (first index, term) runs, and the hard state."""

    first_index: int
    last_index: int
    runs: tuple[tuple[int, int], ...]
    hard_state: HardState

    def term(self, index: int) -> int:
        """Return the term of an entry, 0 where there is none; of a compacted one what is known."""
        if not index or index > self.last_index:
            return 0
        for first, term in reversed(self.runs):
            if first <= index:
                return term
        return 0

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is there, or behind a snapshot."""
        return index < self.first_index or self.term(index) == term


EMPTY = LogState(1, 0, (), HardState())


class _Seen(NamedTuple):
    """A replica after a turn."""

    term: int
    role: Role
    commit_index: int
    applied_index: int
    configuration_index: int


class _NodeMemory:
    """What is known of one node, across its lives."""

    __slots__ = ("cores", "durable", "flushed", "logs", "seen", "votes")

    def __init__(self) -> None:
        self.logs: dict[int, LogState] = {}
        self.durable: dict[int, LogState] = {}
        self.flushed: deque[tuple[int, dict[int, LogState]]] = deque()
        """(sequence, all groups' logs) of every flush that is not known to be durable."""
        self.seen: dict[int, _Seen] = {}
        self.cores: dict[int, Raft] = {}
        """Whose state was seen: a replica may be dropped, and another come."""
        self.votes: dict[tuple[int, int], int] = {}
        """(group, term) -> for whom."""


class Checks:
    """The memory of one run."""

    def __init__(self) -> None:
        self.chosen: dict[int, list[int]] = {}
        """group -> the terms of its chosen entries, from index 1 on."""
        self._chosen_in: dict[int, list[int]] = {}
        """The same, but for the terms in which they were chosen: an entry may be older."""
        self.leader_of: dict[tuple[int, int], int] = {}
        self.on_elected: Callable[[int, int], None] = lambda _number, _group: None
        self._entries: dict[int, dict[tuple[int, int], tuple[int, Entry]]] = {}
        self._nodes: dict[int, _NodeMemory] = {}
        self._served: dict[int, tuple[int, frozenset[int] | None, frozenset[int]]] = {}
        """group -> the newest applied index at which it served other slots than before, what was foreign
        then, and the slots."""

    def _node(self, number: int) -> _NodeMemory:
        memory = self._nodes.get(number)
        if memory is None:
            memory = self._nodes[number] = _NodeMemory()
        return memory

    # ---- the log ----

    def flushed(self, number: int, sequence: int, views: Iterable[tuple[int, LogView]]) -> None:
        """A node handed to its disk what it has written so far; `sequence` will say that it is durable."""
        memory = self._node(number)
        changed = False
        for group, view in views:
            known = memory.logs.get(group, EMPTY)
            state = self._observe(group, known, view)
            if state is not known:
                memory.logs[group] = state
                changed = True
        if changed:
            memory.flushed.append((sequence, dict(memory.logs)))

    def durable(self, number: int, sequence: int) -> None:
        """The log claims that all up to a flush is durable."""
        memory = self._node(number)
        flushed = memory.flushed
        while flushed and flushed[0][0] <= sequence:
            memory.durable = flushed.popleft()[1]

    def recovered(self, number: int, views: Iterable[tuple[int, LogView]]) -> None:
        """A node found its log after a crash."""
        memory = self._node(number)
        found = {group: self._observe(group, EMPTY, view) for group, view in views}
        candidates = [memory.durable, *(logs for _sequence, logs in memory.flushed)]
        must(
            any(_same(found, logs) for logs in candidates),
            f"node {number} recovered a log that is that of no flush since the last durable one:"
            f" found {_brief(found)}, durable was {_brief(memory.durable)}",
        )
        memory.logs, memory.durable = found, dict(found)
        memory.flushed.clear()
        memory.seen.clear()

    def _observe(self, group: int, known: LogState, view: LogView) -> LogState:
        last_index, hard_state, first_index = view.last_index, view.hard_state, view.first_index
        if (
            last_index == known.last_index
            and first_index == known.first_index
            and view.term(last_index) == known.term(last_index)
        ):
            return known if hard_state == known.hard_state else known._replace(hard_state=hard_state)
        must(hard_state.term >= known.hard_state.term, f"group {group}: the saved term fell")
        low = first_index - 1
        same = min(last_index, known.last_index)
        while same > low and known.term(same) != view.term(same):
            same -= 1
        if same <= low:
            same = low
            runs = [(low, view.term(low))]
        else:
            runs = [run for run in known.runs if run[0] <= same]
        if same < last_index:
            self._take(group, view, same, runs)
        return LogState(first_index, last_index, tuple(runs), hard_state)

    def _take(self, group: int, view: LogView, after: int, runs: list[tuple[int, int]]) -> None:
        """Log matching: same index and term, same entry behind the same one; so the same log up to there."""
        entries = self._entries.setdefault(group, {})
        previous = view.term(after)
        index = after + 1
        while index <= view.last_index:
            for entry in view.slice(index, view.last_index + 1, 1 << 20):
                place = (entry.index, entry.term)
                seen = entries.setdefault(place, (previous, entry))
                must(seen == (previous, entry), f"group {group}: two entries at index and term {place}")
                if not runs or runs[-1][1] != entry.term:
                    runs.append((entry.index, entry.term))
                previous = entry.term
                index += 1

    # ---- what is said ----

    def told(self, number: int, peer: int, group: int, message: Any) -> None:
        """Figure 2, persistent state: what is told is durable; nobody votes twice in a term."""
        if isinstance(message, RequestVote | VoteReply):
            if message.pre_vote:
                return
        elif not isinstance(message, AppendReply):
            return
        memory = self._node(number)
        durable = memory.durable.get(group, EMPTY)
        term, voted_for = durable.hard_state
        who = f"node {number} in group {group}"
        must(message.term <= term, f"{who} spoke of term {message.term}, durable is {term}")
        if isinstance(message, AppendReply):
            if message.success and message.term == term:
                # (An ack of an older term may speak of what a newer leader has cut since.)
                must(
                    message.match_index <= durable.last_index,
                    f"{who} acknowledged entry {message.match_index}, durable are {durable.last_index}",
                )
        elif isinstance(message, RequestVote) or message.granted:
            vote = number if isinstance(message, RequestVote) else peer
            given = memory.votes.setdefault((group, message.term), vote)
            must(given == vote, f"{who} voted for {given} and {vote} in term {message.term}")
            if message.term == term:
                must(voted_for == vote, f"{who} told of a vote for {vote}, durable is {voted_for}")

    # ---- replicas ----

    def stepped(self, number: int, replicas: Iterable[tuple[int, Replica]]) -> None:
        """A node had a turn."""
        memory = self._node(number)
        for group, replica in replicas:
            raft = replica.raft
            if raft.is_blank:
                continue  # it applies nothing: its commit_index is where the log ended that it has lost
            now = _Seen(
                raft.term,
                raft.role,
                raft.commit_index,
                replica.applier.applied_index,
                raft.configuration_index,
            )
            before = memory.seen.get(group)
            if before is not None and memory.cores[group] is not raft:
                must(now.term >= before.term, f"node {number} in group {group}: a new replica's term fell")
                before = None
            if now == before:
                continue
            memory.seen[group], memory.cores[group] = now, raft
            who = f"node {number} in group {group}"
            must(now.applied_index <= now.commit_index, f"{who} applied what is not committed")
            if before is not None:
                must(now.term >= before.term, f"{who}: the term fell")
                must(now.commit_index >= before.commit_index, f"{who}: commit_index fell")
                must(now.applied_index >= before.applied_index, f"{who}: applied_index fell")
            if now.role is Role.LEADER and (before is None or before[:2] != now[:2]):
                self._elected(number, group, now.term, memory.logs.get(group, EMPTY))
            if group != TOPOLOGY_GROUP:
                self._serves(group, replica)
            if before is not None and before.role is now.role is Role.LEADER and before.term == now.term:
                committed = memory.logs.get(group, EMPTY).term(now.commit_index)
                must(
                    now.commit_index == before.commit_index or committed == now.term,
                    f"{who} leads in term {now.term} and counted copies of an entry of term {committed}",
                )
                _reconfigured(who, raft, before.configuration_index)
            known = before.commit_index if before is not None else 0
            if now.commit_index > known:
                self._committed(number, group, replica, known, memory.logs.get(group, EMPTY))

    def _serves(self, group: int, replica: Replica) -> None:
        """No two groups serve a slot: what one has applied furthest on is what it may do."""
        keyspace, index = replica.applier.keyspace, replica.applier.applied_index
        foreign = keyspace.foreign
        known = self._served.get(group)
        if known is not None and (known[0] >= index or known[1] is foreign):
            return
        slots = frozenset(keyspace.slots) - (foreign or frozenset())
        self._served[group] = index, foreign, slots
        for other, (at, _foreign, theirs) in self._served.items():
            both = slots & theirs
            must(
                other == group or not both,
                f"slots {sorted(both)} are served by group {group} as of its entry {index},"
                f" and by group {other} as of its entry {at}",
            )

    def _elected(self, number: int, group: int, term: int, log: LogState) -> None:
        if (group, term) not in self.leader_of:
            self.on_elected(number, group)
        leader = self.leader_of.setdefault((group, term), number)
        must(leader == number, f"group {group} has two leaders in term {term}: {leader} and {number}")
        chosen, chosen_in = self.chosen.get(group, []), self._chosen_in.get(group, [])
        last = len(chosen)
        while last and chosen_in[last - 1] >= term:
            last -= 1
        if last:
            must(
                log.holds(last, chosen[last - 1]),
                f"node {number} leads group {group} in term {term} without entry {last}, which was chosen",
            )

    def _committed(self, number: int, group: int, replica: Replica, known: int, log: LogState) -> None:
        chosen = self.chosen.setdefault(group, [])
        commit_index = replica.raft.commit_index
        who = f"node {number} in group {group}"
        must(commit_index <= log.last_index, f"{who} has committed more than its log holds")
        for index in range(max(known, log.first_index - 1) + 1, min(commit_index, len(chosen)) + 1):
            must(
                log.term(index) == chosen[index - 1],
                f"{who} committed entry {index} of term {log.term(index)}, chosen is {chosen[index - 1]}",
            )
        if commit_index > len(chosen):
            term = log.term(commit_index)
            # It may have changed since in the same turn, so any that may have counted then will do.
            counts = [each for index, each in replica.raft.configurations if index > commit_index]
            counts.append(replica.raft.configuration_at(commit_index))
            holders = [
                number
                for number, memory in sorted(self._nodes.items())
                if memory.durable.get(group, EMPTY).holds(commit_index, term)
            ]
            must(
                any(_is_quorum(each, holders) for each in counts),
                f"{who} committed entry {commit_index} of term {term}, which is durable on {holders} only,"
                f" under {counts}",
            )
            chosen_in = self._chosen_in.setdefault(group, [])
            chosen_in.extend([replica.raft.term] * (commit_index - len(chosen)))
            chosen.extend(log.term(index) for index in range(len(chosen) + 1, commit_index + 1))


def _reconfigured(who: str, raft: Raft, known_index: int) -> None:
    """A leader's configurations since known_index each follow a committed one, by the rules of the change."""
    for (index, old), (later, new) in pairwise(raft.configurations):
        if later <= known_index:
            continue
        must(
            index <= raft.commit_index,
            f"{who} changed its configuration at entry {later}, the last one at {index} is not committed",
        )
        kept = not old.is_joint and set(new.outgoing) == set(old.voters)
        must(
            kept if new.is_joint else set(new.voters) == set(old.voters),
            f"{who} has changed from {old} to {new} in one step",
        )


def _is_quorum(configuration: Configuration, nodes: Sequence[int]) -> bool:
    """Whether the nodes are a majority of the voters, and of the outgoing ones while it is joint."""
    return all(
        2 * sum(voter in nodes for voter in voters) > len(voters)
        for voters in (configuration.voters, configuration.outgoing or configuration.voters)
    )


def _same(found: dict[int, LogState], logs: dict[int, LogState]) -> bool:
    groups = sorted(found.keys() | logs.keys())
    return all(_alike(found.get(group, EMPTY), logs.get(group, EMPTY)) for group in groups)


def _alike(one: LogState, other: LogState) -> bool:
    if one.first_index != other.first_index or one.last_index != other.last_index:
        return False
    if one.hard_state != other.hard_state:
        return False
    return one.term(one.last_index) == other.term(other.last_index)


def _brief(logs: dict[int, LogState]) -> str:
    return "; ".join(
        f"group {group}: {log.first_index}..{log.last_index} of term {log.term(log.last_index)},"
        f" {tuple(log.hard_state)}"
        for group, log in sorted(logs.items())
    )
