"""Commands that the node itself sees to: a handler for each local or whole-keyspace row of the table."""

from __future__ import annotations

from redraft.server.local import (
    client,
    cluster,
    command,
    config,
    info,
    keyspace,
    membership,
    pubsub,
    session,
    transaction,
)
from redraft.server.local.containers import container
from redraft.server.outcome import Handler

HANDLERS: dict[bytes, Handler] = {
    **session.HANDLERS,
    **keyspace.HANDLERS,
    **pubsub.HANDLERS,
    **transaction.HANDLERS,
    b"client": container(b"client", client.SUBCOMMANDS),
    b"cluster": container(b"cluster", cluster.SUBCOMMANDS),
    b"command": container(b"command", command.SUBCOMMANDS, alone=command.everything),
    b"config": container(b"config", config.SUBCOMMANDS),
    b"info": info.info,
    b"pubsub": container(b"pubsub", pubsub.SUBCOMMANDS),
    b"redraft": container(b"redraft", {**info.SUBCOMMANDS, **keyspace.SUBCOMMANDS, **membership.SUBCOMMANDS}),
}
"""By lower-case name.  Each is called with a number of arguments that the table accepts."""

ANYTIME = frozenset((
    b"ping", b"echo", b"time", b"lolwut", b"command", b"select", b"multi", b"discard", b"exec", b"unwatch",
))  # fmt: skip
"""Local commands that may be answered while earlier ones of the same pipeline are out."""

AT_ONCE = frozenset((b"publish", b"spublish", b"pubsub"))
"""Others that may be answered together with what follows, once earlier ones of the pipeline have been."""
