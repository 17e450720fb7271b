"""A machine and the process that runs on it: production's node and log, brought to life and killed.

A `Machine` outlives its processes: it has the disk, the clocks and the count of starts.  A `Process` is
one life of a node.  It takes what arrives in turns, as the reactor does: inputs first, then one `flush`.

Effects are what the world can see of a process: a change of a file, bytes on a link, a reply.  A crash
may come right before any of them (`fuse`), and leaves exactly what was done before.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from redraft.base.config import Config
from redraft.base.errors import DamagedError, RedraftError
from redraft.base.limits import TICK_MS
from redraft.commands.keyspace import Keyspace
from redraft.control.topology import founding_topology
from redraft.engine.hash import HashEngine
from redraft.node.driver import IDLE_TICK_MS
from redraft.node.node import Node
from redraft.node.roster import Roster
from redraft.node.seams import Next
from redraft.node.standing import Standing
from redraft.node.states import MemoryStates
from redraft.raft.log import LogView
from redraft.replica.apply import Applier
from redraft.replica.request import Request
from redraft.server.again import Again
from redraft.simulation.agenda import MS, Agenda
from redraft.simulation.checks import Checks, must
from redraft.simulation.clock import SimulatedClock
from redraft.simulation.disk import SimulatedFiles
from redraft.simulation.engine import SlicedEngine
from redraft.simulation.memory import SimulatedMemory
from redraft.simulation.network import Link, Message
from redraft.simulation.trace import Trace, told
from redraft.snapshot.store import Store
from redraft.snapshot.worker import Done, Job, Worker
from redraft.topology.cluster_map import ClusterMap, Group, Member
from redraft.transport.handshake import Card, Stage
from redraft.transport.messages import NO_GROUP, Published
from redraft.wal import Log, LogOptions

LOG = Path("/node/log")
SNAPSHOTS = Path("/node/snapshots")
LOG_OPTIONS = LogOptions(
    segment_bytes=64 << 10,
    first_segment_bytes=32 << 10,
    reserve_bytes=8 << 10,
    cache_bytes=16 << 10,
    read_bytes=64 << 10,
    threads=False,
)
CLIENTS, DISK, TIMER = 0, -1, -2
"""Where an input comes from, beside the numbers of peers: what comes from one place comes in order."""
GATHER_US = 300
"""How soon a node is asked again that gathers requests."""


class _Worker(Worker):
    """Tells that it has something to do instead of doing it in a thread."""

    __slots__ = ("_files",)

    def __init__(self, files: SimulatedFiles) -> None:
        super().__init__(threaded=False)
        self._files = files
        files.event_fds.append(self.fileno())

    def submit(self, job: Job, done: Done) -> None:
        """Queue a job."""
        super().submit(job, done)
        self._files.on_work()


class _Clients(Again):
    """The client side of a node, as far as it sends refused commands on; nobody listens to channels."""

    __slots__ = ()

    def published(self, _message: Published) -> int:
        """See `redraft.node.seams.Clients`."""
        return 0


class KilledError(BaseException):
    """The process is no more; nothing of it runs on, not even what catches every Exception."""


class World(Protocol):
    """What a machine stands in."""

    agenda: Agenda
    checks: Checks
    trace: Trace | None
    config: Config
    map: ClusterMap

    def died(self, process: Process, why: str) -> None: ...
    def ticked(self, process: Process) -> None: ...
    def turned(self, process: Process) -> None: ...
    def lost_link(self, one: int, other: int) -> None: ...
    def members_changed(self, process: Process) -> None: ...


class Machine:
    """Disk, clocks, and what is remembered from start to start."""

    __slots__ = (
        "clock",
        "disk_us",
        "files",
        "gone",
        "incarnation",
        "member",
        "memory",
        "number",
        "process",
        "rng",
        "rotten",
        "slice_keys",
        "turn_us",
    )

    def __init__(self, number: int, member: Member, clock: SimulatedClock, rng: random.Random) -> None:
        self.number = number
        self.member = member
        self.clock = clock
        self.rng = rng
        self.files = SimulatedFiles(random.Random(rng.getrandbits(64)))
        self.turn_us = rng.choice((30, 100, 300))
        """How long a turn keeps a process busy; what arrives meanwhile shares the next."""
        self.disk_us = (50, 1000)
        """How long a write with its sync takes."""
        self.slice_keys = rng.choice((0, 1, 2))
        """Keys in a slice of a snapshot; 0: as many as in production."""
        self.memory = SimulatedMemory()
        self.rotten = False
        """Whether its disk may hold something else than what was written."""
        self.gone = False
        """Whether no process will run here any more."""
        self.incarnation = 0
        self.process: Process | None = None


class Process:
    """One life of a node."""

    __slots__ = (
        "_agenda",
        "_disk_due",
        "_inbox",
        "_scheduled",
        "_stood",
        "_world",
        "alive",
        "clients",
        "damaged",
        "fuse",
        "fuse_power",
        "log",
        "machine",
        "node",
        "number",
        "paused",
        "worker",
    )

    clients: _Clients
    log: Log
    node: Node
    worker: Worker

    def __init__(self, world: World, machine: Machine) -> None:
        """A process that does nothing yet: `start` brings it up."""
        self.machine = machine
        self.number = machine.number
        self.alive = True
        self.paused = False
        self.damaged = False
        """Whether it ended because it found its disk damaged."""
        self.fuse = 0
        """Effects until it dies; 0: it lives on."""
        self.fuse_power = False
        """Whether it dies by a power cut, which takes what was not synced."""
        self._world = world
        self._agenda = world.agenda
        self._inbox: deque[tuple[int, Callable[[], object]]] = deque()
        self._scheduled = False
        self._disk_due = False
        self._stood = 0
        """So many turns it takes a little of what came while it stood still."""

    def start(self) -> bool:
        """Recover what the disk has and run; False if it died of it."""
        return self._live(self._start)

    def _start(self) -> None:
        world, machine = self._world, self.machine
        machine.incarnation += 1
        files, rng = machine.files, machine.rng
        files.effect = self.effect
        files.on_work = self._disk_soon
        self.log = Log.open(LOG, LOG_OPTIONS, files)
        world.checks.recovered(self.number, self._views())
        self.worker = _Worker(files)
        self.node = Node(
            world.config,
            self._standing(),
            machine.incarnation,
            _WatchedLog(self, world.checks),
            machine.clock,
            store=Store(SNAPSHOTS, files, self.worker),
            states=MemoryStates(partial(_make_applier, self.machine.slice_keys)),
            rng=random.Random(rng.getrandbits(64)),
            first_start=machine.incarnation == 1,
        )
        self.clients = self.node.clients = _Clients(self.node)
        self.node.steering.changed = lambda: self._agenda.after(0, partial(world.members_changed, self))
        self._disk_soon()
        self._agenda.after(rng.randrange(TICK_MS * MS), self._tick)

    def _standing(self) -> Standing:
        """What the node knows of its cluster: the first configuration, and what it remembers."""
        first, memory = self._world.map, self.machine.memory
        memory.effect = self.effect
        member = self.machine.member
        founding = founding_topology(first, self._world.config.replication_factor)
        roster = Roster(first.cluster_id, member.address, founding, first.members)
        if memory.topology is not None:
            roster.update(memory.topology)
        ports = (member.primary_port, member.replica_port, member.peer_port)
        return Standing(self.number, founding, roster, memory, ports)

    @property
    def card(self) -> Card:
        """What the node shows of itself in a handshake."""
        member, cluster_id = self.machine.member, self._world.map.cluster_id
        return Card(
            member.hex_id,
            self.machine.incarnation,
            member.host,
            member.client_port,
            member.primary_port,
            member.replica_port,
            member.peer_port,
            Stage.FORMED,
            cluster_id,
            "",
            "",
            self.number,
        )

    def is_to_link(self, number: int) -> bool:
        """Whether there should be a link to that node, as far as this one knows."""
        return any(member.node_id == number for member in self.node.steering.roster.members())

    def _views(self) -> list[tuple[int, LogView]]:
        log = self.log
        return [(group, log.group(group)) for group in log.groups()]

    # ---- effects, and the end ----

    def effect(self) -> None:
        """Something is about to be done that the world can see."""
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise KilledError

    def _live(self, act: Callable[[], None]) -> bool:
        """Do something as this process; False if it died of it."""
        try:
            act()
        except KilledError:
            self._world.died(self, "killed at an effect")
        except RedraftError as error:
            self.damaged = isinstance(error, DamagedError)
            must(self.machine.rotten or not self.damaged, f"nothing rots here, but {error}")
            self._world.died(self, f"stopped: {error}")
        return self.alive

    # ---- inputs ----

    def receive(self, link: Link, messages: list[Message]) -> None:
        """Messages arrived that the other end sent on its `link`."""
        self._put(link.here.number, partial(self._take, link, messages))

    def receive_stray(self, sender: int, message: Message) -> None:
        """A Raft message arrived that is no link's any more."""
        self._put(sender, partial(self._take_stray, sender, message))

    def link_up(self, link: Link) -> None:
        """A link is made; `link` is this end of it."""
        self._put(link.there.number, partial(self._take_up, link))

    def link_down(self, link: Link) -> None:
        """A link broke."""
        self._put(link.there.number, partial(self._take_down, link))

    def submit(self, request: Request) -> None:
        """A client's request arrived."""
        self._put(CLIENTS, partial(self.node.submit, request))

    def ask(self, act: Callable[[], object]) -> None:
        """Something else is wanted of the node, in its next turn."""
        self._put(CLIENTS, act)

    def resume(self) -> None:
        """Go on after a pause."""
        self.paused = False
        self._stood = self.machine.rng.choice((1, 2, 4))
        self._schedule(self.machine.turn_us)
        if self._disk_due:
            self._disk_due = False
            self._disk_soon()

    def _put(self, source: int, act: Callable[[], object]) -> None:
        self._inbox.append((source, act))
        if not self._scheduled:
            self._schedule(self.machine.turn_us)

    def _schedule(self, delay_us: int) -> None:
        self._scheduled = True
        self._agenda.after(delay_us, self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self.alive and not self.paused:
            self._live(self._take_turn)

    def _take_turn(self) -> None:
        inbox = self._inbox
        for _source, act in self._take_inputs():
            act()
        following = self.node.flush()
        self._world.checks.stepped(self.number, self.node.replicas.items())
        self._world.turned(self)
        if inbox or following is Next.NOW:
            self._schedule(self.machine.turn_us)
        elif following is Next.SOON:
            self._schedule(GATHER_US)

    def _take_inputs(self) -> list[tuple[int, Callable[[], object]]]:
        """Return what this turn takes: descriptors are served in any order, and not always all or wholly."""
        taken, rng = list(self._inbox), self.machine.rng
        self._inbox.clear()
        if len(taken) < 2:
            return taken
        if rng.random() < 0.5:
            places: dict[int, float] = {}
            for source, _act in taken:
                places.setdefault(source, rng.random())
            taken.sort(key=lambda item: places[item[0]])
        stood, self._stood = self._stood > 0, max(self._stood - 1, 0)
        if rng.random() < (0.8 if stood else 0.4):
            count = rng.randrange(1, len(taken))
            if stood or rng.random() < 0.5:
                first = taken[0][0]
                of_first = next((at for at, item in enumerate(taken) if item[0] != first), len(taken))
                count = rng.randint(1, of_first)
            self._inbox.extend(taken[count:])
            del taken[count:]
        return taken

    def _take(self, link: Link, messages: list[Message]) -> None:
        node, trace, sender = self.node, self._world.trace, link.here.number
        for group, message in messages:
            if node.link_session(sender) != link.session:
                return
            if trace is not None:
                self._tell(trace, sender, group, message, "")
            node.on_frame(sender, group, message)

    def _take_stray(self, sender: int, message: Message) -> None:
        if self._world.trace is not None:
            self._tell(self._world.trace, sender, *message, " (astray)")
        self.node.on_frame(sender, *message)

    def _tell(self, trace: Trace, sender: int, group: int, message: Any, note: str) -> None:
        of_group = f" g{group}" if group != NO_GROUP else ""
        trace.line(f"n{sender} -> n{self.number}", f"{told(message)}{of_group}{note}")

    def _take_up(self, link: Link) -> None:
        if not link.closed:
            self.node.on_link_up(link.there.number, link)

    def _take_down(self, link: Link) -> None:
        peer = link.there.number
        if self.node.link_session(peer) == link.session:
            self.node.on_link_down(peer)
        self._world.lost_link(self.number, peer)

    def _tick(self) -> None:
        if not self.alive:
            return
        if not self.paused:
            self._put(TIMER, self._tick_node)
        interval_ms = IDLE_TICK_MS if self.node.idle else TICK_MS
        self._agenda.after(interval_ms * MS, self._tick)

    def _tick_node(self) -> None:
        self.node.tick()
        self._world.ticked(self)
        self.clients.look()

    # ---- the disk ----

    def _disk_soon(self) -> None:
        if not self._disk_due:
            self._disk_due = True
            low, high = self.machine.disk_us
            self._agenda.after(self.machine.rng.randrange(low, high), self._disk)

    def _disk(self) -> None:
        if self.alive and not self.paused:
            self._disk_due = False
            self._live(self._step_disk)

    def _step_disk(self) -> None:
        self.log.step()
        self._put(DISK, self.node.on_durable)
        if self.worker.step():
            self._put(DISK, self.worker.take_done)
        if self.log.disk_full or self.worker.busy:
            self._disk_soon()


class _WatchedLog:
    """The node's log (satisfies `redraft.node.seams.NodeLog`); tells the checks what it claims."""

    __slots__ = ("_checks", "_log", "_process", "group", "has_room")

    def __init__(self, process: Process, checks: Checks) -> None:
        self._process = process
        self._checks = checks
        self._log = process.log
        self.group = process.log.group
        self.has_room = process.log.has_room

    def flush(self) -> int:
        """Hand over what is pending."""
        sequence = self._log.flush()
        self._checks.flushed(self._process.number, sequence, self._process._views())
        return sequence

    def tend(self, now_ms: float) -> None:
        """Let the log look after itself, which may hand over what is pending."""
        before = self._log.sequence
        self._log.tend(now_ms)
        if self._log.sequence != before:
            self._checks.flushed(self._process.number, self._log.sequence, self._process._views())

    def take_durable(self) -> int:
        """Say up to where all is durable."""
        sequence = self._log.take_durable()
        self._checks.durable(self._process.number, sequence)
        return sequence


def _make_applier(slice_keys: int, group: Group, view: LogView) -> Applier:
    slots = group.slots_at_first
    engine = SlicedEngine(slice_keys) if slice_keys else HashEngine()
    return Applier(Keyspace(engine, slots), view)
