"""The bottle: machines, the network between them, and the processes that live and die on them.

Owns who runs and who is linked.  What goes wrong and when is `trouble`; what clients do is `clients`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from redraft.base.address import Address
from redraft.base.config import Config
from redraft.control.topology import Topology
from redraft.node.node import Node
from redraft.simulation.agenda import MS, Agenda
from redraft.simulation.checks import Checks
from redraft.simulation.clock import SimulatedClock
from redraft.simulation.machine import Machine, Process
from redraft.simulation.network import Endpoint, Network
from redraft.simulation.trace import Trace
from redraft.topology.cluster_map import ClusterMap, Member, first_map
from redraft.topology.slots import owner_table
from redraft.transport.handshake import Kind, Purpose

SLOTS = 64
"""Of each group."""
RESET_US = (0, 2 * MS)
"""How soon an end notices that the process at the other end is gone, when its machine can say so."""
SILENCE_US = (0, 800 * MS)
"""How soon when it can't."""


class Cluster:
    """Nodes 1..n; `settings` go into each Config.  The controller is off unless they say otherwise."""

    def __init__(
        self,
        seed: int,
        *,
        nodes: int,
        groups: int,
        settings: dict[str, Any] | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.agenda = Agenda()
        self.rng = random.Random(seed)
        self.checks = Checks()
        self.trace = Trace(self.agenda, trace) if trace is not None else None
        self.network = Network(self.agenda, random.Random(self.rng.getrandbits(64)), self._watch)
        self.on_death: Callable[[Process], None] = lambda _process: None
        self.on_tick: Callable[[Process], None] = lambda _process: None
        self.on_turn: Callable[[Process], None] = lambda _process: None
        self.lives = 0
        self.spot = 0
        """The machine where things go wrong now: worth a look."""
        numbers = range(1, nodes + 1)
        ports = tuple(Address("127.0.0.1", 7000 + number) for number in numbers)
        chosen = {"controller": False, **(settings or {})}
        self.config = Config(listen=ports[0], cluster=ports, groups=groups, **chosen)
        self.map = _few_slots(
            first_map(
                "bottle",
                [replace(member_at(number), node_id=number) for number in numbers],
                groups=groups,
                replication_factor=self.config.replication_factor,
            )
        )
        self.machines = {number: self._machine(number, member_at(number)) for number in numbers}
        self._dialling: set[tuple[int, int]] = set()

    def _machine(self, number: int, member: Member) -> Machine:
        rng = random.Random(self.rng.getrandbits(64))
        clock = SimulatedClock(
            self.agenda,
            uptime_ms=rng.uniform(1000, 1_000_000),
            rate=rng.uniform(0.98, 1.02),
            offset_ms=rng.choice((0.0, rng.uniform(-500, 500))),
        )
        return Machine(number, replace(member, node_id=number), clock, rng)

    def _watch(self, sender: Endpoint, peer: int, group: int, message: Any) -> None:
        self.checks.told(sender.number, peer, group, message)

    # ---- processes ----

    @property
    def processes(self) -> list[Process]:
        """The living ones, in order of their numbers."""
        return [machine.process for machine in self.machines.values() if machine.process is not None]

    def node(self, number: int) -> Node | None:
        """The node of that number, None while it is down."""
        process = self.machines[number].process
        return process.node if process is not None else None

    def add(self, number: int, member: Member, topology: Topology) -> None:
        """A new machine, whose node the cluster has admitted under that number: it starts."""
        machine = self.machines[number] = self._machine(number, member)
        machine.memory.topology = topology
        self.start(number)

    def lose(self, number: int) -> None:
        """A machine is gone for good, whatever its node said before."""
        machine = self.machines[number]
        machine.gone = True
        self.tell(number, "is lost for good")
        if machine.process is not None:
            self.kill(number, power=True)

    @property
    def standing(self) -> list[Machine]:
        """The machines that are not lost for good."""
        return [machine for machine in self.machines.values() if not machine.gone]

    def start(self, number: int, *, fuse: int = 0, power: bool = False) -> bool:
        """Start a node's process; False when it did not survive its own start."""
        machine = self.machines[number]
        assert machine.process is None
        process = machine.process = Process(self, machine)
        process.fuse, process.fuse_power = fuse, power
        self.lives += 1
        self.tell(number, f"starts, for the {machine.incarnation + 1}. time")
        if not process.start():
            return False
        for other in self.machines:
            if other != number:
                self.lost_link(number, other)
        return True

    def kill(self, number: int, *, power: bool) -> None:
        """End a process here and now."""
        process = self.machines[number].process
        assert process is not None
        process.fuse_power = power
        self.died(process, "killed")

    def died(self, process: Process, why: str) -> None:
        """A process is no more."""
        machine, number = process.machine, process.number
        process.alive = False
        machine.process = None
        lost = machine.files.crash(power=process.fuse_power)
        silent = process.fuse_power and self.rng.random() < 0.5
        what = f"power cut, {lost} sectors fell back" if process.fuse_power else why
        self.tell(number, what)
        for other in self.machines:
            if other != number:
                self.network.break_link(number, other, SILENCE_US if silent else RESET_US)
        self.on_death(process)

    # ---- links ----

    def lost_link(self, one: int, other: int) -> None:
        """A pair has no link: the one that dials will."""
        pair = (min(one, other), max(one, other))
        if pair not in self._dialling:
            self._dialling.add(pair)
            self.agenda.after(
                self.rng.choice((100, 2 * MS, 20 * MS, 60 * MS, 300 * MS)), partial(self._dial, pair)
            )

    def _dial(self, pair: tuple[int, int]) -> None:
        one, other = (self.machines[number].process for number in pair)
        if one is None or other is None or self.network.is_linked(*pair):
            self._dialling.discard(pair)
            return
        if one.paused or other.paused or not self.network.can_connect(*pair):
            self.agenda.after(self.rng.randrange(20 * MS, 100 * MS), partial(self._dial, pair))
            return
        self._dialling.discard(pair)
        if self._introduce(one, other):
            self.network.connect(one, other)

    def _introduce(self, one: Process, other: Process) -> bool:
        """Let both judge each other's cards, as the handshake does; whether there should be a link."""
        for judge, shown in ((one, other), (other, one)):
            refusal = judge.node.steering.roster.judge(shown.card, Purpose.LINK)
            if refusal is not None:
                self.tell(shown.number, f"is refused by n{judge.number}: {refusal.reason}")
                if refusal.kind == Kind.REMOVED:
                    self.removed(shown)
                return False
        for here, there in ((one, other), (other, one)):
            here.node.steering.roster.met(there.card)
        return one.is_to_link(other.number) and other.is_to_link(one.number)

    def ticked(self, process: Process) -> None:
        """A process had a tick, and has sent nothing yet."""
        self.on_tick(process)

    def turned(self, process: Process) -> None:
        """A process had a turn."""
        self.on_turn(process)

    def members_changed(self, process: Process) -> None:
        """A node has another list of members: links follow, or it finds that it is none any more."""
        if not process.alive:
            return
        if process.node.steering.removed:
            self.removed(process)
            return
        for other in self.machines:
            if other == process.number:
                continue
            if process.is_to_link(other):
                self.lost_link(process.number, other)
            elif self.network.is_linked(process.number, other):
                self.break_link(process.number, other)

    def removed(self, process: Process) -> None:
        """A node learned that it was removed: it stops, and does not come back."""
        process.machine.gone = True
        if process.alive:
            self.died(process, "stops: it was removed from the cluster")

    def break_link(self, one: int, other: int, notice_us_max: int = 300 * MS) -> None:
        """Break the link of two living nodes."""
        if self.network.break_link(one, other, (0, notice_us_max)):
            self.tell(one, f"its link to n{other} breaks")

    # ---- what is asked about it ----

    def leader(self, group: int) -> int:
        """The living node that leads a group with the highest term, 0 if none."""
        led = [
            (process.node.replicas[group].raft.term, process.number)
            for process in self.processes
            if group in process.node.replicas and process.node.leads(group)
        ]
        return max(led)[1] if led else 0

    def tell(self, number: int, what: str) -> None:
        """A line of the trace about a node."""
        if self.trace is not None:
            self.trace.line(f"n{number}", what)


def member_at(place: int) -> Member:
    """A member that has no number yet, at ports that follow from its place."""
    return Member(0, f"{place:040x}", "127.0.0.1", 7000 + place, 8000 + place, 9000 + place, 17000 + place)


def _few_slots(whole: ClusterMap) -> ClusterMap:
    """Leave most slots to nobody: states are made and captured by the hundred, and slots cost time."""
    groups = tuple(
        replace(group, slots=((group.slots[0][0], group.slots[0][0] + SLOTS - 1),)) for group in whole.groups
    )
    owners = owner_table([(group.group_id, group.slots) for group in groups])
    return replace(whole, groups=groups, group_of_slot=owners)
