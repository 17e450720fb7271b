"""The node, broken: reads, leases, exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redraft.node.lane import Lane
from redraft.node.node import Node
from redraft.raft import election, replication
from redraft.raft.state import State
from redraft.replica import origin
from redraft.replica.origin import Origin
from redraft.replica.part import Part
from redraft.replica.reads import ReadBatch, Reader
from redraft.replica.replica import Replica
from redraft.replica.sessions import Session, Sessions
from redraft.simulation.breaking import mutation, replaced

# ---- reads ----


@mutation("no read is served before an entry of the leader's term is committed (Raft §8)")
def read_index_before_noop() -> Iterator[None]:
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
    with replaced(election, begin_term=begin_term), replaced(Replica, leadership_changed=changed):
        yield


@mutation("each asking for a read index has a fresh id (thesis §6.4)")
def read_id_reused() -> Iterator[None]:
    def round_(node: Node, lane: Lane) -> int:
        node._asking.add(lane)
        if not node._round:
            node._round = max(1, node.liveness._round)
            node.ping(node.now_ms())
        return node._round

    with replaced(Node, round=round_):
        yield


@mutation("a read waits until the state has all up to its index")
def read_before_apply() -> Iterator[None]:
    def readable(reader: Reader, _applied_index: int) -> ReadBatch | None:
        return reader.ready.popleft() if reader.ready else None

    with replaced(Reader, readable=readable):
        yield


@mutation("a leader that hands over gives up its lease first")
def lease_kept_in_transfer() -> Iterator[None]:
    def lease_holds(node: Node, group: Any) -> bool:
        raft = node.replicas[group.group_id].raft
        transferred, raft.transferred_in_term = raft.transferred_in_term, False
        held = original(node, group)
        raft.transferred_in_term = transferred
        return held

    original = Node.lease_holds
    with replaced(Node, lease_holds=lease_holds):
        yield


@mutation("a follower remembers when it last heard its leader, also when their link is gone")
def promise_forgotten_with_the_link() -> Iterator[None]:
    with replaced(State, consult_liveness=lambda _state: None):
        yield


@mutation("a lease is shorter than an election time-out, by the drift of clocks")
def lease_too_long() -> Iterator[None]:
    def lease_holds(node: Node, group: Any) -> bool:
        if node.replicas[group.group_id].raft.transferred_in_term:
            return False
        contact = node.liveness.quorum_contact(
            group.group_id, node.replicas[group.group_id].raft.configuration
        )
        return node.now_ms() < contact + 3 * node.config.election_timeout_ms

    with replaced(Node, lease_holds=lease_holds):
        yield


# ---- exactly once ----


@mutation("a part that is sent again is not executed again")
def no_dedup_of_parts() -> Iterator[None]:
    admit = Sessions.admit

    def admit_again(sessions: Sessions, part: Part) -> Session | None:
        session = admit(sessions, part)
        if session is not None:
            session.replies.pop(part.sequence, None)
        return session

    with replaced(Sessions, admit=admit_again):
        yield


@mutation("a part whose reply was acknowledged, or whose incarnation is over, is never executed late")
def late_parts_executed() -> Iterator[None]:
    admit = Sessions.admit

    def admit_late(sessions: Sessions, part: Part) -> Session | None:
        session = admit(sessions, part)
        return session if session is not None else Session(part.incarnation)

    with replaced(Sessions, admit=admit_late):
        yield


@mutation('"not executed" is said only of what no log and no link has seen')
def unknown_called_refused() -> Iterator[None]:
    with replaced(origin, TIMEOUT=origin.CLUSTERDOWN):
        yield


@mutation("each client gets its own replies, also those that came by way of another node")
def replies_cross_clients() -> Iterator[None]:
    def resolve(of: Origin, sequence: int, replies: list[bytes]) -> int:
        part = of.inflight.get(sequence)
        if part is not None and len({request.count for request in part.requests}) == 1:
            part.requests.reverse()
        return original(of, sequence, replies)

    original = Origin.resolve
    with replaced(Origin, resolve=resolve):
        yield
