"""What goes wrong, and when: each run draws which troubles it knows and how often they come.

Every kind is a method named for it; it happens to a cluster at one moment and sees to its own end.  `heal`
ends all of them.  Runs do not all know the same kinds: what hides behind one trouble shows where it is
missing (swarm testing, Groce et al., 2012).

Never more than the promises allow: no disk forgets what it synced but by rot, and rot is found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from redraft.simulation.administration import Administration
from redraft.simulation.agenda import MS
from redraft.simulation.cluster import Cluster
from redraft.simulation.disk import BOUNDLESS
from redraft.simulation.machine import LOG, SNAPSHOTS, Process
from redraft.simulation.network import Weather

FULL_BYTES = 8 << 10
"""What a full disk has left at most."""
FUSE_EFFECTS_MAX = 40
HOUR_MS = 3_600_000.0


class Trouble:
    """The troubles of one run."""

    def __init__(
        self,
        cluster: Cluster,
        administration: Administration,
        rng: random.Random,
        probe: Callable[[int], None],
    ) -> None:
        """`probe` lets somebody ask a node for all it serves: who is in trouble must not answer wrongly."""
        self.happened: dict[str, int] = {}
        """How often each kind did."""
        self._cluster = cluster
        self._administration = administration
        self._rng = rng
        self._probe = probe
        self._active = True
        self._focus = 0
        self._focus_left = 0
        self._mean_us = rng.choice((50, 100, 200, 500)) * MS
        kinds: list[Callable[[], None]] = [
            self.crash,
            self.pause,
            self.partition,
            self.one_way,
            self.creeping_partition,
            self.flap,
            self.stall,
            self.clock_step,
            self.drift,
            self.transfer,
            self.disk_full,
            self.failed_sync,
            self.slow_disk,
            self.rot,
            self.lose_disk,
            administration.join,
            administration.remove,
            administration.move,
        ]
        self._kinds = [kind for kind in kinds if rng.random() < 0.5] or kinds
        self._weights = [rng.choice((1, 2, 5)) for _kind in self._kinds]
        self._set_weather()
        self._next()

    def _set_weather(self) -> None:
        rng = self._rng
        self._cluster.network.weather = Weather(
            latency_us=rng.choice(((50, 200), (100, 1000), (500, 5000), (2000, 20_000))),
            slow=rng.choice((0.0, 0.01, 0.05)),
            lost=rng.choice((0.0, 0.0, 0.01, 0.1)),
            twice=rng.choice((0.0, 0.0, 0.02, 0.2)),
            overtaken=rng.choice((0.0, 0.0, 0.02, 0.2)),
        )

    def _next(self) -> None:
        mean_us = 15 * MS if self._focus_left else self._mean_us
        delay_us = int(self._rng.expovariate(1.0 / mean_us)) + 1
        self._cluster.agenda.after(delay_us, self._strike)

    def _strike(self) -> None:
        """Let one thing happen; some come in company: several at once, around the same machine."""
        if not self._active:
            return
        rng = self._rng
        if self._focus_left:
            self._focus_left -= 1
        elif rng.random() < 0.2:
            self._focus, self._focus_left = self._victim(), rng.randint(1, 4)
        kind = self._rng.choices(self._kinds, self._weights)[0]
        self.happened[kind.__name__] = self.happened.get(kind.__name__, 0) + 1
        kind()
        for _ in range(rng.choice((0, 0, 1, 3))):
            self._later((0, 20, 100, 250, 400), partial(self._look, self._cluster.spot))
        self._next()

    def _look(self, number: int) -> None:
        if self._active and number:
            self._probe(number)

    def heal(self) -> None:
        """End all troubles and bring everybody up."""
        self._active = False
        cluster = self._cluster
        if cluster.network.weather.loses:
            # Nothing is said twice on a link that stands, so only a new one makes up for what was lost.
            for one, other in sorted(cluster.network.links):
                if one < other:
                    cluster.break_link(one, other)
        cluster.network.weather = Weather()
        cluster.network.unblock(sorted(cluster.network.blocked))
        for number, machine in cluster.machines.items():
            machine.disk_us = (50, 1000)
            machine.files.capacity = BOUNDLESS
            machine.files.sync_fails_in = 0
            process = machine.process
            if process is not None:
                process.fuse = 0
                if process.paused:
                    process.resume()
            elif not machine.gone:
                self._start(number)

    # ---- who and when ----

    def _any(self) -> int:
        return self._rng.choice([machine.number for machine in self._cluster.standing])

    def _victim(self) -> int:
        """Any machine; every other time one whose node leads."""
        cluster, rng = self._cluster, self._rng
        if self._focus_left and rng.random() < 0.7:
            cluster.spot = self._focus
        else:
            leader = cluster.leader(rng.choice(cluster.map.groups).group_id)
            cluster.spot = leader if leader and rng.random() < 0.5 else self._any()
        return cluster.spot

    def _later(self, choices_ms: Sequence[int], act: Callable[[], None]) -> None:
        self._cluster.agenda.after(self._rng.choice(choices_ms) * MS + self._rng.randrange(MS), act)

    # ---- processes ----

    def crash(self) -> None:
        """A node dies at one of its next effects, or now; by a signal or by a power cut."""
        process = self._cluster.machines[self._victim()].process
        if process is None:
            return
        process.fuse_power = self._rng.random() < 0.6
        if process.paused or self._rng.random() < 0.2:
            self._cluster.kill(process.number, power=process.fuse_power)
        else:
            process.fuse = self._rng.randint(1, FUSE_EFFECTS_MAX)

    def restart_later(self, process: Process) -> None:
        """A node died: it is started again, or its machine given up if its disk is found damaged."""
        if process.damaged:
            self._administration.condemn(process.number)
        else:
            self._later((0, 5, 100, 800), partial(self._start, process.number))

    def _start(self, number: int) -> None:
        rng, machine = self._rng, self._cluster.machines[number]
        if machine.process is not None or machine.gone:
            return
        dies_again = self._active and self.crash in self._kinds and rng.random() < 0.1
        fuse = rng.randint(1, FUSE_EFFECTS_MAX) if dies_again else 0
        self._cluster.start(number, fuse=fuse, power=rng.random() < 0.5)

    def pause(self) -> None:
        """A process stands still (SIGSTOP, a slow machine, a suspended one): time goes on without it."""
        process = self._cluster.machines[self._victim()].process
        if process is None or process.paused:
            return
        process.paused = True
        self._cluster.tell(process.number, "is stopped")

        led = [group.group_id for group in self._cluster.map.groups if process.node.leads(group.group_id)]
        patience = self._rng.choice((0, 0, 50))
        self._later((30, 150, 350, 500), partial(self._resume, process, led, patience))

    def _resume(self, process: Process, led: list[int], patience: int) -> None:
        """Let a process go on: once others took what it led, or when that takes too long."""
        if not (process.alive and process.paused):
            return
        taken = any(self._cluster.leader(group) not in (0, process.number) for group in led)
        if led and not taken and patience:
            self._cluster.agenda.after(20 * MS, partial(self._resume, process, led, patience - 1))
            return
        self._look(process.number)  # what came last while it stood still
        self._cluster.agenda.after(self._rng.choice((1, 5, 30)) * MS, partial(self._go_on, process))

    def _go_on(self, process: Process) -> None:
        if process.alive and process.paused:
            self._cluster.tell(process.number, "goes on")
            process.resume()

    def transfer(self) -> None:
        """A leader hands a group to another voter, as balancing does."""
        cluster, rng = self._cluster, self._rng
        group = rng.choice(cluster.map.groups)
        leader = cluster.leader(group.group_id)
        process = cluster.machines[leader].process if leader else None
        if process is None:
            return
        node = process.node
        voters = node.replicas[group.group_id].raft.configuration.voters
        others = [voter for voter in voters if voter != leader]
        if not others:
            return
        target = rng.choice(others)

        def hand_over() -> None:
            replica = node.replicas.get(group.group_id)
            if replica is None or not (replica.leads and replica.proposes):
                return
            if target in replica.raft.configuration.voters:
                node.transfer(replica.group, target)

        process.ask(hand_over)
        if rng.random() < 0.3:  # and back again, or on
            self._later((2, 20, 100), self.transfer)
        if rng.random() < 0.3:  # and the leader is cut off as it hands over, which may be why it did
            into = [(other, leader) for other in sorted(cluster.machines) if other not in (leader, target)]
            self._later((0, 1, 5, 20), partial(self._block_for, into, (50, 200)))
            self._later((0, 1, 5, 20), partial(cluster.break_link, leader, target, 5 * MS))

    # ---- the network ----

    def partition(self) -> None:
        """One machine, or several, can't talk to the others; links may break of it, now or never."""
        cluster, rng = self._cluster, self._rng
        numbers = sorted(cluster.machines)
        if rng.random() < 0.5:
            side = {self._victim()}
        else:
            side = set(rng.sample(numbers, rng.randint(1, max(1, len(numbers) // 2))))
        across = [(one, other) for one in numbers for other in numbers if (one in side) != (other in side)]
        self._block(across, f"partition: {sorted(side)} against the rest")

    def one_way(self) -> None:
        """Nothing gets from one machine to another, or to any other; the other direction works."""
        victim = self._victim()
        others = [number for number in sorted(self._cluster.machines) if number != victim]
        if others and self._rng.random() < 0.5:
            others = [self._rng.choice(others)]
        pairs = [(victim, other) for other in others]
        if self._rng.random() < 0.5:
            pairs = [(other, one) for one, other in pairs]
        self._block(pairs, f"one-way partition: nothing gets through {pairs}")

    def _block(self, pairs: list[tuple[int, int]], what: str) -> None:
        cluster, rng = self._cluster, self._rng
        cluster.tell(0, what)
        cluster.network.block(pairs)
        if rng.random() < 0.6:
            for one, other in sorted({(min(pair), max(pair)) for pair in pairs}):
                if rng.random() < 0.7:
                    cluster.break_link(one, other)

        def end() -> None:
            cluster.tell(0, "partition ends")
            cluster.network.unblock(pairs)

        self._later((100, 400, 900, 2000), end)

    def creeping_partition(self) -> None:
        """A machine loses one of its ways after another, in this direction or in that or in both."""
        victim, rng = self._victim(), self._rng
        self._cluster.tell(victim, "loses one of its ways after another")
        for wait_ms in (0, rng.randint(20, 450)):
            pairs = [
                pair
                for other in sorted(self._cluster.machines)
                if other != victim
                for pair in ((victim, other), (other, victim))
                if rng.random() < 0.5
            ]
            self._later((wait_ms,), partial(self._block_for, pairs, (100, 300, 600)))

    def _block_for(self, pairs: list[tuple[int, int]], choices_ms: Sequence[int]) -> None:
        if self._active:
            self._cluster.network.block(pairs)
            self._later(choices_ms, partial(self._cluster.network.unblock, pairs))

    def flap(self) -> None:
        """A link breaks."""
        one, other = self._victim(), self._any()
        if one != other:
            self._cluster.break_link(one, other)

    def stall(self) -> None:
        """One direction between two nodes is slow: nothing arrives for a while, and then all."""
        one, other = self._victim(), self._any()
        if one == other or (one, other) in self._cluster.network.blocked:
            return
        self._block_for([(one, other)], (20, 100, 300, 700))

    # ---- clocks ----

    def clock_step(self) -> None:
        """A wall clock is set, rightly or wrongly."""
        number, rng = self._any(), self._rng
        offset_ms = rng.choice((0.0, rng.uniform(-1000, 1000), HOUR_MS, -HOUR_MS))
        self._cluster.tell(number, f"its wall clock is off by {offset_ms:.0f} ms now")
        self._cluster.machines[number].clock.offset_ms = offset_ms

    def drift(self) -> None:
        """A monotonic clock runs at another rate."""
        self._cluster.machines[self._any()].clock.drift(self._rng.uniform(0.98, 1.02))

    # ---- disks ----

    def disk_full(self) -> None:
        """A disk has no room left for a while."""
        number = self._victim()
        files = self._cluster.machines[number].files
        self._cluster.tell(number, "its disk is full")
        files.capacity = files.used + self._rng.randrange(FULL_BYTES)

        def end() -> None:
            self._cluster.tell(number, "its disk has room again")
            files.capacity = BOUNDLESS

        self._later((100, 500, 1500), end)

    def failed_sync(self) -> None:
        """A sync fails: the node must stop, and must not trust its page cache when it starts again."""
        self._cluster.machines[self._victim()].files.sync_fails_in = self._rng.randint(1, 6)

    def rot(self) -> None:
        """One bit of a disk becomes another, in the middle of the log or in a snapshot."""
        number, rng = self._victim(), self._rng
        machine = self._cluster.machines[number]
        logs = [
            path for path in machine.files.paths() if path.startswith(f"{LOG}/") and path.endswith(".log")
        ]
        paths = logs[:-2] + [path for path in machine.files.paths() if path.startswith(f"{SNAPSHOTS}/")]
        if not paths or not self._administration.suspect(number):
            return
        path = rng.choice(paths)
        offset = rng.randrange(machine.files.size_of(path))
        if machine.files.is_rest(path, offset):
            self._cluster.tell(number, f"a bit of {path} at {offset} becomes another")
            machine.rotten = True
            machine.files.flip(path, offset, rng.randrange(8))

    def lose_disk(self) -> None:
        """A disk is lost with all that is on it."""
        number = self._victim()
        if self._administration.suspect(number):
            self._administration.condemn(number)

    def slow_disk(self) -> None:
        """Syncs take long for a while."""
        number = self._victim()
        machine = self._cluster.machines[number]
        self._cluster.tell(number, "its disk is slow")
        machine.disk_us = self._rng.choice(((5 * MS, 20 * MS), (50 * MS, 300 * MS)))

        def end() -> None:
            machine.disk_us = (50, 1000)

        self._later((200, 1000), end)
