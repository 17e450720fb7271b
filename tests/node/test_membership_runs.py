"""Random runs of clusters whose members and placements change while nodes crash and links break."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from redraft.control.topology import Place, Remove, Topology
from redraft.node.steering import Change
from tests.node.bottle import Asked, Cluster

STEPS = 60
NODES_MAX = 6
KEYS = 3
QUIET_MS = 60_000


@dataclass
class Run:
    """One run: a cluster, clients that count, and what was done to it."""

    seed: int
    asked: dict[int, list[Asked]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.cluster = Cluster(size=3, groups=2, seed=self.seed)
        self.cluster.elect()
        for _ in range(self.rng.randint(0, 2)):
            self.cluster.join(1)

    @property
    def topology(self) -> Topology:
        """The newest that a living node knows."""
        known = [node.steering.roster.topology for node in self.cluster.nodes.values()]
        return max(known, key=lambda each: each.epoch)

    def step(self) -> None:
        """Do something, and let a little time pass."""
        rng = self.rng
        act = rng.choice((self.count, self.count, self.count, self.move, self.remove, self.crash, self.link))
        act()
        self.cluster.run(rng.choice((20, 100, 500, 2000)))
        self.bury()

    def count(self) -> None:
        node = self.rng.choice(sorted(self.cluster.nodes))
        key = self.rng.randrange(KEYS)
        group = 1 + key % 2
        request = self.cluster.ask(node, [b"INCR", b"n%d" % key], write=True, group=group)
        self.asked.setdefault(key, []).append(request)

    def move(self) -> None:
        members = [node.node_id for node in self.topology.nodes if not node.leaving]
        voters = self.rng.sample(members, self.rng.randint(1, min(4, len(members))))
        self.put(Place(self.rng.randint(1, 2), tuple(voters), replacing=True))

    def remove(self) -> None:
        members = [node.node_id for node in self.topology.nodes if not node.leaving]
        if len(members) > 3:
            self.put(Remove(self.rng.choice(members)))
        elif max(self.cluster.disks) < NODES_MAX and len(self.cluster.nodes) >= 3:
            self.mend()  # or nobody could decide
            at = self.rng.choice([number for number in self.cluster.nodes if number in members])
            self.cluster.join(at)

    def put(self, command: Place | Remove) -> None:
        at = self.rng.choice(sorted(self.cluster.nodes))
        if self.cluster.nodes[at].objection(command) is None:
            self.cluster.nodes[at].submit(Change(command, lambda _reply: None))

    def crash(self) -> None:
        down = sorted(self.cluster.disks.keys() - self.cluster.nodes.keys() - self.gone)
        if down:
            self.cluster.start(down[0])
        elif len(self.cluster.nodes) > 2:
            self.cluster.crash(self.rng.choice(sorted(self.cluster.nodes)))

    def link(self) -> None:
        one, other = self.rng.sample(sorted(self.cluster.nodes), 2)
        if self.rng.random() < 0.5:
            self.cluster.partition(one, other)
        else:
            self.cluster.heal()

    def bury(self) -> None:
        """Nodes that were removed hear so from those they would link with, and stop."""
        for number, node in list(self.cluster.nodes.items()):
            if node.steering.removed or self.topology.was_removed(number):
                self.cluster.crash(number)
                self.gone.add(number)

    def mend(self) -> None:
        """Links are made again and nodes started, but for those that were removed."""
        self.cluster.heal()
        for number in sorted(self.cluster.disks.keys() - self.cluster.nodes.keys() - self.gone):
            if not self.topology.was_removed(number):
                self.cluster.start(number)

    def quiet(self) -> None:
        """Let everything heal, and see that the cluster gets where it should be."""
        self.mend()
        assert self.cluster.run(QUIET_MS, until=self.arrived), self.state()

    def arrived(self) -> bool:
        """Whether all that was asked for is so, everywhere."""
        self.bury()
        topology, nodes = self.topology, self.cluster.nodes
        if nodes.keys() != {node.node_id for node in topology.nodes}:
            return False
        if any(node.steering.roster.topology != topology for node in nodes.values()):
            return False
        for group in topology.groups:
            hosts = {number for number, node in nodes.items() if group.group_id in node.replicas}
            replicas = [nodes[number].replicas[group.group_id] for number in hosts]
            if group.moving or hosts != set(group.voters):
                return False
            if any(set(replica.raft.configuration.voters) != hosts for replica in replicas):
                return False
            if len({replica.applier.applied_index for replica in replicas}) > 1:
                return False
        return all(node.ready for node in nodes.values())

    def state(self) -> str:
        lines = [f"{self.topology}", f"living {sorted(self.cluster.nodes)}, gone {self.gone}"]
        for number, node in sorted(self.cluster.nodes.items()):
            for group, replica in sorted(node.replicas.items()):
                raft = replica.raft
                lines.append(
                    f"n{number} g{group} {raft.role.name} term {raft.term} leader {raft.leader_id} "
                    f"{tuple(raft.configuration)} {raft.log.first_index}..{raft.last_index} "
                    f"commit {raft.commit_index}"
                )
        return "\n".join(lines)


@pytest.mark.parametrize("seed", range(16))
def test_members_and_placements_change_through_crashes(seed: int) -> None:
    """Every group ends where it was placed, all know the same, no acknowledged write is lost or doubled."""
    print(f"seed {seed}")
    run = Run(seed)
    for _ in range(STEPS):
        run.step()
    run.quiet()
    reader = min(run.cluster.nodes)
    for key, requests in run.asked.items():
        answers = [request.replies[0] for request in requests if request.replies is not None]
        numbers = [int(answer[1:-2]) for answer in answers if answer.startswith(b":")]
        assert len(set(numbers)) == len(numbers), "two clients were told the same count"
        reply = run.cluster.call(reader, [b"GET", b"n%d" % key], write=False, group=1 + key % 2)[0]
        value = (
            0 if reply == b"$-1\r\n" else int(reply.split(b"\r\n")[1] if reply[:1] == b"$" else reply[1:-2])
        )
        assert max(numbers, default=0) <= value <= len(requests)
        told_not = sum(answer.startswith((b"-CLUSTERDOWN", b"-TRYAGAIN")) for answer in answers)
        assert len(numbers) <= value <= len(requests) - told_not
