"""`python -m tests.cluster.soak --minutes 10`: endless random moves of slots and kills, checked all the time.

Rounds of a minute: clients at every node (fresh keys, counters, registers, pipelines) and a bank, while slots
move at random between three groups, moves are cancelled, and nodes are killed with -9 and started again.
Behind each round all that clients saw is judged: nothing lost, doubled or read stale, the bank's sums whole,
no error on a living node; and the replicas of each group hold the same.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

import click
import redis

from tests.cluster.bank import Bank
from tests.cluster.harness import Cluster
from tests.cluster.test_engines import command_with
from tests.cluster.test_moves import SETTINGS, begin_move, status, until_no_moves
from tests.cluster.workload import Workload

ROUND_S = 60.0


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--nodes", default=3, show_default=True)
@click.option("--engines", default="hash,btree,rocksdb", show_default=True, help="Of the nodes, in turn.")
@click.option("--kill-every", default=8.0, show_default=True, help="Seconds between kills, on average.")
def main(minutes: float, seed: int, nodes: int, engines: str, kill_every: float) -> None:
    """Move and kill for so long; exits with 1 when anything was wrong."""
    click.echo(f"seed {seed}")
    chance = random.Random(seed)
    end = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory() as parent:
        command = command_with(engines.split(","), 3)
        with Cluster(Path(parent), size=nodes, command=command, settings=SETTINGS) as cluster:
            while time.monotonic() < end:
                figures, wrong = _round(cluster, chance, kill_every)
                click.echo(json.dumps(figures))
                if wrong:
                    click.echo("\n".join(wrong))
                    raise SystemExit(1)


def _round(cluster: Cluster, chance: random.Random, kill_every: float) -> tuple[dict[str, object], list[str]]:
    with cluster.client(0) as client:
        client.flushall()
    seed = chance.randrange(2**32)
    bank = Bank(cluster, seed=seed)
    moves = cancelled = kills = 0
    with Workload(cluster, seed=seed, clients_per_node=2) as load, bank:
        end = time.monotonic() + ROUND_S
        kill_at = time.monotonic() + chance.uniform(0, 2 * kill_every)
        while time.monotonic() < end:
            node = chance.choice(cluster.nodes)
            try:
                if chance.random() < 0.15:
                    cancelled += _cancel(cluster, chance)
                else:
                    moves += bool(begin_move(cluster, node, chance))
            except redis.RedisError:
                pass  # without a leader for the topology group nothing is begun
            load.progress(chance.randint(1, 40))
            if time.monotonic() >= kill_at:
                victim = chance.choice(cluster.nodes)
                cluster.kill(victim)
                load.progress(chance.randint(1, 100), cluster.others(victim))
                cluster.restart(victim)
                kills += 1
                kill_at = time.monotonic() + chance.uniform(0, 2 * kill_every)
        for node in cluster.nodes:
            until_no_moves(cluster, node)
    wrong = [*load.judge(cluster.nodes), *load.judge_errors(), *bank.judge()]
    compared = cluster.admin(chance.choice(cluster.nodes), "digest")
    if compared.returncode:
        wrong.append(f"replicas differ: {compared.stdout}{compared.stderr}")
    summary = {name: figure for name, figure in load.summary().items() if not isinstance(figure, dict)}
    return {"moves": moves, "cancelled": cancelled, "kills": kills, **bank.summary(), **summary}, wrong


def _cancel(cluster: Cluster, chance: random.Random) -> bool:
    moves = status(cluster, chance.choice(cluster.nodes))["moves"]
    if not moves:
        return False
    with cluster.client(chance.choice(cluster.nodes)) as client:
        try:
            client.execute_command("REDRAFT", "CANCEL-MOVE", chance.choice(moves)["id"])
        except redis.ResponseError:
            return False
    return True


if __name__ == "__main__":
    main()
