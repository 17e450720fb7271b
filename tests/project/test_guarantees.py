"""docs/guarantees.md names tests and mutations that exist, and every run of tests/known."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from redraft.simulation.mutations import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[^`]*)`")
NAME = re.compile(r"`([^`]*)`")
SECTIONS = (
    "Consensus",
    "Exactly once",
    "What a reply may claim",
    "Order within a pipeline",
    "Reads and leases",
    "Time",
    "The log on disk",
    "Identity",
    "Apply",
    "Transactions",
    "Slots that move: requests",
    "Slots that move: groups",
    "Clients that know clusters",
    "What went wrong elsewhere",
)
"""Those with a table: a rule, what breaks without it, the tests."""


def collected(path: Path) -> set[str]:
    """The tests that pytest finds in a file: functions at its top level, each defined once."""
    if not path.name.startswith("test_") or not path.is_file():
        return set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = [each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {name for name in functions if name.startswith("test_") and functions.count(name) == 1}


def exists(test: str) -> bool:
    """Whether `path::name` is a test."""
    path, _, name = test.partition("::")
    return name in collected(ROOT / path)


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_guarantees_names_tests_that_exist() -> None:
    """A test that was renamed or removed would leave a promise that nothing sees to."""
    named = TEST.findall(PAGE)
    assert [test for test in named if not exists(test)] == []


def test_guarantees_rules_each_have_their_tests() -> None:
    """No section without rules, no rule without a test, and nothing beside tests and mutations."""
    for section in SECTIONS:
        table = rows(section)
        assert table, section
        for row in table:
            assert len(row) == 3, row
            names = NAME.findall(row[2])
            assert any(exists(name) for name in names), row[0]
            strange = [name for name in names if not exists(name) and name not in MUTATIONS]
            assert strange == [], row[0]
            assert not NAME.sub("", row[2]).strip(), row[0]


def test_guarantees_list_every_known_failure() -> None:
    """What went wrong in other systems is listed with its run, once, and nothing else is."""
    runs = sorted(row[2].strip("`") for row in rows("What went wrong elsewhere"))
    known = ROOT / "tests" / "known"
    expected = [f"tests/known/{path.name}::{name}" for path in known.glob("*.py") for name in collected(path)]
    assert runs == sorted(expected)


def test_guarantees_check_can_fail() -> None:
    """Neither a missing file, nor a missing function, nor a helper passes for a test."""
    here = "tests/project/test_guarantees.py"
    assert exists(f"{here}::test_guarantees_check_can_fail")
    for wrong in (f"{here}::test_nothing", f"{here}::rows", here, "tests/none/test_x.py::test_x"):
        assert not exists(wrong)
