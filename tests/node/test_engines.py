"""Clusters whose nodes have different engines: the same in all of them, whatever happens to the nodes."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from redraft.base.errors import DamagedError, DirectoryError
from redraft.control.applier import reason_of
from redraft.control.topology import Place
from redraft.engine import kinds
from redraft.engine.record import collection_id
from redraft.engine.stored import StoredEngine
from redraft.engine.stores import Store, Write
from redraft.node.conversion import SUFFIX_DAMAGED, convert
from redraft.node.node import Node
from redraft.node.states import DiskStates, MemoryStates, States
from redraft.raft.configuration import Configuration
from redraft.replica.apply import Applier
from redraft.replica.replica import Replica
from redraft.replica.snapshotting import checkpoint_of
from redraft.snapshot.store import Store as SnapshotStore
from redraft.snapshot.worker import Worker
from redraft.topology.cluster_map import Group
from tests.node.bottle import Cluster

SETTINGS = {
    "snapshot_log_bytes": 64 * 1024,
    "log_tail_bytes": 8 * 1024,
    "engine_memory_bytes": 64 * 1024,
}
OPEN: dict[str, Callable[[Path], Store]] = {kind: kinds.opener(kind) for kind in kinds.STORES}
VALUE = 400


@dataclass
class Mixed(Cluster):
    """A cluster of nodes with the engines named; a crash closes their stores, for one process is all."""

    path: Path = Path("/nowhere")
    engines: tuple[str, ...] = ("hash", "btree", "rocksdb")

    def __post_init__(self) -> None:
        self.kept: dict[int, DiskStates] = {}
        self.failing: set[int] = set()
        """Nodes whose disk is full."""
        super().__post_init__()

    def states(self, number: int, worker: Worker) -> States:
        kind = self.engine_of(number)
        if kind == "hash":
            return MemoryStates()

        def open_store(path: Path) -> Store:
            store = OPEN[kind](path)
            write = store.write

            def full(batch: object) -> None:
                if number in self.failing:
                    raise OSError(errno.ENOSPC, "No space left on device")
                write(batch)  # type: ignore[arg-type]

            return Wrapped(store, full)

        path = self.path / f"{number}" / kind
        self.kept[number] = DiskStates(path, open_store, worker, memory_bytes=self.config.engine_memory_bytes)
        return self.kept[number]

    def engine_of(self, number: int) -> str:
        return self.engines[(number - 1) % len(self.engines)]

    def boot(self, number: int) -> Node:
        with closing(Worker(threaded=False)) as worker:
            store = SnapshotStore(Path("/snapshots"), self.snapshot_files[number], worker)
            dropped = self.memories[number].dropped
            convert(self.path / f"{number}", self.engine_of(number), store, dropped)
        return super().boot(number)

    def crash(self, number: int) -> None:
        super().crash(number)
        if number in self.kept:
            self.kept.pop(number).close()

    def close(self) -> None:
        for number in list(self.kept):
            self.kept.pop(number).close()


class Wrapped:
    """A store whose batches go another way."""

    def __init__(self, store: Store, write: Callable[[object], None]) -> None:
        self._store = store
        self.write = write

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


Make = Callable[..., Mixed]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    """Makes clusters, and closes their stores."""
    with ExitStack() as stack:

        def make(seed: int, *engines: str, **others: object) -> Mixed:
            print("seed", seed)
            settings = SETTINGS | others.pop("settings", {})  # type: ignore[operator]
            cluster = Mixed(
                seed=seed,
                path=tmp_path,
                settings=settings,
                engines=engines or Mixed.engines,
                **others,  # type: ignore[arg-type]
            )
            stack.callback(cluster.close)
            return cluster

        yield make


def contents(replica: Replica) -> dict[object, object]:
    """All keys of a replica with their records and members, without the collections' ids."""
    engine = replica.applier.keyspace.engine
    found: dict[object, object] = {}
    for slot, _count in replica.applier.keyspace.occupied():
        for key, record in engine.items(slot):
            number = collection_id(record)
            found[slot, key] = record, engine.members(slot, number).range() if number else None
    return found


def in_step(cluster: Cluster) -> bool:
    """Whether all replicas have applied the same, all there is."""
    replicas = [replica for node in cluster.nodes.values() for replica in node.replicas.values()]
    reached: dict[int, set[tuple[int, int]]] = {}
    for each in replicas:
        reached.setdefault(each.group.group_id, set()).add((each.applier.applied_index, each.raft.last_index))
    return all(len(each) == 1 for each in reached.values()) and not any(
        each.raft.is_blank for each in replicas
    )


def check_equal(cluster: Cluster, group: int = 1) -> dict[object, object]:
    """Let the replicas come together; they hold the same."""
    assert cluster.run(60_000, until=lambda: in_step(cluster)), "the replicas never came together"
    replicas = {
        number: node.replicas[group] for number, node in cluster.nodes.items() if group in node.replicas
    }
    found = {number: contents(replica) for number, replica in replicas.items()}
    counted = {number: replica.applier.keyspace.counts for number, replica in replicas.items()}
    first = min(found)
    for number, held in found.items():
        assert held == found[first], f"nodes {first} and {number} differ"
        assert counted[number] == counted[first]
        next_ms = replicas[number].applier.keyspace.next_deadline_ms()
        assert next_ms == replicas[first].applier.keyspace.next_deadline_ms()
    return found[first]


def command(rng: random.Random) -> list[bytes]:
    """A random write to one of a few dozen keys."""
    key = b"key:%d" % rng.randrange(40)
    value, field = rng.randbytes(rng.randrange(VALUE)), b"f%d" % rng.randrange(60)
    return rng.choices(
        [
            [b"SET", key, value],
            [b"SET", key, value, b"PX", b"%d" % rng.randrange(1, 5000)],
            [b"PEXPIRE", key, b"%d" % rng.randrange(1, 5000)],
            [b"PERSIST", key],
            [b"HSET", b"h" + key, field, value],
            [b"HDEL", b"h" + key, field],
            [b"RPUSH", b"l" + key, value, field],
            [b"LPOP", b"l" + key],
            [b"APPEND", key, value],
            [b"DEL", rng.choice((b"", b"h", b"l")) + key],
            [b"RENAME", b"h" + key, b"hkey:%d" % rng.randrange(40)],
            [b"COPY", b"h" + key, b"hkey:%d" % rng.randrange(40), b"REPLACE"],
            [b"FLUSHALL"],
        ],
        [20, 6, 4, 2, 30, 8, 20, 8, 5, 4, 3, 3, 0.05],
    )[0]


def write(cluster: Cluster, rng: random.Random, count: int) -> None:
    """Random writes through random nodes, in batches."""
    for _ in range(count):
        batch = [command(rng) for _ in range(rng.choice((1, 10, 100)))]
        cluster.call(rng.choice(list(cluster.nodes)), *batch, write=True)


@pytest.mark.parametrize("seed", range(8))
def test_replicas_of_all_engines_hold_the_same_through_crashes(made: Make, seed: int) -> None:
    """Power cuts at random moments, of one node or of all: checkpoint or snapshot, and log, give it back."""
    rng = random.Random(seed)
    cluster = made(seed)
    cluster.elect()
    for _ in range(12):
        write(cluster, rng, rng.randrange(1, 8))
        what = rng.random()
        if what < 0.6:
            victim = rng.choice(list(cluster.nodes))
            cluster.catch(rng.randrange(1, 200), lambda: rng.random() < 0.01)
            cluster.crash(victim)
            if rng.random() < 0.5:
                write(cluster, rng, rng.randrange(1, 20))
            cluster.start(victim)
        elif what < 0.75:
            cluster.catch(rng.randrange(1, 200), lambda: rng.random() < 0.01)
            for number in list(cluster.nodes):
                cluster.crash(number)
            for number in cluster.disks:
                cluster.start(number)
            cluster.elect()
        else:
            cluster.run(rng.randrange(1, 3000))
    assert check_equal(cluster)
    for engine in [cluster.nodes[number].replicas[1].applier.keyspace.engine for number in (2, 3)]:
        assert isinstance(engine, StoredEngine)
        assert engine.durable_index > 0


PAIRS = [("hash", "btree"), ("btree", "hash"), ("btree", "rocksdb"), ("rocksdb", "hash"), ("hash", "rocksdb")]


@pytest.mark.parametrize(("giver", "taker"), PAIRS)
def test_snapshot_goes_from_any_engine_to_any_other(made: Make, giver: str, taker: str) -> None:
    """A node far behind is filled by a leader with another engine, and keeps it over a power cut."""
    rng = random.Random(1)
    cluster = made(1, giver, taker, giver)
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    write(cluster, rng, 3)
    cluster.crash(2)
    while cluster.disks[1].group(1).first_index <= cluster.disks[2].group(1).last_index + 1:
        write(cluster, rng, 5)
    cluster.start(2)
    assert cluster.run(20_000, until=lambda: cluster.nodes[2].installed > 0)
    write(cluster, rng, 3)
    assert check_equal(cluster)
    cluster.crash(2)
    cluster.start(2)
    assert check_equal(cluster)


@pytest.mark.parametrize("engine", ["btree", "rocksdb"])
@pytest.mark.parametrize("seed", range(3))
def test_replica_dropped_and_hosted_again_has_nothing_of_before(made: Make, engine: str, seed: int) -> None:
    """Its old files may still be on their way out when the new replica comes: it does not open them."""
    rng = random.Random(seed)
    cluster = made(seed, engine, size=4)
    cluster.elect()
    write(cluster, rng, 20)

    def hosts(*nodes: int) -> Callable[[], bool]:
        return lambda: (
            {number for number, node in cluster.nodes.items() if 1 in node.replicas} == set(nodes)
            and in_step(cluster)
        )

    homes = sorted(cluster.nodes[1].cluster.groups[0].voters)
    other = next(number for number in cluster.nodes if number not in homes)
    for _ in range(3):
        moved = (*homes[:2], other)
        assert reason_of(cluster.change(homes[0], Place(1, moved))) is None
        assert cluster.run(30_000, until=lambda: 1 not in cluster.nodes[homes[2]].replicas)
        write(cluster, rng, 5)
        assert reason_of(cluster.change(homes[0], Place(1, tuple(homes)))) is None
        assert cluster.run(30_000, until=hosts(*homes))
        check_equal(cluster)
    for number in list(cluster.nodes):
        cluster.crash(number)
    for number in cluster.disks:
        cluster.start(number)
    cluster.elect()
    assert check_equal(cluster)
    kept = list((cluster.path / f"{homes[2]}" / engine / "1").iterdir())
    assert cluster.run(5000, until=lambda: len(list(kept[0].parent.iterdir())) == 1)


@pytest.mark.parametrize("engine", ["btree", "rocksdb"])
def test_dropped_state_is_not_opened_while_it_is_on_its_way_out(engine: str, tmp_path: Path) -> None:
    """The worker has not removed it yet: another state begins beside it, empty; later it is gone."""
    worker = Worker(threaded=False)
    states = DiskStates(tmp_path / "engine", OPEN[engine], worker, memory_bytes=1 << 20)
    group, view = Group(1, ((0, 16383),), (1,)), NoLog()
    applier, _header = states.open(group, view)
    applier.keyspace.engine.put(1, b"k", b"v")
    settle(applier)
    states.drop(1)
    applier, header = states.open(group, view)
    assert header is None
    assert applier.keyspace.engine.get(1, b"k") is None
    applier.keyspace.engine.put(1, b"new", b"v")
    while worker.step():
        worker.take_done()
    settle(applier)
    assert applier.keyspace.engine.get(1, b"new") == b"v"
    assert len(list((tmp_path / "engine" / "1").iterdir())) == 1
    states.close()
    states = DiskStates(tmp_path / "engine", OPEN[engine], worker, memory_bytes=1 << 20)
    applier, header = states.open(group, view)
    assert header is not None
    assert applier.keyspace.engine.get(1, b"new") == b"v"
    states.fresh(group, view).keyspace.engine.load(1, [b"coming"], [b"v"])
    states.abandon(1)
    while worker.step():
        worker.take_done()
    assert len(list((tmp_path / "engine" / "1").iterdir())) == 1
    states.close()
    worker.close()


class NoLog:
    """A log without entries."""

    first_index, last_index = 1, 0


def settle(applier: Applier) -> None:
    """Make a checkpoint."""
    engine = applier.keyspace.engine
    assert isinstance(engine, StoredEngine)
    engine.freeze(checkpoint_of(applier, 1, 1, Configuration((1,)).encode()))
    engine.write_frozen()
    engine.thaw()


@pytest.mark.parametrize("engine", ["btree", "rocksdb"])
@pytest.mark.parametrize("log_is_whole", [True, False])
def test_damaged_engine_is_never_served(made: Make, engine: str, log_is_whole: bool) -> None:
    """Its log has all, or else its peers fill it again."""
    rng = random.Random(1)
    settings = {"log_tail_bytes": 1 << 30, "log_bytes_max": 1 << 40} if log_is_whole else {}
    cluster = made(1, engine, settings=settings)
    cluster.elect()
    write(cluster, rng, 20)
    victim = 2
    checkpoint_now(cluster, victim)
    assert (cluster.disks[victim].group(1).first_index == 1) is log_is_whole
    cluster.crash(victim)
    (path,) = (cluster.path / f"{victim}" / engine / "1").iterdir()
    (path / "damaged").write_text("it is damaged\n")
    cluster.start(victim)
    assert check_equal(cluster)
    assert cluster.run(5000, until=lambda: not path.exists())


def checkpoint_now(cluster: Mixed, number: int) -> None:
    """Let a node write a checkpoint of now."""
    replica = cluster.nodes[number].replicas[1]
    engine = replica.applier.keyspace.engine
    assert isinstance(engine, StoredEngine)
    checkpoints = cluster.nodes[number].snapshots.checkpoints
    assert cluster.run(20_000, until=lambda: checkpoints.idle)
    if engine.durable_index < replica.applier.applied_index:
        checkpoints.begin(replica)
        assert cluster.run(20_000, until=lambda: checkpoints.idle)


@pytest.mark.parametrize("seed", range(3))
def test_checkpoint_that_can_not_be_written_is_tried_again(made: Make, seed: int) -> None:
    """The node goes on from memory, then waits with what comes; with space there is all is caught up."""
    rng = random.Random(seed)
    cluster = made(seed)
    cluster.elect()
    late = next(number for number in (2, 3) if number != cluster.leader())
    cluster.failing.add(late)
    replica = cluster.nodes[late].replicas[1]
    engine = replica.applier.keyspace.engine
    assert isinstance(engine, StoredEngine)
    while not engine.is_full:
        write(cluster, rng, 5)
    stopped = replica.applier.applied_index
    write(cluster, rng, 20)
    assert replica.applier.applied_index == stopped, "it waits"
    assert engine.dirty_bytes < 4 * SETTINGS["engine_memory_bytes"]
    cluster.failing.discard(late)
    assert check_equal(cluster)
    assert replica.applier.applied_index > stopped
    cluster.crash(late)
    cluster.start(late)
    check_equal(cluster)


@pytest.mark.parametrize("engine", ["btree", "rocksdb"])
def test_checkpoint_of_a_state_that_was_replaced_meanwhile_is_forgotten(made: Make, engine: str) -> None:
    """It failed and waits to be tried again, and a snapshot takes its place: nothing is written to it."""
    rng = random.Random(1)
    cluster = made(1, "hash", engine, "hash")
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    write(cluster, rng, 5)
    cluster.failing.add(2)
    replica = cluster.nodes[2].replicas[1]
    while not replica.applier.keyspace.engine.is_full:
        write(cluster, rng, 5)
    cluster.partition(1, 2)
    cluster.partition(3, 2)
    while cluster.disks[1].group(1).first_index <= cluster.disks[2].group(1).last_index + 1:
        cluster.call(1, *(command(rng) for _ in range(100)), write=True)
    cluster.heal()
    assert cluster.run(20_000, until=lambda: cluster.nodes[2].installed > 0)
    cluster.run(5000)
    cluster.failing.clear()
    check_equal(cluster)
    checkpoint_now(cluster, 2)


@pytest.mark.parametrize("engine", ["btree", "rocksdb"])
def test_snapshot_that_can_not_be_loaded_for_want_of_space_is_taken_later(
    made: Make, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node does not end: it has what it had, and nothing is left of the half."""
    rng = random.Random(1)
    cluster = made(1, "hash", engine, "hash")
    assert cluster.run(20_000, until=lambda: cluster.leader() == 1)
    write(cluster, rng, 3)
    cluster.crash(2)
    while cluster.disks[1].group(1).first_index <= cluster.disks[2].group(1).last_index + 1:
        write(cluster, rng, 5)
    filled = StoredEngine.fill
    room = random.Random(2)

    def fill(self: StoredEngine, batch: Iterable[Write]) -> None:
        if room.random() < 0.3:
            raise OSError(errno.ENOSPC, "No space left on device")
        filled(self, batch)

    def settle_full(_self: StoredEngine) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(StoredEngine, "fill", fill)
    with monkeypatch.context() as full:
        full.setattr(StoredEngine, "settle", settle_full)
        cluster.start(2)
        cluster.run(30_000)
        assert cluster.nodes[2].installed == 0
    monkeypatch.setattr(StoredEngine, "fill", filled)
    assert check_equal(cluster)
    cluster.run(10_000)
    assert len(list((cluster.path / "2" / engine / "1").iterdir())) == 1
    files = cluster.snapshot_files[2]
    assert not [name for name in files.names(Path("/snapshots")) if name.endswith(".new")]


def test_engine_on_disk_is_cleaned_while_nothing_else_is_to_do(made: Make) -> None:
    """What was dropped is deleted by and by, without another write."""
    cluster = made(1, "btree", size=1)
    cluster.elect()
    for number in range(300):
        cluster.call(1, *([b"HSET", b"h%d" % key, b"f%d" % number, b"v"] for key in range(100)), write=True)
    checkpoint_now(cluster, 1)
    cluster.call(1, [b"FLUSHALL"], [b"SET", b"k", b"v"], write=True)
    checkpoint_now(cluster, 1)
    cluster.run(20_000)
    engine = cluster.nodes[1].replicas[1].applier.keyspace.engine
    assert isinstance(engine, StoredEngine)
    view = engine._store.view()
    assert len(list(view.range(b"", b"\xff"))) == 1
    view.close()
    assert cluster.nodes[1].idle


# ---- another engine than before ----


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_node_started_with_another_engine_keeps_what_it_has(made: Make, size: int, seed: int) -> None:
    """From memory to disk and back, from one disk to another; alone too, where nobody could fill it."""
    rng = random.Random(seed)
    cluster = made(seed, "hash", size=size)
    cluster.elect()
    for engine in ("btree", "rocksdb", "hash", "rocksdb", "btree", "hash"):
        before = cluster.disks[1].group(1).first_index
        while cluster.disks[1].group(1).first_index == before:
            write(cluster, rng, 5)
        held = check_equal(cluster)
        cluster.run(1000)
        for number in list(cluster.nodes):
            cluster.crash(number)
        cluster.engines = (engine,)
        for number in cluster.disks:
            cluster.start(number)
            kinds = [path.name for path in (cluster.path / f"{number}").iterdir() if list(path.iterdir())]
            assert kinds == [engine] * (engine != "hash"), "what the other one had is gone"
        replica = cluster.nodes[1].replicas[1]
        assert replica.applier.applied_index > 0, "it begins with its own state, not with nothing"
        assert not replica.raft.is_blank
        cluster.elect()
        found = check_equal(cluster)
        lasting = {key for key, (record, _) in held.items() if record[:1] != b"T"}
        assert {key: found[key] for key in lasting} == {key: held[key] for key in lasting}


def test_snapshot_that_an_engine_on_disk_was_begun_with_goes_when_it_is_of_no_use(made: Make) -> None:
    """It takes as much room as the keys: once the log begins behind it nobody can go on from it."""
    rng = random.Random(1)
    cluster = made(1, "hash", size=1)
    cluster.elect()
    while not cluster.disks[1].group(1).first_index > 1:
        write(cluster, rng, 5)
    cluster.run(1000)
    cluster.crash(1)
    cluster.engines = ("btree",)

    def files() -> list[str]:
        names = cluster.snapshot_files[1].names(Path("/snapshots"))
        return [name for name in names if name.startswith("00001-")]

    cluster.start(1)
    assert files()
    cluster.elect()
    for _ in range(100):
        write(cluster, rng, 5)
        if not files():
            break
    assert not files()
    held = check_equal(cluster)
    cluster.crash(1)
    cluster.start(1)
    cluster.elect()
    assert check_equal(cluster).keys() <= held.keys()


@pytest.mark.parametrize("size", [1, 3])
def test_damaged_state_of_another_engine_is_told_and_set_aside(
    made: Make, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With peers the node is filled again; alone it does not start as if it had nothing."""
    rng = random.Random(1)
    cluster = made(1, "btree", size=size)
    cluster.elect()
    while not cluster.disks[1].group(1).first_index > 1:
        write(cluster, rng, 5)
    cluster.run(1000)
    cluster.crash(1)
    (path,) = (cluster.path / "1" / "btree" / "1").iterdir()
    (path / "damaged").write_text("it is damaged.\n")
    cluster.engines = ("rocksdb", "btree", "btree")
    if size == 1:
        with pytest.raises(DamagedError, match="what is between is missing"):
            cluster.start(1)
    else:
        cluster.start(1)
        assert check_equal(cluster)
    assert "it is damaged. What engine btree had of group 1 is lost" in caplog.text
    assert (cluster.path / "1" / "btree" / f"1{SUFFIX_DAMAGED}").exists()


def test_conversion_without_room_leaves_all_as_it_is(made: Make) -> None:
    """The node does not start, says why, and what it has is still there for the engine before."""
    rng = random.Random(1)
    cluster = made(1, "btree", size=1)
    cluster.elect()
    while not cluster.disks[1].group(1).first_index > 1:
        write(cluster, rng, 5)
    held = check_equal(cluster)
    cluster.crash(1)
    cluster.engines = ("hash",)
    files = cluster.snapshot_files[1]
    failing = Full(files)
    cluster.snapshot_files[1] = failing  # type: ignore[assignment]
    with pytest.raises(DirectoryError, match=r"No space left.*start with --engine btree again"):
        cluster.start(1)
    cluster.snapshot_files[1] = files
    cluster.start(1)
    cluster.elect()
    assert check_equal(cluster).keys() <= held.keys()


class Full:
    """Files that can't be written."""

    def __init__(self, files: object) -> None:
        self._files = files

    def write(self, *_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)
