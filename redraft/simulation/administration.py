"""What operators do: nodes and groups come, move and go; each wish is asked again until it is decided.

As with `redraft node …` and `redraft group …`, a living node is asked, which says at once what speaks against
it; an unknown outcome is asked for once more, for all of it may be asked twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from redraft.control.applier import TopologyApplier, reason_of, topology_of
from redraft.control.groups import CreateGroup, DropGroup
from redraft.control.topology import TOPOLOGY_GROUP, Command, Join, Place, Remove, Topology
from redraft.node.steering import Change
from redraft.simulation.agenda import MS
from redraft.simulation.cluster import Cluster, member_at
from redraft.simulation.machine import Process
from redraft.topology.cluster_map import Member

RETRY_MS = (100, 500)
PATIENCE_MS = 4000
"""How long an answer is waited for; the node may be dead or stand still."""
JOINED_MAX = 4
"""Nodes that join in one run."""
PLACE_FIRST = 100
"""Where those who join are: behind all who founded."""
GROUPS_MAX = 6
"""With so many no more are made."""
VOTERS_MIN = 3
"""A group is left as many, where there are: fewer would not outlive what else happens."""


class Administration:
    """The wishes of one run."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._joined = 0
        self._wishes = 0
        """Not decided yet."""
        self._condemned: set[int] = set()
        """Machines that are lost."""
        self._suspect = 0
        """A machine whose disk may be found damaged: nothing else may be taken out until then."""

    @property
    def done(self) -> bool:
        """Whether every wish is decided, and every machine that is lost for good is out of the cluster."""
        topology = self.topology()
        return not self._wishes and topology is not None and all(map(topology.was_removed, self._condemned))

    # ---- wishes ----

    def join(self) -> None:
        """Let a new node join."""
        if self._joined < JOINED_MAX:
            self._join()

    def _join(self) -> None:
        self._joined += 1
        new = member_at(PLACE_FIRST + self._joined)
        command = Join(
            new.hex_id, new.host, new.client_port, new.primary_port, new.replica_port, new.peer_port
        )
        self.wish(command, partial(self._admitted, new))

    def _admitted(self, new: Member, reply: bytes) -> None:
        topology = topology_of(reply)
        number = next(node.node_id for node in topology.nodes if node.hex_id == new.hex_id)
        self._cluster.add(number, new, topology)

    def remove(self) -> None:
        """Take a node out, where enough stay."""
        topology = self.topology()
        if topology is None or self._condemned or self._suspect:
            return
        staying = [node.node_id for node in topology.nodes if not node.leaving]
        if len(staying) > VOTERS_MIN:
            self.wish(Remove(self._rng.choice(staying)))

    def suspect(self, number: int) -> bool:
        """A machine is about to rot; False if the cluster could not do without it."""
        topology = self._decided_topology()
        if topology is None or self._condemned or self._suspect or self._wishes:
            return False
        if any(node.leaving for node in topology.nodes) or any(group.moving for group in topology.groups):
            return False
        if not all(map(self._is_spare, (TOPOLOGY_GROUP, *(group.group_id for group in topology.groups)))):
            return False
        self._suspect = number
        return True

    def _decided_topology(self) -> Topology | None:
        """The newest topology there is: those who know of it may all be down, and then nobody says."""
        leader = self._cluster.leader(TOPOLOGY_GROUP)
        process = self._cluster.machines[leader].process if leader else None
        if process is None or not process.node.replicas[TOPOLOGY_GROUP].proposes:
            return None
        applier = process.node.replicas[TOPOLOGY_GROUP].applier
        assert isinstance(applier, TopologyApplier)
        return applier.topology

    def _is_spare(self, group: int) -> bool:
        """Whether a group outlives the loss of any one voter: its leader has no change of them under way."""
        leader = self._cluster.leader(group)
        process = self._cluster.machines[leader].process if leader else None
        if process is None:
            return False
        raft = process.node.replicas[group].raft
        return raft.may_change and len(raft.configuration.voters) >= VOTERS_MIN

    def condemn(self, number: int) -> None:
        """A suspect is lost for good: take its node out, and let another join in its place."""
        assert number == self._suspect
        self._condemned.add(number)
        self._cluster.lose(number)
        self._join()
        self.wish(Remove(number))

    def move(self) -> None:
        """Let a group have other voters, or another that should lead it."""
        topology, rng = self.topology(), self._rng
        if topology is None or self._condemned or self._suspect:
            return
        group = rng.choice(topology.groups)
        staying = [node.node_id for node in topology.nodes if not node.leaving]
        count = min(len(staying), rng.choice((len(group.voters), VOTERS_MIN, VOTERS_MIN + 2)))
        voters = rng.sample(staying, max(count, 1))
        self.wish(Place(group.group_id, tuple(voters), replacing=rng.random() < 0.5))

    def create(self) -> None:
        """Let a group be made; it owns nothing, but has a log, votes, and voters that may be others later."""
        topology, rng = self.topology(), self._rng
        if topology is None or self._condemned or self._suspect or len(topology.groups) >= GROUPS_MAX:
            return
        staying = [node.node_id for node in topology.nodes if not node.leaving]
        count = min(len(staying), rng.choice((VOTERS_MIN, VOTERS_MIN, VOTERS_MIN + 2)))
        self.wish(CreateGroup(tuple(rng.sample(staying, max(count, 1)))))

    def drop(self) -> None:
        """Let a group be dropped that owns nothing."""
        topology = self.topology()
        empty = [] if topology is None else [each for each in topology.groups if not each.slots]
        if empty:
            self.wish(DropGroup(self._rng.choice(empty).group_id))

    def topology(self) -> Topology | None:
        """The newest topology that a living node knows."""
        known = [process.node.steering.roster.topology for process in self._cluster.processes]
        return max(known, key=lambda topology: topology.epoch, default=None)

    # ---- asking ----

    def wish(self, command: Command, then: Callable[[bytes], None] = lambda _reply: None) -> None:
        """Have a command decided, whatever it takes; `then` gets the answer if it was carried out."""
        self._wishes += 1
        self._cluster.tell(0, f"wanted: {command}")
        self._ask(_Wish(command, then))

    def _ask(self, wish: _Wish) -> None:
        cluster, rng = self._cluster, self._rng
        wish.asked += 1
        ready = [process for process in cluster.processes if not process.paused]
        if ready:
            process = rng.choice(ready)
            process.ask(partial(self._put, process, wish, wish.asked))
        cluster.agenda.after(
            (PATIENCE_MS if ready else rng.choice(RETRY_MS)) * MS, partial(self._again, wish, wish.asked)
        )

    def _again(self, wish: _Wish, asked: int) -> None:
        if wish.asked == asked and not wish.decided:
            self._ask(wish)

    def _put(self, process: Process, wish: _Wish, asked: int) -> None:
        steering, command = process.node.steering, wish.command
        objection = steering.objection(command)
        if objection is None:
            process.node.submit(Change(command, partial(self._answered, wish, asked)))
        elif (
            not isinstance(command, Remove)
            or command.node_id not in self._condemned
            or steering.roster.topology.was_removed(command.node_id)
        ):
            self._decided(wish, objection.reason)

    def _answered(self, wish: _Wish, asked: int, reply: bytes) -> None:
        if wish.decided or wish.asked != asked:
            return
        if reply.startswith((b"-CLUSTERDOWN", b"-TRYAGAIN", b"-MISCONF", b"-TIMEOUT", b"-OOM")):
            delay_us = self._rng.choice(RETRY_MS) * MS
            self._cluster.agenda.after(delay_us, partial(self._again, wish, asked))
            return
        reason = reason_of(reply)
        self._decided(wish, reason or "done")
        if reason is None:
            self._cluster.agenda.after(0, partial(wish.then, reply))

    def _decided(self, wish: _Wish, what: str) -> None:
        if not wish.decided:
            wish.decided = True
            self._wishes -= 1
            self._cluster.tell(0, f"{wish.command}: {what}")


class _Wish:
    """A command and what follows from its being carried out."""

    __slots__ = ("asked", "command", "decided", "then")

    def __init__(self, command: Command, then: Callable[[bytes], None]) -> None:
        self.command = command
        self.then = then
        self.asked = 0
        self.decided = False
