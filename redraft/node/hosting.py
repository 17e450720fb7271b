"""The replicas a node hosts: each opened from its newest snapshot and the log behind it.

Invariant: a replica's state, its snapshot and its log fit together before its core exists.  What a crash
may leave is put right here (a snapshot that was installed while the log was not yet cut to it); what it
can't leave is damage, told by name: a wrong checksum, or a log that begins behind the snapshot.  Such a state
is never served: the replica begins blank and is filled again by its peers, or, if it has none, is refused.
What is left of a replica that was dropped is never opened: another one begins blank, with a snapshot from its
leader.

Founders make a group's first replicas: each with the same configuration and an empty log, so it may vote at
once, or late, or when it hears of the group after years; for it has acknowledged nothing yet.  That it has
not is certain where neither its log nor a mark (`Memory.dropped`) speaks of the group: the log loses nothing,
ids of groups are given once, and the mark of a group that is gone stays for ever.
"""

from __future__ import annotations

import logging
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from redraft.base.errors import DamagedError, DirectoryError
from redraft.control.applier import TopologyApplier
from redraft.control.topology import TOPOLOGY_GROUP
from redraft.node.seams import NodeLog
from redraft.node.standing import Standing
from redraft.node.states import States
from redraft.raft.configuration import Configuration
from redraft.raft.core import Raft, RaftConfig
from redraft.raft.log import LogView
from redraft.raft.types import HardState
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import Loading
from redraft.snapshot.format import Header
from redraft.snapshot.store import Store
from redraft.topology.cluster_map import Group

if TYPE_CHECKING:
    from redraft.node.node import Node

log = logging.getLogger("redraft.node")


class Hosting:
    """Opens, makes and drops the replicas of a node."""

    __slots__ = ("_failed", "_log", "_node", "_rng", "_standing", "_states", "_store")

    def __init__(
        self,
        node: Node,
        standing: Standing,
        node_log: NodeLog,
        store: Store,
        states: States,
        rng: Random,
    ) -> None:
        self._node = node
        self._standing = standing
        self._log = node_log
        self._store = store
        self._states = states
        self._rng = rng
        self._failed = ""

    def fresh_applier(self, replica: Replica) -> Applier:
        """An empty state for a replica, beside the one that it has."""
        group = replica.group
        view = self._log.group(group.group_id)
        if group.group_id == TOPOLOGY_GROUP:
            return TopologyApplier(self._standing.founding, view)
        return self._states.fresh(group, view)

    def abandon_applier(self, group: int) -> None:
        """What `fresh_applier` gave is not needed, and nobody uses it any more."""
        if group != TOPOLOGY_GROUP:
            self._states.abandon(group)

    def _state(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """A group's state as its engine has it; empty, without a header, where that is in memory."""
        if group.group_id == TOPOLOGY_GROUP:
            return TopologyApplier(self._standing.founding, view), None
        return self._states.open(group, view)

    def open(self, group: Group, *, first_start: bool) -> Replica | None:
        """Return a group's replica as its snapshot and its log have it; None when there is none here.

        Every node has one of the topology group.  Raises DamagedError.
        """
        number = group.group_id
        view, snapshot = self._log.group(number), self._store.newest.get(number)
        if number in self._standing.memory.dropped:
            self._finish_drop(number, view)
            return None
        founding = self._standing.founding_configuration(number)
        if founding.nodes or snapshot is not None or view.last_index or number in self._store.damaged:
            return self._open(group, founding, first_start=first_start)
        return self.blank(group) if number == TOPOLOGY_GROUP else None

    def _open(self, group: Group, configuration: Configuration, *, first_start: bool) -> Replica:
        view = self._log.group(group.group_id)
        try:
            applier, header = self._load(group, view)
        except DamagedError as error:
            if view.first_index == 1:
                log.error("%s Its log still has all.", error)
                self._store.set_aside(group.group_id)
                self._states.drop(group.group_id)
                return self._open(group, configuration, first_start=first_start)
            if all(voter == self._node.node_id for voter in group.voters):
                raise
            log.error("%s It is filled again by its peers.", error)
            return self._begin_again(group, view)
        if header is not None:
            configuration = Configuration.decode(header.configuration)
            put_behind(view, header)
        # A restarted node forgot whom it promised a lease: it votes for nobody while one may last.
        alone = configuration.nodes == (self._node.node_id,) and not view.configurations()
        return self._replica(group, applier, configuration, waits=not (first_start or alone))

    def _load(self, group: Group, view: LogView) -> tuple[Applier, Header | None]:
        """Return a state that fits to the log: the engine's, or, where a snapshot holds more, that."""
        number, store = group.group_id, self._store
        if number in store.damaged:
            raise DamagedError(f"{store.damaged[number]}.")
        applier, header = self._state(group, view)
        snapshot = store.newest.get(number)
        in_memory = not applier.keyspace.engine.on_disk
        if snapshot is not None and (in_memory or not _reaches(view, header, snapshot.header)):
            loading = Loading(applier if in_memory else self._states.fresh(group, view))
            for item in store.items(snapshot):
                loading.take(item)
            applier, header = loading.applier, loading.header
            if not in_memory:
                applier.keyspace.engine.settle()
                self._states.adopt(number)
        known = header.index if header is not None else 0
        if view.first_index > known + 1:
            raise DamagedError(
                f"the log of group {number} begins with entry {view.first_index}, its state in "
                f"{store.directory.parent} ends with entry {known}: what is between is missing."
            )
        return applier, header

    def _begin_again(self, group: Group, view: LogView) -> Replica:
        """Make a blank replica in the place of one whose state is damaged.

        Until it has a snapshot of at least all that it acknowledged it votes for nobody (`raft.membership`),
        so what it promised is kept by the quorum's others.
        """
        self._store.set_aside(group.group_id)
        if view.last_index >= view.first_index:
            view.restore(view.last_index, view.term(view.last_index))  # it may have acknowledged all of it
        return self.blank(group)

    def blank(self, group: Group) -> Replica:
        """Make a replica that waits for the leader's snapshot, and votes for nobody until it has one."""
        view = self._log.group(group.group_id)
        self._store.drop(group.group_id)
        self._states.drop(group.group_id)
        applier, _header = self._state(group, view)
        applier.applied_index = view.first_index - 1
        return self._replica(group, applier, Configuration(), waits=True)

    def found(self, group: Group) -> Replica | None:
        """A group has appeared: open what there is of it here, or make a founder's replica.

        None: there is none here, or not yet.  Raises DirectoryError (of an engine on disk), DamagedError.
        """
        view = self._log.group(group.group_id)
        untouched = not view.last_index and view.hard_state == HardState()
        replica = self.open(group, first_start=untouched)
        self._failed = ""
        return replica

    def bury(self, group: int) -> None:
        """A group is gone: remove what there is of it here; marked first, so that no crash revives it."""
        memory, view, replica = self._standing.memory, self._log.group(group), self._node.replicas.get(group)
        known = replica is not None or view.last_index or view.hard_state != HardState()
        if known and group not in memory.dropped:
            memory.drop(group)
        if replica is not None:
            self._node.dismiss(replica)
        self._finish_drop(group, view)

    def host(self, group: int) -> Replica | None:
        """A leader speaks of a group that has no replica here: make a blank one, if there should be one."""
        node = self._node
        if not node.steering.hosts(group):
            return None
        lane = node.lanes[group]
        try:
            replica = self.blank(lane.group)
        except DirectoryError as error:  # of an engine on disk: the leader will speak again
            self.tell_failure(error)
            return None
        self._failed = ""
        lane.replica = node.replicas[group] = replica
        node.liveness.recheck(group)
        return replica

    def tell_failure(self, error: DirectoryError) -> None:
        """Log why a replica can't be made now, once until another reason or a success."""
        if str(error) != self._failed:
            log.error("%s", error)
        self._failed = str(error)

    def install(self, replica: Replica, applier: Applier, configuration: Configuration, term: int) -> bool:
        """Put a snapshot, which is durable, in the place of a replica's state; False if it came too late."""
        node, group, index = self._node, replica.group.group_id, applier.applied_index
        if node.replicas.get(group) is not replica or not replica.raft.restore(index, term, configuration):
            return False
        self._standing.memory.undrop(group)  # from now on the replica answers for what it says
        node.replace_state(replica, applier)
        if group != TOPOLOGY_GROUP:
            self._states.adopt(group)
        return True

    def drop(self, replica: Replica, index: int, term: int) -> bool:
        """Forget a replica's state and log, but for its term, its vote and where its log ended.

        The group had settled elsewhere as of the committed place (index, term); False if the replica has a
        part in it by a later configuration, for this node's topology may be old.  The first thing on disk is
        that it is dropped: what is left of it must not vote (`raft.membership`).
        """
        if not replica.raft.retire(index, term):
            return False
        self._standing.memory.drop(replica.group.group_id)
        self._node.dismiss(replica)
        self._store.drop(replica.group.group_id)
        self._states.drop(replica.group.group_id)
        return True

    def _finish_drop(self, group: int, view: LogView) -> None:
        """Drop what a crash may have left."""
        self._store.drop(group)
        self._states.drop(group)
        if view.last_index >= view.first_index:
            base = view.first_index - 1
            view.restore(base, view.term(base))

    def finish_drops(self) -> None:
        """Drop what a crash may have left of groups that are gone."""
        for group in self._standing.memory.dropped:
            if group != TOPOLOGY_GROUP and self._standing.roster.topology.group(group) is None:
                self._finish_drop(group, self._log.group(group))

    def _replica(
        self, group: Group, applier: Applier, configuration: Configuration, *, waits: bool
    ) -> Replica:
        config, now_ms = self._node.config, self._node.now_ms()
        raft = Raft(
            node_id=self._node.node_id,
            configuration=configuration,
            log=self._log.group(group.group_id),
            config=RaftConfig(
                election_timeout_ms=config.election_timeout_ms,
                inflight_appends_max=config.inflight_appends_max,
                inflight_bytes_max=config.inflight_bytes_max,
                append_bytes_max=config.append_bytes_max,
                lease=config.read_mode == "lease",
            ),
            random=self._rng.random,
            now_ms=now_ms,
            applied_index=applier.applied_index,
            may_vote_from_ms=now_ms + config.election_timeout_ms if waits else 0.0,
            vouched_ms=partial(_vouched_ms, self._node, group.group_id),
        )
        return Replica(group, raft, applier, lambda: self._rng.getrandbits(64))


def put_behind(view: LogView, header: Header) -> None:
    """Let a log begin behind a state where it does not hold the state's last entry.

    The state was installed, and the log not yet cut to it; or the entry was committed by others, applied here
    and in a checkpoint before it was durable here.
    """
    if view.last_index < header.index or _term(view, header.index) not in {0, header.term}:
        view.restore(header.index, header.term)


def _term(view: LogView, index: int) -> int:
    """The term of an entry; 0 where the log has been cut behind it."""
    return view.term(index) if index >= view.first_index - 1 else 0


def _reaches(view: LogView, header: Header | None, snapshot: Header) -> bool:
    """Whether a state on disk and the log behind it hold all that a newer snapshot does."""
    known = header.index if header is not None else 0
    if snapshot.index <= known:
        return True
    return (
        view.first_index <= known + 1
        and view.last_index >= snapshot.index
        and (view.term(snapshot.index) == snapshot.term)
    )


def _vouched_ms(node: Node, group: int, leader: int, term: int) -> float:
    return node.liveness.vouched_ms(leader, group, term)
