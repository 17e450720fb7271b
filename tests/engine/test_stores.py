"""What every store on disk has to do: order, views, atomic batches, and telling damage and full disks."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from redraft.base.config import SETTING_BY_NAME
from redraft.engine import btree, kinds
from redraft.engine.btree import DATA, PLAIN_BYTES_MAX, BTreeStore
from redraft.engine.rocks import RocksStore
from redraft.engine.stores import Store, StoreDamagedError, damage_noted

STORES: dict[str, Callable[[Path], Store]] = {kind: kinds.opener(kind) for kind in kinds.STORES}
END = b"\xff" * 600


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """The name of each kind."""
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A directory for a store."""
    return tmp_path / "store"


def test_setting_names_every_engine_there_is() -> None:
    """What can be chosen is what there is."""
    assert SETTING_BY_NAME["engine"].choices == ("hash", *kinds.STORES)


def written(store: Store, items: dict[bytes, bytes | None]) -> None:
    """Write a batch, and see it."""
    store.write(sorted(items.items()))
    store.refresh()


def key_of(rng: random.Random, long: int) -> bytes:
    """A key that shares its beginning with many others: short, just at the limit, or long."""
    begin = bytes([rng.choice((0x61, 0x62, 0xFF))]) * (long + rng.choice((-3, -2, -1, 0, 0, 0, 1)))
    return begin + rng.choice((b"", b"\0", b"\xff", b"\xff" * 20, rng.randbytes(2), rng.randbytes(700)))


@pytest.mark.parametrize("long", [4, PLAIN_BYTES_MAX])
@pytest.mark.parametrize("seed", range(5))
def test_store_keeps_keys_of_any_length_in_the_order_of_their_bytes(
    kind: str, path: Path, long: int, seed: int
) -> None:
    """Against a plain model: single keys, ranges with bounds of any length, from either end."""
    print("seed", seed)
    rng = random.Random(seed)
    store = STORES[kind](path)
    model: dict[bytes, bytes] = {}
    for _ in range(60):
        batch = {key_of(rng, long): rng.choice((None, rng.randbytes(5))) for _ in range(6)}
        batch |= dict.fromkeys(rng.sample(sorted(model), min(2, len(model))))
        written(store, dict(batch))
        model = {key: value for key, value in (model | batch).items() if value is not None}
        low, high = key_of(rng, long), key_of(rng, long)
        for first, end in ((low, high), (b"", high), (low, END)):
            expected = sorted((key, value) for key, value in model.items() if first <= key < end)
            assert list(store.range(first, end)) == expected
            assert list(store.range(first, end, reverse=True)) == expected[::-1]
            view = store.view()
            assert list(view.range(first, end)) == expected
            assert list(view.range(first, end, reverse=True)) == expected[::-1]
            view.close()
        for key in (low, high, *batch):
            assert store.get(key) == model.get(key)
    store.close()
    store = STORES[kind](path)
    assert dict(store.range(b"", END)) == model
    store.close()


def test_store_ranges_do_not_disturb_each_other(kind: str, path: Path) -> None:
    """Two that are read by turns give each its own."""
    store = STORES[kind](path)
    written(store, {b"%c%02d" % (letter, number): b"v" for letter in b"abc" for number in range(50)})
    one, other = store.range(b"b", b"c"), store.range(b"a", b"b", reverse=True)
    turns = list(zip(one, other, strict=True))
    assert [key for (key, _), _ in turns] == [b"b%02d" % number for number in range(50)]
    assert [key for _, (key, _) in turns] == [b"a%02d" % number for number in range(49, -1, -1)]
    store.close()


def test_store_view_is_of_its_moment(kind: str, path: Path) -> None:
    """What is written behind it is not seen, however it is read."""
    store = STORES[kind](path)
    before: dict[bytes, bytes | None] = {b"%03d" % number: b"before" for number in range(0, 100, 2)}
    written(store, before)
    view = store.view()
    written(store, {b"%03d" % number: b"after" for number in range(100)})
    written(store, {b"%03d" % number: None for number in range(0, 100, 4)})
    assert dict(view.range(b"", END)) == before
    assert dict(view.range(b"050", END, reverse=True)) == {
        key: value for key, value in before.items() if key >= b"050"
    }
    view.close()
    assert len(list(store.range(b"", END))) == 75
    store.close()


def test_store_that_was_not_filled_to_its_end_is_as_good_as_new(kind: str, path: Path) -> None:
    """What was filled in counts when it is settled: without that a power cut may have left anything."""
    store = STORES[kind](path)
    store.fill([(b"b", b"1"), (b"a", b"2")])
    assert dict(store.range(b"", END)) in ({}, {b"a": b"2", b"b": b"1"})
    store.refresh()
    assert dict(store.range(b"", END)) == {b"a": b"2", b"b": b"1"}
    if kind == "btree":
        store.close()
        (path / DATA).write_bytes(b"half of it" * 1000)
        store = STORES[kind](path)
        assert list(store.range(b"", END)) == []
        store.fill([(b"b", b"1"), (b"a", b"2")])
    store.settle()
    store.close()
    store = STORES[kind](path)
    assert dict(store.range(b"", END)) == {b"a": b"2", b"b": b"1"}
    store.close()


def test_store_takes_an_empty_batch(kind: str, path: Path) -> None:
    """There is nothing to do, and nothing goes wrong."""
    store = STORES[kind](path)
    store.write([])
    assert list(store.range(b"", END)) == []
    store.close()


# ---- damage ----


def flip(path: Path, pattern: bytes) -> None:
    """Change one bit in the files of a store, wherever the pattern stands."""
    flipped = 0
    for file in path.iterdir():
        data = bytearray(file.read_bytes())
        at = data.find(pattern)
        while at >= 0:
            data[at] ^= 1
            flipped += 1
            at = data.find(pattern)
        file.write_bytes(data)
    assert flipped, "the pattern stands nowhere"


def value_of(number: int) -> bytes:
    """A value that can't be compressed."""
    return random.Random(number).randbytes(200)


@pytest.mark.parametrize("read", ["get", "range", "view"])
def test_store_tells_a_value_that_was_changed_on_disk(kind: str, path: Path, read: str) -> None:
    """Damage is an error with a sentence, and a note that keeps the store from being used again."""
    store = STORES[kind](path)
    written(store, {b"%03d" % number: value_of(number) for number in range(100)})
    store.close()
    flip(path, value_of(50)[:20])
    with pytest.raises(StoreDamagedError, match="is damaged"):  # noqa: PT012 - either may tell it
        store = STORES[kind](path)
        try:
            if read == "get":
                store.get(b"050")
            elif read == "range":
                list(store.range(b"", END))
            else:
                list(store.view().range(b"", END))
        finally:
            store.close()
    assert "is damaged" in damage_noted(path)


READING = """
import sys
from pathlib import Path
from tests.engine.test_stores import END, STORES, StoreDamagedError, value_of

try:
    store = STORES[sys.argv[1]](Path(sys.argv[2]))
    found = list(store.range(b"", END))
    got = [(b"%03d" % number, store.get(b"%03d" % number)) for number in range(100)]
except (StoreDamagedError, OSError) as error:
    print("told", type(error).__name__)
else:
    whole = [(b"%03d" % number, value_of(number)) for number in range(100)]
    print("whole" if found == whole and got == whole else "wrong")
"""


@pytest.mark.parametrize("seed", range(4))
def test_store_never_gives_changed_bytes_for_data(kind: str, path: Path, seed: int) -> None:
    """A byte anywhere in its files is another: all is there, or an error, or (LMDB) the process ends.

    What LMDB's own pages say is not checked by anybody: it may miss keys, or read where there is nothing.
    """
    print("seed", seed)
    rng = random.Random(seed)
    store = STORES[kind](path)
    written(store, {b"%03d" % number: value_of(number) for number in range(100)})
    store.close()
    names = [file for file in path.iterdir() if file.suffix in {".sst", ".mdb"} and file.name != "lock.mdb"]
    for file in names:
        whole = file.read_bytes()
        for _ in range(4):
            data = bytearray(whole)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            file.write_bytes(data)
            (path / "damaged").unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-c", READING, kind, str(path)], capture_output=True, text=True, check=False
            )
            died = kind == "btree" and done.returncode < 0
            assert died or done.stdout.split()[:1] in (["whole"], ["told"]), done.stdout + done.stderr
        file.write_bytes(whole)


def test_rocksdb_without_one_of_its_files_is_damaged(path: Path) -> None:
    """It is no trouble that passes: the store is not to be opened again."""
    store = RocksStore(path)
    written(store, {b"k": b"v"})
    store.close()
    next(path.glob("*.sst")).unlink()
    with pytest.raises(StoreDamagedError):
        RocksStore(path)
    assert damage_noted(path)


# ---- no room ----


def test_btree_that_is_full_is_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is not written at all, what was there stays, and there is no note of damage."""
    monkeypatch.setattr(btree, "MAP_BYTES", 1 << 20)
    store = BTreeStore(path)
    written(store, {b"k": b"v"})
    with pytest.raises(OSError, match="MAP_FULL") as error:
        store.write((b"%06d" % number, b"x" * 1000) for number in range(2000))
    assert error.value.errno == errno.ENOSPC
    store.refresh()
    assert dict(store.range(b"", END)) == {b"k": b"v"}
    written(store, {b"k": b"w"})
    store.close()
    assert not damage_noted(path)


FILLING = """
import os, resource, signal, sys
from pathlib import Path
from tests.engine.test_stores import END, STORES

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that would grow too large is an error
store = STORES[sys.argv[1]](Path(sys.argv[2]))
store.write([(b"%06d" % number, os.urandom(1000)) for number in range(1000)])
store.refresh()
before = list(store.range(b"", END))
_soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
batch = [(b"%06d" % number, os.urandom(1000)) for number in range(500, 6000)]
for _ in range(3):
    try:
        store.write(batch)
    except OSError as error:
        print("refused", error.errno)
    store.refresh()
    assert list(store.range(b"", END)) == before
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
store.write(batch)
store.refresh()
assert list(store.range(b"", END)) == before[:500] + batch
store.close()
store = STORES[sys.argv[1]](Path(sys.argv[2]))
assert list(store.range(b"", END)) == before[:500] + batch
"""


def test_store_that_can_not_write_a_batch_has_none_of_it_and_may_try_again(kind: str, path: Path) -> None:
    """The disk is full in the middle: the error says so each time, and passes with its reason."""
    done = subprocess.run(
        [sys.executable, "-c", FILLING, kind, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused") == 3
    assert not damage_noted(path)


# ---- kill -9 ----

WRITING = """
import sys
from pathlib import Path
from tests.engine.test_stores import STORES

store = STORES[sys.argv[1]](Path(sys.argv[2]))
first = int(store.get(b"batch") or 0) + 1
for number in range(first, first + 1000):
    value = b"%d" % number
    batch = [(b"batch", value)]
    batch += [(b"k%05d" % key, value * 20 if (key + number) % 3 else None) for key in range(4000)]
    print(number, flush=True)
    store.write(batch)
    print("written", number, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_store_killed_while_it_writes_has_all_of_a_batch_or_nothing(kind: str, path: Path, seed: int) -> None:
    """SIGKILL at any moment, again and again: as of a batch that was begun, or of the one before."""
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(4):
        command = [sys.executable, "-c", WRITING, kind, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(2, 9)):
                child.stdout.readline()
            select_for(child, rng.random() * 0.02)
            os.kill(child.pid, signal.SIGKILL)
            told = child.stdout.read()
        store = STORES[kind](path)
        value = store.get(b"batch")
        assert value is not None
        number = int(value)
        for line in told.splitlines(keepends=True):
            if line.startswith("written") and line.endswith("\n"):
                assert number >= int(line.split()[1])
        expected = {b"k%05d" % key: value * 20 for key in range(4000) if (key + number) % 3}
        assert dict(store.range(b"k", b"l")) == expected
        store.close()


def select_for(child: subprocess.Popen[str], seconds: float) -> None:
    """Let the child go on for a moment."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("it ended by itself")
