"""COMMAND: the table of commands, as clients ask for it.

Everything is read off `redraft.commands.table`; nothing is known here about any one command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from redraft.commands.glob import compiled
from redraft.commands.keyspec import BehindSpec, CountedSpec, KeySpec, RangeSpec
from redraft.commands.table import BY_NAME, COMMANDS, Command
from redraft.server.encode import Members, Status, Value
from redraft.server.local.usage import arguments_of
from redraft.server.outcome import Handler
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def _row(command: Command) -> Value:
    """One command as COMMAND INFO shows it."""
    first, last, step = command.keys
    return [
        command.name,
        command.arity,
        Members(Status(flag) for flag in command.flags),
        first,
        last,
        step,
        Members(Status(f"@{category}") for category in command.categories),
        list(command.tips),
        _key_specifications(command),
        [_row(subcommand) for subcommand in command.subcommands],
    ]


def _key_specifications(command: Command) -> list[Value]:
    return [
        {"flags": Members(Status(flag) for flag in spec.flags), **_specification(spec)}
        for spec in command.key_specs
    ]


def _specification(spec: KeySpec) -> dict[str, Value]:
    match spec:
        case RangeSpec(first=first, last=last, step=step):
            begin = _typed("index", index=first)
            find = _typed("range", lastkey=last - first if last >= 0 else last, keystep=step, limit=0)
        case CountedSpec(at=at):
            begin = _typed("index", index=at)
            find = _typed("keynum", keynumidx=0, firstkey=1, keystep=1)
        case BehindSpec(word=word, start=start, share=share):
            begin = _typed("keyword", keyword=word, startfrom=start)
            limit = share if share > 1 else 0
            find = _typed("range", lastkey=-1 if share else 0, keystep=1, limit=limit)
        case _:
            begin = find = _typed("unknown")
    return {"begin_search": begin, "find_keys": find}


def _typed(kind: str, **spec: Value) -> Value:
    typed: dict[str, Value] = {"type": kind, "spec": spec}
    return typed


def _documentation(command: Command) -> dict[str, Value]:
    docs: dict[str, Value] = {
        "summary": command.summary,
        "since": command.since,
        "group": command.group,
        "complexity": command.complexity,
    }
    if command.usage:
        docs["arguments"] = arguments_of(command.usage, has_key=bool(command.key_specs))
    if command.subcommands:
        docs["subcommands"] = {each.name.decode(): _documentation(each) for each in command.subcommands}
    return docs


def _find(name: bytes) -> Command | None:
    """A command, or a subcommand by its `container|name`."""
    container, _, subcommand = name.lower().partition(b"|")
    command = BY_NAME.get(container)
    if command is None or not subcommand:
        return command
    return next((each for each in command.subcommands if each.name == name.lower()), None)


def everything(_connection: Connection, _args: list[bytes]) -> Value:
    """COMMAND without more."""
    return [_row(command) for command in COMMANDS]


def _count(_connection: Connection, _args: list[bytes]) -> Value:
    return len(COMMANDS)


def _info(connection: Connection, args: list[bytes]) -> Value:
    if len(args) == 2:
        return everything(connection, args)
    return [None if (command := _find(name)) is None else _row(command) for name in args[2:]]


def _docs(_connection: Connection, args: list[bytes]) -> Value:
    found = [command for name in args[2:] if (command := _find(name)) is not None]
    chosen = found if len(args) > 2 else list(COMMANDS)
    return {command.name.decode(): _documentation(command) for command in chosen}


def _all() -> Iterable[Command]:
    for command in COMMANDS:
        yield command
        yield from command.subcommands


def _list(_connection: Connection, args: list[bytes]) -> Value:
    if len(args) == 2:
        return Members(command.name for command in _all())
    if len(args) != 5 or args[2].lower() != b"filterby":
        raise ReplyError("ERR syntax error")
    value = args[4].lower()
    match args[3].lower():
        case b"module":
            return []
        case b"aclcat":
            wanted = value.decode("ascii", "replace")
            return [command.name for command in _all() if wanted in command.categories]
        case b"pattern":
            return [command.name for command in _all() if compiled(value).match(command.name)]
    raise ReplyError("ERR syntax error")


def _keys_of(args: list[bytes]) -> list[tuple[KeySpec, Sequence[int]]]:
    """The positions of a request's keys, by specification."""
    command = BY_NAME.get(args[0].lower())
    if command is None:
        raise ReplyError("ERR Invalid command specified")
    if command.subcommands:
        subcommand = args[1].lower() if len(args) > 1 else b""
        command = next((c for c in command.subcommands if c.name.partition(b"|")[2] == subcommand), command)
    if not command.key_specs:
        raise ReplyError("ERR The command has no key arguments")
    if not command.accepts(len(args)):
        raise ReplyError("ERR Invalid number of arguments specified for command")
    found = [(spec, spec.find(args)) for spec in command.key_specs]
    valid = [(spec, positions) for spec, positions in found if positions is not None]
    if "no_mandatory_keys" not in command.flags and (len(valid) < len(found) or not any(p for _, p in valid)):
        raise ReplyError("ERR Invalid arguments specified for command")
    return valid


def _getkeys(_connection: Connection, args: list[bytes]) -> Value:
    return [args[2 + at] for _, positions in _keys_of(args[2:]) for at in positions]


def _getkeysandflags(_connection: Connection, args: list[bytes]) -> Value:
    return [
        [args[2 + at], Members(Status(flag) for flag in spec.flags)]
        for spec, positions in _keys_of(args[2:])
        for at in positions
    ]


SUBCOMMANDS: dict[bytes, Handler] = {
    b"count": _count,
    b"docs": _docs,
    b"getkeys": _getkeys,
    b"getkeysandflags": _getkeysandflags,
    b"info": _info,
    b"list": _list,
}
