"""Stores on a disk that loses what was not synced: whatever it keeps, no batch that was written is lost.

ENGINE_TEST_CUTS  moments at which power is cut, for each test (thousands for the full proof)
ENGINE_TEST_SEED  of all that is chosen
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from redraft.engine import kinds
from redraft.engine.stores import StoreDamagedError, damage_noted
from tests.engine.losingdisk import Disk, on_disk
from tests.engine.powerload import BATCHES, FILLED, NUMBER, Items, applied, batch_of, filled_of
from tests.engine.recorded import Call, compiled, record

CUTS = int(os.environ.get("ENGINE_TEST_CUTS", "200"))
SEED = int(os.environ.get("ENGINE_TEST_SEED", "1"))
ROUNDS = 3
BEGINNING = 40
"""Calls in which a store begins: a part of the moments are there."""
END = b"\xff" * 600
LOAD = "tests.engine.powerload"
pytestmark = pytest.mark.timeout(120 + CUTS)


@pytest.fixture(params=kinds.STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind."""
    return str(request.param)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorder."""
    return compiled(tmp_path_factory.mktemp("recorder"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory for a store, there for good."""
    path = tmp_path / "store"
    path.mkdir()
    return path


class Marks:
    """How far the process had come."""

    def __init__(self, number: int) -> None:
        self.begun = self.written = number
        self.settled = False

    def take(self, text: str) -> None:
        """Take a mark."""
        what, _, number = text.partition(" ")
        if what == "begun":
            self.begun = int(number)
        elif what == "written":
            self.written = int(number)
        else:
            self.settled = True


Check = Callable[[Path, Marks], None]


def cut_everywhere(
    disk: Disk, calls: list[Call], cuts: int, rng: random.Random, marks: Marks, check: Check
) -> None:
    """Cut the power at moments all over what was recorded; see what is left each time, in one place."""
    telling = [at for at, call in enumerate(calls) if call.op != "w"]
    choices: list[Callable[[], int]] = [
        lambda: rng.randrange(len(calls)),
        lambda: rng.choice(telling),
        lambda: rng.choice(telling),
        lambda: rng.randrange(BEGINNING),
    ]
    moments = sorted(rng.choice(choices)() for _ in range(cuts))
    target = disk.root.with_name("cut")
    for at, call in enumerate(calls):
        disk.take(call)
        if call.op == "k":
            marks.take(call.data.decode())
        for _ in range(moments.count(at)):
            shutil.rmtree(target, ignore_errors=True)
            manner = disk.cut(rng, target)
            told = "" if call.op == "w" else f" {call.data.decode()}"
            print(f"cut behind call {at} of {len(calls)} ({call.op}{told}), {manner}")
            check(target, marks)


def check_recording(disk: Disk) -> None:
    """Assert that nothing was done to the files that the recorder does not know."""
    unknown = disk.mapped()
    assert {path.rpartition("/")[2] for path in unknown} <= {"lock.mdb"}
    real = {path: data for path, data in on_disk(disk.root).items() if path not in unknown}
    assert disk.cached() == real


def check_store(kind: str, path: Path, marks: Marks, history: list[Items]) -> int:
    """Assert that a store is as of a batch that it may be of; return its number."""
    store = kinds.opener(kind)(path)
    try:
        number = int(store.get(NUMBER) or 0)
        assert marks.written <= number <= marks.begun
        assert dict(store.range(b"", END)) == history[number]
    finally:
        store.close()
    assert not damage_noted(path)
    return number


def test_power_cut_leaves_every_batch_that_was_written(kind: str, library: Path, root: Path) -> None:
    """All of each that `write` returned from, all or nothing of the next; and it goes on from there."""
    print("seed", SEED)
    rng = random.Random(SEED)
    history: list[Items] = [{}]
    for seed in range(SEED, SEED + ROUNDS):
        first = len(history)
        disk = Disk(root)
        calls = record(library, root, LOAD, "write", kind, str(root), str(seed), str(first))
        for number in range(first, first + BATCHES):
            history.append(applied(history[-1], batch_of(seed, number)))
        next_root = root.with_name(f"next-{seed}")
        number = -1

        def check(path: Path, marks: Marks, next_root: Path = next_root) -> None:
            nonlocal number
            kept = number < 0 or rng.random() < 10 / CUTS
            if kept:
                shutil.rmtree(next_root, ignore_errors=True)
                shutil.copytree(path, next_root)
            found = check_store(kind, path, marks, history)
            number = found if kept else number

        cut_everywhere(disk, calls, CUTS // ROUNDS, rng, Marks(first - 1), check)
        check_recording(disk)
        root = next_root
        del history[number + 1 :]


def test_power_cut_leaves_a_store_that_was_settled(kind: str, library: Path, root: Path) -> None:
    """Whatever it leaves of one that was not: that can be opened, and does not seem to be used already."""
    print("seed", SEED)
    filled: Items = {}
    for piece in range(FILLED):
        filled |= filled_of(SEED, piece)
    history = [filled]
    for number in range(1, BATCHES + 1):
        history.append(applied(history[-1], batch_of(SEED, number)))

    def check(path: Path, marks: Marks) -> None:
        if marks.settled:
            check_store(kind, path, marks, history)
            return
        store = kinds.opener(kind)(path)
        assert store.get(NUMBER) is None
        store.close()

    disk = Disk(root)
    calls = record(library, root, LOAD, "fill", kind, str(root), str(SEED), "1")
    cut_everywhere(disk, calls, CUTS, random.Random(SEED), Marks(0), check)
    check_recording(disk)


@pytest.mark.parametrize("forgotten", ["files", "directories"])
def test_power_cut_is_noticed_where_nothing_was_synced(
    kind: str, library: Path, root: Path, forgotten: str
) -> None:
    """The same, had the store not synced its files, or its directory: so the tests above can fail."""
    print("seed", SEED)
    history: list[Items] = [{}]
    for number in range(1, BATCHES + 1):
        history.append(applied(history[-1], batch_of(SEED, number)))
    disk = Disk(root)
    calls = record(library, root, LOAD, "write", kind, str(root), str(SEED), "1")
    opened: dict[int, bytes] = {}
    left = []
    for call in calls:
        if call.op == "o":
            opened[call.descriptor] = call.data
        of_directory = opened.get(call.descriptor) == bytes(root)
        if call.op not in "sy" or of_directory != (forgotten == "directories"):
            left.append(call)

    def check(path: Path, marks: Marks) -> None:
        check_store(kind, path, marks, history)

    with pytest.raises((AssertionError, StoreDamagedError)):
        cut_everywhere(disk, left, CUTS, random.Random(SEED), Marks(0), check)
