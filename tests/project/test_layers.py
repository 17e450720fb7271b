"""The architecture as a test: imports go down the layers only, and what must be pure stays pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "redraft"
LAYERS = (
    "cli",
    "simulation",
    "server",
    "node",
    "control",
    "replica",
    "snapshot",
    "commands",
    "transport",
    "wal",
    "raft",
    "engine",
    "topology",
    "accel",
    "base",
)
"""From the top down; docs/architecture.md lists the same."""

PURE = ("raft", "commands", "topology", "control", "engine", "replica")
"""What decides: clock and randomness are arguments there, and nothing waits."""
IMPURE_MODULES = {
    "asyncio", "datetime", "multiprocessing", "os", "random", "secrets", "select",
    "socket", "ssl", "subprocess", "threading", "time", "trio",
}  # fmt: skip
ON_DISK = {"engine/stores.py": {"os"}}
"""Where a layer that decides has its files."""
LINES_MAX = 600
FILES = sorted(PACKAGE.rglob("*.py"))
OTHERS = [path for name in ("tests", "benchmarks") for path in sorted((ROOT / name).rglob("*.py"))]
VAGUE_NAMES = {"utils", "util", "helpers", "common", "misc", "manager", "managers"}


def layer_of(path: Path) -> str:
    """The package a file belongs to; "cli" for what stands above all packages."""
    first = path.relative_to(PACKAGE).parts[0]
    return first if first in LAYERS else "cli"


def imports_of(path: Path) -> Iterator[str]:
    """Every module a file imports, at its top, in a function or for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module


def name_of(path: Path) -> str:
    """A file as a test's id."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_layers_are_imported_downwards_only(path: Path) -> None:
    """No file knows a layer above its own."""
    own = LAYERS.index(layer_of(path))
    for module in imports_of(path):
        parts = module.split(".")
        if parts[0] == "redraft" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS.index(parts[1]) >= own, (
                f"{name_of(path)} imports {module}, which is a layer above it"
            )


@pytest.mark.parametrize("path", [path for path in FILES if layer_of(path) in PURE], ids=name_of)
def test_layers_that_decide_do_no_io(path: Path) -> None:
    """Consensus, commands, topology, engines and replicas get clock and randomness handed in."""
    impure = {module for module in imports_of(path) if module.split(".")[0] in IMPURE_MODULES}
    impure -= ON_DISK.get(str(path.relative_to(PACKAGE)), set())
    assert not impure, f"{name_of(path)} must stay pure"


def test_layers_are_all_there_and_listed() -> None:
    """The list is the package's folders, and the map in docs/ has them in this order."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(LAYERS)
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    places = [page.index(f"\n| `{layer}/`") for layer in LAYERS]
    assert places == sorted(places)


@pytest.mark.parametrize("path", [*FILES, *(path for path in OTHERS if path.stat().st_size)], ids=name_of)
def test_files_say_what_they_are(path: Path) -> None:
    """The first lines of a file say its one idea; its name is one too, and it is short enough to have one."""
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, f"{name_of(path)} has no first lines"
    assert docstring.split("\n")[0].rstrip().endswith((".", ":", "`", "?")), (
        f"{name_of(path)}: a sentence, please"
    )
    assert path.stem not in VAGUE_NAMES
    assert text.count("\n") <= LINES_MAX


def imported_first(path: Path, modules: set[str]) -> set[str]:
    """What must have been imported before a file is: what it imports at its top, with its packages."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    for name in list(found):
        parts = name.split(".")
        found |= {".".join(parts[:count]) for count in range(1, len(parts))}
    return found & modules


def test_modules_can_be_imported_in_any_order() -> None:
    """No circle of imports; that a package imports its own modules, which need the package, is none."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in FILES
    }
    graph = {
        name: {each for each in imported_first(path, set(names)) if not f"{name}.".startswith(f"{each}.")}
        for name, path in names.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_extension_is_imported_in_one_place() -> None:
    """Only redraft/accel knows that there is C."""
    users = {layer_of(path) for path in FILES if any("_native" in module for module in imports_of(path))}
    assert users <= {"accel"}
