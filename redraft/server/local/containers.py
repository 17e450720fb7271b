"""Commands that are containers of subcommands: CLIENT, CONFIG and their like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from redraft.commands.table import BY_NAME, Command
from redraft.server import words
from redraft.server.encode import Status, Value
from redraft.server.outcome import Handler, Outcome
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection


def container(name: bytes, handlers: Mapping[bytes, Handler], *, alone: Handler | None = None) -> Handler:
    """Make the handler of a container from its subcommands' handlers; `alone` takes it without any.

    HELP follows from the table; every other subcommand in the table has to have a handler.
    """
    rows = {row.name.partition(b"|")[2]: row for row in BY_NAME[name].subcommands}
    assert rows.keys() - {b"help"} == handlers.keys(), f"{name!r}: handlers and table differ"

    def handle(connection: Connection, args: list[bytes]) -> Value | Outcome:
        if len(args) == 1:
            assert alone is not None
            return alone(connection, args)
        row = rows.get(args[1].lower())
        if row is None and args[1].lower() == b"help":
            return _help(name, rows)
        if row is None:
            raise ReplyError(_line(words.unknown_subcommand(name.decode(), args[1])))
        if not row.accepts(len(args)):
            raise ReplyError(_line(words.wrong_arity(row.name)))
        handler = handlers.get(args[1].lower())
        return handler(connection, args) if handler is not None else _help(name, rows)

    return handle


def _line(reply: bytes) -> bytes:
    return reply[1:-2]


def _help(name: bytes, rows: Mapping[bytes, Command]) -> Value:
    title = name.decode().upper()
    lines = [f"{title} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for subcommand, row in sorted(rows.items()):
        if subcommand != b"help":
            lines.append(f"{subcommand.decode().upper()} {row.usage}".rstrip())
            lines.append(f"    {row.summary}.")
    return [Status(line) for line in (*lines, "HELP", "    Print this help.")]
