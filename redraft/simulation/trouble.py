"""What goes wrong, and when: each run draws which troubles it knows and how often they come.

Every kind is a method named for it; it happens at one moment and sees to its own end.  `heal` ends all of
them.  Runs do not all know the same kinds: what hides behind one trouble shows where it is missing (swarm
testing, Groce et al., 2012).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from redraft.simulation.administration import Administration
from redraft.simulation.agenda import MS
from redraft.simulation.cluster import Cluster
from redraft.simulation.disk import BOUNDLESS
from redraft.simulation.machine import Process
from redraft.simulation.moves import Moves
from redraft.simulation.network import Weather
from redraft.simulation.scene import Scene
from redraft.simulation.trouble_machines import MachineTrouble
from redraft.simulation.trouble_network import NetworkTrouble

COMPANY_US = 15 * MS
"""The mean time between troubles that come in company."""


class Trouble:
    """The troubles of one run."""

    def __init__(
        self,
        cluster: Cluster,
        administration: Administration,
        rng: random.Random,
        probe: Callable[[int], None],
        rest: Callable[[int], None],
        moves: Callable[[Scene, MachineTrouble], Moves | None],
    ) -> None:
        """`probe` and `rest` are the clients' (`Scene`); `moves` makes slots move, if they do."""
        self.happened: dict[str, int] = {}
        """How often each kind did."""
        self._scene = scene = Scene(cluster, rng, probe, rest)
        self._mean_us = rng.choice((40, 120, 400, 1500)) * MS
        self._machines = machines = MachineTrouble(scene, administration)
        network = NetworkTrouble(scene)
        often: list[Callable[[], None]] = [
            machines.crash,
            machines.pause,
            machines.clock_step,
            machines.drift,
            machines.disk_full,
            machines.failed_sync,
            machines.slow_disk,
            network.partition,
            network.one_way,
            network.creeping_partition,
            network.flap,
            network.stall,
            network.transfer,
            network.boomerang,
            network.corner,
        ]
        seldom = [
            machines.rot,
            machines.lose_disk,
            administration.join,
            administration.remove,
            administration.move,
            administration.create,
            administration.drop,
        ]
        self._kinds = rng.sample(often, rng.choice((1, 3, 6, len(often))))
        self._weights = [rng.choice((4, 8, 20)) for _kind in self._kinds]
        if rng.random() < 0.5:
            self._kinds += seldom
            self._weights += [rng.choice((1, 2, 4)) for _kind in seldom]
        machines.starts_fail = machines.crash in self._kinds
        self._next(in_company=False)
        self._moves = moves(scene, machines)
        if self._moves is not None:
            cluster.on_tick, cluster.on_turn = self._moves.ticked, self._moves.turned

    def _next(self, *, in_company: bool) -> None:
        mean_us = COMPANY_US if in_company else self._mean_us
        delay_us = int(self._scene.rng.expovariate(1.0 / mean_us)) + 1
        self._scene.cluster.agenda.after(delay_us, self._strike)

    def _strike(self) -> None:
        """Let one thing happen, and let somebody ask the node to which it does."""
        scene = self._scene
        if not scene.active:
            return
        in_company = scene.advance()
        kind = scene.rng.choices(self._kinds, self._weights)[0]
        self.happened[kind.__name__] = self.happened.get(kind.__name__, 0) + 1
        kind()
        for _ in range(scene.rng.choice((0, 0, 1, 3))):
            scene.later((0, 20, 100, 250, 400), partial(scene.look, scene.cluster.spot))
        self._next(in_company=in_company)

    @property
    def everything(self) -> dict[str, int]:
        """How often what happened."""
        return self.happened if self._moves is None else {**self.happened, **self._moves.happened}

    def restart_later(self, process: Process) -> None:
        """A node died: it is started again, or its machine given up if its disk is found damaged."""
        self._machines.restart_later(process)

    def heal(self) -> None:
        """End all troubles and bring everybody up."""
        self._scene.active = False
        cluster = self._scene.cluster
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
                self._machines.start(number)
