"""The directory of `redraft local`: what it remembers, and each sentence it refuses with."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from redraft.base.configload import load_config
from redraft.base.errors import ConfigError, DirectoryError
from redraft.cli.localdir import LocalDirectory, Shape


def made(path: Path, **asked: object) -> None:
    """Make a local directory and leave it."""
    directory = LocalDirectory.open(path, asked)
    directory.remember({})
    directory.close()


def test_localdir_carries_on(tmp_path: Path) -> None:
    """The second start needs no flag, and accepts the ones of the first."""
    made(tmp_path, nodes=5, groups=7, port=7000, engine="hash")
    for asked in ({}, {"nodes": 5, "groups": None}):
        directory = LocalDirectory.open(tmp_path, asked)
        assert directory.shape == Shape(5, 7, 7000, "hash")
        assert not directory.new
        directory.close()


@pytest.mark.parametrize(
    ("name", "value"), [("nodes", 4), ("groups", 1), ("port", 6380), ("engine", "rocksdb")]
)
def test_localdir_refuses_another_shape(tmp_path: Path, name: str, value: object) -> None:
    """What was fixed at the first start is named, with both values and a way on."""
    made(tmp_path)
    with pytest.raises(
        ConfigError, match=rf"made with --{name} .* --{name} {value} can't change.*another --dir"
    ):
        LocalDirectory.open(tmp_path, {name: value})
    LocalDirectory.open(tmp_path, {}).close()


def test_localdir_refuses_a_directory_in_use(tmp_path: Path) -> None:
    """Two `redraft local` never share a directory; the running one is named by its pid."""
    first = LocalDirectory.open(tmp_path, {})
    with pytest.raises(DirectoryError, match=rf"in use by a running `redraft local` \(pid {os.getpid()}\)"):
        LocalDirectory.open(tmp_path, {})
    first.close()
    LocalDirectory.open(tmp_path, {}).close()


def test_localdir_refuses_what_is_not_its_own(tmp_path: Path) -> None:
    """A directory with other things in it, a file, or a path through a file: each has its sentence."""
    (tmp_path / "letters").write_text("Dear")
    for path, sentence in (
        (tmp_path, "is not empty"),
        (tmp_path / "letters", "is a file, not a directory"),
        (tmp_path / "letters" / "data", "can't be used"),
    ):
        with pytest.raises(DirectoryError, match=sentence) as caught:
            LocalDirectory.open(path, {})
        assert "--dir" in str(caught.value)


def test_localdir_refuses_a_directory_it_can_not_write() -> None:
    """A directory where no file can be made is named with the system's reason (/proc: even root can't)."""
    with pytest.raises(
        DirectoryError, match=r"/proc\S* can't be (used|written) \(.*choose another with --dir"
    ):
        LocalDirectory.open(Path("/proc/self/task"), {})


def test_localdir_refuses_a_damaged_or_newer_memory(tmp_path: Path) -> None:
    """A memory that can't be read is never taken for a new directory."""
    made(tmp_path)
    for text, sentence in (
        ("{", "can't be read"),
        ('{"format": 2}', "another version"),
        ('{"format": 1, "x": 1}', "read"),
    ):
        (tmp_path / "local.json").write_text(text)
        with pytest.raises(DirectoryError, match=sentence):
            LocalDirectory.open(tmp_path, {})


def test_localdir_refuses_a_bad_shape(tmp_path: Path) -> None:
    """Numbers out of bounds are refused before anything is remembered."""
    for asked, sentence in (
        ({"nodes": 0}, "--nodes must be"),
        ({"groups": 0}, "--groups"),
        ({"engine": "x"}, "choose"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            LocalDirectory.open(tmp_path, asked)
    assert not (tmp_path / "local.json").exists()


def test_localdir_keeps_its_secret_to_itself(tmp_path: Path) -> None:
    """The secret is made once and readable by its owner only."""
    made(tmp_path)
    secret = tmp_path / "secret"
    text = secret.read_text()
    assert secret.stat().st_mode & 0o777 == 0o600
    made(tmp_path)
    assert secret.read_text() == text
    assert len(text.strip()) == 64


def test_localdir_writes_settings_a_node_can_be_started_with(tmp_path: Path) -> None:
    """node-N.toml is a whole configuration, further settings included, usable from any directory."""
    directory = LocalDirectory.open(tmp_path, {"port": 7100, "groups": 2})
    directory.remember({"maxmemory": "1gb", "heartbeat_ms": 50})
    configs = [load_config(file=directory.settings_of(number)) for number in (1, 2, 3)]
    directory.close()
    assert [config.port for config in configs] == [7100, 7101, 7102]
    assert {config.maxmemory for config in configs} == {2**30}
    assert len({config.cluster_secret for config in configs}) == 1
    assert all(config.dir.is_absolute() and config.groups == 2 for config in configs)
    assert tomllib.loads(directory.settings_of(1).read_text())["heartbeat_ms"] == 50
