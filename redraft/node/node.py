"""The node's logic: frames, requests, durability and ticks in; frames, log records and replies out.

Synchronous and without I/O of its own, so that a whole cluster can run in one process: sockets are
`PeerLink`s, the disk is a `NodeLog`, time is a `Clock`.  Whoever drives it calls the `on_…` methods
and `submit` as things happen and then `flush` once, which does everything that follows, in an order
that keeps the promises: parts become entries; liveness leaves before votes; entries leave for the
followers before the own log is synced; what claims durability waits in `_gated`; apply comes last.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from redraft.base.config import Config
from redraft.base.limits import TICK_MS
from redraft.commands.reply import REFUSED
from redraft.control.slotmoves import MoveRecord
from redraft.control.topology import TOPOLOGY_GROUP, Command, Refused
from redraft.control.view import topology_group
from redraft.node.clock import Clock
from redraft.node.controller import Controller
from redraft.node.health import Health
from redraft.node.heartbeat import Heartbeat
from redraft.node.hosting import Hosting
from redraft.node.inbox import Inbox
from redraft.node.lane import Lane
from redraft.node.leadership import SETTLED_MS, Leadership
from redraft.node.publishing import Publishing
from redraft.node.seams import Clients, Next, NoClients, NodeLog, PeerLink
from redraft.node.snapshots import Snapshots
from redraft.node.standing import Standing
from redraft.node.states import States
from redraft.node.status import info_of, status_of
from redraft.node.steering import Steering
from redraft.raft.configuration import Configuration
from redraft.raft.liveness import Liveness
from redraft.raft.messages import OVER_MEMORY, Pong
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.replica.request import Request, deliver
from redraft.snapshot.store import Store
from redraft.topology.cluster_map import Group, Member
from redraft.transport.messages import NO_GROUP

SWEEP_MS = 100.0
"""How often a leader looks for keys past their deadline."""
BALANCE_MS = 500.0
"""How often a leader considers handing a group to the node that should lead it."""
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""Request bytes waiting in the node beyond which sockets are not read."""

log = logging.getLogger("redraft.node")


class Node:
    """One node: its lanes, their replicas, its peers."""

    def __init__(
        self,
        config: Config,
        standing: Standing,
        incarnation: int,
        node_log: NodeLog,
        clock: Clock,
        *,
        store: Store,
        states: States,
        rng: random.Random,
        first_start: bool,
    ) -> None:
        self.config = config
        self.cluster = cluster = standing.roster.map()
        self.node_id = node_id = standing.node_id
        self.incarnation = incarnation
        self.group_of_slot = cluster.group_of_slot
        self.stopping = False
        self.clients: Clients = NoClients()
        self.installed = 0
        """How many snapshots took the place of a replica's state."""
        self.started_ms = clock.now_ms()
        self.health = Health(self)
        self._log = node_log
        self._clock = clock
        self._links: dict[int, PeerLink] = {}
        self._linked_since: dict[int, float] = {}
        self._round = 0
        self._gated: deque[tuple[int, Replica, Any]] = deque()
        self._touched: set[Lane] = set()
        self._held: set[Lane] = set()
        self._busy: set[Lane] = set()
        self._stepped: set[Replica] = set()
        self._applying: set[Lane] = set()
        self._asking: set[Lane] = set()
        self._reading: set[Lane] = set()
        self._tending: set[Lane] = set()
        self.wall_offset_ms = 0.0
        self._pinged_ms = self._swept_ms = self._balanced_ms = 0.0
        self._leadership = Leadership(self)
        self.heartbeat = Heartbeat(self, self._links)
        self.publishing = Publishing(self, self._links)
        self.hosting = Hosting(self, standing, node_log, store, states, rng)
        self.snapshots = self._snapshots = Snapshots(self, store)
        self.lanes: dict[int, Lane] = {}
        self.replicas: dict[int, Replica] = {}
        self._led: dict[int, Replica] = {}
        self._leaderships = 0
        self.liveness = Liveness(node_id, self._supports, incarnation=incarnation)
        for group in (topology_group(standing.roster.topology), *cluster.groups):
            replica = self.hosting.open(group, first_start=first_start)
            if replica is not None:
                self.replicas[group.group_id] = replica
            self.lanes[group.group_id] = Lane(self, group, replica)
        self.hosting.finish_drops()
        self._log.flush()  # what was put right when they were opened
        self.steering = Steering(self, standing)
        self.controller = Controller(self, clock)
        self._handlers = Inbox(self).handlers

    # ---- inputs ----

    def submit(self, request: Request) -> None:
        """Take a client's request; it is completed later, or within the next `flush`."""
        request.submitted_ms = self.now_ms()
        lane = self.lanes.get(request.group)
        if lane is None:  # the group is gone
            deliver((request,), [REFUSED] * request.count, self.refused)
            return
        self._busy.add(lane)
        lane.submit(request)

    def refused(self, request: Request, replies: list[bytes]) -> None:
        """Give back a request whose group does not serve the slots of its last commands."""
        self.clients.refused(request, replies)

    def on_frame(self, peer: int, group: int, message: object) -> None:
        """Take one message of a peer; a group this node does not know is ignored."""
        if group in self.lanes or group == NO_GROUP:
            self._handlers[type(message)](peer, group, message)

    def on_link_up(self, peer: int, link: PeerLink) -> None:
        """A link to `peer` is established; everything said on an older one may be lost."""
        if peer in self._links:
            self.on_link_down(peer)
        now = self.now_ms()
        self._links[peer] = link
        self._linked_since[peer] = now
        self.liveness.link_up(peer, now)
        self.ping(now)
        for group, replica in self.replicas.items():
            if replica.leads:
                replica.raft.peer_reset(peer)
                self._stepped.add(replica)
            self._touched.add(self.lanes[group])
        self._snapshots.on_link_up(peer)

    def on_link_down(self, peer: int) -> None:
        """The link to `peer` broke: its process is gone, or the network is."""
        if self._links.pop(peer, None) is None:
            return
        now = self.now_ms()
        for replica in self.replicas.values():
            replica.raft.consult_liveness()  # what it promised on this link, it promised
        self.liveness.link_down(peer, now)
        for replica in self.replicas.values():
            replica.raft.peer_lost(peer)
            if replica.raft.leader_id == peer:
                replica.raft.leader_lost(now)
                self.stepped(replica)
        self._touched.update(self.lanes.values())

    def on_durable(self) -> None:
        """The log's writer reports progress; raises StorageFailedError when a write or sync failed."""
        self._release_gated(self._log.take_durable())

    def tick(self) -> None:
        """Every TICK_MS: elections, heartbeats, time-outs, expiry, balance."""
        now = self.now_ms()
        self._tick_raft(now)
        self._log.tend(now)
        if self._busy:
            self._busy = {lane for lane in self._busy if not lane.idle or lane.origin.owes_acknowledgement}
        for lane in list(self._busy):  # an answer may bring the next request, for another lane
            lane.tick(now)
        if self._tending:  # a bit each tick: all at once would hold up who asks
            self._tending = {lane for lane in self._tending if lane.tend()}
        if now - self._pinged_ms >= self.config.heartbeat_ms - TICK_MS / 2:
            self._pinged_ms = now
            self.ping(now)
            self.heartbeat.beat(self._led, self._links, now)
        if now - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now
            self.health.measure()
            for group in self._led:
                self.lanes[group].sweep()
        self._snapshots.tick(now)
        if now - self._balanced_ms >= BALANCE_MS:
            self._balanced_ms = now
            if not self.stopping and now - self.started_ms >= SETTLED_MS:
                self._leadership.balance()
        self.steering.tick(now)
        self.controller.tick(now)

    # ---- the cycle ----

    def flush(self) -> Next:
        """Do all that follows from the inputs since the last flush; says when to be called again."""
        if self._held:
            self._touched |= self._held
            self._held = set()
        self._pump()
        self._collect()
        self._flush_links()
        more = self._apply()
        self._pump()
        self._collect()
        self._flush_links()
        if more or self._touched:
            return Next.NOW
        return Next.SOON if self._held else Next.INPUT

    def _pump(self) -> None:
        self._round = 0  # reads may share a round only if it has not been sent yet
        lanes, self._touched = self._touched, set()
        for lane in lanes:
            lane.pump()

    def _collect(self) -> None:
        """Carry out what the cores decided: liveness first, then messages, then the log."""
        self._send_liveness()
        stepped, self._stepped = self._stepped, set()
        outputs = []
        wrote = False
        for replica in stepped:
            replica.wake_ms = 0.0  # its deadline may be another now
            output = replica.raft.take_output()
            if output is None:
                continue
            group = replica.group.group_id
            for peer, message in output.messages:
                self.send(peer, group, message)
            for peer in output.snapshots:
                self._snapshots.send(replica, peer)
            if output.wrote or output.gated:
                outputs.append((replica, output))
                wrote = wrote or output.wrote
            if replica.applier.applied_index < replica.raft.commit_index:
                self._applying.add(self.lanes[group])
        if outputs:
            lsn = self._log.flush()
            for replica, output in outputs:
                self._gated.append((lsn, replica, output))
            if not wrote and len(self._gated) == len(outputs):
                # Nothing waits for the disk, so nothing will be reported durable either: all is.
                self._release_gated(lsn)

    def _release_gated(self, durable_lsn: int) -> None:
        gated = self._gated
        while gated and gated[0][0] <= durable_lsn:
            _lsn, replica, output = gated.popleft()
            group = replica.group.group_id
            if self.replicas.get(group) is not replica:
                continue  # it was dropped meanwhile
            for peer, message in output.gated:
                self.send(peer, group, message)
            if output.wrote:
                replica.raft.durable(*output.stable)
                self.stepped(replica)

    def _apply(self) -> bool:
        applying, self._applying = self._applying, set()
        for lane in applying:
            if lane.apply():
                self._applying.add(lane)
            if lane.group_id == TOPOLOGY_GROUP:
                self.steering.applied()
        reading, self._reading = self._reading, set()
        for lane in reading:
            if not lane.confirm_reads():
                self._asking.discard(lane)
        return bool(self._applying)

    def stepped(self, replica: Replica) -> None:
        """Notice what a step changed: leadership, commit, something to send."""
        group = replica.group.group_id
        lane = self.lanes[group]
        self._stepped.add(replica)
        raft = replica.raft
        if replica.leadership_changed():
            self._leadership_changed(replica)
        if replica.applier.applied_index < raft.commit_index:
            self._applying.add(lane)
            if replica.parts or lane.origin.pending:
                self._touched.add(lane)  # the window has room again

    def _leadership_changed(self, replica: Replica) -> None:
        raft, group = replica.raft, replica.group.group_id
        self._leaderships += 1
        if replica.leads:
            self._led[group] = replica
            self.liveness.lead(group, raft.term)
            log.info("group %d: this node leads in term %d", group, raft.term)
        else:
            self._led.pop(group, None)
            self.liveness.unlead(group)
            if raft.leader_id:
                log.debug("group %d: node %d leads in term %d", group, raft.leader_id, raft.term)
        self.liveness.recheck(group)
        self._touched.add(self.lanes[group])

    # ---- groups and replicas that come and go ----

    def add(self, group: Group, replica: Replica | None) -> None:
        """There is a new group; `replica` is this node's, if it has one."""
        number = group.group_id
        lane = self.lanes.get(number)
        if lane is None:
            lane = self.lanes[number] = Lane(self, group, None)
        if replica is not None:
            assert number not in self.replicas
            lane.replica = self.replicas[number] = replica
            self.liveness.recheck(number)
        self.touch(lane)

    def remove(self, group: int) -> None:
        """A group is gone, and its replica here with it."""
        lane = self.lanes.pop(group)
        assert group not in self.replicas
        for lanes in (
            self._touched, self._held, self._busy, self._applying, self._asking, self._reading,
            self._tending,
        ):  # fmt: skip
            lanes.discard(lane)
        lane.close()
        self._touched.discard(lane)

    def replace_state(self, replica: Replica, applier: Applier) -> None:
        """A snapshot was installed: `applier` is the replica's state from now on."""
        self._snapshots.cancel(replica)
        replica.applier = applier
        self.installed += 1
        lane = self.lanes[replica.group.group_id]
        lane.installed()
        if lane.group_id == TOPOLOGY_GROUP:
            self.steering.applied()
        self.stepped(replica)

    def dismiss(self, replica: Replica) -> None:
        """A group has no replica here any more."""
        group = replica.group.group_id
        lane = self.lanes[group]
        self._snapshots.cancel(replica)
        self._log.flush()
        del self.replicas[group]
        self._stepped.discard(replica)
        self._applying.discard(lane)
        lane.dropped()
        self._led.pop(group, None)
        self.liveness.unlead(group)
        self.liveness.recheck(group)

    def objection(self, command: Command) -> Refused | None:
        """Why a command on the topology should not be put to its group now; None: put it."""
        return self.steering.objection(command)

    # ---- liveness ----

    def on_liveness(self, peer: int, _group: int, message: Any) -> None:
        """Take what a peer says of itself, or of whom it follows; answers leave at once."""
        self.liveness.step(peer, message, self.now_ms(), self._clock.wall_ms(), self.health.flags)
        self._send_liveness()

    def on_pong(self, peer: int, _group: int, message: Pong) -> None:
        """Take an answer to a round; reads may have waited for it."""
        self.liveness.step(peer, message, self.now_ms(), self._clock.wall_ms(), self.health.flags)
        self._reading |= self._asking

    def _supports(self, peer: int, group: int, term: int) -> bool:
        replica = self.replicas.get(group)
        return replica is not None and replica.raft.term == term and replica.raft.leader_id == peer

    def _send_liveness(self) -> None:
        for peer, message in self.liveness.take_messages():
            self.send(peer, NO_GROUP, message)

    def _tick_raft(self, now: float) -> None:
        for replica in self.replicas.values():
            if replica.wake_ms > now:
                continue
            raft = replica.raft
            if raft.next_deadline_ms() <= now:
                raft.tick(now)
                if not raft.leader_id:
                    lately = now - self.config.election_timeout_ms
                    raft.leader_claims(*self.liveness.leader_claim(replica.group.group_id, lately), now)
                self.stepped(replica)
                if replica.parts:  # they may have waited for a hand-over that was given up
                    self._touched.add(self.lanes[replica.group.group_id])
            else:
                replica.wake_ms = raft.next_deadline_ms()

    def ping(self, now: float) -> int:
        """Open a round of liveness; returns its number."""
        return self.liveness.open_round(now, self._clock.wall_ms(), self.health.flags)

    # ---- leaders where they should be ----

    def transfer(self, group: Group, target: int) -> None:
        """Hand a group that this node leads to another voter."""
        replica = self.replicas[group.group_id]
        replica.raft.transfer(target, self.now_ms())
        self.stepped(replica)

    def hand_over(self) -> bool:
        """For a graceful stop: hand every led group to a living voter; True once none is left."""
        if not self.stopping:
            self.stopping = True
            self.ping(self.now_ms())  # tells the others to hand nothing back
            self.steering.stop()
        return self._leadership.hand_over()

    def step_aside(self, group: Group) -> bool:
        """Let a voter that has room lead a group; False when there is none."""
        return self._leadership.step_aside(group)

    def linked_for_ms(self, peer: int) -> float:
        """How long the link to a peer stands, 0 when there is none."""
        return self.now_ms() - self._linked_since[peer] if peer in self._links else 0.0

    # ---- what lanes and the client side ask ----

    def send(self, peer: int, group: int, message: Any) -> None:
        """Queue a message for a peer; without a link it is lost, as on any network."""
        link = self._links.get(peer)
        if link is not None:
            link.send(group, message)

    def link_session(self, peer: int) -> int:
        """Return the number of the link to a peer, 0 when there is none; a new link has a new number."""
        link = self._links.get(peer)
        return link.session if link is not None else 0

    def leader_claim(self, group: int) -> tuple[int, int]:
        """Return (leader, term) of a group as peers claim it, for groups without a replica here."""
        return self.liveness.leader_claim(group)

    def round(self, lane: Lane) -> int:
        """Return the round that reads of all lanes share that are pumped together; `lane` waits for it."""
        self._asking.add(lane)
        if not self._round:
            self._round = self.ping(self.now_ms())
        return self._round

    def confirmed_round(self, group: Group) -> int:
        """Return the latest round in which a quorum confirmed this node's leadership of `group`."""
        return self.liveness.confirmed_round(group.group_id, self._configuration(group))

    def lease_holds(self, group: Group) -> bool:
        """Whether a quorum promised, within the lease, to elect nobody else."""
        if self.replicas[group.group_id].raft.transferred_in_term:
            return False
        contact = self.liveness.quorum_contact(group.group_id, self._configuration(group))
        return self.now_ms() < contact + self.config.lease_ms

    def _configuration(self, group: Group) -> Configuration:
        return self.replicas[group.group_id].raft.configuration

    def wall_ms(self) -> float:
        """Return the quorum's median wall clock."""
        return self._clock.wall_ms() + self.wall_offset_ms

    def now_ms(self) -> float:
        """Return monotonic time."""
        return self._clock.now_ms()

    def deny_oom(self, group: Group) -> bool:
        """Whether a voter of `group` is over its memory limit, so that growing commands must be refused."""
        return self.health.over_memory or any(
            self.liveness.peer_state(voter).flags & OVER_MEMORY
            for voter in group.voters
            if voter in self._links
        )

    def has_room(self, size: int) -> bool:
        """Whether the log has room for `size` more bytes."""
        return self._log.has_room(size)

    def hold(self, lane: Lane) -> None:
        """Pump this lane again very soon: it gathers requests."""
        self._held.add(lane)

    def tend(self, lane: Lane) -> None:
        """Let the next tick do a bit of what this lane's state has left for later."""
        self._tending.add(lane)

    def touch(self, lane: Lane) -> None:
        """Let the next flush pump this lane."""
        self._touched.add(lane)
        if lane.replica is not None:
            self._stepped.add(lane.replica)

    @property
    def overloaded(self) -> bool:
        """Whether sockets should not be read for now: too many requests wait, or the node stops."""
        return self.stopping or sum(lane.origin.pending_bytes for lane in self._busy) > BACKLOG_BYTES_MAX

    @property
    def drained(self) -> bool:
        """Whether every request taken was answered."""
        return not self.clients.waiting and all(lane.idle for lane in self._busy)

    @property
    def idle(self) -> bool:
        """Whether nothing is going on that needs to be looked after often."""
        return self.drained and not self._tending and self._snapshots.idle and self.steering.moving.idle

    @property
    def leaders_version(self) -> int:
        """Another number than before when `leader_of` may say something else of any group."""
        return self._leaderships + self.liveness.changes

    def leader_of(self, group: int) -> int:
        """Return the node that leads a group as far as this node knows, 0 if unknown."""
        replica = self.replicas.get(group)
        return replica.raft.leader_id if replica is not None else self.leader_claim(group)[0]

    def leads(self, group: int) -> bool:
        """Whether this node leads a group."""
        replica = self.replicas.get(group)
        return replica is not None and replica.leads

    @property
    def members(self) -> Sequence[Member]:
        """All nodes of the cluster, this one included."""
        return self.cluster.members

    @property
    def groups(self) -> Sequence[Group]:
        """All groups of the cluster."""
        return self.cluster.groups

    @property
    def moves(self) -> Sequence[MoveRecord]:
        """The moves of slots under way."""
        return self.steering.roster.topology.moves

    def save_topology(self) -> None:
        """Have all of the topology on disk that the node goes by; raises OSError."""
        self.steering.save()

    def reconfigure(self, config: Config) -> None:
        """Put changed settings in force; only live ones may differ."""
        self.config = config

    def status(self) -> dict[str, Any]:
        """Return the state of nodes and groups, in JSON's types."""
        return status_of(self)

    def info(self) -> dict[str, dict[str, object]]:
        """Return what INFO tells of the node, by section."""
        return info_of(self)

    def snapshot_status(self, group: int) -> dict[str, object]:
        """Return what there is to say of a group's snapshots here."""
        return self._snapshots.status(group)

    def close(self) -> None:
        """Let go of files."""
        self._snapshots.close()

    def linked(self) -> Iterable[int]:
        """Return the peers with an established link."""
        return self._links.keys()

    @property
    def ready(self) -> bool:
        """Whether every group has a leader that this node can reach."""
        return all(lane.reachable for lane in self.lanes.values())

    def _flush_links(self) -> None:
        for link in list(self._links.values()):
            link.flush()
