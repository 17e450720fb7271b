"""docs/configuration.md is what the settings say today."""

from __future__ import annotations

from pathlib import Path

from redraft.base.config import SETTINGS
from redraft.cli.settingsdoc import configuration_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_configuration_page_is_up_to_date() -> None:
    """`python -m redraft.cli.settingsdoc > docs/configuration.md` has been run since the last change."""
    assert PAGE.read_text(encoding="utf-8") == configuration_page()


def test_configuration_page_has_every_setting() -> None:
    """Each setting has a row."""
    page = configuration_page()
    assert [each.name for each in SETTINGS if f"\n| `{each.name}` |" not in page] == []
