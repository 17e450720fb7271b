"""docs/commands.md, made from the command table: `python -m redraft.cli.commandsdoc > docs/commands.md`.

What differs from Redis is taken from docs/commands-differences.md: a row there belongs to the commands that
the first cell names in capitals, to the group that is the title above it, or to all.  So it runs in a
checkout only.  A test holds the page in the repository and this together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redraft.cli.absent import ABSENT
from redraft.commands.command import Command, Kind
from redraft.commands.table import BY_NAME, COMMANDS

DIFFERENCES: Final = Path(__file__).resolve().parents[2] / "docs" / "commands-differences.md"

HEAD: Final = """\
# Commands

Made from the command table (`redraft/commands/facts_*.py`) and from
[commands-differences.md](commands-differences.md) by `python -m redraft.cli.commandsdoc`; change it there.

Commands, options, replies and errors are those of Redis 7.2, in RESP2 and RESP3. `COMMAND DOCS` on a
connection knows the same as this page. **arity** counts the name; negative means "at least". What the marks
mean:

| mark | meaning |
| --- | --- |
| *write* | an entry of the log of the key's group: when it is answered, a quorum has it on disk |
| *read* | answered by the key's group, linearizably |
| *node* | answered by the node the client is connected to |
| *all groups* | asked of every group; the answers are made one |
| *grows* | refused with `-OOM` when the memory for keys is used up |
| *differs* | see below the table |
"""

_FLAG_MARKS: Final = {"denyoom": "grows", "blocking": "may wait"}
_TITLES: Final = {
    "bitmap": "Bitmaps",
    "generic": "Keys of any type",
    "hyperloglog": "HyperLogLogs",
    "pubsub": "Publish and subscribe",
    "sorted-set": "Sorted sets",
    "hash": "Hashes",
}
_PLURAL: Final = frozenset(("list", "set", "stream", "string"))


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the page of differences: about names of the table, or a section, or, without either, all."""

    about: frozenset[str]
    section: str
    cells: tuple[str, ...]


def differences(page: str) -> list[Difference]:
    """Return the rows of the page of differences."""
    found, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        if len(cells) == 3 and cells[0] != "Redis" and not cells[0].startswith("---"):
            found.append(Difference(frozenset(() if section else _named(cells[0])), section, cells))
    return found


def _named(text: str) -> Iterator[str]:
    """The commands that stand in a text, in code and in capitals."""
    for code in re.findall(r"`([^`]+)`", text):
        words = [word.lower() for word in code.split() if word == word.upper()]
        for name in ("|".join(words[:2]), *words[:1]):
            if name in NAMES:
                yield name
                break


NAMES: Final = frozenset(row.name.decode() for command in COMMANDS for row in (command, *command.subcommands))


def commands_page() -> str:
    """The page as Markdown."""
    known = differences(DIFFERENCES.read_text(encoding="utf-8"))
    groups = sorted({command.group for command in COMMANDS})
    parts = [HEAD, *(_section(group, known) for group in groups)]
    parts.append(
        "## Differences that concern them all\n\n"
        + _differences(each for each in known if not each.about and not each.section)
    )
    parts.append("## Commands of Redis 7.2 that are not there\n\n" + _absent())
    return "\n".join(parts)


def _section(group: str, known: list[Difference]) -> str:
    title = _title(group)
    rows = [
        row
        for command in sorted(COMMANDS, key=lambda each: each.name)
        if command.group == group
        for row in (command.subcommands or (command,))
    ]
    names = {row.name.decode() for row in rows} | {row.name.decode().partition("|")[0] for row in rows}
    own = [each for each in known if each.about & names or each.section == title]
    told = frozenset(name for each in own for name in each.about)
    table = ["| command | arity | since | marks | what it does |", "| --- | --- | --- | --- | --- |"]
    table += [_row(row, differs=row.name.decode() in told) for row in rows]
    text = f"## {title}\n\n" + "\n".join(table) + "\n"
    return text + "\n" + _differences(own) if own else text


def _title(group: str) -> str:
    return _TITLES.get(group, group.capitalize() + ("s" if group in _PLURAL else ""))


def _row(row: Command, *, differs: bool) -> str:
    name = row.name.decode().replace("|", " ").upper()
    usage = f"{name} {row.usage}".rstrip().replace("|", "\\|")
    marks = [_kind(row), *(mark for flag, mark in _FLAG_MARKS.items() if flag in row.flags)]
    if differs:
        marks.append("differs")
    summary = row.summary.replace("|", "\\|")
    return f"| `{usage}` | {row.arity} | {row.since} | {', '.join(marks)} | {summary} |"


def _kind(row: Command) -> str:
    if row.whole:
        return "all groups"
    container = BY_NAME[row.name.partition(b"|")[0]]
    kind = container.kind if row is not container else row.kind
    return {Kind.LOCAL: "node", Kind.READ: "read", Kind.WRITE: "write"}[kind]


def _differences(rows: Iterable[Difference]) -> str:
    table = ["| Redis | redraft | why |", "| --- | --- | --- |"]
    return "\n".join([*table, *(f"| {' | '.join(each.cells)} |" for each in rows)]) + "\n"


def _absent() -> str:
    table = ["| commands | why |", "| --- | --- |"]
    for names, why in ABSENT:
        missing = [name for name in names.split() if name not in NAMES]
        if missing:
            shown = ", ".join(f"`{name.replace('|', ' ').upper()}`" for name in missing)
            table.append(f"| {shown} | {why} |")
    return "\n".join(table) + "\n"


if __name__ == "__main__":
    sys.stdout.write(commands_page())
