"""The states of a group on a disk that loses what was not synced: the newest whole one is found."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path

import pytest

from redraft.engine import kinds
from redraft.engine.stored import StoredEngine
from tests.engine.losingdisk import Disk
from tests.engine.powercuts import CUTS, SEED, TIMEOUT_S, check_recording, cut_everywhere
from tests.engine.recorded import compiled, record
from tests.node.statesload import GROUP, SLOTS, Model, NoLog, engine_of, freeze, opened, worked

ROUNDS = 2
pytestmark = pytest.mark.timeout(TIMEOUT_S)


class Marks:
    """Of which entries the state may be that a cut leaves."""

    def __init__(self, index: int) -> None:
        self._written = index or None
        self.allowed: set[int | None] = {self._written}

    def take(self, text: str) -> None:
        """Take a mark."""
        what, _, index = text.partition(" ")
        if what == "begun":
            self.allowed.add(int(index))
        elif what == "written":
            self._written = int(index)
            self.allowed = {self._written}
        else:
            self.allowed.add(None)  # what takes its place is in the snapshot


@pytest.mark.parametrize("kind", kinds.STORES)
def test_power_cut_leaves_the_newest_checkpoint(kind: str, tmp_path: Path) -> None:
    """And all that belongs to it; or nothing, while a snapshot takes its place.  It goes on from there."""
    print("seed", SEED)
    rng = random.Random(SEED)
    library = compiled(tmp_path)
    model = Model(SEED)
    models: dict[int | None, Model] = {None: model.copy()}
    for index in range(1, 2000):
        model.step(index)
        models[index] = model.copy()
    root = tmp_path / "node"
    root.mkdir()
    first = 0
    for number in range(ROUNDS):
        disk, marks = Disk(root), Marks(first)
        calls = record(library, root, "tests.node.statesload", kind, str(root), str(SEED), str(first))
        next_root = tmp_path / f"next-{number}"
        kept: list[int] = []

        def check(
            path: Path, marks: Marks = marks, next_root: Path = next_root, kept: list[int] = kept
        ) -> None:
            keeps = not kept or rng.random() < 20 / CUTS
            if keeps:
                shutil.rmtree(next_root, ignore_errors=True)
                shutil.copytree(path, next_root)
            index = check_states(kind, path, marks, models)
            if keeps:
                kept.append(index or 0)

        cut_everywhere(disk, calls, CUTS // 4, rng, marks.take, check)
        check_recording(disk)
        root, first = next_root, kept[-1]


def check_states(kind: str, path: Path, marks: Marks, models: dict[int | None, Model]) -> int | None:
    """Assert that what is found is as of an entry that it may be of, and can be used; return which."""
    states, worker, applier, index = opened(kind, path)
    assert index in marks.allowed
    engine = engine_of(applier)
    check_engine(engine, models[index])
    if index is not None:
        check_capture(engine, models[index])
    worked(worker)
    engine.put(1, b"more", b"record")
    freeze(applier, 5000)
    engine.write_frozen()
    engine.thaw()
    while engine.clean():
        pass
    states.close()
    states, worker, applier, found = opened(kind, path)
    assert found == 5000
    assert engine_of(applier).get(1, b"more") == b"record"
    engine_of(applier).delete(1, b"more")
    check_engine(engine_of(applier), models[index])
    (generation,) = (path / "engine" / kind / "1").iterdir()
    assert generation.name.isdecimal()
    states.close()
    return index


def check_engine(engine: StoredEngine, model: Model) -> None:
    """Assert that an engine has what a model has."""
    for slot in SLOTS:
        keys = {key: record for (of, key), record in model.keys.items() if of == slot}
        assert dict(engine.items(slot)) == keys
        assert engine.slot_size(slot) == len(keys)
    for number, (slot, members) in model.members.items():
        assert engine.members(slot, number).range() == sorted(members.items())


def check_capture(engine: StoredEngine, model: Model) -> None:
    """Assert that a snapshot of it would have all of that, and nothing else."""
    found: dict[tuple[int, int, bytes], bytes] = {}
    captured = engine.capture()
    while runs := captured.take(1000):
        for run in runs:
            found |= {
                (run.slot, run.id, key): record for key, record in zip(run.keys, run.records, strict=True)
            }
    engine.release()
    expected = {(slot, 0, key): record for (slot, key), record in model.keys.items()}
    for number, (slot, members) in model.members.items():
        expected |= {(slot, number, name): value for name, value in members.items()}
    assert found == expected


@pytest.mark.parametrize("kind", kinds.STORES)
def test_state_whose_directory_can_not_be_made_durable_is_none(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoint is written where a power cut might take all of it; it is told, and nothing is left."""

    def failing(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    states, worker, _applier, _index = opened(kind, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("redraft.node.states.sync", failing)
        with pytest.raises(OSError, match="Input/output error"):
            states.fresh(GROUP, NoLog())  # type: ignore[arg-type]
    worked(worker)
    assert [path.name for path in (tmp_path / "engine" / kind / "1").iterdir()] == ["1"]
    states.close()
    worker.close()
