"""The directory of `redraft local`: what it remembers, so that the same command carries on.

DIR/local.json    how many nodes and groups, which engine, from which port (fixed at the first start)
DIR/local.lock    held while a `redraft local` runs here; has its pid
DIR/secret        the cluster secret, made at the first start, readable by its owner only
DIR/node-N.toml   node N's settings, written at each start: `redraft server --config` takes it
DIR/node-N.log    node N's log lines
DIR/node-N/       node N's data directory
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from redraft.base.address import Address
from redraft.base.config import SETTING_BY_NAME, Config
from redraft.base.configload import load_config
from redraft.base.errors import ConfigError, DirectoryError
from redraft.base.limits import NODES_MAX

HOST = "127.0.0.1"
MEMORY = "local.json"
FORMAT = 1
OWN_SETTINGS = ("listen", "advertise", "cluster", "cluster_secret_file", "dir", "engine", "groups")
"""What `redraft local` decides itself; other settings reach its nodes from the file and the environment."""
PORT_SETTINGS = ("primary_port", "replica_port", "peer_port")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a local cluster is made of; remembered, as none of it can be changed by a flag later."""

    nodes: int = 3
    groups: int = 3
    port: int = 6379
    engine: str = "hash"

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= NODES_MAX:
            raise ConfigError(f"--nodes must be from 1 to {NODES_MAX}, not {self.nodes}.")
        for name in ("groups", "engine"):
            SETTING_BY_NAME[name].check(getattr(self, name))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The nodes' client addresses, on ports that follow each other."""
        return tuple(Address(HOST, self.port + number) for number in range(self.nodes))


class LocalDirectory:
    """The directory while this process holds it; `shape` is remembered, or as asked for in a new one."""

    def __init__(self, path: Path, lock: int, shape: Shape, *, new: bool) -> None:
        self.path = path
        self.shape = shape
        self.new = new
        self._lock = lock

    @classmethod
    def open(cls, path: Path, asked: Mapping[str, Any]) -> Self:
        """Lock the directory and settle the shape; `asked` has what flags gave (None: not given).

        Raises DirectoryError or ConfigError with a sentence.  Writes nothing but the lock.
        """
        given = {name: value for name, value in asked.items() if value is not None}
        known = _contents(path)
        lock = _lock(path)
        try:
            remembered = _remembered(path)
            if remembered is None:
                if known - {"local.lock"}:
                    raise DirectoryError(
                        f"{path} is not empty and is no directory of `redraft local`: "
                        "choose another with --dir."
                    )
                return cls(path, lock, Shape(**given), new=True)
            _check_same(path, remembered, given)
        except BaseException:
            os.close(lock)
            raise
        return cls(path, lock, remembered, new=False)

    def close(self) -> None:
        """Let another `redraft local` have the directory."""
        os.close(self._lock)

    def log_of(self, number: int) -> Path:
        """Where node `number` (from 1) logs."""
        return self.path / f"node-{number}.log"

    def settings_of(self, number: int) -> Path:
        """The TOML file of node `number` (from 1)."""
        return self.path / f"node-{number}.toml"

    def configs(self, extra: Mapping[str, object]) -> list[Config]:
        """Each node's Config, `extra` settings included; the secret need not be there yet."""
        return [load_config(self._values(number, extra)) for number in range(1, self.shape.nodes + 1)]

    def remember(self, extra: Mapping[str, object]) -> None:
        """Write the secret and the shape if they are new, and every node's settings."""
        if not self._secret.exists():
            _write(self._secret, secrets.token_hex(32) + "\n", mode=0o600)
        if self.new:
            text = json.dumps({"format": FORMAT, **asdict(self.shape)}, indent=2)
            _write(self.path / MEMORY, text + "\n")
        for number in range(1, self.shape.nodes + 1):
            values = self._values(number, extra) | {"cluster_secret_file": str(self._secret.absolute())}
            head = f"# Node {number} of {self.path.absolute()}; each `redraft local` rewrites this file.\n"
            lines = [f"{name} = {_toml(value)}\n" for name, value in values.items()]
            _write(self.settings_of(number), head + "".join(lines))

    @property
    def _secret(self) -> Path:
        return self.path / "secret"

    def _values(self, number: int, extra: Mapping[str, object]) -> dict[str, object]:
        addresses = self.shape.addresses
        return {
            **extra,
            "listen": addresses[number - 1].client,
            "cluster": ",".join(each.client for each in addresses),
            "dir": str((self.path / f"node-{number}").absolute()),
            "engine": self.shape.engine,
            "groups": self.shape.groups,
        }


def _contents(path: Path) -> set[str]:
    """The names in the directory, which is made if it isn't there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return set(os.listdir(path))
    except FileExistsError:
        raise DirectoryError(f"{path} is a file, not a directory: choose another with --dir.") from None
    except OSError as error:
        raise DirectoryError(f"{path} can't be used ({error.strerror}): choose another with --dir.") from None


def _lock(path: Path) -> int:
    try:
        lock = os.open(path / "local.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DirectoryError(
            f"{path} can't be written ({error.strerror}): choose another with --dir."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        raise DirectoryError(
            f"{path} is in use by a running `redraft local` (pid {owner or 'unknown'}): "
            "stop that one, or choose another directory with --dir."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _remembered(path: Path) -> Shape | None:
    file = path / MEMORY
    try:
        values = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        if values.pop("format", None) != FORMAT:
            raise DirectoryError(f"{file} is of another version of redraft: use that one, or another --dir.")
        return Shape(**values)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, TypeError) as error:
        raise DirectoryError(
            f"{file} can't be read ({error}): choose another directory with --dir."
        ) from None


def _check_same(path: Path, remembered: Shape, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        kept = getattr(remembered, name)
        if value != kept:
            raise ConfigError(
                f"The cluster in {path} was made with --{name} {kept}, which --{name} {value} can't change: "
                "leave the flag out to carry on, or make a new cluster with another --dir."
            )


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file as a whole: a crash leaves the old one or the new one."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise DirectoryError(
            f"{path} can't be written ({error.strerror}): choose another with --dir."
        ) from None


def _toml(value: object) -> str:
    """A setting's value as TOML; JSON's strings and numbers are TOML's."""
    return json.dumps(value if isinstance(value, (int, str)) else str(value))
