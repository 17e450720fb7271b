"""Known ways to break the code, each one function replaced: the simulator is worth what it finds of them.

A mutation is named for the rule it breaks.  It lasts as long as its context, in this process and those
forked from it; production code knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

from redraft.node.lane import Lane
from redraft.node.node import Node
from redraft.raft import election, follower, proposal, replication
from redraft.raft.messages import AppendReply
from redraft.raft.state import Role, State
from redraft.raft.types import HardState
from redraft.replica import origin
from redraft.replica.origin import Origin
from redraft.replica.part import Part
from redraft.replica.reads import ReadBatch, Reader
from redraft.replica.replica import Replica
from redraft.replica.sessions import Session, Sessions
from redraft.simulation.disk import SimulatedFiles
from redraft.wal.recovery import Recovery
from redraft.wal.replay import Replayed


class Mutation(NamedTuple):
    """One way to break the code."""

    name: str
    breaks: str
    """The rule, in a sentence."""
    context: Callable[[], AbstractContextManager[None]]


MUTATIONS: dict[str, Mutation] = {}


@contextmanager
def _replaced(owner: Any, **functions: Any) -> Iterator[None]:
    """Let attributes of a module or a class be others for a while."""
    originals = {name: owner.__dict__[name] for name in functions}
    for name, function in functions.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


def _mutation(breaks: str) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Iterator[None]]]:
    def register(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
        name = make.__name__.strip("_").replace("_", "-")
        MUTATIONS[name] = Mutation(name, breaks, contextmanager(make))
        return make

    return register


# ---- elections ----


@_mutation("a vote is durable before it is told (Raft figure 2)")
def _vote_before_fsync() -> Iterator[None]:
    with _replaced(election, _reply=lambda state, sender, reply: state.send(sender, reply)):
        yield


@_mutation("a restarted node remembers whom it voted for (Raft figure 2)")
def _vote_forgotten_at_restart() -> Iterator[None]:
    save = Replayed.save

    def forget(replayed: Replayed, address: int, hard_state: HardState) -> None:
        save(replayed, address, hard_state._replace(voted_for=0))

    with _replaced(Replayed, save=forget):
        yield


@_mutation("only a candidate with all that may be committed is elected (Raft §5.4.1)")
def _votes_for_anyone() -> Iterator[None]:
    with _replaced(election, is_up_to_date=lambda _log, _index, _term: True):
        yield


@_mutation("a node that heard its leader votes for nobody else while a lease may last (thesis §6.4.1)")
def _lease_without_stickiness() -> Iterator[None]:
    sticky = State.is_sticky

    def is_sticky(state: State, now_ms: float) -> bool:
        return state.role is Role.LEADER and sticky(state, now_ms)

    with _replaced(State, is_sticky=is_sticky):
        yield


@_mutation("a restarted node votes for nobody while a lease it forgot may last")
def _vote_at_once_after_restart() -> Iterator[None]:
    with _replaced(Node, _may_vote_from=lambda _node, *_of, **_start: 0.0):
        yield


# ---- replication ----


@_mutation("an entry of an older term is not committed by counting its copies (Raft §5.4.2)")
def _commit_of_older_term() -> Iterator[None]:
    advance = replication.advance_commit

    def advance_commit(state: State) -> None:
        start, state.term_start_index = state.term_start_index, 0
        advance(state)
        state.term_start_index = start

    with _replaced(replication, advance_commit=advance_commit):
        yield


@_mutation("an append is acknowledged when it is durable (Raft figure 2)")
def _ack_before_fsync() -> Iterator[None]:
    def acknowledge(state: State, sender: int, match_index: int) -> None:
        state.send(sender, AppendReply(state.term, True, match_index, 0, 0))

    with _replaced(follower, acknowledge=acknowledge):
        yield


@_mutation("a leader counts itself for what is durable on its own disk")
def _leader_counts_itself_early() -> Iterator[None]:
    propose = proposal.propose

    def propose_and_count(state: State, kind: int, data: bytes) -> int:
        index = propose(state, kind, data)
        state.self_match = index
        return index

    with _replaced(proposal, propose=propose_and_count):
        yield


@_mutation("only a conflict cuts anything off: an append that says less may be late (Raft §5.3)")
def _append_over_committed_entries() -> Iterator[None]:
    with _replaced(follower, _news=lambda _state, entries: entries):
        yield


@_mutation("an append is refused where the entry before it does not match (Raft §5.3)")
def _append_without_consistency_check() -> Iterator[None]:
    def on_append_entries(state: State, sender: int, message: Any, now_ms: float) -> None:
        prev_index = message.prev_log_index
        if state.commit_index <= prev_index <= state.log.last_index:
            message = message._replace(prev_log_term=state.log.term(prev_index))
        original(state, sender, message, now_ms)

    original = follower.on_append_entries
    with _replaced(follower, on_append_entries=on_append_entries):
        yield


# ---- reads ----


@_mutation("no read is served before an entry of the leader's term is committed (Raft §8)")
def _read_index_before_noop() -> Iterator[None]:
    begin, start_clock = replication.begin_term, Replica.start_clock

    def begin_term(state: State, now_ms: float) -> None:
        begin(state, now_ms)
        state.committed_in_term = True

    def start_at_once(replica: Replica, median_wall_ms: float, now_ms: float) -> None:
        started, replica._started_index = replica._started_index, 0
        start_clock(replica, median_wall_ms, now_ms)
        replica._started_index = started

    def changed(replica: Replica) -> bool:
        found = leadership_changed(replica)
        if found and replica.leads:
            start_at_once(replica, 0.0, replica.raft.now_ms)
        return found

    leadership_changed = Replica.leadership_changed
    with _replaced(election, begin_term=begin_term), _replaced(Replica, leadership_changed=changed):
        yield


@_mutation("each asking for a read index has a fresh id (thesis §6.4)")
def _read_id_reused() -> Iterator[None]:
    def round_(node: Node, lane: Lane) -> int:
        node._asking.add(lane)
        if not node._round:
            node._round = max(1, node.liveness._round)
            node.ping(node.now_ms())
        return node._round

    with _replaced(Node, round=round_):
        yield


@_mutation("a read waits until the state has all up to its index")
def _read_before_apply() -> Iterator[None]:
    def readable(reader: Reader, _applied_index: int) -> ReadBatch | None:
        return reader.ready.popleft() if reader.ready else None

    with _replaced(Reader, readable=readable):
        yield


@_mutation("a leader that hands over gives up its lease first")
def _lease_kept_in_transfer() -> Iterator[None]:
    def lease_holds(node: Node, group: Any) -> bool:
        raft = node.replicas[group.group_id].raft
        transferred, raft.transferred_in_term = raft.transferred_in_term, False
        held = original(node, group)
        raft.transferred_in_term = transferred
        return held

    original = Node.lease_holds
    with _replaced(Node, lease_holds=lease_holds):
        yield


@_mutation("a follower remembers when it last heard its leader, also when their link is gone")
def _promise_forgotten_with_the_link() -> Iterator[None]:
    with _replaced(State, consult_liveness=lambda _state: None):
        yield


@_mutation("a lease is shorter than an election time-out, by the drift of clocks")
def _lease_too_long() -> Iterator[None]:
    def lease_holds(node: Node, group: Any) -> bool:
        if node.replicas[group.group_id].raft.transferred_in_term:
            return False
        contact = node.liveness.quorum_contact(
            group.group_id, node.replicas[group.group_id].raft.configuration
        )
        return node.now_ms() < contact + 3 * node.config.election_timeout_ms

    with _replaced(Node, lease_holds=lease_holds):
        yield


# ---- exactly once ----


@_mutation("a part that is sent again is not executed again")
def _no_dedup_of_parts() -> Iterator[None]:
    admit = Sessions.admit

    def admit_again(sessions: Sessions, part: Part) -> Session | None:
        session = admit(sessions, part)
        if session is not None:
            session.replies.pop(part.sequence, None)
        return session

    with _replaced(Sessions, admit=admit_again):
        yield


@_mutation("a part whose reply was acknowledged, or whose incarnation is over, is never executed late")
def _late_parts_executed() -> Iterator[None]:
    admit = Sessions.admit

    def admit_late(sessions: Sessions, part: Part) -> Session | None:
        session = admit(sessions, part)
        return session if session is not None else Session(part.incarnation)

    with _replaced(Sessions, admit=admit_late):
        yield


@_mutation('"not executed" is said only of what no log and no link has seen')
def _unknown_called_refused() -> Iterator[None]:
    with _replaced(origin, TIMEOUT=origin.CLUSTERDOWN):
        yield


@_mutation("each client gets its own replies, also those that came by way of another node")
def _replies_cross_clients() -> Iterator[None]:
    def resolve(of: Origin, sequence: int, replies: list[bytes]) -> int:
        part = of.inflight.get(sequence)
        if part is not None and len({request.count for request in part.requests}) == 1:
            part.requests.reverse()
        return original(of, sequence, replies)

    original = Origin.resolve
    with _replaced(Origin, resolve=resolve):
        yield


# ---- the log ----


@_mutation("what the log calls durable was synced")
def _fsync_left_out() -> Iterator[None]:
    def sync(files: SimulatedFiles, _fd: int) -> None:
        files.effect()

    with _replaced(SimulatedFiles, sync=sync):
        yield


@_mutation("after a failed fsync the page cache is not trusted: recovery copies the tail")
def _tail_trusted_after_failed_fsync() -> Iterator[None]:
    take = Recovery._take

    def trust(recovery: Recovery, window: bytes, found: Any, first: int, address: int) -> None:
        recovery._durable = max(recovery._durable, first + len(found.batch_offsets) - 1)
        take(recovery, window, found, first, address)

    with _replaced(Recovery, _take=trust):
        yield


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Break the code in the way of that name; raises KeyError when there is none."""
    with ExitStack() as stack:
        stack.enter_context(MUTATIONS[name].context())
        yield
