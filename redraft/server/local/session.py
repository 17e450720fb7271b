"""PING to QUIT: small talk, and the state of one connection's conversation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from redraft.server import subscriptions
from redraft.server.encode import OK, Status, Text, Value
from redraft.server.identity import REDIS_VERSION
from redraft.server.local.client import check_name
from redraft.server.outcome import Handler
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection

NOT_CONFIGURED = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
REFUSED = "WRONGPASS invalid username-password pair or user is disabled."
_LOGO = (
    "  _ __ ___   __| |_ __ __ _ / _| |_ \n"
    " | '__/ _ \\ / _` | '__/ _` | |_| __|\n"
    " | | |  __/| (_| | | | (_| |  _| |_ \n"
    " |_|  \\___| \\__,_|_|  \\__,_|_|  \\__|\n"
)


def ping(connection: Connection, args: list[bytes]) -> Value:
    """PONG, or the message; where messages are no replies, like one of them."""
    if len(args) > 2:
        raise ReplyError("ERR wrong number of arguments for 'ping' command")
    if connection.confined:
        return [b"pong", args[1] if len(args) == 2 else b""]
    return args[1] if len(args) == 2 else Status("PONG")


def echo(_connection: Connection, args: list[bytes]) -> Value:
    """The message."""
    return args[1]


def time_(_connection: Connection, _args: list[bytes]) -> Value:
    """This node's wall clock: seconds and microseconds."""
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return [str(seconds), str(microseconds)]


def lolwut(_connection: Connection, _args: list[bytes]) -> Value:
    """A piece of art."""
    return Text(f"{_LOGO}\nRedis ver. {REDIS_VERSION}\n")


def select(_connection: Connection, args: list[bytes]) -> Value:
    """There is one database, as in Redis Cluster."""
    try:
        index = int(args[1])
    except ValueError:
        raise ReplyError("ERR value is not an integer or out of range") from None
    if index != 0:
        raise ReplyError("ERR DB index is out of range")
    return OK


def authenticate(user: bytes) -> None:
    """The default user needs no password; others do not exist."""
    if user != b"default":
        raise ReplyError(REFUSED)


def auth(_connection: Connection, args: list[bytes]) -> Value:
    """AUTH [user] password."""
    if len(args) > 3:
        raise ReplyError("ERR syntax error")
    if len(args) == 2:
        raise ReplyError(NOT_CONFIGURED)
    authenticate(args[1])
    return OK


def agreed(args: list[bytes], proto: int, name: bytes) -> tuple[int, bytes]:
    """Return the protocol and the name that a HELLO leaves, from those before it; raises ReplyError."""
    at = 2
    if len(args) > 1:
        try:
            proto = int(args[1])
        except ValueError:
            raise ReplyError("ERR Protocol version is not an integer or out of range") from None
        if proto not in (2, 3):
            raise ReplyError("NOPROTO unsupported protocol version")
    while at < len(args):
        option, left = args[at].lower(), len(args) - at - 1
        if option == b"auth" and left >= 2:
            authenticate(args[at + 1])
            at += 3
        elif option == b"setname" and left >= 1:
            name = check_name(args[at + 1])
            at += 2
        else:
            raise ReplyError(b"ERR Syntax error in HELLO option '%b'" % args[at])
    return proto, name


def hello(connection: Connection, args: list[bytes]) -> Value:
    """HELLO [version [AUTH user password] [SETNAME name]]: all of it or nothing."""
    proto, name = agreed(args, connection.proto, connection.name)
    connection.proto, connection.name = proto, name
    subscriptions.confine(connection)
    port = connection.port
    return {
        "server": "redis",
        "version": REDIS_VERSION,
        "proto": proto,
        "id": connection.number,
        "mode": "cluster" if port.cluster_enabled else "standalone",
        "role": "replica" if port.role == "slave" else port.role,
        "modules": [],
    }


def reset(connection: Connection, _args: list[bytes]) -> Value:
    """Make the connection as if it were new."""
    connection.reset()
    return Status("RESET")


def quit_(connection: Connection, _args: list[bytes]) -> Value:
    """Close the connection once everything before is answered."""
    connection.closing = True
    return OK


def readonly(connection: Connection, _args: list[bytes]) -> Value:
    """Let replicas answer this connection's reads (they are linearizable all the same)."""
    connection.read_only(on=True)
    return OK


def readwrite(connection: Connection, _args: list[bytes]) -> Value:
    """Take READONLY back."""
    connection.read_only(on=False)
    return OK


def asking(_connection: Connection, _args: list[bytes]) -> Value:
    """Nobody is sent here by ASK: while a slot moves, its requests wait."""
    return OK


HANDLERS: dict[bytes, Handler] = {
    b"asking": asking,
    b"auth": auth,
    b"echo": echo,
    b"hello": hello,
    b"lolwut": lolwut,
    b"ping": ping,
    b"quit": quit_,
    b"readonly": readonly,
    b"readwrite": readwrite,
    b"reset": reset,
    b"select": select,
    b"time": time_,
}
