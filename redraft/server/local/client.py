"""CLIENT: what connections are called, which there are, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from redraft.commands.table import COMMANDS
from redraft.server.channels import Book
from redraft.server.connection_modes import REPLIES_OFF, REPLIES_ON, REPLIES_SKIP
from redraft.server.encode import OK, Text, Value
from redraft.server.outcome import Handler, Outcome
from redraft.server.subscriptions import names
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection

BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."
SYNTAX = "ERR syntax error"
_TYPES = (b"normal", b"master", b"replica", b"slave", b"pubsub")

Filter = Callable[["Connection"], bool]


def check_name(name: bytes) -> bytes:
    """Return the name if a connection may be called so: printable, without spaces."""
    if any(not 0x21 <= byte <= 0x7E for byte in name):
        raise ReplyError(BAD_NAME)
    return name


def describe(connection: Connection) -> str:
    """One connection in the words of CLIENT LIST."""
    front = connection.front
    age = int((front.now_ms - connection.born_ms) / 1000)
    idle = int((front.now_ms - connection.last_ms) / 1000)
    transaction, watched = connection.transaction, connection.watch
    flags = (
        ("P" if connection.subscriptions is not None else "")
        + ("x" if transaction is not None else "")
        + ("r" if connection.readonly else "")
        + ("e" if connection.no_evict else "")
    )
    flags += ("T" if connection.no_touch else "") + ("c" if connection.closing else "")
    waiting, unread = connection.waiting_bytes, connection.unread_bytes
    command = COMMANDS[connection.last_id].name.decode() if connection.last_id >= 0 else "NULL"
    fields = {
        "id": connection.number,
        "addr": connection.address,
        "laddr": connection.local_address,
        "fd": connection.fd,
        "name": connection.name.decode("ascii"),
        "age": age,
        "idle": idle,
        "flags": flags or "N",
        "db": 0,
        "sub": len(names(connection, Book.CHANNEL)),
        "psub": len(names(connection, Book.PATTERN)),
        "ssub": len(names(connection, Book.SHARD)),
        "multi": len(transaction.commands) if transaction is not None else -1,
        "watch": len(watched.indexes) if watched is not None else 0,
        "qbuf": unread,
        "qbuf-free": 0,
        "argv-mem": 0,
        "multi-mem": connection.held_bytes,
        "rbs": 0,
        "rbp": 0,
        "obl": 0,
        "oll": connection.waiting_pieces,
        "omem": waiting,
        "tot-mem": waiting + unread + connection.held_bytes,
        "events": "rw" if waiting else "r",
        "cmd": command,
        "user": "default",
        "redir": -1,
        "resp": connection.proto,
        "lib-name": connection.lib_name.decode("ascii"),
        "lib-ver": connection.lib_version.decode("ascii"),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _id(connection: Connection, _args: list[bytes]) -> Value:
    return connection.number


def _getname(connection: Connection, _args: list[bytes]) -> Value:
    return connection.name or None


def _setname(connection: Connection, args: list[bytes]) -> Value:
    connection.name = check_name(args[2])
    return OK


def _setinfo(connection: Connection, args: list[bytes]) -> Value:
    option, value = args[2].lower(), args[3]
    if option not in (b"lib-name", b"lib-ver"):
        raise ReplyError(b"ERR Unrecognized option '%b'" % args[2])
    if any(not 0x21 <= byte <= 0x7E for byte in value):
        raise ReplyError(b"ERR %b cannot contain spaces, newlines or special characters." % option)
    if option == b"lib-name":
        connection.lib_name = value
    else:
        connection.lib_version = value
    return OK


def _info(connection: Connection, _args: list[bytes]) -> Value:
    return Text(describe(connection) + "\n")


def _list(connection: Connection, args: list[bytes]) -> Value:
    everyone = connection.front.connections
    chosen: Iterable[Connection] = list(everyone.values())
    if len(args) > 2:
        option = args[2].lower()
        if option == b"type" and len(args) == 4:
            keep = _type_filter(args[3])
            chosen = [each for each in chosen if keep(each)]
        elif option == b"id" and len(args) > 3:
            numbers = [_number(arg, "ERR Invalid client ID") for arg in args[3:]]
            chosen = [everyone[number] for number in numbers if number in everyone]
        else:
            raise ReplyError(SYNTAX)
    return Text("".join(f"{describe(each)}\n" for each in chosen))


def _number(arg: bytes, wrong: str) -> int:
    if not arg.isdigit() or int(arg) < 1:
        raise ReplyError(wrong)
    return int(arg)


def _type_filter(name: bytes) -> Filter:
    if name.lower() not in _TYPES:
        raise ReplyError(b"ERR Unknown client type '%b'" % name)
    if name.lower() == b"normal":
        return lambda connection: connection.subscriptions is None
    if name.lower() == b"pubsub":
        return lambda connection: connection.subscriptions is not None
    return lambda _connection: False


def _kill(connection: Connection, args: list[bytes]) -> Value:
    everyone = list(connection.front.connections.values())
    if len(args) == 3:
        address = args[2].decode("ascii", "replace")
        found = [each for each in everyone if each.address == address]
        if not found:
            raise ReplyError("ERR No such client")
        _end(connection, found)
        return OK
    filters, skip_me = _kill_filters(args[2:])
    found = [each for each in everyone if all(keep(each) for keep in filters)]
    if skip_me:
        found = [each for each in found if each is not connection]
    _end(connection, found)
    return len(found)


def _kill_filters(options: list[bytes]) -> tuple[list[Filter], bool]:
    filters: list[Filter] = []
    skip_me = True
    if len(options) % 2:
        raise ReplyError(SYNTAX)
    for option, value in zip(options[::2], options[1::2], strict=True):
        text = value.decode("ascii", "replace")
        match option.lower():
            case b"id":
                number = _number(value, "ERR client-id should be greater than 0")
                filters.append(lambda each, number=number: each.number == number)  # type: ignore[misc]
            case b"addr":
                filters.append(lambda each, text=text: each.address == text)  # type: ignore[misc]
            case b"laddr":
                filters.append(lambda each, text=text: each.local_address == text)  # type: ignore[misc]
            case b"type":
                filters.append(_type_filter(value))
            case b"user":
                if value != b"default":
                    raise ReplyError(b"ERR No such user '%b'" % value)
            case b"skipme" if value.lower() in (b"yes", b"no"):
                skip_me = value.lower() == b"yes"
            case _:
                raise ReplyError(SYNTAX)
    return filters, skip_me


def _end(me: Connection, found: list[Connection]) -> None:
    for each in found:
        if each is me:
            each.closing = True
        else:
            each.close()


def _switch(arg: bytes) -> bool:
    if arg.lower() not in (b"on", b"off"):
        raise ReplyError(SYNTAX)
    return arg.lower() == b"on"


def _no_evict(connection: Connection, args: list[bytes]) -> Value:
    connection.no_evict = _switch(args[2])
    return OK


def _no_touch(connection: Connection, args: list[bytes]) -> Value:
    connection.no_touch = _switch(args[2])
    return OK


def _reply(connection: Connection, args: list[bytes]) -> Value | Outcome:
    match args[2].lower():
        case b"on":
            connection.replies = REPLIES_ON
            return OK
        case b"off":
            connection.replies = REPLIES_OFF
        case b"skip":
            if connection.replies == REPLIES_ON:
                connection.replies = REPLIES_SKIP
        case _:
            raise ReplyError(SYNTAX)
    return Outcome.SILENT


SUBCOMMANDS: dict[bytes, Handler] = {
    b"getname": _getname,
    b"id": _id,
    b"info": _info,
    b"kill": _kill,
    b"list": _list,
    b"no-evict": _no_evict,
    b"no-touch": _no_touch,
    b"reply": _reply,
    b"setinfo": _setinfo,
    b"setname": _setname,
}
