"""The data directory: one user at a time, an identity that stays, and clear words when it can't be had."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from redraft.base.errors import DamagedError, DirectoryError
from redraft.node import identity
from redraft.node.identity import IDENTITY, DataDirectory
from tests.control.clusters import founded


def test_identity_is_made_once_and_counts_starts(tmp_path: Path) -> None:
    """The id stays; the incarnation is one higher at each start, and on disk."""
    path = tmp_path / "deep" / "data"
    seen = []
    for _ in range(3):
        directory = DataDirectory.open(path)
        seen.append(directory.identity)
        directory.close()
    assert [each.incarnation for each in seen] == [1, 2, 3]
    assert len({each.hex_id for each in seen}) == 1
    assert len(seen[0].hex_id) == 40
    assert (path / IDENTITY).read_bytes().startswith(b'{"format":1,')


def test_identity_keeps_what_is_saved(tmp_path: Path) -> None:
    """What was saved is there at the next start."""
    directory = DataDirectory.open(tmp_path)
    directory.save(msgspec.structs.replace(directory.identity, cluster_id="c", groups=5))
    directory.close()
    again = DataDirectory.open(tmp_path)
    assert (again.identity.cluster_id, again.identity.groups) == ("c", 5)
    again.close()


def test_identity_in_use_names_the_process(tmp_path: Path) -> None:
    """A directory that is open already is refused by name; closed, it can be had again."""
    directory = DataDirectory.open(tmp_path)
    with pytest.raises(DirectoryError, match=rf"in use by a running node \(process {os.getpid()}\): stop"):
        DataDirectory.open(tmp_path)
    directory.close()
    DataDirectory.open(tmp_path).close()


def test_identity_damaged_is_not_taken_for_new(tmp_path: Path) -> None:
    """A flipped bit is noticed and named; so is a log without an identity."""
    DataDirectory.open(tmp_path).close()
    file = tmp_path / IDENTITY
    content = bytearray(file.read_bytes())
    content[30] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedError, match="identity is damaged"):
        DataDirectory.open(tmp_path)
    file.unlink()
    (tmp_path / "log").mkdir()
    with pytest.raises(DamagedError, match="has a log but no file identity"):
        DataDirectory.open(tmp_path)


def test_identity_torn_replacement_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails (disk full) leaves the identity that was, and the next start goes on from it."""
    directory = DataDirectory.open(tmp_path)
    before = directory.identity

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            directory.save(msgspec.structs.replace(before, groups=9))
    directory.close()
    again = DataDirectory.open(tmp_path)
    assert (again.identity.hex_id, again.identity.groups) == (before.hex_id, 0)
    again.close()


def test_identity_of_another_version_is_refused(tmp_path: Path) -> None:
    """A format this version does not know is not guessed at."""
    directory = DataDirectory.open(tmp_path)
    directory.save(msgspec.structs.replace(directory.identity, format=2))
    directory.close()
    with pytest.raises(DirectoryError, match="has format 2, this version reads 1"):
        DataDirectory.open(tmp_path)


def test_identity_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A path through a file is refused in one sentence."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(DirectoryError, match="something in that path is a file: choose another"):
            DataDirectory.open(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "is not writable: give it to the user"),
        (OSError(errno.EROFS, "Read-only file system"), r"can't be used \(Read-only file system\)"),
        (OSError(errno.ENOSPC, "No space left on device"), r"can't be used \(No space left on device\)"),
    ],
)
def test_identity_directory_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    """What the system says is told in one sentence with what to do; the lock is not kept."""

    def fails(*_arguments: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(identity, "_replace", fails)
        with pytest.raises(DirectoryError, match=words):
            DataDirectory.open(tmp_path)
    DataDirectory.open(tmp_path).close()


def test_identity_refuses_a_directory_full_of_somebody_elses_files(tmp_path: Path) -> None:
    """A first start in the wrong place is told so, and leaves the place as it was."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DirectoryError, match=r"holds other files \(thesis.tex\) and no node"):
        DataDirectory.open(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} <= {"thesis.tex", "lock"}


def test_identity_remembers_the_topology(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was saved last is read back; a memory that is damaged is none, and said so."""
    directory = DataDirectory.open(tmp_path / "node")
    assert directory.topology is None
    directory.save_topology(founded())
    directory.save_topology(founded(nodes=5))
    directory.close()
    directory = DataDirectory.open(tmp_path / "node")
    assert directory.topology == founded(nodes=5)
    path = directory.path / "topology"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert directory.topology is None
    assert "can't be read" in caplog.text
    directory.close()
