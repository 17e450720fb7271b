"""What happens in a world: clients that write and read, bad weather, and moments placed with malice.

Owns no rules of Raft: `world` carries it out, `checks` judges.
"""

from __future__ import annotations

from dataclasses import replace

from redraft.raft.core import Role
from redraft.raft.types import EntryKind
from tests.raft.snapshots import Snapshots
from tests.raft.world import DRIFT, FAIR, GROUP, TIMEOUT_MS, Node, Read

CHURN = replace(FAIR, change=0.2, retire=0.5, snapshot=0.05)


class History(Snapshots):
    """A world with clients and trouble."""

    # ---- trouble ----

    def trouble(self, node: Node) -> None:
        """What the weather does to a node in 20 ms."""
        rng, weather = self.rng, self.weather
        if rng.random() < weather.crash:
            self.crash(node.number)
        elif rng.random() < weather.pause:
            node.paused_until = self.now + rng.choice([50.0, 700.0, 3000.0])
        elif rng.random() < weather.cut:
            self.cut(node.number, rng.choice(self.others(node.number)), rng.choice([10.0, 500.0, 3000.0]))
        elif rng.random() < weather.isolate:
            self.isolate(node.number)
        elif rng.random() < weather.stall:
            other = rng.choice(self.others(node.number))
            self.stall(node.number, other, rng.choice([100.0, 700.0, 1500.0]))
        elif rng.random() < weather.transfer and self.heirs(node):
            node.raft.transfer(rng.choice(self.heirs(node)), self.clock(node.number))
            self.carry_out(node)
            if rng.random() < weather.transfer * 20:
                self.at(rng.expovariate(1.0), 0, lambda: self.isolate(node.number))
        elif rng.random() < weather.change:
            self.change(node)

    def heirs(self, node: Node) -> list[int]:
        """To whom a leader may hand over."""
        raft = node.raft
        if raft.role is not Role.LEADER:
            return []
        return [voter for voter in raft.configuration.voters if voter != node.number]

    def change(self, node: Node) -> None:
        """A leader changes the group to whatever comes to mind; newcomers begin as learners."""
        raft, rng = node.raft, self.rng
        if not raft.may_change:
            return
        configuration = raft.configuration
        known = set(configuration.nodes)
        ready = [
            learner
            for learner in configuration.learners
            if raft.may_promote(learner) and raft.progress[learner].match_index + 10 >= raft.last_index
        ]
        voters = [each for each in (*configuration.voters, *ready) if rng.random() < 0.7]
        if not voters or rng.random() < 0.3:
            voters = list(configuration.voters)
        others = [number for number in self.numbers if number not in voters]
        learners = [each for each in others if rng.random() < (0.7 if each in known else 0.3)]
        raft.change(voters, learners)
        self.carry_out(node)

    def isolate(self, number: int) -> None:
        """Cut a node off from all others, or let it hear while nobody hears it, and the other way round."""
        rng = self.rng
        ms = rng.choice([300.0, 800.0, 2000.0])
        deaf, dumb, apart = (rng.random() < 0.5 for _ in range(3))
        for other in self.others(number):
            if apart:
                self.cut(number, other, ms)
            if deaf:
                self.stall(other, number, ms)
            if dumb:
                self.stall(number, other, ms)

    # ---- clients ----

    def propose(self) -> None:
        """A client writes at whoever believes to lead."""
        for node in self.leaders():
            if not node.raft.transferring_to:
                for _ in range(self.rng.randint(1, 5)):
                    self.proposed += 1
                    data = b"%d" % self.proposed * self.rng.randint(1, 20)
                    node.raft.propose(EntryKind.PARTS, data)
                self.carry_out(node)

    def read(self) -> None:
        """A client reads at whoever believes to lead: by a lease at once, or by a round (thesis §6.4)."""
        for node in self.leaders():
            raft = node.raft
            if not raft.committed_in_term:
                continue
            if self.lease and self.lease_holds(node):
                self.checks.read(raft.commit_index, self.checks.commit_index)
                self.reads_done += 1
            now = self.clock(node.number)
            number = node.liveness.open_round(now, now, 0)
            node.reads.append(Read(number, raft.term, raft.commit_index, self.checks.commit_index))
            self.carry_out(node)

    def lease_holds(self, node: Node) -> bool:
        if node.raft.transferred_in_term:
            return False
        contact = node.liveness.quorum_contact(GROUP, node.raft.configuration)
        return self.clock(node.number) < contact + TIMEOUT_MS * (1 - DRIFT)

    def confirm_reads(self, node: Node) -> None:
        raft = node.raft
        confirmed = node.liveness.confirmed_round(GROUP, raft.configuration)
        waiting: list[Read] = []
        for read in node.reads:
            if raft.role is not Role.LEADER or raft.term != read.term:
                continue
            if read.round <= confirmed:
                self.checks.read(read.index, read.floor)
                self.reads_done += 1
            else:
                waiting.append(read)
        node.reads = waiting

    # ---- a whole life ----

    def live(self, ms: float) -> None:
        """Bad weather with clients, then a fair end in which everything has to come right."""
        end = self.now + ms
        while self.now < end:
            self.run(self.rng.expovariate(1 / 10.0))
            if self.rng.random() < 0.3:
                self.propose()
            self.read()

    def drill(self) -> None:
        """A leader in calm weather, then one bad moment, as close to a lease as chance can place it."""
        rng = self.rng
        self.fair(1500.0, every_ms=50.0)
        for way in self.latency_ms:
            self.latency_ms[way] = rng.choice([1.0, 1.0, 1.0, 100.0, 300.0])
        self.fair(rng.uniform(0, 300), every_ms=10.0, connect=False)
        leaders = self.leaders()
        if not leaders:
            return
        leader = leaders[0]
        other = rng.choice(self.others(leader.number))
        if rng.random() < 0.5:  # one follower is out already, and tries to get elected
            out = rng.choice(self.others(leader.number))
            self.cut(leader.number, out, 3000.0)
            self.fair(rng.uniform(0, 1500), every_ms=10.0, connect=False)
        for number, to in list(self.latency_ms):
            odds = 0.6 if leader.number in (number, to) else 0.1
            if rng.random() < odds:
                self.stall(number, to, rng.choice([300.0, 700.0, 1500.0]))
        match rng.randrange(6):
            case 0 if other in self.nodes:
                self.crash(other)
            case 1 if other in self.heirs(leader):
                leader.raft.transfer(other, self.clock(leader.number))
                self.carry_out(leader)
            case 2:
                leader.paused_until = self.now + rng.uniform(100, 900)
            case 3:
                self.cut(leader.number, other, rng.choice([10.0, 1000.0]))
            case 4:
                for each in self.others(leader.number):
                    self.cut(leader.number, each, rng.choice([10.0, 1000.0]))
        self.fair(1500.0, every_ms=3.0, connect=False)
        self.arrivals.clear()

    def exile(self) -> None:
        """One member is cut off; the others change and empty each other; then it wakes among a few of them.

        It knows only the group of its days, and must not be elected by what is left of that.
        """
        rng = self.rng
        self.fair(1000.0, every_ms=50.0)
        sleeper = rng.choice(self.checks.configuration.voters)
        others = self.others(sleeper)
        for other in others:
            self.disconnect(sleeper, other)
        self.weather = CHURN
        self.live(rng.uniform(1000, 6000))
        self.weather = FAIR
        company = rng.sample(others, rng.randint(1, len(others)))
        for other in others:
            for third in others:
                if other not in company or third not in company:
                    self.disconnect(other, third)
        for other in company:
            self.connect(sleeper, other)
        self.fair(3000.0, every_ms=20.0, connect=False)

    def fair(self, ms: float, *, every_ms: float, connect: bool = True) -> None:
        """No further trouble for a while, with clients at every node that believes to lead."""
        self.weather = FAIR
        if connect:
            self.latency_ms = dict.fromkeys(self.latency_ms, 1.0)
        end = self.now + ms
        while self.now < end:
            self.run(every_ms)
            for a in self.numbers:
                for b in range(1, a):
                    if connect:
                        self.connect(a, b)
            if self.rng.random() < every_ms / 30:
                self.propose()
            self.read()

    def clear_up(self) -> None:
        """The weather turns fair: all nodes come up, all links stand, and clients write now and then."""
        self.fair(8000.0, every_ms=100.0)
        self.run(500.0)
