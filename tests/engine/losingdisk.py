"""A disk that is told what a process did (`recorded`), and says what a power cut may leave of it.

What it models:
- A write goes to the cache.  A cut keeps, of every sector (512 bytes, or 4096: by chance), any version since
  the file's last sync; a sector is whole.  It keeps any of the file's sizes since then, and what was appended
  up to there: a size is committed behind its data, as on ext4 (`data=ordered`), xfs and btrfs.  Without that
  RocksDB takes the end of its manifest for damaged.
- A name is durable once its directory is synced.  A cut keeps what was done to names since then up to some
  moment, in order (as ext4 and xfs do), or any of it, and the names of files that were synced since (as btrfs
  does; POSIX does not promise that, but RocksDB relies on either).  A rename is kept as a whole.
- What is mapped to be written is unknown.

`cut` changes nothing of the disk, so many can be made of one moment.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tests.engine.recorded import Call

SECTOR = 512
PAGE = 4096

Choose = Callable[[int], int]
"""Says which of so many versions is kept; 0 is the oldest."""


class File:
    """What a file holds: for readers, and for sure after a cut."""

    def __init__(self, data: bytes = b"") -> None:
        self.cache = bytearray(data)
        self.mapped = False
        self._disk = bytearray(data)
        self._sizes: list[tuple[int, int]] = []
        """Those since the last sync, and of when each is."""
        self._dirty: dict[int, list[tuple[int, bytes]]] = {}
        """By sector: the versions since the last sync, and of when each is."""

    def write(self, now: int, data: bytes, offset: int) -> None:
        """Take a write; a hole before it is zeros."""
        end = offset + len(data)
        if end > len(self.cache):
            self.cache.extend(bytes(end - len(self.cache)))
            self._sizes.append((now, end))
        self.cache[offset:end] = data
        self._touched(now, offset, end)

    def cut(self, now: int, size: int) -> None:
        """Cut or extend."""
        before = len(self.cache)
        if size == before:
            return
        self._sizes.append((now, size))
        if size > before:
            self.cache.extend(bytes(size - before))
        else:
            del self.cache[size:]
            self._touched(now, size, before)

    def _touched(self, now: int, offset: int, end: int) -> None:
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            version = bytes(self.cache[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")
            self._dirty.setdefault(sector, []).append((now, version))

    def sync(self) -> None:
        """All of it is durable."""
        self._sync(sorted(self._dirty))
        _resize(self._disk, len(self.cache))
        self._sizes.clear()

    def sync_part(self, offset: int, length: int) -> None:
        """A write is durable, and that the file is so long."""
        sectors = range(offset // SECTOR, -(-(offset + length) // SECTOR))
        self._sync([sector for sector in sectors if sector in self._dirty])
        self._sizes = [(now, size) for now, size in self._sizes if size > len(self._disk)]

    def _sync(self, sectors: list[int]) -> None:
        for sector in sectors:
            _put(self._disk, sector, self._dirty.pop(sector)[-1][1], len(self.cache))

    def left(self, choose: Choose, unit: int, rng: random.Random) -> bytes:
        """Return what a cut leaves; `unit` sectors are one."""
        if self.mapped:
            return rng.randbytes(len(self.cache))
        sizes = [(-1, len(self._disk)), *self._sizes]
        sized, size = sizes[choose(len(sizes))]
        found = bytearray(self._disk)
        longest = max(size for _, size in sizes)
        appended = range(len(self._disk) // SECTOR, -(-size // SECTOR))
        units: dict[int, list[int]] = {}
        for sector in sorted(self._dirty):
            units.setdefault(sector // unit, []).append(sector)
        for sectors in units.values():
            times = sorted({time for sector in sectors for time, _ in self._dirty[sector]})
            kept = ([-1, *times])[choose(len(times) + 1)]
            for sector in sectors:
                until = max(kept, sized) if sector in appended else kept
                version = next((data for time, data in reversed(self._dirty[sector]) if time <= until), None)
                if version is not None:
                    _put(found, sector, version, longest)
        _resize(found, size)
        return bytes(found)


def _put(disk: bytearray, sector: int, version: bytes, longest: int) -> None:
    end = min((sector + 1) * SECTOR, longest)
    _resize(disk, max(len(disk), end))
    disk[sector * SECTOR : end] = version[: max(0, end - sector * SECTOR)]


def _resize(disk: bytearray, size: int) -> None:
    if size > len(disk):
        disk.extend(bytes(size - len(disk)))
    else:
        del disk[size:]


class Directory:
    """The names in a directory: for all, and for sure after a cut."""

    def __init__(self) -> None:
        self.names: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}


Node = File | Directory
Change = tuple[Directory, str, Node | None]
"""Of a name; None removes it."""


class Changes:
    """What one call did to names."""

    def __init__(self, changes: list[Change]) -> None:
        self.changes = changes
        self.followed = False
        """Whether a file it names was synced later."""

    def names(self, file: File) -> bool:
        """Whether a file has a name by it."""
        return any(node is file for _, _, node in self.changes)

    def touches(self, directory: Directory) -> bool:
        """Whether it is one of a directory's."""
        return any(at is directory for at, _, _ in self.changes)

    def carry_out(self, names_of: Callable[[Directory], dict[str, Node]]) -> None:
        """Do it to some version of the directories."""
        for directory, name, node in self.changes:
            if node is None:
                names_of(directory).pop(name, None)
            else:
                names_of(directory)[name] = node


class Disk:
    """Files and directories below one that is there for good."""

    def __init__(self, root: Path) -> None:
        """Begin with what is there now, all of it durable."""
        self.root = root
        self._top = _found(root)
        self._open: dict[int, Node] = {}
        self._journal: list[Changes] = []
        """What was done to names that no sync has made durable yet."""
        self._now = 0

    def take(self, call: Call) -> None:
        """Do what a process did."""
        self._now += 1
        match call.op:
            case "o":
                self._opened(call)
            case "c":
                self._open.pop(call.descriptor)
            case "w":
                file = self._file(call)
                file.write(self._now, call.data, call.first if call.first >= 0 else len(file.cache))
            case "y":
                self._file(call).sync_part(call.first, call.second)
            case "t":
                self._file(call).cut(self._now, call.first)
            case "s":
                self._sync(self._open[call.descriptor])
            case "p":
                self._file(call).mapped = True
            case "k":
                pass
            case _:
                self._named(call)

    def _opened(self, call: Call) -> None:
        directory, name = self._place(call.data)
        node = self._top if not name else directory.names.get(name)
        if node is None:
            assert call.first & os.O_CREAT
            node = File()
            self._change([(directory, name, node)])
        elif call.first & os.O_TRUNC:
            assert isinstance(node, File)
            node.cut(self._now, 0)
        self._open[call.descriptor] = node

    def _named(self, call: Call) -> None:
        directory, name = self._place(call.data)
        match call.op:
            case "m":
                self._change([(directory, name, Directory())])
            case "u" | "d":
                self._change([(directory, name, None)])
            case "l":
                self._change([(*self._place(call.other), directory.names[name])])
            case "r":
                self._change([(directory, name, None), (*self._place(call.other), directory.names[name])])
            case _:
                raise AssertionError(call.op)

    def _change(self, changes: list[Change]) -> None:
        self._journal.append(Changes(changes))
        self._journal[-1].carry_out(lambda directory: directory.names)

    def _sync(self, node: Node) -> None:
        if isinstance(node, File):
            node.sync()
            for changes in self._journal:
                changes.followed |= changes.names(node)
            return
        for changes in [each for each in self._journal if each.touches(node)]:
            changes.carry_out(lambda directory: directory.durable)
            self._journal.remove(changes)

    def _file(self, call: Call) -> File:
        node = self._open[call.descriptor]
        assert isinstance(node, File)
        return node

    def _place(self, path: bytes) -> tuple[Directory, str]:
        """Return the directory and the name in it; no name for the one at the top."""
        parts = PurePosixPath(os.path.normpath(path.decode())).relative_to(self.root).parts
        here = self._top
        for part in parts[:-1]:
            below = here.names[part]
            assert isinstance(below, Directory)
            here = below
        return here, parts[-1] if parts else ""

    def cached(self) -> dict[str, bytes | None]:
        """Return what readers see, by path; None is a directory; without what is mapped."""
        return {
            path: bytes(node.cache) if isinstance(node, File) else None
            for path, node in _walked(self._top, lambda directory: directory.names)
            if not (isinstance(node, File) and node.mapped)
        }

    def mapped(self) -> set[str]:
        """Return what is mapped to be written."""
        found = _walked(self._top, lambda directory: directory.names)
        return {path for path, node in found if isinstance(node, File) and node.mapped}

    def cut(self, rng: random.Random, target: Path) -> str:
        """Write to a new directory what a power cut now may leave; return how it was chosen."""
        manner = rng.choice(("nothing", "all", "in order", "any", "any"))
        left = {id(at): (at, dict(at.durable)) for at in self._directories()}
        kept = {"nothing": 0, "in order": rng.randrange(len(self._journal) + 1)}.get(
            manner, len(self._journal)
        )
        for changes in self._journal[:kept]:
            if manner != "any" or changes.followed or rng.random() < 0.5:
                changes.carry_out(lambda directory: left[id(directory)][1])
        unit = rng.choice((1, PAGE // SECTOR))
        target.mkdir()
        for path, node in _walked(self._top, lambda directory: left[id(directory)][1]):
            if isinstance(node, Directory):
                (target / path).mkdir()
            else:
                (target / path).write_bytes(node.left(_chooser(rng), unit, rng))
        return f"names: {manner}, unit: {unit}"

    def _directories(self) -> list[Directory]:
        """All that a cut may leave."""
        found = {id(self._top): self._top}
        for names in (lambda each: each.names, lambda each: each.durable):
            found |= {id(node): node for _, node in _walked(self._top, names) if isinstance(node, Directory)}
        for changes in self._journal:
            for directory, _, node in changes.changes:
                found |= {id(each): each for each in (directory, node) if isinstance(each, Directory)}
        return list(found.values())


def _chooser(rng: random.Random) -> Choose:
    """For one file: nothing of what was not synced, all of it, or any."""
    return rng.choice((lambda count: 0, lambda count: count - 1, rng.randrange, rng.randrange))


def _walked(top: Directory, names: Callable[[Directory], dict[str, Node]]) -> list[tuple[str, Node]]:
    found: list[tuple[str, Node]] = []
    for name, node in names(top).items():
        found.append((name, node))
        if isinstance(node, Directory):
            found += [(f"{name}/{path}", below) for path, below in _walked(node, names)]
    return found


def _found(path: Path) -> Directory:
    directory = Directory()
    for each in path.iterdir():
        directory.names[each.name] = _found(each) if each.is_dir() else File(each.read_bytes())
    directory.durable = dict(directory.names)
    return directory


def on_disk(path: Path) -> dict[str, bytes | None]:
    """Return what really is there, as `Disk.cached` does."""
    return {
        str(each.relative_to(path)): None if each.is_dir() else each.read_bytes() for each in path.rglob("*")
    }
