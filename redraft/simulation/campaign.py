"""Many runs, over all the processors there are: which seeds failed and how, and what it cost.

Invariant: what a seed does depends on the seed and the shape alone, so any of them can be replayed alone.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context

from redraft.simulation.checks import ViolationError
from redraft.simulation.mutations import mutated
from redraft.simulation.run import Run, Shape, Summary

AHEAD = 4
"""Seeds handed to each process before their turn."""
MS_AN_HOUR = 3_600_000.0


@dataclass(frozen=True)
class Finding:
    """A seed that failed, and how."""

    seed: int
    what: str


@dataclass
class Totals:
    """What a campaign came to."""

    seeds: int = 0
    findings: list[Finding] = field(default_factory=list)
    events: int = 0
    virtual_ms: float = 0.0
    cpu_s: float = 0.0
    operations: int = 0
    lives: int = 0
    elections: int = 0
    happened: dict[str, int] = field(default_factory=dict)

    def add(self, result: Summary | Finding) -> None:
        """Count one more seed."""
        self.seeds += 1
        if isinstance(result, Finding):
            self.findings.append(result)
            return
        self.events += result.events
        self.virtual_ms += result.virtual_ms
        self.cpu_s += result.cpu_s
        self.operations += result.operations
        self.lives += result.lives
        self.elections += result.elections
        for kind, times in result.happened.items():
            self.happened[kind] = self.happened.get(kind, 0) + times

    @property
    def speed(self) -> float:
        """Virtual hours per hour of one processor."""
        return self.virtual_ms / 1000 / self.cpu_s if self.cpu_s else 0.0

    @property
    def virtual_hours(self) -> float:
        """Virtual time in all."""
        return self.virtual_ms / MS_AN_HOUR


def run_seed(seed: int, shape: Shape) -> Summary | Finding:
    """Run one seed; whatever goes wrong in it is a finding."""
    collects = gc.isenabled()
    gc.disable()  # a run is over before its garbage matters
    try:
        return Run(seed, shape).execute()
    except ViolationError as violation:
        return Finding(seed, str(violation))
    except Exception as bug:  # noqa: BLE001 - a bug of any kind is what runs are for
        where = "".join(traceback.format_exception(bug)[-4:])
        return Finding(seed, f"{type(bug).__name__}: {bug}\n{where}")
    finally:
        if collects:
            gc.enable()
            gc.collect()


def run_seeds(seeds: Iterable[int], shape: Shape, *, jobs: int) -> Generator[Summary | Finding]:
    """Run many seeds, `jobs` at a time; results come as they are ready.  Close it to stop early."""
    run = partial(run_seed, shape=shape)
    if jobs == 1:
        yield from map(run, seeds)
        return
    waiting = iter(seeds)
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        running: set[Future[Summary | Finding]] = set()
        try:
            while True:
                for seed in islice(waiting, jobs * AHEAD - len(running)):
                    running.add(pool.submit(run, seed))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def hunt(mutation: str, seeds: Iterable[int], shape: Shape, *, jobs: int) -> tuple[int, Finding | None]:
    """Break the code and run seeds until one shows it: how many it took, and what was found."""
    tried = 0
    with mutated(mutation):
        results = run_seeds(seeds, shape, jobs=jobs)
        try:
            for result in results:
                tried += 1
                if isinstance(result, Finding):
                    return tried, result
        finally:
            results.close()
    return tried, None
