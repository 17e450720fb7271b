"""A command's arguments as COMMAND DOCS shows them, for clients' hints.

The tree itself follows from the usage line in the table (`redraft.commands.usage`).
"""

from __future__ import annotations

from redraft.commands import usage as lines
from redraft.server.encode import Status, Value


def arguments_of(usage: str, *, has_key: bool) -> list[Value]:
    """Return the arguments of a usage line; `has_key` says that the ones named so are keys."""
    return [_shown(argument, has_key=has_key) for argument in lines.arguments_of(usage)]


def _shown(argument: lines.Argument, *, has_key: bool) -> dict[str, Value]:
    kind = argument.type if argument.type != "key" or has_key else "string"
    shown: dict[str, Value] = {"name": argument.name, "type": kind}
    if kind == "key":
        shown["key_spec_index"] = 0
    if argument.token:
        shown["token"] = argument.token
    flags = [Status(flag) for flag in ("optional", "multiple") if getattr(argument, flag)]
    if flags:
        shown["flags"] = flags
    if argument.parts:
        shown["arguments"] = [_shown(part, has_key=has_key) for part in argument.parts]
    return shown
