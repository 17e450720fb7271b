"""The power cut at any call, in the middle of anything the log does: no state is lost, none is mixed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from redraft.base.errors import DamagedError
from redraft.wal import Log
from tests.wal.faultyfiles import FaultyFiles
from tests.wal.model import Model, State, change, state_of
from tests.wal.steps import DIRECTORY, SMALL, let_go, opened

GROUPS = (1, 2, 3)


class History:
    """Which states of the groups a crash may leave: each one flushed, from the last durable one on."""

    def __init__(self, log: Log, models: dict[int, Model]) -> None:
        self._models = models
        self._states: list[tuple[int, list[State]]] = []
        self.durable = 0
        self.flushed(log.flush())

    def flushed(self, sequence: int) -> None:
        """Note what a crash behind this sequence may leave."""
        self._states.append((sequence, [model.state() for model in self._models.values()]))

    def only(self, sequence: int) -> None:
        """Let a crash leave nothing but what was found."""
        self._states = [(sequence, [model.state() for model in self._models.values()])]

    def check(self, log: Log) -> None:
        """Assert that the log is in one of these states, and take that for the models'."""
        found = [state_of(log.group(group)) for group in self._models]
        allowed = [state for sequence, state in self._states if sequence >= self.durable]
        allowed.append(self._states[-1][1])
        assert found in allowed, f"not a state since batch {self.durable}"
        for model, state in zip(self._models.values(), found, strict=True):
            model.base, model.base_term = state.first_index - 1, state.base_term
            model.entries, model.hard_state = list(state.entries), state.hard_state


class PowerCutError(Exception):
    """The machine stops in the middle of what it did."""


def cut_at(files: FaultyFiles, count: int) -> None:
    """Let the power be cut before the count-th call that changes the disk."""
    left = count

    def before_change() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise PowerCutError

    files.before_change = before_change


def live(chance: random.Random, log: Log, history: History, models: dict[int, Model], steps: int) -> None:
    """Change groups, flush, write, tend; note what may be left."""
    for _ in range(steps):
        group = chance.choice(list(models))
        change(chance, models[group], log.group(group))
        if chance.random() < 0.6:
            # What a step of the collection flushes changes no state: it has that of the flush before it.
            history.flushed(log.flush())
            log.collect(chance.choice([1000, 10_000]))
            history.flushed(log.flush())
        if chance.random() < 0.6:
            log.step()
            history.durable = log.take_durable()


def fresh_disk(seed: int) -> tuple[FaultyFiles, random.Random]:
    """Return a disk, and chance."""
    print(f"seed {seed}")
    return FaultyFiles(seed), random.Random(seed)


OPTIONS = replace(
    SMALL, segment_bytes=16 << 10, first_segment_bytes=8 << 10, reserve_bytes=2 << 10, cache_bytes=4 << 10
)


def crash_and_check(
    files: FaultyFiles, log: Log, history: History, crash: Callable[[], None], starts: int = 0
) -> Log:
    """Crash, start again and again, and see that nothing durable is lost and nothing is mixed.

    What one start found, and may have told, each later one must find.
    """
    let_go(log)
    files.before_change = lambda: None
    crash()
    for _ in range(starts):
        cut_at(files, files.random.randrange(1, 60))
        with contextlib.suppress(PowerCutError):
            log = Log.open(DIRECTORY, OPTIONS, files)
            history.check(log)
            history.only(log.flush())
            log.step()
            let_go(log)
        files.before_change = lambda: None
        crash()
    log = opened(files, OPTIONS)
    history.check(log)
    return log


@pytest.mark.parametrize("seed", range(40))
def test_random_collections_and_crashes_lose_nothing(seed: int) -> None:
    """Append, cut, compact, restore, vote, collect, and the power cut at any call: as the model says."""
    files, chance = fresh_disk(seed)
    models = {group: Model() for group in GROUPS}
    log = opened(files, OPTIONS)
    for _ in range(8):
        history = History(log, models)
        history.durable = log.take_durable()
        cut_at(files, chance.randrange(10, 400))
        with contextlib.suppress(PowerCutError):
            live(chance, log, history, models, 150)
        crash = chance.choice([files.crash, files.crash, files.kill])
        log = crash_and_check(files, log, history, crash, starts=chance.choice([0, 0, 1, 5]))
    let_go(log)


@pytest.mark.parametrize("keep", ["nothing", "all", "some"])
def test_power_cut_before_any_call_of_a_collection_is_harmless(keep: str) -> None:
    """The same run, cut before its first call that changes the disk, its second, and so on to its last."""
    count = 1
    done = False
    while not done:
        files, chance = FaultyFiles(7), random.Random(7)
        models = {group: Model() for group in GROUPS}
        log = opened(files, OPTIONS)
        history = History(log, models)
        cut_at(files, count)
        try:
            live(chance, log, history, models, 70)
            done = True
        except PowerCutError:
            count += 1
        log = crash_and_check(files, log, history, lambda files=files: files.crash(keep))  # type: ignore[misc]
        let_go(log)
    assert count > 150


def test_power_cut_while_a_start_clears_up_is_harmless() -> None:
    """A start may itself be cut short, again and again: it only ever removes what is not needed."""
    for seed in range(15):
        files, chance = fresh_disk(seed)
        models = {group: Model() for group in GROUPS}
        log = opened(files, OPTIONS)
        history = History(log, models)
        live(chance, log, history, models, 150)
        let_go(log)
        files.crash()
        for count in range(1, 12):
            cut_at(files, count)
            with contextlib.suppress(PowerCutError):
                let_go(Log.open(DIRECTORY, OPTIONS, files))
            files.before_change = lambda: None
            files.crash()
        log = opened(files, OPTIONS)
        history.check(log)
        let_go(log)


def test_bit_flipped_in_a_collected_log_is_refused_or_harmless() -> None:
    """One flipped bit anywhere in a cleanly stopped log: refused by name, or nothing that lives was hit."""
    seed = 31
    chance = random.Random(seed)
    print(f"seed {seed}")
    refused = harmless = 0
    files = FaultyFiles(seed)
    models = {group: Model() for group in GROUPS}
    log = opened(files, OPTIONS)
    live(chance, log, History(log, models), models, 200)
    log.close()
    names = files.names(DIRECTORY)
    saved = {name: files.content(name) for name in names}
    for _ in range(150):
        for name in files.names(DIRECTORY):
            files.remove(DIRECTORY / name)
        for name, content in saved.items():
            fd = files.create(DIRECTORY / name)
            files.write(fd, content, 0)
            files.sync(fd)
            files.close(fd)
        name = chance.choice(names)
        files.flip(name, chance.randrange(len(saved[name])), chance.randrange(8))
        try:
            log = opened(files, OPTIONS)
        except DamagedError as error:
            refused += name in str(error)
        else:
            harmless += 1
            assert [state_of(log.group(group)) for group in GROUPS] == [
                model.state() for model in models.values()
            ]
            let_go(log)
    assert refused + harmless == 150, "each refusal names the file"
    assert refused > 10
