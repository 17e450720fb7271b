"""`python -m tests.cluster.elastic grow|lose`: clusters that grow, shrink, and lose a node for good.

`grow` fills three nodes, starts clients and a bank at them, joins two more, and waits until the controller
has nothing left to do; then it drains and removes two.  `lose` kills one of five nodes and waits until
everything has its replicas again.  What clients see is kept and judged at the end: nothing lost, doubled or
read stale, no error at a living node; then every key is read back and the replicas are compared.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import redis

from tests.cluster.bank import Bank
from tests.cluster.harness import Cluster, Node, redraft_command
from tests.cluster.test_membership import done, status
from tests.cluster.workload import Workload

BATCH = 1000
VALUE_BYTES = 100
QUIET_S = 75.0
"""Without anything to do for so long it has come to rest: slots that came wait a minute before others go."""
LONGEST_S = 1800.0
LOOK_S = 2.0


def name(number: int) -> str:
    """A key of those that are only read back."""
    return f"kept:{number}"


def value(number: int) -> str:
    """What is stored there."""
    return f"{number}:".ljust(VALUE_BYTES, "x")


def fill(node: Node, keys: int) -> None:
    """Write the keys that are only read back."""
    with redis.Redis(port=node.port, decode_responses=True) as client:
        for low in range(0, keys, BATCH):
            pipe = client.pipeline(transaction=False)
            for number in range(low, min(keys, low + BATCH)):
                pipe.set(name(number), value(number))
            pipe.execute()


def differences(node: Node, keys: int) -> int:
    """How many of them are not there, or are another value."""
    wrong = 0
    with redis.Redis(port=node.port, decode_responses=True) as client:
        for low in range(0, keys, BATCH):
            numbers = range(low, min(keys, low + BATCH))
            pipe = client.pipeline(transaction=False)
            for number in numbers:
                pipe.get(name(number))
            wrong += sum(
                found != value(number) for found, number in zip(pipe.execute(), numbers, strict=True)
            )
    return wrong


def controller(cluster: Cluster) -> dict[str, Any] | None:
    """What the node says that decides; None while nobody does."""
    for node in cluster.nodes:
        if node.living:
            with cluster.client(node) as client:
                told: dict[str, Any] = json.loads(client.execute_command("REDRAFT", "CONTROLLER"))
            if told["decides"]:
                return told
    return None


class Watch:
    """Tells what the controller decides, once each, until it has come to rest."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._began = time.monotonic()
        self._told: set[tuple[float, str]] = set()
        self.kinds: Counter[str] = Counter()

    def rest(self, quiet_s: float = QUIET_S) -> float:
        """Wait until there has been nothing to do for `quiet_s`; returns seconds until the last change."""
        began = changed = time.monotonic()
        while time.monotonic() - changed < quiet_s:
            assert time.monotonic() - began < LONGEST_S, "the controller does not come to rest"
            if self._look():
                changed = time.monotonic()
            time.sleep(LOOK_S)
        return changed - began

    def _look(self) -> bool:
        """Whether something is to be done, is being done, or was decided since the last look."""
        told = controller(self._cluster)
        if told is None:
            return True
        fresh = [each for each in told["decisions"] if (each["wall_ms"], each["reason"]) not in self._told]
        for each in fresh:
            self._told.add((each["wall_ms"], each["reason"]))
            self.kinds[each["kind"]] += 1
            click.echo(f"{time.monotonic() - self._began:6.1f} s  {each['kind']}: {each['reason']}")
        living = next(node for node in self._cluster.nodes if node.living)
        known = status(self._cluster, living)
        busy = known["moves"] or any(group["moving"] for group in known["groups"])
        return bool(fresh or told["plan"] or told["held"] or busy)


def spread(cluster: Cluster) -> str:
    """Replicas, led groups and keys by node, for people."""
    known = status(cluster, next(node for node in cluster.nodes if node.living))
    told = controller(cluster)
    keys = {each["group_id"]: each["keys"] for each in told["groups"]} if told else {}
    lines = []
    for node in known["nodes"]:
        number = node["id"]
        replicas = [group["id"] for group in known["groups"] if number in group["voters"]]
        leads = [group["id"] for group in known["groups"] if group["leader"] == number]
        led = sum(keys.get(group, 0) for group in leads)
        lines.append(f"    node {number}: replicas {replicas}, leads {leads} with {led} keys")
    return "\n".join(lines)


def stands_without(cluster: Cluster, at: Node, number: int) -> bool:
    """Whether a node has no replica any more, and nothing is on its way."""
    groups = status(cluster, at)["groups"]
    return not any(number in group["voters"] or group["moving"] for group in groups)


@contextmanager
def watched(cluster: Cluster, seed: int) -> Iterator[None]:
    """Clients and tellers at the nodes there are now; raises SystemExit(1) when they saw anything wrong."""
    nodes = list(cluster.nodes)
    bank = Bank(cluster, seed=seed)
    with Workload(cluster, seed=seed, clients_per_node=1) as load, bank:
        load.progress(50)
        yield
    figures = {key: found for key, found in load.summary().items() if not isinstance(found, dict)}
    click.echo(json.dumps({**figures, **bank.summary()}))
    living = [node for node in nodes if node.living]
    wrong = [*load.judge(living), *load.judge_errors(), *bank.judge()]
    if wrong:
        click.echo("\n".join(wrong))
        raise SystemExit(1)


def compared(cluster: Cluster, keys: int) -> None:
    """Read every kept key at every node, and compare the replicas; raises SystemExit(1) for a difference."""
    wrong = {node.number + 1: differences(node, keys) for node in cluster.nodes if node.living}
    click.echo(f"keys that differ, by node: {wrong}")
    living = next(node for node in cluster.nodes if node.living)
    click.echo(done(cluster.admin(living, "digest")))
    if any(wrong.values()):
        raise SystemExit(1)


@click.group()
def main() -> None:
    """Clusters that grow, shrink and lose nodes, with clients all the while."""


@main.command()
@click.option("--keys", default=1_000_000, show_default=True)
@click.option("--groups", default=3, show_default=True)
@click.option("--seed", default=1, show_default=True)
def grow(keys: int, groups: int, seed: int) -> None:
    """Three nodes become five, and three again."""
    settings = {"REDRAFT_CONTROLLER": "yes"}
    with tempfile.TemporaryDirectory() as parent:
        command = redraft_command("--groups", str(groups))
        with Cluster(Path(parent), command=command, settings=settings) as cluster:
            fill(cluster.nodes[0], keys)
            click.echo(f"{keys} keys in {groups} groups on three nodes\n{spread(cluster)}")
            watch = Watch(cluster)
            with watched(cluster, seed):
                new = [cluster.join(cluster.nodes[0]), cluster.join(cluster.nodes[1])]
                took_s = watch.rest()
                click.echo(f"two nodes joined: at rest after {took_s:.0f} s\n{spread(cluster)}")
                for node in new:
                    began = time.monotonic()
                    done(cluster.admin(cluster.nodes[0], "node", "drain", str(node.number + 1)))
                    click.echo(f"node {node.number + 1} drained in {time.monotonic() - began:.1f} s")
                for node in new:
                    done(cluster.admin(cluster.nodes[0], "node", "remove", str(node.number + 1)))
                    assert node.process.wait() == 1, "a removed node ends"
                    cluster.nodes.remove(node)
                watch.rest(quiet_s=10.0)
                click.echo(f"two nodes removed: {dict(watch.kinds)}\n{spread(cluster)}")
            compared(cluster, keys)


@main.command()
@click.option("--keys", default=100_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--dead-after-ms", default=10_000, show_default=True, help="controller_dead_node_ms")
def lose(keys: int, seed: int, dead_after_ms: int) -> None:
    """One of five nodes dies for good: the others restore three replicas of everything."""
    settings = {"REDRAFT_CONTROLLER": "yes", "REDRAFT_CONTROLLER_DEAD_NODE_MS": str(dead_after_ms)}
    with tempfile.TemporaryDirectory() as parent:
        command = redraft_command("--groups", "5")
        with Cluster(Path(parent), size=5, command=command, settings=settings) as cluster:
            fill(cluster.nodes[0], keys)
            click.echo(f"{keys} keys in five groups on five nodes\n{spread(cluster)}")
            watch = Watch(cluster)
            with watched(cluster, seed):
                victim = cluster.leader_of(name(0))
                began = time.monotonic()
                cluster.kill(victim)
                number = victim.number + 1
                living = cluster.others(victim)[0]
                while any(
                    number in group["voters"] or group["moving"]
                    for group in status(cluster, living)["groups"]
                ):
                    assert time.monotonic() - began < LONGEST_S, "replicas are not restored"
                    time.sleep(0.1)
                took_s = time.monotonic() - began
                click.echo(f"node {number} killed: three replicas of everything after {took_s:.1f} s")
                watch.rest(quiet_s=15.0)
                click.echo(f"{dict(watch.kinds)}\n{spread(cluster)}")
            compared(cluster, keys)
            cluster.nodes.remove(victim)


if __name__ == "__main__":
    main()
