"""What goes wrong with machines: processes that die or stand still, wrong clocks, disks that fail.

Never more than the promises allow: no disk forgets what it synced but by rot or loss, and a machine of which
that happened leaves the cluster for good.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from redraft.simulation.administration import Administration
from redraft.simulation.agenda import MS
from redraft.simulation.disk import BOUNDLESS
from redraft.simulation.machine import LOG, SNAPSHOTS, Process
from redraft.simulation.scene import Scene

FULL_BYTES = 8 << 10
"""What a full disk has left at most."""
FUSE_EFFECTS_MAX = 40
TRIES = 4
"""How often more a disk is to be lost that the cluster can't do without at first."""
HOUR_MS = 3_600_000.0


class MachineTrouble:
    """Each kind is a method; it sees to its own end."""

    def __init__(self, scene: Scene, administration: Administration) -> None:
        self._scene = scene
        self._administration = administration
        self.starts_fail = False
        """Whether a start may be the end of a process, too."""

    # ---- processes ----

    def crash(self) -> None:
        """A node dies at one of its next effects, or now; by a signal or by a power cut."""
        process = self._scene.cluster.machines[self._scene.victim()].process
        if process is None:
            return
        process.fuse_power = self._scene.rng.random() < 0.6
        if process.paused or self._scene.rng.random() < 0.2:
            self._scene.cluster.kill(process.number, power=process.fuse_power)
        else:
            process.fuse = self._scene.rng.randint(1, FUSE_EFFECTS_MAX)

    def restart_later(self, process: Process) -> None:
        """A node died: it is started again, or its machine given up if its disk is found damaged."""
        if process.damaged:
            self._administration.condemn(process.number)
        else:
            self._scene.later((0, 5, 100, 800), partial(self.start, process.number))

    def start(self, number: int) -> None:
        """Start a node that is down, unless its machine is lost."""
        rng, machine = self._scene.rng, self._scene.cluster.machines[number]
        if machine.process is not None or machine.gone:
            return
        dies_again = self._scene.active and self.starts_fail and rng.random() < 0.1
        fuse = rng.randint(1, FUSE_EFFECTS_MAX) if dies_again else 0
        self._scene.cluster.start(number, fuse=fuse, power=rng.random() < 0.5)

    def pause(self) -> None:
        """A process stands still (SIGSTOP, a slow machine, a suspended one): time goes on without it."""
        process = self._scene.cluster.machines[self._scene.victim()].process
        if process is None or process.paused:
            return
        if (
            self._scene.rng.random() < 0.5
        ):  # in the very moment that it asked the others: their answers will wait
            process.ask(partial(self._ask_and_stop, process))
        else:
            self.stop(process)

    def _ask_and_stop(self, process: Process) -> None:
        if self._scene.active and not process.paused:
            process.node.ping(process.node.now_ms())
            self.stop(process)

    def stop(self, process: Process) -> None:
        """Let a process stand still for a while."""
        process.paused = True
        self._scene.cluster.tell(process.number, "is stopped")
        led = [
            group.group_id for group in self._scene.cluster.map.groups if process.node.leads(group.group_id)
        ]
        patience = self._scene.rng.choice((0, 0, 50))
        self._scene.later((30, 150, 350, 500), partial(self._resume, process, led, patience))

    def _resume(self, process: Process, led: list[int], patience: int) -> None:
        """Let a process go on: once others took what it led, or when that takes too long."""
        if not (process.alive and process.paused):
            return
        taken = any(self._scene.cluster.leader(group) not in (0, process.number) for group in led)
        if led and not taken and patience:
            self._scene.cluster.agenda.after(20 * MS, partial(self._resume, process, led, patience - 1))
            return
        self._scene.look(process.number)  # what came last while it stood still
        self._scene.cluster.agenda.after(
            self._scene.rng.choice((1, 5, 30)) * MS, partial(self._go_on, process)
        )

    def _go_on(self, process: Process) -> None:
        if process.alive and process.paused:
            self._scene.cluster.tell(process.number, "goes on")
            process.resume()

    # ---- clocks ----

    def clock_step(self) -> None:
        """A wall clock is set, rightly or wrongly."""
        number, rng = self._scene.anyone(), self._scene.rng
        offset_ms = rng.choice((0.0, rng.uniform(-1000, 1000), HOUR_MS, -HOUR_MS))
        self._scene.cluster.tell(number, f"its wall clock is off by {offset_ms:.0f} ms now")
        self._scene.cluster.machines[number].clock.offset_ms = offset_ms

    def drift(self) -> None:
        """A monotonic clock runs at another rate."""
        self._scene.cluster.machines[self._scene.anyone()].clock.drift(self._scene.rng.uniform(0.98, 1.02))

    # ---- disks ----

    def disk_full(self) -> None:
        """A disk has no room left for a while."""
        number = self._scene.victim()
        files = self._scene.cluster.machines[number].files
        self._scene.cluster.tell(number, "its disk is full")
        files.capacity = files.used + self._scene.rng.randrange(FULL_BYTES)

        def end() -> None:
            self._scene.cluster.tell(number, "its disk has room again")
            files.capacity = BOUNDLESS

        self._scene.later((100, 500, 1500), end)

    def failed_sync(self) -> None:
        """A sync fails: the node must stop, and must not trust its page cache when it starts again."""
        self._scene.cluster.machines[self._scene.victim()].files.sync_fails_in = self._scene.rng.randint(1, 6)

    def rot(self, tries: int = TRIES) -> None:
        """One bit of a disk becomes another, in the middle of the log or in a snapshot."""
        number, rng = self._scene.victim(), self._scene.rng
        machine = self._scene.cluster.machines[number]
        logs = [
            path for path in machine.files.paths() if path.startswith(f"{LOG}/") and path.endswith(".log")
        ]
        paths = logs[:-2] + [path for path in machine.files.paths() if path.startswith(f"{SNAPSHOTS}/")]
        if not paths or not self._administration.suspect(number):
            self._try_again(self.rot, tries)
            return
        path = rng.choice(paths)
        offset = rng.randrange(machine.files.size_of(path))
        if machine.files.is_rest(path, offset):
            self._scene.cluster.tell(number, f"a bit of {path} at {offset} becomes another")
            machine.rotten = True
            machine.files.flip(path, offset, rng.randrange(8))

    def lose_disk(self, tries: int = TRIES) -> None:
        """A disk is lost with all that is on it."""
        number = self._scene.victim()
        if self._administration.suspect(number):
            self._administration.condemn(number)
        else:
            self._try_again(self.lose_disk, tries)

    def _try_again(self, kind: Callable[[int], None], tries: int) -> None:
        """The cluster could not do without a disk just now: perhaps in a moment."""
        if tries and self._scene.active:
            self._scene.later((10, 50, 200), partial(kind, tries - 1))

    def slow_disk(self) -> None:
        """Syncs take long for a while."""
        number = self._scene.victim()
        machine = self._scene.cluster.machines[number]
        self._scene.cluster.tell(number, "its disk is slow")
        machine.disk_us = self._scene.rng.choice(((5 * MS, 20 * MS), (50 * MS, 300 * MS)))

        def end() -> None:
            machine.disk_us = (50, 1000)

        self._scene.later((200, 1000), end)
