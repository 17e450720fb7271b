"""Commands between MULTI and EXEC: taken up one by one, and sent to one group as one command.

A queued command is checked as far as it can be without its group, and answered QUEUED.  EXEC makes a
single request of the queue (`redraft.commands.transaction`), so it goes the way of any command:
forwarded, logged once, retried, answered in its place among others of the pipeline.  What the node
answers by itself (PING, CLIENT, ...) is put between the group's replies; it is carried out once the
group has answered, and not at all if a watched key had changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from redraft.accel.scan import NO_KEY, scan_args
from redraft.commands import transaction as grouped
from redraft.commands.command import Command, Kind
from redraft.commands.execute import resolve
from redraft.commands.reply import NULL_ARRAY, CommandError
from redraft.commands.slotted import slots_of_all
from redraft.commands.table import COMMANDS, IDS
from redraft.server import transaction as held
from redraft.server import words
from redraft.server.encode import encode, encode_request
from redraft.server.local import HANDLERS
from redraft.server.local.session import agreed, hello
from redraft.server.outcome import Outcome
from redraft.server.port import Wanted
from redraft.server.words import ReplyError

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.outcome import Handler
    from redraft.server.port import Port
    from redraft.server.rounds import Round
    from redraft.server.transaction import Queued, Transaction, Watch

EXEC = IDS[b"exec"]
UNQUEUED = frozenset(IDS[name] for name in (b"multi", b"discard", b"watch", b"quit", b"reset"))
"""Carried out at once inside a transaction too."""
REFUSED = frozenset((
    b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe", b"ssubscribe", b"sunsubscribe",
    b"client|reply", b"cluster|countkeysinslot", b"cluster|getkeysinslot", b"cluster|migration",
    b"redraft|cancel-move", b"redraft|create-group", b"redraft|digest", b"redraft|drain-node",
    b"redraft|drop-group", b"redraft|merge-groups", b"redraft|move-group", b"redraft|move-slots",
    b"redraft|remove-node", b"redraft|split-group", b"redraft|undrain-node",
))  # fmt: skip
"""What would break the reply in two, or asks other groups."""

QUEUED = b"+QUEUED\r\n"
NOTHING = b"*0\r\n"


def split_request(data: bytes) -> list[bytes]:
    """The arguments of one whole request."""
    args = scan_args(data)[1]
    return [data[args[at] : args[at + 1]] for at in range(0, len(args), 2)]


def run(connection: Connection, handler: Handler, args: list[bytes]) -> bytes | None:
    """Carry out a local command; None when it has no reply, or one that comes later."""
    try:
        value = handler(connection, args)
    except (ReplyError, CommandError) as wrong:
        return wrong.reply
    return None if isinstance(value, Outcome) else encode(value, connection.proto)


def takes(connection: Connection, number: int, argc: int) -> bool:
    """Whether a command is this module's to see to."""
    if connection.transaction is None:
        return number == EXEC and argc != 1
    return number not in UNQUEUED or not COMMANDS[number].accepts(argc)


def stands_alone(connection: Connection, number: int, argc: int) -> bool:
    """Whether it is an EXEC with commands of the node's own among the queued ones."""
    transaction = connection.transaction
    return (
        number == EXEC
        and argc == 1
        and transaction is not None
        and not transaction.failed
        and any(command.handler is not None for command in transaction.commands)
    )


def add(
    made: Round, connection: Connection, request: bytes, number: int, slot: int, group: int, argc: int
) -> None:
    """See to a command that `takes` says is for here."""
    if number != EXEC:
        made.add_reply(_queue(connection, request, number, slot, group, argc))
        return
    if argc != 1:
        held.forget(connection)
        made.add_reply(words.discarded(words.wrong_arity(b"exec")))
        return
    ready = _ready(connection)
    if isinstance(ready, bytes):
        made.add_reply(ready)
    elif ready.group:
        made.add_command(ready.group, ready.request, ready.write)
    else:
        made.add_reply(NOTHING)


def execute_alone(connection: Connection) -> None:
    """EXEC of a transaction that has commands of the node's own."""
    ready = _ready(connection)
    if isinstance(ready, bytes):
        connection.reply(ready)
    elif ready.group:
        connection.gather(
            [(ready.group, ready.request)],
            write=ready.write,
            then=lambda replies: connection.reply(_woven(connection, ready, replies[0])),
        )
    else:
        connection.reply(_woven(connection, ready, b""))


# ---- queueing ----


def _queue(connection: Connection, request: bytes, number: int, slot: int, group: int, argc: int) -> bytes:
    transaction = connection.transaction
    assert transaction is not None
    where = _destination(connection, request, number, slot, group, argc)
    if isinstance(where, bytes):
        transaction.failed = True
        return where
    if transaction.failed:
        return QUEUED  # and not kept: it will not be carried out
    if not transaction.has_room(len(request)):
        transaction.failed = True
        return words.TRANSACTION_TOO_LARGE
    if not isinstance(where, int):
        held.enqueue(connection, held.Queued(request, where))
        return QUEUED
    if slot == NO_KEY:
        transaction.keyless = where
    else:
        transaction.groups.add(where)
        transaction.slots.add(slot)
    transaction.write |= COMMANDS[number].kind is Kind.WRITE
    held.enqueue(connection, held.Queued(request, None))
    return QUEUED


def _destination(
    connection: Connection, request: bytes, number: int, slot: int, group: int, argc: int
) -> int | Handler | bytes:
    """The group a command goes to, the node's handler for it, or the error that it is."""
    if number < 0:
        return words.unknown_command(split_request(request))
    command = COMMANDS[number]
    if not command.accepts(argc):
        return words.wrong_arity(command.name)
    if command.subcommands:
        try:
            subcommand = resolve(number, split_request(request))
        except CommandError as wrong:
            return wrong.reply
        if subcommand.name in REFUSED:
            return words.NOT_IN_TRANSACTION
    if command.name in REFUSED:
        return words.NOT_IN_TRANSACTION
    if command.kind is Kind.LOCAL:
        return HANDLERS[command.name]
    port, write = connection.port, command.kind is Kind.WRITE
    if command.whole:
        return _only_group(port, command, write=write)
    return port.route(Wanted(slot, group, write, connection.readonly))


def _only_group(port: Port, command: Command, *, write: bool) -> int | bytes:
    """Where a command on the whole keyspace goes: a transaction can't ask several groups."""
    scope = tuple(port.scope())
    if write and port.role != "master":
        return words.READ_ONLY
    if len(scope) != 1 or len(port.leaders.all_groups) != 1:
        return words.several_groups(command.name)
    return scope[0]


# ---- EXEC ----


class _Ready(NamedTuple):
    """A transaction on its way; `group` is 0 when no group has anything to do with it."""

    group: int
    request: bytes
    write: bool
    commands: list[Queued]


def _ready(connection: Connection) -> _Ready | bytes:
    """Take the transaction from the connection; returns the error if it can't be carried out."""
    transaction, watched = connection.transaction, connection.watch
    assert transaction is not None
    held.forget(connection)
    if transaction.failed:
        return words.TRANSACTION_FAILED
    slot_map = connection.port.slot_map
    groups = transaction.groups
    if slot_map is not transaction.slot_map:
        groups = {slot_map[slot] for slot in _slots(transaction)}
    if watched is not None:
        if watched.is_lost(slot_map):
            return NULL_ARRAY[connection.proto]
        groups.add(watched.group)
    if 0 in groups:
        return words.SLOT_UNSERVED
    if len(groups) > 1 or (connection.port.cluster_enabled and len(transaction.slots) > 1):
        return words.CROSSSLOT
    group = groups.pop() if groups else transaction.keyless
    request = _request(connection, transaction, watched) if group else b""
    return _Ready(group, request, transaction.write, transaction.commands)


def _slots(transaction: Transaction) -> set[int]:
    """The slots of all that is queued for a group."""
    requests = [command.request for command in transaction.commands if command.handler is None]
    return slots_of_all(b"".join(requests))


def _request(connection: Connection, transaction: Transaction, watched: Watch | None) -> bytes:
    segments: list[grouped.Segment] = []
    proto, together = connection.proto, []
    for request, handler in transaction.commands:
        if handler is None:
            together.append(request)
            continue
        segments.append((len(together), proto, b"".join(together)))
        together = []
        if handler is hello:
            proto = _proto_after(connection, proto, split_request(request))
    segments.append((len(together), proto, b"".join(together)))
    return encode_request(grouped.encode(segments, list(watched.indexes.items()) if watched else ()))


def _proto_after(connection: Connection, proto: int, args: list[bytes]) -> int:
    """The protocol that a HELLO will leave; a wrong one changes nothing."""
    try:
        return agreed(args, proto, connection.name)[0]
    except ReplyError:
        return proto


def _woven(connection: Connection, ready: _Ready, reply: bytes) -> bytes:
    """Carry out the node's own commands and put their replies between the group's."""
    segments: list[bytes] = []
    if ready.group:
        if reply in NULL_ARRAY or not reply.startswith(b"*"):
            return reply  # a watched key has changed, or it was not carried out
        segments = split_request(reply)  # an array of bulks reads like a request
    between = iter(segments)
    pieces = [b"*%d\r\n" % len(ready.commands), next(between, b"")]
    for request, handler in ready.commands:
        if handler is not None:
            with connection.front.survey.hurry():
                answer = run(connection, handler, split_request(request))
            assert answer is not None
            pieces += (answer, next(between, b""))
    return b"".join(pieces)
