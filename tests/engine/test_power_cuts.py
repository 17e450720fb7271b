"""Stores on a disk that loses what was not synced: whatever it keeps, no batch that was written is lost.

`tests.engine.powercuts` says how many cuts there are, and how to have more.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from redraft.engine import kinds
from redraft.engine.stores import damage_noted
from tests.engine.losingdisk import Disk
from tests.engine.powercuts import CUTS, SEED, TIMEOUT_S, check_recording, cut_everywhere
from tests.engine.powerload import BATCHES, FILLED, NUMBER, Items, applied, batch_of, filled_of
from tests.engine.recorded import compiled, record

ROUNDS = 3
END = b"\xff" * 600
LOAD = "tests.engine.powerload"
pytestmark = pytest.mark.timeout(TIMEOUT_S)


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
        marks = Marks(first - 1)

        def check(path: Path, next_root: Path = next_root, marks: Marks = marks) -> None:
            nonlocal number
            kept = number < 0 or rng.random() < 10 / CUTS
            if kept:
                shutil.rmtree(next_root, ignore_errors=True)
                shutil.copytree(path, next_root)
            found = check_store(kind, path, marks, history)
            number = found if kept else number

        cut_everywhere(disk, calls, CUTS // ROUNDS, rng, marks.take, check)
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

    def check(path: Path) -> None:
        if marks.settled:
            check_store(kind, path, marks, history)
            return
        store = kinds.opener(kind)(path)
        assert store.get(NUMBER) is None
        store.close()

    disk, marks = Disk(root), Marks(0)
    calls = record(library, root, LOAD, "fill", kind, str(root), str(SEED), "1")
    cut_everywhere(disk, calls, CUTS, random.Random(SEED), marks.take, check)
    check_recording(disk)


@pytest.mark.parametrize("forgotten", ["nothing", "files", "directories"])
def test_power_cut_is_noticed_where_something_was_not_synced(
    kind: str, library: Path, root: Path, forgotten: str
) -> None:
    """Had the store not synced its files, or its directory, the tests above would fail."""
    command = [sys.executable, "-c", FORGETTING, kind, str(library), str(root), forgotten]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # LMDB may end the process
    print(done.stdout, done.stderr)
    assert "cut behind" in done.stdout
    assert ("all is well" in done.stdout) == (forgotten == "nothing")


FORGETTING = """
import sys
from pathlib import Path
from tests.engine.test_power_cuts import forget

forget(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
print("all is well")
"""


def forget(kind: str, library: Path, root: Path, forgotten: str) -> None:
    """Check a store on a disk that some syncs never come to."""
    print("seed", SEED, flush=True)
    history: list[Items] = [{}]
    for number in range(1, BATCHES + 1):
        history.append(applied(history[-1], batch_of(SEED, number)))
    disk, marks = Disk(root), Marks(0)
    opened: dict[int, bytes] = {}
    calls = []
    for call in record(library, root, LOAD, "write", kind, str(root), str(SEED), "1"):
        if call.op == "o":
            opened[call.descriptor] = call.data
        synced = "directories" if opened.get(call.descriptor) == bytes(root) else "files"
        if call.op not in "sy" or synced != forgotten:
            calls.append(call)

    def check(path: Path) -> None:
        check_store(kind, path, marks, history)

    cut_everywhere(disk, calls, CUTS, random.Random(SEED), marks.take, check)
