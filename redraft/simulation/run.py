"""One run from one seed: a cluster, clients, troubles; then healing, convergence, and the verdict.

Everything that differs between runs is drawn here or in what is made here, from the seed alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redraft.control.slotmoves import slots_of
from redraft.control.topology import TOPOLOGY_GROUP
from redraft.engine.hash import HashEngine
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.simulation.administration import Administration
from redraft.simulation.agenda import MS
from redraft.simulation.checks import must
from redraft.simulation.clients import Clients
from redraft.simulation.cluster import Cluster
from redraft.simulation.linearizability import violations
from redraft.simulation.loglines import captured
from redraft.simulation.machine import Process
from redraft.simulation.moves import Moves
from redraft.simulation.scene import Scene
from redraft.simulation.trouble import Trouble
from redraft.simulation.trouble_machines import MachineTrouble

STEPS = 10_000
"""Events of a run before it heals."""
HEALING_US = 20_000 * MS
"""A healed cluster has answered everything and agrees within that time."""


@dataclass(frozen=True)
class Shape:
    """What of a run is asked for; None is drawn from the seed."""

    nodes: int | None = None
    groups: int | None = None
    steps: int = STEPS


@dataclass
class Summary:
    """What a run was like."""

    seed: int
    events: int = 0
    virtual_ms: float = 0.0
    cpu_s: float = 0.0
    operations: int = 0
    answered: int = 0
    lives: int = 0
    elections: int = 0
    entries: int = 0
    happened: dict[str, int] = field(default_factory=dict)


class Run:
    """Make one and `execute` it."""

    def __init__(self, seed: int, shape: Shape, trace: Callable[[str], None] | None = None) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self._steps = shape.steps
        nodes = shape.nodes or rng.choice((3, 3, 3, 3, 4, 5, 5, 7))
        groups = shape.groups or rng.choice((1, 1, 2, 3))
        factor = rng.choice([size for size in (3, 3, 5, 7) if size <= nodes] or [1])
        self.cluster = Cluster(
            rng.getrandbits(64), nodes=nodes, groups=groups, settings=_settings(rng, factor), trace=trace
        )
        self.cluster.tell(0, f"seed {seed}: {nodes} nodes, {groups} groups, {factor} voters each")
        for number in self.cluster.machines:
            self.cluster.start(number)
        self.clients = Clients(
            self.cluster,
            random.Random(rng.getrandbits(64)),
            count=rng.choice((4, 8, 12)),
            think_us=rng.choice((2, 10, 40)) * MS,
        )
        self.administration = Administration(self.cluster, random.Random(rng.getrandbits(64)))
        self.trouble = Trouble(
            self.cluster,
            self.administration,
            random.Random(rng.getrandbits(64)),
            self.clients.probe,
            self.clients.rest,
            self._moves,
        )
        self.cluster.on_death = self._died
        self.cluster.checks.on_elected = self._elected

    def _moves(self, scene: Scene, machines: MachineTrouble) -> Moves | None:
        """Slots move in most runs that have more than one group."""
        rng = random.Random(self.seed * 2 + 1)  # of its own: runs without moves are what they were
        if len(self.cluster.map.groups) < 2 or rng.random() < 0.3:
            return None
        keys = [key for of_group in self.clients.keys.values() for key in of_group.everything]

        def write(leader: int, deposed: int) -> None:
            for group in self.clients.keys:
                self.clients.challenge(group, leader, deposed)

        return Moves(scene, self.administration, machines, rng, keys, write)

    def _died(self, process: Process) -> None:
        self.clients.died(process)
        self.trouble.restart_later(process)

    def _elected(self, number: int, group: int) -> None:
        for process in self.cluster.processes:
            if process.number != number and group in self.clients.keys and process.node.leads(group):
                self.clients.challenge(group, number, process.number)

    def execute(self) -> Summary:
        """Run it; raises ViolationError, or whatever a bug raises."""
        with captured(self.cluster.trace):
            return self._execute()

    def _execute(self) -> Summary:
        started = time.process_time()
        agenda = self.cluster.agenda
        while agenda.happened < self._steps:
            agenda.step()
        self.cluster.tell(0, "all troubles end")
        self.clients.stop()
        self.trouble.heal()
        self._until(lambda: not self.clients.waiting and self._settled(), "answered everything and settled")
        self.clients.read_all()
        self._until(lambda: not self.clients.waiting and self._settled(), "answered all reads")
        self._compare()
        found = violations(self.clients.history)
        must(not found, "the history is not linearizable\n" + "\n".join(map(str, found)))
        return self._summary(time.process_time() - started)

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        agenda = self.cluster.agenda
        end_us = agenda.now_us + HEALING_US
        check_us = agenda.now_us
        while agenda.now_us < end_us:
            agenda.step()
            if agenda.now_us >= check_us:
                check_us = agenda.now_us + 20 * MS
                if holds():
                    return
        must(False, f"{HEALING_US // MS} ms after all troubles ended the cluster has not {what}")

    def _settled(self) -> bool:
        """Whether all is decided and everybody is up, and every group stands where it should and agrees."""
        cluster = self.cluster
        processes = cluster.processes
        topology = self.administration.topology()
        if topology is None or not self.administration.done or len(processes) < len(cluster.standing):
            return False
        if {process.number for process in processes} != {node.node_id for node in topology.nodes}:
            return False
        if any(process.node.steering.roster.topology.epoch != topology.epoch for process in processes):
            return False
        if topology.moves or any(process.clients.waiting for process in processes):
            return False
        if not all(process.node.ready for process in processes):
            return False
        wanted = {group.group_id: group.voters for group in topology.groups}
        return all(self._agrees(group, wanted.get(group)) for group in (TOPOLOGY_GROUP, *wanted))

    def _agrees(self, group: int, placement: tuple[int, ...] | None) -> bool:
        """Whether the replicas of a group are those that should be, and have all applied the same."""
        replicas = {
            process.number: process.node.replicas[group]
            for process in self.cluster.processes
            if group in process.node.replicas
        }
        leader = replicas.get(self.cluster.leader(group))
        if leader is None or not leader.raft.is_settled:
            return False
        if placement is not None and not set(placement) == set(leader.raft.configuration.voters) == set(
            replicas
        ):
            return False
        reached = {(each.applier.applied_index, each.raft.last_index) for each in replicas.values()}
        return len(reached) == 1 and all(applied == last for applied, last in reached)

    def _compare(self) -> None:
        """All replicas of a group hold the same, and all of what was ever chosen."""
        cluster = self.cluster
        topology = self.administration.topology()
        assert topology is not None
        for group in (TOPOLOGY_GROUP, *(each.group_id for each in topology.groups)):
            first: tuple[int, dict[str, Any]] | None = None
            for process in cluster.processes:
                replica = process.node.replicas.get(group)
                if replica is None:
                    continue
                state = _state(replica.applier)
                if first is None:
                    first = process.number, state
                for field_, value in state.items():
                    must(
                        value == first[1][field_],
                        f"replicas of group {group} differ in {field_}:"
                        f" node {first[0]} has {first[1][field_]!r}, node {process.number} {value!r}",
                    )
                self._owns(replica)
                chosen = len(cluster.checks.chosen.get(group, []))
                must(state["applied_index"] >= chosen, f"entry {chosen} of group {group} was lost")

    def _owns(self, replica: Replica) -> None:
        """A replica's group owns the slots that it should, and has nothing of others."""
        group, keyspace = replica.group.group_id, replica.applier.keyspace
        topology = self.administration.topology()
        record = topology.group(group) if topology is not None else None
        if record is None:
            return
        owned = slots_of(record.slots)
        must(
            set(keyspace.slots) == owned,
            f"group {group} owns others than the map says: {sorted(keyspace.slots)}",
        )
        assert isinstance(keyspace.engine, HashEngine)
        left = [slot for slot, table in enumerate(keyspace.engine.tables) if table and slot not in owned]
        must(not left, f"group {group} has keys in slots {left}, which are not its own")
        ownership = keyspace.ownership
        if ownership is not None:
            must(not ownership.outgoing, f"group {group} has moves that have ended: {ownership.outgoing}")
            must(not ownership.incoming, f"group {group} has moves that have ended: {ownership.incoming}")

    def _summary(self, cpu_s: float) -> Summary:
        cluster = self.cluster
        return Summary(
            self.seed,
            cluster.agenda.happened,
            cluster.agenda.now_us / MS,
            cpu_s,
            len(self.clients.history),
            self.clients.answered,
            cluster.lives,
            len(cluster.checks.leader_of),
            sum(map(len, cluster.checks.chosen.values())),
            self.trouble.everything,
        )


def _settings(rng: random.Random, factor: int) -> dict[str, Any]:
    return {
        "replication_factor": factor,
        "election_timeout_ms": 200,
        "heartbeat_ms": 60,
        "request_timeout_ms": rng.choice((600, 1500)),
        "leader_wait_ms": 500,
        "read_mode": rng.choice(("index", "lease", "lease")),
        "entry_commands_max": rng.choice((2, 4096)),
        "entry_bytes_max": 4096,
        "append_bytes_max": rng.choice((4096, 1 << 20)),
        "inflight_appends_max": rng.choice((1, 4, 64)),
        "inflight_reads_max": rng.choice((1, 2, 4)),
        "snapshot_log_bytes": rng.choice((1 << 10, 4 << 10, 1 << 20)),
        "log_tail_bytes": rng.choice((0, 500, 2000)),
    }


def _state(applier: Applier) -> dict[str, Any]:
    keyspace = applier.keyspace
    assert isinstance(keyspace.engine, HashEngine)
    tables = keyspace.engine.tables
    return {
        "applied_index": applier.applied_index,
        "clock_ms": applier.clock_ms,
        "keys": {slot: tables[slot] for slot in keyspace.slots if tables[slot]},
        "modified": (keyspace.index, keyspace.modified),
        "counts": (keyspace.key_count, keyspace.expiring_count, keyspace.data_bytes),
        "sessions": applier.sessions.copy_states(),
    }
