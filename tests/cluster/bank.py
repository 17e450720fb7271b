"""A bank on a cluster: money moves between the accounts of a branch, and its sum never changes.

The accounts of a branch share a slot, so that a transaction can take from one and give to another.  A teller
is a thread with one connection to one node: it transfers, sometimes by WATCH and only what is there, and it
audits.  An audit that finds another sum than was paid in has seen half a transfer, or one that was lost or
done twice; one that finds an account below zero has seen a WATCH that did not hold.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

import redis

from tests.cluster.harness import Cluster, Node, connect

BRANCHES = 8
ACCOUNTS = 6
PAID_IN = 100
RECONNECT_S = 0.05
JOIN_S = 30.0


def accounts(branch: int) -> list[str]:
    """The keys of a branch."""
    return [f"{{bank:{branch}}}:{number}" for number in range(ACCOUNTS)]


class Teller:
    """One thread at one node; its findings are there after `join`."""

    def __init__(self, node: Node, seed: int) -> None:
        self.node = node
        self._chance = random.Random(seed)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ending = threading.Event()
        self.wrong: list[str] = []
        self.transfers = self.audits = self.errors = 0
        self.crash: BaseException | None = None

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of what it is at."""
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        try:
            while not self.ending.is_set():
                try:
                    with connect(self.node.port, single_connection_client=True) as client:
                        while not self.ending.is_set():
                            self._work(client)
                except (
                    redis.RedisError
                ):  # transfers are all or nothing: whether this one was done is no matter
                    self.errors += 1
                    self.ending.wait(RECONNECT_S)
        except BaseException as crash:  # noqa: BLE001 - told by the bank
            self.crash = crash

    def _work(self, client: redis.Redis) -> None:
        branch = self._chance.randrange(BRANCHES)
        if self._chance.random() < 0.3:
            self.audit(client, branch)
        else:
            self._transfer(client, *self._chance.sample(accounts(branch), 2))

    def _transfer(self, client: redis.Redis, source: str, target: str) -> None:
        pipe: Any = client.pipeline(transaction=True)
        pipe.watch(source)
        amount = min(self._chance.randint(1, 30), int(pipe.get(source) or 0))
        pipe.multi()
        pipe.decrby(source, amount)
        pipe.incrby(target, amount)
        try:
            pipe.execute()
            self.transfers += 1
        except redis.WatchError:
            pass

    def audit(self, client: redis.Redis, branch: int) -> None:
        """Look at a branch's balances."""
        balances = [int(balance or 0) for balance in client.mget(accounts(branch))]
        self.audits += 1
        if sum(balances) != ACCOUNTS * PAID_IN or min(balances) < 0:
            self.wrong.append(f"branch {branch} at node {self.node.number}: {balances}")


class Bank:
    """A teller at each node; a context manager: they work inside it."""

    def __init__(self, cluster: Cluster, *, seed: int, nodes: Sequence[Node] | None = None) -> None:
        self._cluster = cluster
        self.tellers = [
            Teller(node, seed * 1_000 + number) for number, node in enumerate(nodes or cluster.nodes)
        ]

    def __enter__(self) -> Bank:
        with self._cluster.client(0) as client:
            for branch in range(BRANCHES):
                client.mset(dict.fromkeys(accounts(branch), PAID_IN))
        for teller in self.tellers:
            teller.start()
        return self

    def __exit__(self, *exception: object) -> None:
        for teller in self.tellers:
            teller.ending.set()
        for teller in self.tellers:
            teller.join()
            if teller.crash is not None:
                raise teller.crash

    def judge(self) -> list[str]:
        """Return all that audits have found wrong, and a last one's findings at each living node."""
        for teller in self.tellers:
            if not teller.node.living:
                continue
            with connect(teller.node.port) as client:
                for branch in range(BRANCHES):
                    teller.audit(client, branch)
        return [wrong for teller in self.tellers for wrong in teller.wrong]

    def summary(self) -> dict[str, int]:
        """Figures for people."""
        return {
            "transfers": sum(teller.transfers for teller in self.tellers),
            "audits": sum(teller.audits for teller in self.tellers),
            "tellers_errors": sum(teller.errors for teller in self.tellers),
        }
