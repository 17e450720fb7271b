"""`python -m benchmarks.executor`: what a command costs the executor, on each engine.

`redis-benchmark`'s default suite, in its order, given to `execute_batch` in batches, as applying the log and
answering reads do; no network, no log.  The figures are CPU microseconds per command, of the fastest of some
rounds, each on a new engine.  What is written goes to the disk by checkpoints, as in a node; what they cost
(in a node mostly the worker) stands behind a `+`.  There is another one before each row, so that a row finds
what others wrote on disk, and what it wrote itself in memory.
"""

from __future__ import annotations

import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from benchmarks import machine
from benchmarks.compare import numbers
from benchmarks.results import write_json
from redraft.commands.context import Context
from redraft.commands.execute import execute_batch
from redraft.commands.keyspace import Keyspace
from redraft.engine import kinds
from redraft.engine.hash import HashEngine
from redraft.engine.interface import Engine
from redraft.engine.stored import StoredEngine
from redraft.topology.slots import SLOTS

BATCH: Final = 100
"""Requests at once."""
KEYS: Final = ("one key", "random keys")
RANDOM: Final = "@"
"""In a request of `SUITE`: what `-r` replaces by 12 digits; VALUE is replaced by a value."""
VALUE: Final = "DATA"
SUITE: Final = {
    "SET": f"SET key:{RANDOM} {VALUE}",
    "GET": f"GET key:{RANDOM}",
    "INCR": f"INCR counter:{RANDOM}",
    "LPUSH": f"LPUSH mylist {VALUE}",
    "RPUSH": f"RPUSH mylist {VALUE}",
    "LPOP": "LPOP mylist",
    "RPOP": "RPOP mylist",
    "SADD": f"SADD myset element:{RANDOM}",
    "HSET": f"HSET myhash element:{RANDOM} {VALUE}",
    "SPOP": "SPOP myset",
    "ZADD": f"ZADD myzset {RANDOM} element:{RANDOM}",
    "ZPOPMIN": "ZPOPMIN myzset",
    "LPUSH again": f"LPUSH mylist {VALUE}",
    "LRANGE_100": "LRANGE mylist 0 99",
    "LRANGE_300": "LRANGE mylist 0 299",
    "LRANGE_500": "LRANGE mylist 0 499",
    "LRANGE_600": "LRANGE mylist 0 599",
    "MSET of 10": "MSET" + f" key:{RANDOM} {VALUE}" * 10,
}
"""The rows: PING is answered before the executor."""
READS: Final = ("GET", "LRANGE")
SLOW: Final = {"LRANGE": 20, "MSET": 5}
"""Of these rows there are so many times fewer requests."""


@dataclass(frozen=True)
class Cost:
    """CPU microseconds per command: of the executor, and of checkpoints."""

    execute_us: float
    checkpoint_us: float

    def __str__(self) -> str:
        return f"{self.execute_us:.2f}" + (f" +{self.checkpoint_us:.1f}" if self.checkpoint_us else "")


def encode(line: str) -> bytes:
    """Return a request."""
    words = line.encode().split(b" ")
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def requests_of(row: str, count: int, size: int, *, spread: bool, seed: int) -> list[bytes]:
    """Return the batches of a row, as redis-benchmark would send them."""
    slow = next((factor for name, factor in SLOW.items() if row.startswith(name)), 1)
    chance, line = random.Random(seed), SUITE[row].replace(VALUE, "x" * size)
    if not spread:
        line = line.replace(f"ZADD myzset {RANDOM}", "ZADD myzset 0").replace(RANDOM, "__rand_int__")
    pieces = line.split(RANDOM)

    def made() -> bytes:
        return encode("".join(f"{piece}{chance.randrange(count):012}" for piece in pieces[:-1]) + pieces[-1])

    batches, rest = divmod(count // slow, BATCH)
    return [b"".join(made() for _ in range(number)) for number in [BATCH] * batches + [rest] * bool(rest)]


class Bench:
    """One engine, and the keys on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.keyspace = Keyspace(engine, range(SLOTS))
        self.context = Context(self.keyspace)

    def measure(self, batches: list[bytes], *, write: bool) -> Cost:
        """Carry out batches; return what a command costs."""
        marks = [[(batch.count(b"*"), 2)] for batch in batches]
        self._checkpoint()
        context, keyspace, engine = self.context, self.keyspace, self.engine
        executing = writing = 0
        for batch, mark in zip(batches, marks, strict=True):
            begin = time.process_time_ns()
            if write:
                keyspace.index += 1
            context.begin(now_ms=1_700_000_000_000, write=write, seed=keyspace.index)
            replies = execute_batch(context, batch, mark)
            if write:
                engine.commit(keyspace.index)
            executing += time.process_time_ns() - begin
            wrong = [reply for reply in replies if reply[:1] == b"-"]
            assert not wrong, wrong[0]
            assert not context.bugs, context.bugs[0]
            if isinstance(engine, StoredEngine) and engine.is_due:
                writing += self._checkpoint()
        count = sum(mark[0][0] for mark in marks)
        return Cost(executing / count / 1000, writing / count / 1000)

    def _checkpoint(self) -> int:
        """Write a checkpoint; return the CPU nanoseconds."""
        engine = self.engine
        begin = time.process_time_ns()
        if isinstance(engine, StoredEngine):
            engine.freeze(b"")
            engine.write_frozen()
            engine.thaw()
        return time.process_time_ns() - begin


def opened(kind: str, directory: Path, memory: int) -> Engine:
    """Return a new engine."""
    if kind == "hash":
        return HashEngine()
    return StoredEngine(kinds.opener(kind)(directory), memory)


def rounds_of(
    kind: str, parent: Path, rows: list[str], count: int, size: int, memory: int, *, spread: bool
) -> Iterator[dict[str, Cost]]:
    """Yield the costs of rounds, for ever."""
    while True:
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            bench = Bench(opened(kind, Path(directory), memory))
            gc.collect()
            gc.freeze()
            yield {
                row: bench.measure(
                    requests_of(row, count, size, spread=spread, seed=seed), write=not row.startswith(READS)
                )
                for seed, row in enumerate(rows)
            }
            bench.engine.close()
            gc.unfreeze()


def words(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    """Read words that commas divide."""
    return text.split(",")


@click.command()
@click.option("--engine", "engines", default="hash,btree,rocksdb", show_default=True, callback=words)
@click.option("--rows", default="", help="Which, by the beginning of their names (SET,LRANGE); default: all.")
@click.option("--rounds", default=3, show_default=True, help="The fastest counts, row by row.")
@click.option("--requests", default=20_000, show_default=True, help="Of each row; also how many random keys.")
@click.option("--sizes", default="3,64", show_default=True, callback=numbers, help="Bytes of a value.")
@click.option("--keys", default=",".join(KEYS), show_default=True, callback=words)
@click.option("--memory", default=8 << 20, show_default=True, help="engine_memory_bytes.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="For the data; default: temporary.")
def main(
    engines: list[str],
    rows: str,
    rounds: int,
    requests: int,
    sizes: list[int],
    keys: list[str],
    memory: int,
    json_path: Path | None,
    parent: Path | None,
) -> None:
    """CPU time of the commands of redis-benchmark's suite in the executor, engine by engine."""
    console = machine.console()
    parent = parent or Path(tempfile.gettempdir())
    facts = machine.facts(parent)
    machine.show(console, facts)
    chosen = [row for row in SUITE if row.startswith(tuple(rows.split(",")))]
    found = []
    for size in sizes:
        table = Table(title=f"CPU us per command (+ checkpoints), values of {size} B", title_justify="left")
        table.add_column("command")
        columns: list[Callable[[str], Cost]] = []
        for spread in keys:
            for kind in engines:
                table.add_column(f"{kind}, {spread}", justify="right")
                going = rounds_of(kind, parent, chosen, requests, size, memory, spread=spread != KEYS[0])
                results = [next(going) for _ in range(rounds)]
                going.close()
                best = {
                    row: min((result[row] for result in results), key=lambda cost: cost.execute_us)
                    for row in chosen
                }
                columns.append(best.__getitem__)
                found += [
                    {
                        "engine": kind,
                        "keys": spread,
                        "size": size,
                        "command": row,
                        "execute_us": cost.execute_us,
                        "checkpoint_us": cost.checkpoint_us,
                    }
                    for row, cost in best.items()
                ]
        for row in chosen:
            table.add_row(row, *(str(of(row)) for of in columns))
        console.print(table)
    parameters = {"rounds": rounds, "requests": requests, "memory": memory}
    write_json(json_path, {"machine": facts, "parameters": parameters, "results": found})


if __name__ == "__main__":
    main()
