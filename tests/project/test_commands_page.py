"""docs/commands.md is what the command table says today."""

from __future__ import annotations

from pathlib import Path

from redraft.cli.absent import ABSENT
from redraft.cli.commandsdoc import NAMES, commands_page, differences
from redraft.commands.table import COMMANDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def test_commands_page_is_up_to_date() -> None:
    """`python -m redraft.cli.commandsdoc > docs/commands.md` has been run since the last change."""
    assert PAGE.read_text(encoding="utf-8") == commands_page()


def test_commands_page_has_every_command() -> None:
    """Each command and subcommand has a row."""
    page = commands_page()
    for command in COMMANDS:
        for row in command.subcommands or (command,):
            name = row.name.decode().replace("|", " ").upper()
            assert f"\n| `{name}" in page, name


def test_differences_belong_to_the_commands_they_name() -> None:
    """Capitals in code are commands, two words for a subcommand; a title makes rows its group's."""
    page = """
| Redis | redraft | why |
| --- | --- | --- |
| `GET`, `OBJECT FREQ`, `x` | a | b |
| it | a | b |

## Transactions
| Redis | redraft | why |
| --- | --- | --- |
| `DBSIZE` inside | a | b |
"""
    named, general, inside = differences(page)
    assert (named.about, named.section) == ({"get", "object|freq"}, "")
    assert not general.about
    assert (inside.about, inside.section) == (frozenset(), "Transactions")


def test_absent_commands_are_named_once() -> None:
    """What is missing is told with one reason."""
    names = [name for names, _ in ABSENT for name in names.split()]
    assert len(set(names)) == len(names)
    assert any(name not in NAMES for name in names)
