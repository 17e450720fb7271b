"""Where things go wrong in a run: around whom, and for how long; what all kinds of trouble need to say.

Troubles come in company: for a while several may strike around one machine, as they do in the world.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from redraft.simulation.agenda import MS
from redraft.simulation.cluster import Cluster

COMPANY = 0.2
"""How often a trouble brings others with it."""


class Scene:
    """A cluster, chance, and the machine that is in trouble now."""

    def __init__(
        self,
        cluster: Cluster,
        rng: random.Random,
        probe: Callable[[int], None],
        rest: Callable[[int], None],
    ) -> None:
        """`probe` lets somebody ask a node for all it serves: who is in trouble must not answer wrongly.

        `rest` lets nobody write for so many milliseconds.
        """
        self.cluster = cluster
        self.rest = rest
        self.rng = rng
        self.active = True
        """Until healing begins."""
        self._probe = probe
        self._focus = 0
        self._left = 0

    def advance(self) -> bool:
        """The next trouble is about to strike; whether it is one of several around one machine."""
        if self._left:
            self._left -= 1
        elif self.rng.random() < COMPANY:
            self._focus, self._left = self.victim(), self.rng.randint(1, 4)
        return self._left > 0

    # ---- who ----

    def anyone(self) -> int:
        """Any machine that is not lost."""
        return self.rng.choice([machine.number for machine in self.cluster.standing])

    def victim(self) -> int:
        """Who is in trouble already, or any machine; every other time one whose node leads."""
        cluster, rng = self.cluster, self.rng
        if self._left and rng.random() < 0.7:
            cluster.spot = self._focus
        else:
            leader = cluster.leader(rng.choice(cluster.map.groups).group_id)
            cluster.spot = leader if leader and rng.random() < 0.5 else self.anyone()
        return cluster.spot

    def look(self, number: int) -> None:
        """Let somebody ask a node for all it serves."""
        if self.active and number:
            self._probe(number)

    # ---- when ----

    def later(self, choices_ms: Sequence[int], act: Callable[[], None]) -> None:
        """Let something happen after one of these times, or up to a millisecond more."""
        self.cluster.agenda.after(self.rng.choice(choices_ms) * MS + self.rng.randrange(MS), act)

    def block_for(self, pairs: list[tuple[int, int]], choices_ms: Sequence[int]) -> None:
        """Let nothing through in these directions for a while, and then all that was held."""
        if self.active:
            self.cluster.network.block(pairs)
            self.later(choices_ms, partial(self.cluster.network.unblock, pairs))
