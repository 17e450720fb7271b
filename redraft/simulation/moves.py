"""Slots that move in a run, and faults aimed at whoever moves them.

Moves begin and are given up at random times, several at once, between any groups.  Each time a mover comes
to another step a fault may strike just there: at who leads the source, the target or the topology group, or
between them, and once more at who comes next.  `happened` says how often each step was hit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from redraft.accel.scan import key_slot
from redraft.control.slotmoves import CancelMove, GroupRecord, MoveRecord, MoveSlots, slots_of
from redraft.control.topology import TOPOLOGY_GROUP
from redraft.node.mover import Phase
from redraft.simulation.administration import Administration
from redraft.simulation.machine import Process
from redraft.simulation.scene import Scene
from redraft.simulation.trouble_machines import MachineTrouble
from redraft.topology.slots import ranges_of

FUSE_EFFECTS_MAX = 6
"""A process that is hit dies at one of so many next effects."""


class Moves:
    """The moves of one run."""

    def __init__(
        self,
        scene: Scene,
        administration: Administration,
        machines: MachineTrouble,
        rng: random.Random,
        keys: list[bytes],
        write: Callable[[int, int], None],
    ) -> None:
        """`keys` are those that clients use: their slots move more often than others.

        `write` lets clients write them at one node, and read at another what they have written.
        """
        self.happened: dict[str, int] = {}
        self._scene = scene
        self._administration = administration
        self._machines = machines
        self._rng = rng
        self._write = write
        self._busy_slots = sorted({key_slot(key) for key in keys})
        self._phases: dict[tuple[int, int], str] = {}
        """By machine and move: the step at the last look."""
        self._held: dict[int, tuple[int, list[tuple[int, int]]]] = {}
        """By move: whose last words are held up on their way to the target, and on which ways."""
        self._mean_us = rng.choice((30_000, 100_000, 400_000))
        self._aim = rng.choice((0.0, 0.2, 0.5))
        self._next()

    # ---- moves ----

    def _next(self) -> None:
        self._scene.cluster.agenda.after(int(self._rng.expovariate(1 / self._mean_us)) + 1, self._strike)

    def _strike(self) -> None:
        if not self._scene.active:
            return
        topology = self._administration.topology()
        if topology is not None:
            if topology.moves and self._rng.random() < 0.2:
                self._count("cancel_move")
                self._administration.wish(CancelMove(self._rng.choice(topology.moves).move_id))
            else:
                self._begin(topology.groups)
        self._next()

    def _begin(self, groups: tuple[GroupRecord, ...]) -> None:
        rng = self._rng
        owners = [group for group in groups if group.slots]
        source = rng.choice(owners)
        target = rng.choice([group for group in groups if group is not source])
        owned = sorted(slots_of(source.slots))
        busy = [slot for slot in self._busy_slots if slot in owned]
        kind = rng.random()
        if busy and kind < 0.4:
            chosen = rng.sample(busy, rng.randint(1, len(busy)))
        elif kind < 0.6:
            chosen = owned
        else:
            first = rng.randrange(len(owned))
            chosen = owned[first : first + rng.randint(1, len(owned))]
        self._count("move_slots")
        slots = tuple(ranges_of(chosen))
        self._administration.wish(MoveSlots(slots, source.group_id, target.group_id))

    def _count(self, what: str) -> None:
        self.happened[what] = self.happened.get(what, 0) + 1

    # ---- faults at their steps ----

    def turned(self, process: Process) -> None:
        """A process had a turn: look how far its movers are."""
        moving = process.node.steering.moving
        if not self._scene.active or moving.idle:
            return
        for told in moving.status():
            place = (process.number, told["id"])
            if self._phases.get(place) != told["phase"]:
                self._phases[place] = told["phase"]
                if told["id"] in self._held:
                    self._go_on(process, told["id"], told["phase"])
                elif self._rng.random() < self._aim:
                    self._hit(process, told["id"], told["phase"])

    def ticked(self, process: Process) -> None:
        """A process had a tick, and has sent nothing yet: who leads may be deposed before its FREEZE goes."""
        moving, node = process.node.steering.moving, process.node
        if not self._scene.active or moving.idle:
            return
        for move in node.steering.roster.topology.moves:
            lane = node.lanes.get(move.source)
            if lane is None or move.move_id in self._held:
                continue
            if any(b"FREEZE" in each.data for each in lane.origin.pending) and self._rng.random() < self._aim:
                self._freeze_for_the_next(process, move)

    def _hit(self, process: Process, move_id: int, phase: str) -> None:
        move = process.node.steering.roster.topology.move(move_id)
        if move is None:
            return
        kinds: list[Callable[[Process, MoveRecord], object]] = [
            self._source_dies,
            self._target_dies,
            self._both_die,
            self._topology_dies,
            self._parted,
            self._source_stands_still,
            self._source_hands_over,
        ]
        if phase in (Phase.COPY.value, Phase.CATCH_UP.value, Phase.FROZEN.value):
            kinds.append(self._given_up)
        if phase == Phase.CATCH_UP.value:
            kinds += [self._last_words_late] * 4
        kind = self._rng.choice(kinds)
        self._count(f"{kind.__name__.strip('_')}_{phase.replace(' ', '_')}")
        kind(process, move)
        if self._rng.random() < 0.3:
            follower = self._rng.choice((self._source_dies, self._target_dies, self._both_die))
            self._scene.later((50, 200, 400), partial(self._again, follower, move))

    def _again(self, kind: Callable[[Process, MoveRecord], object], move: MoveRecord) -> None:
        """Somebody else goes on with the move by now: that one is hit, too."""
        leader = self._leader(move.source)
        if leader is not None and self._scene.active:
            self._count("second_hit")
            kind(leader, move)

    def _source_dies(self, process: Process, _move: MoveRecord) -> None:
        self._kill(process)

    def _target_dies(self, _process: Process, move: MoveRecord) -> None:
        self._kill(self._leader(move.target))

    def _both_die(self, process: Process, move: MoveRecord) -> None:
        self._kill(process)
        self._kill(self._leader(move.target))

    def _topology_dies(self, _process: Process, _move: MoveRecord) -> None:
        self._kill(self._leader(TOPOLOGY_GROUP))

    def _parted(self, process: Process, move: MoveRecord) -> None:
        """Nothing passes between the leaders of the two groups, in one direction or in both."""
        target = self._leader(move.target)
        if target is not None and target is not process:
            pairs = [(process.number, target.number), (target.number, process.number)]
            self._scene.block_for(self._rng.sample(pairs, self._rng.randint(1, 2)), (100, 400, 900))

    def _source_stands_still(self, process: Process, _move: MoveRecord) -> None:
        process.ask(partial(self._stop, process))

    def _stop(self, process: Process) -> None:
        if self._scene.active and process.alive and not process.paused:
            self._machines.stop(process)

    def _source_hands_over(self, process: Process, move: MoveRecord, spared: int = 0) -> int:
        """To any voter but the one that is spared; returns to whom, 0: there is none."""
        replica = process.node.replicas.get(move.source)
        if replica is not None and replica.proposes:
            apart = (process.number, spared)
            others = [each for each in replica.raft.configuration.voters if each not in apart]
            if others:
                heir = self._rng.choice(others)
                process.node.transfer(replica.group, heir)
                return heir
        return 0

    def _given_up(self, _process: Process, move: MoveRecord) -> None:
        self._administration.wish(CancelMove(move.move_id))

    def _last_words_late(self, process: Process, move: MoveRecord) -> None:
        """What the source's leader says to the target from now on arrives when the next leader is copying."""
        target = self._leader(move.target)
        if target is not None and target is not process:
            pairs = [(process.number, target.number)]
            self._scene.cluster.network.block(pairs)
            self._held[move.move_id] = (process.number, pairs)
            self._scene.later((2000,), partial(self._let_go, move.move_id))

    def _freeze_for_the_next(self, process: Process, move: MoveRecord) -> None:
        """The log of the next leader takes it in, behind what clients write there meanwhile."""
        heir = self._source_hands_over(process, move)
        if heir:
            self._count("freeze_for_the_next")
            self._write(heir, process.number)

    def _go_on(self, process: Process, move_id: int, phase: str) -> None:
        number, pairs = self._held[move_id]
        if process.number == number:
            move = process.node.steering.roster.topology.move(move_id)
            if phase == Phase.FROZEN.value and move is not None:
                self._source_hands_over(process, move, spared=pairs[0][1])
        elif phase in (Phase.COPY.value, Phase.CATCH_UP.value) or (
            phase == Phase.CLAIM.value and self._rng.random() < 0.2
        ):
            self._count(f"last_words_heard_{phase.replace(' ', '_')}")
            self._let_go(move_id)

    def _let_go(self, move_id: int) -> None:
        if move_id in self._held:
            self._scene.cluster.network.unblock(self._held.pop(move_id)[1])

    def _kill(self, process: Process | None) -> None:
        if process is None or not process.alive or process.fuse:
            return
        self._scene.cluster.spot = process.number
        process.fuse_power = self._rng.random() < 0.5
        process.fuse = self._rng.randint(1, FUSE_EFFECTS_MAX)

    def _leader(self, group: int) -> Process | None:
        number = self._scene.cluster.leader(group)
        return self._scene.cluster.machines[number].process if number else None
