"""The way of commands that need a thought: local ones, errors, several groups, other ports' redirections.

A scan whose commands are all plain never comes here.  A `Walk` takes the others one by one and makes
rounds of them: what a group answers goes into the round, what this node answers is put in its place,
and a command that changes or spans what others mean (a barrier) is alone in its turn.  What stands
between MULTI and EXEC is `queueing`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraft.accel.scan import KIND_SLOW, KIND_WRITE, SEVERAL
from redraft.commands.table import COMMANDS, MOVABLE, Kind
from redraft.server import queueing, subscriptions, words
from redraft.server.local import ANYTIME, AT_ONCE, HANDLERS
from redraft.server.port import Wanted
from redraft.server.queueing import run, split_request
from redraft.server.rounds import Round
from redraft.server.shares import DIVISIBLE, shares_by_key

if TYPE_CHECKING:
    from redraft.server.connection import Connection
    from redraft.server.outcome import Handler
    from redraft.server.port import Port

_STRIDE = 6


class Walk:
    """Goes over the commands of one scan, from round to round."""

    __slots__ = ("_at", "_data", "_found", "_next", "_port", "_slot_map")

    def __init__(self, data: bytes, at: int, port: Port) -> None:
        """For the last scan of the port's scanner, which was of `data` from `at` on."""
        self._data = data
        self._at = at
        self._port = port
        self._slot_map = port.slot_map
        self._found = port.scanner.commands()
        self._next = 0

    @property
    def done(self) -> bool:
        """Whether no commands are left."""
        return self._next == len(self._found)

    def next_round(self, connection: Connection) -> Round | None:
        """Make a round of the next commands; None when one was alone in its turn and has been started."""
        if self._slot_map is not self._port.slot_map:
            self._look_again()
        made: Round | None = None
        data, found = self._data, self._found
        while self._next < len(found):
            end, number, kind, slot, argc, group = found[self._next : self._next + _STRIDE]
            request = data[self._at : end]
            if number in MOVABLE and kind != KIND_SLOW:
                args = split_request(request)
                keys = [args[at] for at in COMMANDS[number].find_keys(args)]
                slot, group = self._port.scanner.place(keys)
            if connection.confined and number >= 0:
                objection = subscriptions.objection(split_request(request), number)
                if objection is not None:
                    self._step(end)
                    made = made or Round(connection)
                    made.add_reply(objection)
                    continue
            if queueing.takes(connection, number, argc):
                if queueing.stands_alone(connection, number, argc):
                    if made is not None:
                        return made
                    self._step(end)
                    queueing.execute_alone(connection)
                    return None
                self._step(end)
                if made is None:
                    made = Round(connection)
                queueing.add(made, connection, request, number, slot, group, argc)
                continue
            handler = None
            if kind == KIND_SLOW and number >= 0:
                command = COMMANDS[number]
                if command.accepts(argc):
                    handler = HANDLERS[command.name]
                    now = command.name in AT_ONCE and (made is None or made.is_answered)
                    if command.name not in ANYTIME and not now:
                        if made is not None:
                            return made
                        self._step(end)
                        run_alone(connection, handler, split_request(request))
                        return None
            self._step(end)
            if made is None:
                made = Round(connection)
            if handler is not None:
                reply = run(connection, handler, split_request(request))
                assert reply is not None
                made.add_reply(reply)
            elif kind != KIND_SLOW and group > 0:
                made.add_command(group, request, kind == KIND_WRITE)
            else:
                _add_odd(made, connection, request, number, slot, group, argc)
        return made

    def _step(self, end: int) -> None:
        self._at = end
        self._next += _STRIDE

    def _look_again(self) -> None:
        """Slots have moved between two rounds: within one a slot must have one group, or order is lost."""
        if not self.done:
            self._data = self._data[self._at : self._found[-_STRIDE]]
            self._at = self._next = 0
            self._port.scanner.scan(self._data)
            self._found = self._port.scanner.commands()
        self._slot_map = self._port.slot_map


def run_alone(connection: Connection, handler: Handler, args: list[bytes]) -> None:
    """Carry out a barrier command and see to its reply."""
    reply = run(connection, handler, args)
    if reply is not None:
        connection.reply(reply)


def _add_odd(
    made: Round, connection: Connection, request: bytes, number: int, slot: int, group: int, argc: int
) -> None:
    """A command for a group that has no single group by the scan, or that is no command at all."""
    if number < 0:
        made.add_reply(words.unknown_command(split_request(request)))
        return
    command = COMMANDS[number]
    if not command.accepts(argc):
        made.add_reply(words.wrong_arity(command.name))
        return
    write = command.kind == Kind.WRITE
    where = connection.port.route(Wanted(slot, group, write, connection.readonly))
    if isinstance(where, int):
        made.add_command(where, request, write)
    elif group == SEVERAL and command.name in DIVISIBLE and connection.port.divides:
        shares = shares_by_key(split_request(request), connection.port.slot_map)
        if all(owner for owner, _ in shares):
            made.add_shares(command.name, shares, write)
        else:
            made.add_reply(words.SLOT_UNSERVED)
    else:
        made.add_reply(where)
