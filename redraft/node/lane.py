"""A lane: the way of this node's clients into one group, which it leads, follows or only knows.

Ties together what the group has on this node: the origin of writes, the reader, and the replica if
there is one.  Decides where requests go (propose here, forward, or wait), makes entries, applies, and
hands answers back.  Synchronous: every effect goes through `Host`, time comes in as an argument.

Always true: a write leaves a lane as a part with a frozen sequence; a read is executed only at an
index that a current leader confirmed after the read was submitted; when the route to the leader
changes, everything unanswered is sent or asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from redraft.base.config import Config
from redraft.base.limits import APPLY_SLICE_BYTES, FORWARDED_REPLY_BYTES_MAX
from redraft.commands.keyspace import ExpiredKeyError
from redraft.commands.reply import REFUSED
from redraft.replica.apply import Answer
from redraft.replica.gather import Gathering
from redraft.replica.origin import MISCONF, Origin, SentPart
from redraft.replica.part import part_identity
from redraft.replica.reads import ReadBatch, Reader
from redraft.replica.replica import Replica
from redraft.replica.request import Request, deliver
from redraft.topology.cluster_map import Group
from redraft.transport.messages import (
    ExpireRequest,
    ForwardPart,
    ForwardRead,
    NodeMessage,
    Outcome,
    PartReply,
    ReadIndexReply,
    ReadIndexRequest,
    ReadReply,
)

if TYPE_CHECKING:
    from redraft.node.snapshots import Snapshots

Route = tuple[int, int, int]
"""(leader, term, link session): what a part or an asking was sent on; another route means: send again."""

REPLY_TOO_LARGE = (
    b"-ERR The replies of this pipeline are too large to be forwarded; ask for fewer at a time\r\n"
)
EAGER_PART = 4
"""What waits goes out behind an unanswered batch once it is this part of a full entry."""
INCARNATION_SHIFT = 32
"""The upper half of an asking's id is this node's incarnation: no answer to an earlier life fits."""


class Host(Protocol):
    """What a lane may ask of its node."""

    node_id: int
    incarnation: int
    config: Config
    snapshots: Snapshots

    def submit(self, request: Request) -> None: ...
    def refused(self, request: Request, replies: list[bytes]) -> None: ...
    def send(self, peer: int, group: int, message: NodeMessage) -> None: ...
    def link_session(self, peer: int) -> int: ...
    def leader_claim(self, group: int) -> tuple[int, int]: ...

    def round(self, lane: Lane) -> int: ...
    def confirmed_round(self, group: Group) -> int: ...
    def lease_holds(self, group: Group) -> bool: ...
    def wall_ms(self) -> float: ...
    def now_ms(self) -> float: ...
    def deny_oom(self, group: Group) -> bool: ...
    def has_room(self, size: int) -> bool: ...
    def step_aside(self, group: Group) -> bool: ...
    def touch(self, lane: Lane) -> None: ...
    def hold(self, lane: Lane) -> None: ...
    def tend(self, lane: Lane) -> None: ...


class Lane:
    """One group as this node's clients see it."""

    __slots__ = (
        "_ask_id",
        "_expiry_index",
        "_forwarded_reads",
        "_gathering",
        "_host",
        "_reads_gathering",
        "_reask",
        "_retry",
        "_route",
        "group",
        "group_id",
        "origin",
        "reader",
        "replica",
    )

    def __init__(self, host: Host, group: Group, replica: Replica | None) -> None:
        config = host.config
        self._host = host
        self.group = group
        self.group_id = group.group_id
        self.replica = replica
        self.origin = Origin(
            host.node_id,
            host.incarnation,
            bytes_max=config.entry_bytes_max,
            commands_max=config.entry_commands_max,
            refuse=host.refused,
        )
        self.reader = Reader(asked_max=config.inflight_reads_max)
        self._route: Route | None = None
        self._retry = False
        self._reask = False
        self._ask_id = host.incarnation << INCARNATION_SHIFT
        self._expiry_index = 0
        self._forwarded_reads: dict[int, ReadBatch] = {}
        self._gathering = Gathering()
        self._reads_gathering = Gathering()

    def __hash__(self) -> int:
        """By group, not by address: a run from a seed takes lanes in the same order every time."""
        return self.group_id

    # ---- requests ----

    def submit(self, request: Request) -> None:
        """Take a request of a client; the next pump sends it on its way."""
        if request.write:
            self.origin.submit(request)
        else:
            self.reader.pending.append(request)
        self._host.touch(self)

    @property
    def idle(self) -> bool:
        """Whether nothing waits here, so that no timer has to look at this lane."""
        origin, reader = self.origin, self.reader
        return not (
            origin.pending
            or origin.inflight
            or reader.pending
            or reader.asked
            or reader.ready
            or reader.unexpired
            or self._forwarded_reads
        )

    @property
    def reachable(self) -> bool:
        """Whether requests can go to a leader now."""
        return self._current_route() is not None

    def pump(self) -> None:
        """Send on what can go now: parts to the leader or into an entry, reads to their asking."""
        route = self._current_route()
        if route != self._route:
            self._change_route(route)
        if route is None:
            return
        replica = self.replica
        if replica is not None and route[0] == self._host.node_id:
            self._pump_leader(replica, route)
        else:
            self._pump_follower(route)

    def _current_route(self) -> Route | None:
        host, replica = self._host, self.replica
        if replica is None:
            leader, term = host.leader_claim(self.group_id)
        else:
            leader, term = replica.raft.leader_id, replica.raft.term
            if leader == host.node_id:
                return (leader, term, 0) if replica.proposes else None
        session = host.link_session(leader) if leader else 0
        return (leader, term, session) if session else None

    def _change_route(self, route: Route | None) -> None:
        if self._route is None and route is not None:
            for part in self.origin.inflight.values():
                part.route = None
        self._route = route
        self._expiry_index = 0  # the entry it waits for may have been lost with its leader
        self.reader.reset()
        for batch in self._forwarded_reads.values():
            self.reader.pending[:0] = batch.requests
        self._forwarded_reads.clear()
        if route is None:
            return
        for part in self.origin.unsent(route):
            if route[0] == self._host.node_id and not self._host.has_room(len(part.data)):
                part.sends += 1  # tried here; if it was sent before, another leader may get it yet
                self.origin.refuse(part.sequence, MISCONF)
            else:
                self._send_part(part, route)

    def _send_part(self, part: SentPart, route: Route) -> None:
        part.route = route
        part.sends += 1
        if route[0] == self._host.node_id:
            assert self.replica is not None
            self.replica.offer(part.data)
        else:
            self._host.send(route[0], self.group_id, ForwardPart(part.data))

    # ---- at the leader ----

    def _pump_leader(self, replica: Replica, route: Route) -> None:
        host, origin, config = self._host, self.origin, self._host.config
        while (origin.pending or replica.parts) and self._may_propose(replica):
            if not self._gathered():
                break
            while origin.pending and replica.parts_bytes < config.entry_bytes_max:
                part = origin.form(host.now_ms())
                assert part is not None
                if not host.has_room(len(part.data)):
                    if host.step_aside(self.group):
                        return  # the part goes to the next leader
                    part.sends = 1
                    origin.refuse(part.sequence, MISCONF)
                    continue
                self._send_part(part, route)
            if not replica.parts:
                break
            replica.propose(self._clock_ms(replica), host.deny_oom(self.group), config.entry_bytes_max)
        reader = self.reader
        if reader.may_ask and replica.raft.committed_in_term:
            if reader.remotes or self._reads_gathering.complete(len(reader.pending), host.now_ms()):
                self._open_reads(replica)
            else:
                host.hold(self)

    def _may_propose(self, replica: Replica) -> bool:
        """One small entry at a time, so that what comes meanwhile shares the next; large ones overlap.

        Measured on two cores, three nodes, 50 clients: one at a time 24k SET/s, four 20k; with pipelines
        of 16 174k against 128k.
        """
        inflight = replica.inflight_entries
        config = self._host.config
        waiting = replica.parts_bytes + self.origin.pending_bytes
        return not inflight or (
            waiting >= config.entry_bytes_max // EAGER_PART and inflight < config.inflight_entries_max
        )

    def _open_reads(self, replica: Replica) -> None:
        host, reader = self._host, self.reader
        index, clock_ms = replica.raft.commit_index, self._clock_ms(replica)
        alone = replica.raft.configuration.sole_voter == host.node_id
        if alone or (host.config.read_mode == "lease" and host.lease_holds(self.group)):
            reader.ask(0, index, clock_ms, host.now_ms())
            self._tell(reader.confirmed(0))
            self.run_reads()
        else:
            reader.ask(host.round(self), index, clock_ms, host.now_ms())

    def confirm_reads(self) -> bool:
        """A peer answered a round: batches it confirms become readable; True while others wait."""
        if self.reader.asked and self.replica is not None and self.replica.leads:
            told = self.reader.confirmed(self._host.confirmed_round(self.group))
            if told:
                self._tell(told)
            self.run_reads()
            if told or self.reader.may_ask:
                self._host.touch(self)
        return bool(self.reader.asked)

    def _tell(self, told: list[tuple[int, int, int, int]]) -> None:
        assert self.replica is not None
        for peer, request_id, index, clock_ms in told:
            self.replica.raft.commit_notice(peer)  # it waits for this commit_index, not for the next tick
            self._host.send(peer, self.group_id, ReadIndexReply(request_id, True, index, clock_ms))

    def _clock_ms(self, replica: Replica) -> int:
        assert replica.clock is not None
        return replica.clock.read(self._host.wall_ms(), self._host.now_ms())

    def _propose_expiry(self, replica: Replica) -> None:
        if replica.proposes and self._expiry_index <= replica.applier.applied_index:
            replica.propose_expiry(self._clock_ms(replica))
            self._expiry_index = replica.raft.last_index
            self._host.touch(self)

    # ---- away from the leader ----

    def _pump_follower(self, route: Route) -> None:
        host, origin, reader = self._host, self.origin, self.reader
        config = host.config
        while origin.pending and (
            (not origin.inflight and self._gathered())
            or (
                origin.pending_bytes >= config.entry_bytes_max // EAGER_PART
                and len(origin.inflight) < config.inflight_parts_max
            )
        ):
            part = origin.form(host.now_ms())
            assert part is not None
            self._send_part(part, route)
        if not reader.may_ask:
            return
        self._ask_id += 1
        if self.replica is not None and self.replica.votes and host.has_room(0):
            reader.ask(self._ask_id, 0, 0, host.now_ms())
            host.send(route[0], self.group_id, ReadIndexRequest(self._ask_id))
        elif reader.pending:  # there is no replica, or it can't keep up with the log
            proto = reader.pending[0].proto  # one protocol a message; the others go with the next
            requests = [request for request in reader.pending if request.proto == proto]
            reader.pending = [request for request in reader.pending if request.proto != proto]
            self._forwarded_reads[self._ask_id] = ReadBatch(self._ask_id, requests, asked_ms=host.now_ms())
            data = b"".join([request.data for request in requests])
            count = sum(request.count for request in requests)
            host.send(route[0], self.group_id, ForwardRead(self._ask_id, ((count, proto),), data))
            if reader.pending:
                host.touch(self)

    # ---- what peers say ----

    def on_forward_part(self, peer: int, message: ForwardPart) -> None:
        """A peer's part for a group that it thinks this node leads."""
        replica, part = self.replica, message.part
        origin, incarnation, sequence = part_identity(part)
        if replica is None or not replica.leads or replica.raft.transferring_to:
            self._reply_part(peer, incarnation, sequence, Outcome.NOT_LEADER, [])
            return
        known = replica.applier.sessions.answered(origin, incarnation, sequence)
        if known is not None:
            self._reply_part(peer, incarnation, sequence, Outcome.DONE, known)
        elif not self._host.has_room(len(part)):
            if self._host.step_aside(self.group):
                self._reply_part(peer, incarnation, sequence, Outcome.NOT_LEADER, [])
            else:
                self._reply_part(peer, incarnation, sequence, Outcome.REFUSED, [MISCONF])
        else:
            replica.offer(part)
            self._host.touch(self)

    def _reply_part(
        self, peer: int, incarnation: int, sequence: int, outcome: Outcome, replies: list[bytes]
    ) -> None:
        self._host.send(peer, self.group_id, PartReply(incarnation, sequence, outcome, _sendable(replies)))

    def on_part_reply(self, peer: int, message: PartReply) -> None:
        """The leader answers a part of this node."""
        if message.origin_incarnation != self._host.incarnation:
            return
        if message.outcome == Outcome.DONE:
            self._resolve(message.sequence, message.replies)
        elif message.outcome == Outcome.REFUSED:
            self.origin.refuse(message.sequence, message.replies[0])
        elif message.sequence in self.origin.inflight:
            self._retry = self._route is not None and self._route[0] == peer
        self._host.touch(self)

    def on_read_index_request(self, peer: int, message: ReadIndexRequest) -> None:
        """A follower asks for the read index; it is told once leadership is confirmed, or "no" at once."""
        if self.replica is None or not self.replica.proposes:
            self._host.send(peer, self.group_id, ReadIndexReply(message.request_id, False, 0, 0))
            return
        self.reader.remotes.append((peer, message.request_id))
        self._host.touch(self)

    def on_read_index_reply(self, message: ReadIndexReply) -> None:
        """The leader's read index for a batch of this follower; after a refusal the timer asks again."""
        if self.replica is None:
            return  # it was dropped meanwhile: what it asked is asked elsewhere
        if message.ok:
            self.reader.answered(message.request_id, message.read_index, message.clock_ms)
            self.run_reads()
            self._host.touch(self)
        else:
            self._reask = True

    def on_forward_read(self, peer: int, message: ForwardRead) -> None:
        """Reads of a node that has no replica; executed here like this node's own."""
        self._host.submit(ForwardedRead(self._host, peer, self.group_id, message))

    def on_read_reply(self, message: ReadReply) -> None:
        """Replies to reads this node forwarded."""
        batch = self._forwarded_reads.pop(message.request_id, None)
        if batch is not None:
            deliver(batch.requests, message.replies, self._host.refused)
            self._host.touch(self)

    def on_expire_request(self) -> None:
        """A follower's read met a key past its deadline."""
        if self.replica is not None:
            self._propose_expiry(self.replica)

    # ---- apply and execute ----

    def apply(self) -> bool:
        """Apply one slice, answer its parts, execute reads that waited for it; True if more is to do."""
        replica, host = self.replica, self._host
        if replica is None:
            return False
        applier = replica.applier
        engine = applier.keyspace.engine
        if engine.is_full:
            return False  # it goes on when the engine has room (`node.checkpoints`)
        if applier.applied_index < replica.raft.commit_index:
            self._answer(replica, replica.apply(APPLY_SLICE_BYTES))
            if replica.clock is None and replica.leads:
                replica.start_clock(host.wall_ms(), host.now_ms())
            host.touch(self)
            if self.reader.unexpired and self._expiry_index <= applier.applied_index:
                self._run_again(replica)
            if self.reader.ready:
                self.run_reads()
        if engine.dirty_bytes > host.config.engine_memory_bytes:
            host.snapshots.checkpoints.soon(self.group_id)
        if applier.keyspace.digest_wanted:
            applier.keyspace.digest_wanted = False
            host.snapshots.digests.begin(replica)
        host.tend(self)
        return applier.applied_index < replica.raft.commit_index

    def tend(self) -> bool:
        """Do a bit of what the state's engine can do later; True if more is to do."""
        return self.replica is not None and self.replica.applier.keyspace.tend()

    def dropped(self) -> None:
        """The group's replica here is gone: what it was to answer is asked elsewhere."""
        reader = self.reader
        reader.reset()
        reader.pending += [request for batch in reader.ready for request in batch.requests]
        reader.pending += [request for request, _clock in reader.unexpired]
        reader.ready.clear()
        reader.unexpired = []
        self.replica = None
        self._host.touch(self)

    def close(self) -> None:
        """The group is gone: what was not executed goes where its slots are by now, the rest is not known."""
        reader = self.reader
        self.dropped()
        reads = [*reader.pending]
        for batch in self._forwarded_reads.values():
            reads += batch.requests
        reader.pending, self._forwarded_reads = [], {}
        for request in (*reads, *self.origin.end()):
            deliver((request,), [REFUSED] * request.count, self._host.refused)

    def installed(self) -> None:
        """A snapshot took the place of the replica's state: reads that waited for it may go on."""
        replica = self.replica
        assert replica is not None
        self._expiry_index = 0
        self.run_reads()
        if self.reader.unexpired:
            self._run_again(replica)
        self._host.touch(self)

    def _gathered(self) -> bool:
        if self._gathering.complete(len(self.origin.pending), self._host.now_ms()):
            return True
        self._host.hold(self)
        return False

    def _resolve(self, sequence: int, replies: list[bytes]) -> None:
        answered = self.origin.resolve(sequence, replies)
        if answered:
            self._gathering.answered(answered, len(self.origin.pending), self._host.now_ms())

    def _answer(self, replica: Replica, answers: list[Answer]) -> None:
        host, leads = self._host, replica.leads
        for origin, incarnation, sequence, replies in answers:
            if origin == host.node_id:
                if incarnation == host.incarnation:
                    self._resolve(sequence, replies)
            elif leads:
                self._reply_part(origin, incarnation, sequence, Outcome.DONE, replies)

    def run_reads(self) -> None:
        """Execute every batch whose read index is applied here."""
        replica = self.replica
        assert replica is not None
        while (batch := self.reader.readable(replica.applier.applied_index)) is not None:
            requests = batch.requests
            marks = [(request.count, request.proto) for request in requests]
            data = b"".join([request.data for request in requests]) if len(requests) > 1 else requests[0].data
            try:
                replies = replica.applier.read(data, marks, batch.clock_ms)
            except ExpiredKeyError:
                self.reader.unexpired.extend((request, batch.clock_ms) for request in requests)
                self._run_again(replica)
                continue
            deliver(requests, replies, self._host.refused)
            self._reads_gathering.answered(len(requests), len(self.reader.pending), self._host.now_ms())

    def _run_again(self, replica: Replica) -> None:
        """Execute one by one reads that may meet a key past its deadline; who does waits for an entry."""
        reader = self.reader
        for request, clock_ms in reader.retry():
            try:
                replies = replica.applier.read(request.data, [(request.count, request.proto)], clock_ms)
            except ExpiredKeyError:
                reader.unexpired.append((request, clock_ms))
            else:
                deliver((request,), replies, self._host.refused)
        if reader.unexpired:
            self._ask_expiry(replica)

    def _ask_expiry(self, replica: Replica) -> None:
        if replica.leads:
            self._propose_expiry(replica)
        elif self._route is not None:
            clock_ms = max(clock_ms for _request, clock_ms in self.reader.unexpired)
            self._host.send(self._route[0], self.group_id, ExpireRequest(clock_ms))

    # ---- time ----

    def tick(self, now_ms: float) -> None:
        """Look after what waits: too long, for an expiry, or for an answer that was lost."""
        config, reader = self._host.config, self.reader
        self.origin.expire(now_ms, config.leader_wait_ms, config.request_timeout_ms)
        if self.origin.owes_acknowledgement and self._route is not None:
            self._send_part(self.origin.acknowledge(now_ms), self._route)
        for batch in self._forwarded_reads.values():
            if now_ms - batch.asked_ms > config.leader_wait_ms:
                reader.pending.extend(batch.requests)  # too old for another try: answered just below
                batch.requests = []
        self._forwarded_reads = {key: batch for key, batch in self._forwarded_reads.items() if batch.requests}
        reader.expire(now_ms, config.leader_wait_ms)
        if reader.unexpired and self.replica is not None:
            self._ask_expiry(self.replica)
        if self._retry:  # refused by a node that does not lead (yet): the next pump sends everything again
            self._retry, self._route = False, None
        leads = self.replica is not None and self.replica.leads
        if reader.asked and not leads:  # refused, or forgotten by a leader that was about to hand over?
            waits_long = now_ms - reader.asked[0].asked_ms > config.election_timeout_ms
            if self._reask or waits_long:
                reader.reset()
        self._reask = False
        self._host.touch(self)

    def sweep(self) -> None:
        """At the leader: propose the removal of keys that are due."""
        replica = self.replica
        if replica is not None and replica.proposes:
            due = replica.applier.keyspace.next_deadline_ms()
            if due is not None and due <= self._clock_ms(replica):
                self._propose_expiry(replica)


class ForwardedRead(Request):
    """Reads of a peer that has no replica of the group; the replies go back over its link, REFUSED or not."""

    __slots__ = ("_host", "_peer", "_request_id")
    reroutes = False

    def __init__(self, host: Host, peer: int, group: int, message: ForwardRead) -> None:
        ((count, proto),) = message.marks
        super().__init__(group, message.data, count, proto, write=False)
        self._host = host
        self._peer = peer
        self._request_id = message.request_id
        self.submitted_ms = host.now_ms()

    def complete(self, replies: list[bytes]) -> None:
        """Send the replies back."""
        self._host.send(self._peer, self.group, ReadReply(self._request_id, Outcome.DONE, _sendable(replies)))


def _sendable(replies: list[bytes]) -> list[bytes]:
    """Return replies that fit into a frame together: those that would not are answered with an error.

    Only a pipeline of several of the largest values gets there, through a node that has to forward it.
    What was refused stays so: it was not executed, and goes elsewhere.
    """
    if sum(map(len, replies)) <= FORWARDED_REPLY_BYTES_MAX:
        return replies
    sent: list[bytes] = []
    left = FORWARDED_REPLY_BYTES_MAX
    for reply in replies:
        left -= len(reply)
        sent.append(reply if left >= 0 or reply == REFUSED else REPLY_TOO_LARGE)
    return sent
