"""A node's data directory: who may use it, and who the node is.

    DIR/lock        held (flock) by the process that runs the node; its id inside, for people
    DIR/identity    one line of JSON, then its CRC-32 as eight hex digits; replaced as a whole
    DIR/topology    the newest topology the node has seen; only a memory of what the topology group holds
    DIR/log/        the log (`redraft.wal`)
    DIR/damaged/    what was set aside to be looked at; nothing of it is ever read
    DIR/snapshots/  the newest state of each group that was written down (`redraft.snapshot`)

Invariants: one process at a time has the directory; the 40-hex id is made once, at the first start,
and never changes; the incarnation is higher at each start than it ever was and on disk before anyone
hears of it.  A directory that has a log and no identity is damaged, not new: a node that forgot who
it is must not vote.

Must not know what a cluster is: it keeps what `bootstrap` decides, and what it is given to remember.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import zlib
from pathlib import Path
from typing import Final, Self

import msgspec

from redraft.base.errors import DamagedError, DirectoryError
from redraft.control.topology import Topology, decode, encode

FORMAT: Final = 1
LOCK, IDENTITY, TOPOLOGY, LOG, SNAPSHOTS = "lock", "identity", "topology", "log", "snapshots"
ENGINE: Final = "engine"
OWN: Final = frozenset(
    (LOCK, IDENTITY, TOPOLOGY, LOG, SNAPSHOTS, ENGINE, IDENTITY + ".new", TOPOLOGY + ".new")
)
DAMAGED: Final = "damaged"
"""What `redraft rebuild` sets aside; a second time with a number behind."""
MOUNT_POINT: Final = "lost+found"
"""What a fresh file system has in its root."""
IDENTITY_BYTES_MAX: Final = 1024 * 1024
CHECKSUM_BYTES: Final = 8

log = logging.getLogger("redraft.node")


class MemberRecord(msgspec.Struct, frozen=True):
    """A member of the first configuration as this node knows it."""

    node_id: int
    hex_id: str
    host: str
    client_port: int
    primary_port: int
    replica_port: int
    peer_port: int


class Identity(msgspec.Struct, frozen=True):
    """What a node knows of itself; `stage` is the handshake's, `cluster_id` is empty while that is new.

    `members` are the founders; `node_id` is 0 but for a node that joined later.  `dropped` are the groups
    whose replica was dropped here and that have not got a new one: what is left of one must not vote.
    """

    format: int
    hex_id: str
    incarnation: int
    stage: str = "new"
    cluster_id: str = ""
    groups: int = 0
    replication_factor: int = 0
    address: str = ""
    members: tuple[MemberRecord, ...] = ()
    node_id: int = 0
    dropped: frozenset[int] = frozenset()


class DataDirectory:
    """An open and locked data directory; `identity` is what is on disk."""

    __slots__ = ("_lock", "identity", "path")

    def __init__(self, path: Path, lock: int, identity: Identity) -> None:
        self.path = path
        self.identity = identity
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Lock the directory (made if absent) and begin a new incarnation in it.

        Raises DirectoryError or DamagedError with one sentence; close it after the log.
        """
        lock = -1
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_directory(path.absolute().parent)
            lock = _take_lock(path)
            identity = _read(path)
            directory = cls(path, lock, identity)
            directory.save(msgspec.structs.replace(identity, incarnation=identity.incarnation + 1))
        except BaseException as error:
            if lock >= 0:
                os.close(lock)
            if isinstance(error, OSError):
                raise DirectoryError(_sentence(path, error)) from error
            raise
        return directory

    @property
    def log_path(self) -> Path:
        """Where the log lives."""
        return self.path / LOG

    @property
    def snapshots_path(self) -> Path:
        """Where snapshots live."""
        return self.path / SNAPSHOTS

    @property
    def engine_path(self) -> Path:
        """Where engines on disk keep their keys."""
        return self.path / ENGINE

    def save(self, identity: Identity) -> None:
        """Replace the identity; it is on disk when this returns."""
        line = msgspec.json.encode(identity) + b"\n"
        _replace(self.path, IDENTITY, line + b"%08x\n" % zlib.crc32(line))
        self.identity = identity

    @property
    def dropped(self) -> frozenset[int]:
        """Groups whose replica was dropped here, and that have not got a new one."""
        return self.identity.dropped

    def drop(self, group: int) -> None:
        """A group's replica is about to be dropped; that is on disk when this returns."""
        self.save(msgspec.structs.replace(self.identity, dropped=self.dropped | {group}))

    def undrop(self, group: int) -> None:
        """A group has a new replica here, begun with a snapshot; that is on disk when this returns."""
        if group in self.dropped:
            self.save(msgspec.structs.replace(self.identity, dropped=self.dropped - {group}))

    @property
    def topology(self) -> Topology | None:
        """The newest topology that was saved; None when there is none, or none that can be read."""
        try:
            content = (self.path / TOPOLOGY).read_bytes()
        except FileNotFoundError:
            return None
        checksum, encoded = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
        try:
            if checksum == b"%08x" % zlib.crc32(encoded):
                return decode(encoded)
        except msgspec.MsgspecError:
            pass
        log.warning("%s can't be read and is not used: the other nodes know better", self.path / TOPOLOGY)
        return None

    def save_topology(self, topology: Topology) -> None:
        """Keep a topology for the next start; it is on disk when this returns."""
        encoded = encode(topology)
        _replace(self.path, TOPOLOGY, b"%08x" % zlib.crc32(encoded) + encoded)

    def set_aside(self) -> Path:
        """Move all of the node into a folder of its own: the directory is as good as empty.  Returns where.

        The identity goes last: what a crash leaves is a node without a log, which does not start, and another
        try moves the rest.
        """
        count = sum(each.name.startswith(DAMAGED) for each in self.path.iterdir())
        kept = self.path / (DAMAGED if not count else f"{DAMAGED}-{count + 1}")
        kept.mkdir(mode=0o700)
        for name in (LOG, SNAPSHOTS, ENGINE, TOPOLOGY, IDENTITY):
            if (self.path / name).exists():
                (self.path / name).rename(kept / name)
        _sync_directory(kept)
        _sync_directory(self.path)
        return kept

    def close(self) -> None:
        """Let another process have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _take_lock(path: Path) -> int:
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        process = f" (process {holder})" if holder.isdigit() else ""
        raise DirectoryError(
            f"Data directory {path} is in use by a running node{process}: "
            "stop that node, or choose another directory with --dir."
        ) from None
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock


def _read(path: Path) -> Identity:
    try:
        with (path / IDENTITY).open("rb") as file:
            content = file.read(IDENTITY_BYTES_MAX)
    except FileNotFoundError:
        if (path / LOG).exists():
            raise DamagedError(
                f"Data directory {path} has a log but no file {IDENTITY}: restore that file, "
                "or start the node in an empty directory and join it as a new node."
            ) from None
        _refuse_foreign(path)
        return Identity(FORMAT, secrets.token_hex(20), 0)
    line, newline, checksum = content.partition(b"\n")
    if checksum != b"%08x\n" % zlib.crc32(line + newline):
        raise DamagedError(
            f"{path / IDENTITY} is damaged (its checksum is wrong at offset {len(line) + 1}): restore "
            "that file, or start the node in an empty directory and join it as a new node."
        )
    try:
        identity = msgspec.json.decode(line, type=Identity)
    except msgspec.MsgspecError as error:
        raise DirectoryError(
            f"{path / IDENTITY} was written by another version of redraft: {error}."
        ) from None
    if identity.format != FORMAT:
        raise DirectoryError(
            f"{path / IDENTITY} has format {identity.format}, this version reads {FORMAT}: "
            "use the redraft that wrote it, or a newer one."
        )
    return identity


def _refuse_foreign(path: Path) -> None:
    """A first start wants a directory of its own: somebody else's files are not to be mixed with a node's."""
    foreign = sorted(
        each.name
        for each in path.iterdir()
        if each.name not in OWN and each.name != MOUNT_POINT and not each.name.startswith(DAMAGED)
    )
    if foreign:
        raise DirectoryError(
            f"Data directory {path} holds other files ({foreign[0]}) and no node: "
            "choose an empty directory with --dir."
        )


def _replace(path: Path, name: str, content: bytes) -> None:
    """Write, sync, rename, sync the directory: whole, old or new, whatever happens."""
    fresh = path / (name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path / name)
    _sync_directory(path)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sentence(path: Path, error: OSError) -> str:
    if isinstance(error, NotADirectoryError | FileExistsError):
        what = "can't be made, as something in that path is a file: "
        return f"Data directory {path} {what}choose another with --dir."
    if isinstance(error, PermissionError):
        what = "is not writable: give it to the user who runs the node, or "
        return f"Data directory {path} {what}choose another with --dir."
    why = error.strerror or str(error)
    return f"Data directory {path} can't be used ({why}): free or repair it, or choose another with --dir."
