"""docs/controller.md says what the controller does, and the numbers it goes by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from redraft.base.config import SETTING_BY_NAME, Config
from redraft.control.plan import Kind
from redraft.control.thresholds import Thresholds
from redraft.node.controller import thresholds_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "controller.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "|" in line
]


def test_controller_page_has_every_threshold_with_its_value() -> None:
    """And no others; settings that it names exist."""
    told = {row[0]: row[1:] for row in ROWS if len(row) == 3 and row[0] != "threshold" and "-" not in row[0]}
    defaults = {each.name: each.default for each in dataclasses.fields(Thresholds)}
    del defaults["switched_off"]
    assert {name: float(value) for name, (value, _setting) in told.items()} == defaults
    assert all(setting in SETTING_BY_NAME for _value, setting in told.values() if setting)


def test_controller_page_has_every_kind() -> None:
    """In the order of what comes first."""
    kinds = [row[0] for row in ROWS if len(row) == 2 and row[0] in set(Kind)]
    assert kinds == list(Kind)


def test_settings_have_the_defaults_of_the_thresholds() -> None:
    """A number stands in two places, and is the same in both."""
    told = thresholds_of(Config())
    assert dataclasses.replace(told, switched_off=frozenset()) == Thresholds()
