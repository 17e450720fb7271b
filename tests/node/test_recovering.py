"""One node that is left becomes the cluster: with what its logs have, alone, and under a new name."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from redraft.base.address import Address
from redraft.cli.main import INTERRUPTED, run
from redraft.commands.keyspace import Keyspace
from redraft.control.applier import TopologyApplier, encode_request
from redraft.control.topology import Command, Join, Remove, apply
from redraft.engine.kinds import opener
from redraft.engine.stored import StoredEngine
from redraft.node.bootstrap import Bootstrap, configuration_of
from redraft.node.hosting import put_behind
from redraft.node.identity import DataDirectory
from redraft.raft.configuration import Configuration
from redraft.raft.types import Entry, EntryKind, HardState
from redraft.replica.apply import Applier
from redraft.replica.part import encode_part, encode_payload, mark
from redraft.replica.snapshotting import checkpoint_of
from redraft.snapshot.format import Header
from redraft.wal.group import GroupLog
from redraft.wal.log import Log

ADDRESSES = [Address("127.0.0.1", port) for port in (7001, 7002, 7003)]
CLOCK_MS = 4_000_000_000_000
"""Far ahead of this machine's."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The directory of node 2 of three, founded, its log not begun."""
    with ExitStack() as stack:
        nodes = [_bootstrap(stack, tmp_path / str(number), number) for number in range(3)]
        for _ in range(3):
            for left in nodes:
                for right in nodes:
                    if left is not right:
                        left.met(right.card())
        assert all(node.formed for node in nodes)
    return tmp_path / "1"


def _bootstrap(stack: ExitStack, path: Path, number: int) -> Bootstrap:
    directory = DataDirectory.open(path)
    stack.callback(directory.close)
    own = ADDRESSES[number]
    return Bootstrap(
        directory,
        own=own,
        primary_port=1,
        replica_port=2,
        cluster=ADDRESSES,
        groups=2,
        replication_factor=3,
    )


def log_entries(path: Path, group: int, entries: Sequence[Entry], hard_state: HardState) -> None:
    """Put entries into a group's log."""
    log = Log.open(path / "log")
    log.group(group).save(hard_state)
    if entries:
        log.group(group).append(entries)
    log.flush()
    log.sync()
    log.close()


def on_topology(term: int, index: int, command: Command) -> Entry:
    """An entry of the topology group."""
    part = encode_part(1, 1, index, 1, True, [mark(1, 2)], [encode_request(command)])
    return Entry(term, index, EntryKind.PARTS, encode_payload(CLOCK_MS, 0, False, [part]))


def recovered(path: Path) -> tuple[Log, DataDirectory]:
    """The log and the directory as the next start finds them."""
    return Log.open(path / "log"), DataDirectory.open(path)


def test_recover_makes_a_node_the_only_voter_of_everything(path: Path) -> None:
    """In every group's log a configuration of it alone, in a term above all; in the topology nobody else."""
    joined = on_topology(3, 2, Join("f" * 40, "127.0.0.1", 7009, 1, 2, 3))
    log_entries(path, 0, [Entry(3, 1, EntryKind.NOOP, b""), joined], HardState(5, 1))
    log_entries(path, 1, [Entry(4, 1, EntryKind.NOOP, b"")], HardState(4, 1))
    before = DataDirectory.open(path)
    before.close()
    assert run(["recover", "--dir", str(path), "--yes"]) == 0
    log, directory = recovered(path)
    for group, term, index in ((0, 6, 3), (1, 5, 2), (2, 1, 1)):
        view = log.group(group)
        assert view.hard_state == HardState(term, 2)
        (entry,) = view.slice(index, index + 1, 0)
        assert entry.kind == EntryKind.CONFIGURATION
        assert Configuration.decode(entry.data) == Configuration((2,))
        assert entry.term == term
    bootstrap = Bootstrap(
        directory,
        own=ADDRESSES[1],
        primary_port=1,
        replica_port=2,
        cluster=ADDRESSES,
        groups=2,
        replication_factor=3,
    )
    applier = TopologyApplier(bootstrap.configuration.topology, log.group(0))
    applier.apply_slice(log.group(0).last_index, 1 << 20)
    assert [node.node_id for node in applier.topology.nodes] == [2]
    assert applier.topology.next_node_id == 5, "ids that were given stay given"
    assert all(group.voters == (2,) for group in applier.topology.groups)
    assert directory.identity.cluster_id != before.identity.cluster_id
    log.close()
    directory.close()


def test_recover_only_shows_if_asked_to(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the node has, to be compared with others; nothing changes."""
    log_entries(path, 1, [Entry(4, 1, EntryKind.NOOP, b"")], HardState(4, 1))
    assert run(["recover", "--dir", str(path), "--show"]) == 0
    assert "group 1: entries up to 1\n" in capsys.readouterr().out
    log, directory = recovered(path)
    assert log.group(1).last_index == 1
    log.close()
    directory.close()


def test_recover_asks_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a yes nothing happens."""
    log_entries(path, 1, [Entry(4, 1, EntryKind.NOOP, b"")], HardState(4, 1))
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert run(["recover", "--dir", str(path)]) == INTERRUPTED
    log, directory = recovered(path)
    assert log.group(1).last_index == 1
    log.close()
    directory.close()


def test_recover_of_groups_that_are_not_there_has_to_be_asked_for(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A group whose replica went elsewhere is lost with the others, and begins again only on request."""
    log_entries(path, 1, [Entry(4, 1, EntryKind.NOOP, b"")], HardState(4, 1))
    directory = DataDirectory.open(path)
    directory.drop(2)
    directory.close()
    assert run(["recover", "--dir", str(path), "--yes"]) == 1
    assert "nothing of group 2" in capsys.readouterr().err
    assert run(["recover", "--dir", str(path), "--yes", "--lose-groups"]) == 0
    log, directory = recovered(path)
    assert log.group(2).last_index == 0
    assert directory.dropped == {2}, "for it is gone"
    applier = TopologyApplier(configuration_of(directory.identity).topology, log.group(0))
    before = applier.topology.groups[1]
    applier.apply_slice(log.group(0).last_index, 1 << 20)
    kept, begun = applier.topology.groups
    assert kept.group_id == 1
    assert (begun.group_id, begun.slots, begun.founders) == (3, before.slots, (2,))
    log.close()
    directory.close()


def test_recover_refuses_a_node_that_does_not_know_its_topology(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node that was told of a newer topology than its log has can't say who was a member."""
    log_entries(path, 0, [Entry(3, 1, EntryKind.NOOP, b"")], HardState(3, 1))
    directory = DataDirectory.open(path)
    topology, _answer = apply(configuration_of(directory.identity).topology, Remove(3), 9)
    directory.save_topology(topology)
    directory.close()
    assert run(["recover", "--dir", str(path), "--yes"]) == 1
    assert "has not heard all" in capsys.readouterr().err


def test_recover_of_nothing_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No node, or one that never was part of a cluster."""
    assert run(["recover", "--dir", str(tmp_path / "nowhere")]) == 1
    assert "There is no node in" in capsys.readouterr().err
    DataDirectory.open(tmp_path / "new").close()
    assert run(["recover", "--dir", str(tmp_path / "new")]) == 1
    assert "has never been part of a cluster" in capsys.readouterr().err


def checkpointed(path: Path, kind: str, index: int, term: int) -> None:
    """Leave what an engine on disk has of group 1 as of an entry."""
    engine = StoredEngine(opener(kind)(path / "engine" / kind / "1" / "1"))
    applier = Applier(Keyspace(engine, [1], (0, 0, 0)), NoLog())
    applier.applied_index = index
    engine.put(1, b"k", b"$1\r\nv\r\n")
    engine.freeze(checkpoint_of(applier, 1, term, Configuration((1, 2, 3)).encode()))
    engine.write_frozen()
    engine.thaw()
    engine.close()


class NoLog(GroupLog):
    """Asked nothing here."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["btree", "rocksdb"])
def test_recover_goes_on_behind_what_an_engine_has_on_disk(
    path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries that others committed are in a checkpoint, and not in the log: that goes on behind them."""
    log_entries(path, 1, [Entry(4, index, EntryKind.NOOP, b"") for index in (1, 2)], HardState(4, 1))
    checkpointed(path, kind, 7, 5)
    assert run(["recover", "--dir", str(path), "--yes"]) == 0
    assert "group 1: entries up to 7\n" in capsys.readouterr().out
    log, directory = recovered(path)
    view = log.group(1)
    assert (view.first_index, view.last_index, view.term(7)) == (8, 8, 5)
    (entry,) = view.slice(8, 9, 0)
    assert (entry.kind, entry.term) == (EntryKind.CONFIGURATION, 6)
    put_behind(view, Header(1, 7, 5, b"", 0, 0))
    assert view.last_index == 8, "the next start leaves it as it is"
    log.close()
    directory.close()


@pytest.mark.parametrize("lost", ["removed", "damaged"])
def test_recover_refuses_a_node_whose_engine_lost_what_the_log_begins_behind(
    path: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing that the log could be applied to: the node would not start."""
    checkpointed(path, "btree", 7, 5)
    log = Log.open(path / "log")
    log.group(1).save(HardState(5, 1))
    log.group(1).restore(7, 5)
    log.flush()
    log.sync()
    log.close()
    below = path / "engine" / "btree" / "1" / "1"
    if lost == "removed":
        shutil.rmtree(below)
    else:
        (below / "damaged").write_text("it is damaged.\n")
    assert run(["recover", "--dir", str(path), "--yes"]) == 1
    told = capsys.readouterr().err
    assert ("what is between is missing" if lost == "removed" else "it is damaged") in told
    assert "Recover another node" in told
