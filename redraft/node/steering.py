"""The part of a node that follows the topology, and brings the groups it leads to their placements.

Follows: whenever the topology group has applied something here, the roster, the node's map and the links
follow, and replicas that the topology says have settled elsewhere are dropped.  Brings: whoever leads a group
takes its next step (`control.reconcile`), says when it has settled, and, for the topology group, forgets
nodes that have no part in anything any more.  All of it is looked at again and again, so that
nothing depends on one look, one request or one leader.

Must not know how a change is replicated (the core does) or where a topology is kept (`Memory`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from redraft.control.admission import objection
from redraft.control.applier import TopologyApplier, encode_request, reason_of
from redraft.control.reconcile import is_settled, next_step, within_reach
from redraft.control.slotmoves import GroupRecord
from redraft.control.topology import (
    TOPOLOGY_GROUP,
    Announce,
    Command,
    Forget,
    Refused,
    Settled,
    Topology,
    may_forget,
    topology_placement,
)
from redraft.control.view import changed_groups, topology_group
from redraft.node.comings import Comings
from redraft.node.moving import Moving
from redraft.node.remembering import Remembering
from redraft.node.standing import Standing
from redraft.raft.progress import ProgressState
from redraft.replica.request import Request

if TYPE_CHECKING:
    from redraft.node.node import Node
    from redraft.raft.core import Raft
    from redraft.replica.replica import Replica

STEER_MS: Final = 100.0
"""How often a node looks at what it should do next for groups that move."""
LOOK_MS: Final = 5000.0
"""How often it looks at all its groups: there should be nothing to do for those that don't move."""
CAUGHT_UP_ENTRIES: Final = 64
"""A learner that lacks no more entries than this may become a voter: the rest is there in a moment."""

log = logging.getLogger("redraft.node")


class Change(Request):
    """A command of this node's own to the topology group."""

    __slots__ = ("_then",)

    def __init__(self, command: Command, then: Callable[[bytes], None]) -> None:
        super().__init__(TOPOLOGY_GROUP, encode_request(command), 1, 2, write=True)
        self._then = then

    def complete(self, replies: list[bytes]) -> None:
        """Pass the reply on."""
        self._then(replies[0])


class Steering:
    """One node's dealings with the topology."""

    __slots__ = (
        "_announced",
        "_asked",
        "_comings",
        "_looked_ms",
        "_moving",
        "_node",
        "_ports",
        "_records",
        "_remembering",
        "_steered_ms",
        "changed",
        "moving",
        "removed",
        "roster",
    )

    def __init__(self, node: Node, standing: Standing) -> None:
        self._node = node
        self._ports = standing.ports
        self._announced = standing.announced
        self._asked: set[Command] = set()
        self._steered_ms = self._looked_ms = 0.0
        self.roster = standing.roster
        self._remembering = Remembering(standing.memory, self.roster.topology)
        self._records: dict[int, GroupRecord] = {}
        self._moving: list[int] = []
        self.moving = Moving(node)
        self._comings = Comings(node)
        self.removed = False
        """The topology has no place for this node any more."""
        self.changed: Callable[[], None] = _nobody_listens
        """Called when the members may be others than before."""
        self._take(self.roster.topology)

    # ---- following ----

    def applied(self) -> None:
        """The topology group has applied something here (or a snapshot of it was installed)."""
        applier = self._node.replicas[TOPOLOGY_GROUP].applier
        assert isinstance(applier, TopologyApplier)
        topology = applier.topology
        if self.roster.update(topology):
            self._tell(topology)
            self._comings.learnt(topology)
            self._remembering.learnt(topology, self._node.now_ms())
            log.info("topology of epoch %d: %d nodes", topology.epoch, len(topology.nodes))
            self._take(topology)
            self._show(topology)
            self.changed()

    def save(self) -> None:
        """Save what of the topology waits to be saved; raises OSError, and then it waits on."""
        self._remembering.save()

    def stop(self) -> None:
        """The node stops, and there may be no other tick."""
        self._remembering.tick(self._node.now_ms(), stopping=True)

    def _tell(self, topology: Topology) -> None:
        """Let the others apply it now, not with the next tick: requests wait where slots change hands."""
        replica = self._node.replicas[TOPOLOGY_GROUP]
        if topology.moves and replica.leads:
            for peer in replica.raft.progress:
                replica.raft.commit_notice(peer)
            self._node.stepped(replica)

    def _show(self, topology: Topology) -> None:
        """Let the node have the map of a topology."""
        node, cluster = self._node, self.roster.map()
        changed = changed_groups(node.cluster, cluster)
        node.cluster, node.group_of_slot = cluster, cluster.group_of_slot
        self._comings.follow()
        for group in (topology_group(topology), *changed):
            node.lanes[group.group_id].group = group
            if group.group_id in node.replicas:
                node.replicas[group.group_id].group = group
        node.clients.map_changed()

    def _take(self, topology: Topology) -> None:
        self._records = {record.group_id: record for record in topology.groups}
        self._moving = [record.group_id for record in topology.groups if record.moving]
        self.removed = topology.was_removed(self._node.node_id)
        self._looked_ms = 0.0

    def hosts(self, group: int) -> bool:
        """Whether a replica of a group that a leader speaks of may be made here."""
        record = self._records.get(group)
        return record is not None and self._node.node_id in record.voters

    def is_moving(self, group: int) -> bool:
        """Whether a group's replicas are still on their way to where they should stand."""
        return group in self._moving

    def is_dropping(self, group: int) -> bool:
        """Whether a group is to go once it has no slots any more."""
        record = self._records.get(group)
        return record is not None and record.dropping

    def objection(self, command: Command) -> Refused | None:
        """Why a command should not be put to the topology group now, None when nothing speaks against it."""
        own, linked = self._node.node_id, self._node.linked()
        return objection(self.roster.topology, command, lambda node: node == own or node in linked)

    # ---- steering ----

    def tick(self, now_ms: float) -> None:
        """Take the steps that are due: of groups that move often, of the others now and then."""
        self.moving.tick(now_ms)
        self._remembering.tick(now_ms)
        if now_ms - self._steered_ms < STEER_MS:
            return
        self._steered_ms = now_ms
        topology = self.roster.topology
        self._announce(topology)
        self._comings.tick(now_ms)
        replicas = self._node.replicas
        self._steer_topology(topology, replicas[TOPOLOGY_GROUP])
        everything = now_ms - self._looked_ms >= LOOK_MS
        if everything:
            self._looked_ms = now_ms
            self._end_sessions(replicas[TOPOLOGY_GROUP])
        for group in list(self._records) if everything else self._moving:
            if group in replicas:
                self._steer(self._records[group], replicas[group])

    def _announce(self, topology: Topology) -> None:
        own = topology.node(self._node.node_id)
        if own is None:
            return
        ports = own.primary_port, own.replica_port, own.peer_port
        if ports != self._ports or own.announced != self._announced:
            self.put(Announce(own.node_id, *self._ports, self._announced))

    def _steer(self, record: GroupRecord, replica: Replica) -> None:
        node, raft = self._node, replica.raft
        if node.node_id not in record.voters and not record.moving and not replica.leads:
            if node.hosting.drop(replica, record.settled_index, record.settled_term):
                log.info("group %d has settled elsewhere: its replica here is dropped", record.group_id)
        elif replica.leads:
            self._end_sessions(replica)
            self._step(replica, record.voters, ())
            if record.moving and raft.is_settled and is_settled(raft.configuration, record.voters):
                index = max(raft.configuration_index, raft.log.first_index - 1)
                self.put(Settled(record.group_id, record.placed, index, raft.log.term(index)))

    def _steer_topology(self, topology: Topology, replica: Replica) -> None:
        if not replica.leads:
            return
        raft = replica.raft
        wanted, _others = topology_placement(topology)
        voters = within_reach(
            wanted, raft.configuration, partial(_caught_up, raft), partial(self._answers, raft)
        )
        learners = [node.node_id for node in topology.nodes if node.node_id not in voters]
        self._step(replica, voters, learners)
        if raft.is_settled:
            for node in topology.nodes:
                if may_forget(topology, node.node_id) and not raft.configuration.is_voter(node.node_id):
                    self.put(Forget(node.node_id))

    def _step(self, replica: Replica, voters: tuple[int, ...], learners: tuple[int, ...] | list[int]) -> None:
        raft = replica.raft
        if not raft.may_change:
            return
        caught_up, answers = partial(_caught_up, raft), partial(self._answers, raft)
        step = next_step(raft.configuration, voters, learners, caught_up, answers)
        if step is not None:
            log.info(
                "group %d: changing to voters %s%s",
                replica.group.group_id,
                ", ".join(map(str, step.voters)),
                f", learners {', '.join(map(str, step.learners))}" if step.learners else "",
            )
            raft.change(step.voters, step.learners)
            self._node.stepped(replica)

    def _answers(self, raft: Raft, node_id: int) -> bool:
        if node_id == raft.node_id:
            return True
        progress = raft.progress.get(node_id)
        return (
            progress is not None
            and progress.reachable
            and progress.state is ProgressState.REPLICATE
            and self._node.heartbeat.in_touch(node_id)
        )

    def _end_sessions(self, replica: Replica) -> None:
        """Sessions end by a logged event: here, the removal of their node."""
        if replica.clock is None or not replica.proposes:
            return
        topology, node = self.roster.topology, self._node
        gone = [each for each in replica.applier.sessions.open_origins() if topology.was_removed(each)]
        if gone:
            replica.propose_end(replica.clock.read(node.wall_ms(), node.now_ms()), gone)
            node.stepped(replica)

    def put(self, command: Command) -> None:
        """Put a command to the topology group, unless it is on its way already."""
        about = replace(command, index=0, term=0) if isinstance(command, Settled) else command
        if about in self._asked or self._node.stopping:
            return
        self._asked.add(about)

        def then(reply: bytes) -> None:
            self._asked.discard(about)
            reason = reason_of(reply)
            if reason is not None:
                log.debug("%s: %s", command, reason)

        self._node.submit(Change(command, then))


def _caught_up(raft: Raft, node_id: int) -> bool:
    progress = raft.progress.get(node_id)
    return (
        progress is not None
        and progress.reachable
        and progress.state is ProgressState.REPLICATE
        and raft.may_promote(node_id)
        and progress.match_index + CAUGHT_UP_ENTRIES >= raft.last_index
    )


def _nobody_listens() -> None:
    """Until somebody does."""
