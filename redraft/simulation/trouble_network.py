"""What goes wrong between machines: partitions of all shapes, broken links, leaders that are cornered."""

from __future__ import annotations

from functools import partial

from redraft.simulation.agenda import MS
from redraft.simulation.machine import Process
from redraft.simulation.network import Weather
from redraft.simulation.scene import Scene


class NetworkTrouble:
    """Each kind is a method; it sees to its own end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._set_weather()

    def _set_weather(self) -> None:
        rng = self._scene.rng
        faithful = rng.random() < 0.4
        self._scene.cluster.network.weather = Weather(
            latency_us=rng.choice(((50, 200), (100, 1000), (500, 5000), (2000, 20_000))),
            slow=rng.choice((0.0, 0.01, 0.05)),
            lost=0.0 if faithful else rng.choice((0.0, 0.01, 0.1)),
            twice=0.0 if faithful else rng.choice((0.0, 0.02, 0.2)),
            overtaken=0.0 if faithful else rng.choice((0.0, 0.02, 0.2)),
        )

    # ---- partitions ----

    def partition(self) -> None:
        """One machine, or several, can't talk to the others; links may break of it, now or never."""
        cluster, rng = self._scene.cluster, self._scene.rng
        numbers = sorted(cluster.machines)
        if rng.random() < 0.5:
            side = {self._scene.victim()}
        else:
            side = set(rng.sample(numbers, rng.randint(1, max(1, len(numbers) // 2))))
        across = [(one, other) for one in numbers for other in numbers if (one in side) != (other in side)]
        self._block(across, f"partition: {sorted(side)} against the rest")

    def one_way(self) -> None:
        """Nothing gets from one machine to another, or to any other; the other direction works."""
        victim = self._scene.victim()
        others = [number for number in sorted(self._scene.cluster.machines) if number != victim]
        if others and self._scene.rng.random() < 0.5:
            others = [self._scene.rng.choice(others)]
        pairs = [(victim, other) for other in others]
        if self._scene.rng.random() < 0.5:
            pairs = [(other, one) for one, other in pairs]
        self._block(pairs, f"one-way partition: nothing gets through {pairs}")

    def _block(self, pairs: list[tuple[int, int]], what: str) -> None:
        cluster, rng = self._scene.cluster, self._scene.rng
        cluster.tell(0, what)
        cluster.network.block(pairs)
        if rng.random() < 0.6:
            for one, other in sorted({(min(pair), max(pair)) for pair in pairs}):
                if rng.random() < 0.7:
                    cluster.break_link(one, other)

        def end() -> None:
            cluster.tell(0, "partition ends")
            cluster.network.unblock(pairs)

        self._scene.later((100, 400, 900, 2000), end)

    def creeping_partition(self) -> None:
        """A machine loses one of its ways after another, in this direction or in that or in both."""
        victim, rng = self._scene.victim(), self._scene.rng
        self._scene.cluster.tell(victim, "loses one of its ways after another")
        for wait_ms in (0, rng.randint(20, 450)):
            pairs = [
                pair
                for other in sorted(self._scene.cluster.machines)
                if other != victim
                for pair in ((victim, other), (other, victim))
                if rng.random() < 0.5
            ]
            self._scene.later((wait_ms,), partial(self._scene.block_for, pairs, (100, 300, 600)))

    def flap(self) -> None:
        """A link breaks."""
        one, other = self._scene.victim(), self._scene.anyone()
        if one != other:
            self._scene.cluster.break_link(one, other)

    def stall(self) -> None:
        """One direction between two nodes is slow: nothing arrives for a while, and then all."""
        one, other = self._scene.victim(), self._scene.anyone()
        if one == other or (one, other) in self._scene.cluster.network.blocked:
            return
        self._scene.block_for([(one, other)], (20, 100, 300, 700))

    # ---- leaders ----

    def transfer(self) -> None:
        """A leader hands a group to another voter, as balancing does; it may be back soon."""
        rng = self._scene.rng
        led = self._led()
        if led is None:
            return
        group, process, others = led
        target = rng.choice(others)
        self._hand_over(process, group, target)
        if rng.random() < 0.3:
            self._scene.later((2, 20, 100), self.transfer)
        if rng.random() < 0.5:  # it is cut off as it hands over, which may be why it does
            cut = partial(self._cut_off, process.number, target)
            self._scene.cluster.agenda.after(rng.choice((1, rng.randrange(200, 4 * MS))), cut)

    def _cut_off(self, victim: int, other: int) -> None:
        cluster = self._scene.cluster
        into = [(number, victim) for number in sorted(cluster.machines) if number != victim]
        self._scene.block_for(into, (50, 200))
        cluster.break_link(victim, other, 2 * MS)

    def boomerang(self) -> None:
        """What a node sends to a leader arrives when another one has led and that one leads again."""
        led = self._led()
        if led is None:
            return
        group, process, others = led
        rng, leader = self._scene.rng, process.number
        origins = [number for number in sorted(self._scene.cluster.machines) if number != leader]
        self._scene.block_for([(rng.choice(origins), leader)], (300, 700))
        heir = rng.choice(others)

        def back() -> None:
            current = self._scene.cluster.machines[heir].process
            if current is not None:
                self._hand_over(current, group, leader)

        self._scene.later((3, 20), partial(self._hand_over, process, group, heir))
        self._scene.later((60, 150, 250), back)

    def corner(self) -> None:
        """A leader loses one follower, who seeks to lead; as it does, the first one loses all others."""
        led = self._led()
        if led is None:
            return
        _group, process, others = led
        rng, cluster, leader = self._scene.rng, self._scene.cluster, process.number
        rival = rng.choice(others)
        cluster.tell(leader, f"is cornered: n{rival} does not hear it any more")
        if rng.random() < 0.7:
            self._scene.rest(700)
        self._scene.block_for([(leader, rival), (rival, leader)][: rng.randint(1, 2)], (600,))
        into = [(number, leader) for number in sorted(cluster.machines) if number != leader]
        after_ms = rng.randint(150, 420)
        self._scene.later((after_ms,), partial(self._scene.block_for, into, (150, 300)))
        witnesses = [number for number in others if number != rival]
        if witnesses and rng.random() < 0.5:  # who promised the leader not to vote forgets it
            self._scene.later(
                (max(after_ms - 20, 0), after_ms + 30), partial(self._bounce, rng.choice(witnesses))
            )

    def _bounce(self, number: int) -> None:
        if self._scene.active and self._scene.cluster.machines[number].process is not None:
            self._scene.cluster.kill(number, power=True)

    def _led(self) -> tuple[int, Process, list[int]] | None:
        """A group, the process that leads it, and its other voters; None if there is no such group."""
        cluster, rng = self._scene.cluster, self._scene.rng
        group = rng.choice(cluster.map.groups).group_id
        leader = cluster.leader(group)
        process = cluster.machines[leader].process if leader else None
        if process is None:
            return None
        cluster.spot = leader
        voters = process.node.replicas[group].raft.configuration.voters
        others = [voter for voter in voters if voter != leader]
        return (group, process, others) if others else None

    def _hand_over(self, process: Process, group: int, target: int) -> None:
        def hand_over() -> None:
            replica = process.node.replicas.get(group)
            if replica is None or not (replica.leads and replica.proposes):
                return
            if target in replica.raft.configuration.voters:
                process.node.transfer(replica.group, target)

        if process.alive and self._scene.active:
            process.ask(hand_over)
