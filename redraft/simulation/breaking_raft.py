"""Consensus, broken: elections, replication, membership."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redraft.node.hosting import Hosting
from redraft.raft import election, follower, membership, proposal, replication
from redraft.raft.configuration import Configuration
from redraft.raft.messages import AppendReply
from redraft.raft.state import Role, State
from redraft.raft.types import HardState
from redraft.replica.replica import Replica
from redraft.simulation.breaking import mutation, replaced
from redraft.wal.replay import Replayed

# ---- elections ----


@mutation("a vote is durable before it is told (Raft figure 2)")
def vote_before_fsync() -> Iterator[None]:
    with replaced(election, _reply=lambda state, sender, reply: state.send(sender, reply)):
        yield


@mutation("a restarted node remembers whom it voted for (Raft figure 2)")
def vote_forgotten_at_restart() -> Iterator[None]:
    save = Replayed.save

    def forget(replayed: Replayed, address: int, hard_state: HardState) -> None:
        save(replayed, address, hard_state._replace(voted_for=0))

    with replaced(Replayed, save=forget):
        yield


@mutation("only a candidate with all that may be committed is elected (Raft §5.4.1)")
def votes_for_anyone() -> Iterator[None]:
    with replaced(election, is_up_to_date=lambda _log, _index, _term: True):
        yield


@mutation("a node that heard its leader votes for nobody else while a lease may last (thesis §6.4.1)")
def lease_without_stickiness() -> Iterator[None]:
    sticky = State.is_sticky

    def is_sticky(state: State, now_ms: float) -> bool:
        return state.role is Role.LEADER and sticky(state, now_ms)

    with replaced(State, is_sticky=is_sticky):
        yield


@mutation("a restarted node votes for nobody while a lease it forgot may last")
def vote_at_once_after_restart() -> Iterator[None]:
    replica = Hosting._replica

    def impatient(hosting: Hosting, *of: Any, waits: bool) -> Replica:  # noqa: ARG001
        return replica(hosting, *of, waits=False)

    with replaced(Hosting, _replica=impatient):
        yield


# ---- replication ----


@mutation("an entry of an older term is not committed by counting its copies (Raft §5.4.2)")
def commit_of_older_term() -> Iterator[None]:
    advance = replication.advance_commit

    def advance_commit(state: State) -> None:
        start, state.term_start_index = state.term_start_index, 0
        advance(state)
        state.term_start_index = start

    with replaced(replication, advance_commit=advance_commit):
        yield


@mutation("an append is acknowledged when it is durable (Raft figure 2)")
def ack_before_fsync() -> Iterator[None]:
    def acknowledge(state: State, sender: int, match_index: int) -> None:
        state.send(sender, AppendReply(state.term, True, match_index, 0, 0))

    with replaced(follower, acknowledge=acknowledge):
        yield


@mutation("a leader counts itself for what is durable on its own disk")
def leader_counts_itself_early() -> Iterator[None]:
    propose = proposal.propose

    def propose_and_count(state: State, kind: int, data: bytes) -> int:
        index = propose(state, kind, data)
        state.self_match = index
        return index

    with replaced(proposal, propose=propose_and_count):
        yield


@mutation("only a conflict cuts anything off: an append that says less may be late (Raft §5.3)")
def append_over_committed_entries() -> Iterator[None]:
    with replaced(follower, _news=lambda _state, entries: entries):
        yield


@mutation("an append is refused where the entry before it does not match (Raft §5.3)")
def append_without_consistency_check() -> Iterator[None]:
    def on_append_entries(state: State, sender: int, message: Any, now_ms: float) -> None:
        prev_index = message.prev_log_index
        if state.commit_index <= prev_index <= state.log.last_index:
            message = message._replace(prev_log_term=state.log.term(prev_index))
        original(state, sender, message, now_ms)

    original = follower.on_append_entries
    with replaced(follower, on_append_entries=on_append_entries):
        yield


# ---- membership ----


@mutation("a learner's copy and vote count for nothing (thesis §4.2.1)")
def learner_counts_early() -> Iterator[None]:
    def reached(of: Configuration, value_of: Any) -> Any:
        values = sorted(map(value_of, of.nodes), reverse=True)
        return values[len(of.voters) // 2]

    with replaced(Configuration, reached=reached):
        yield


@mutation("a replica that lost its log grants no vote and takes no entries, only a snapshot")
def blank_replica_takes_part() -> Iterator[None]:
    def begin_with(state: State, index: int, configuration: Configuration, later: Any) -> None:
        begin(state, index, configuration, later)
        state.is_blank = False

    begin = State.begin_with
    with replaced(State, begin_with=begin_with):
        yield


@mutation("while a configuration is joint, a majority of the old voters has to agree too (Raft §6)")
def joint_without_the_old_majority() -> Iterator[None]:
    reached, tally = Configuration.reached, Configuration.tally
    with replaced(
        Configuration,
        reached=lambda of, value_of: reached(of._replace(outgoing=()), value_of),
        tally=lambda of, votes: tally(of._replace(outgoing=()), votes),
    ):
        yield


@mutation("the joint configuration is left only once it is committed (Raft §6)")
def joint_left_early() -> Iterator[None]:
    enter = membership._enter

    def enter_twice(state: State, configuration: Configuration) -> int:
        index = enter(state, configuration)
        return enter(state, configuration._replace(outgoing=())) if configuration.is_joint else index

    with replaced(membership, _enter=enter_twice):
        yield


@mutation("voters change by way of a joint configuration (Raft §6)")
def change_in_one_step() -> Iterator[None]:
    enter = membership._enter
    with replaced(
        membership,
        _enter=lambda state, configuration: enter(state, configuration._replace(outgoing=())),
    ):
        yield
