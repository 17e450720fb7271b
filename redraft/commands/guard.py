"""Requests on slots that the group does not serve are refused: known only where they would be carried out.

A batch comes here when it has such a slot, or a request of which the scan does not say one slot, in a group
that took part in a move.  Always true: a request is carried out whole or refused whole; behind the first
refused request of a connection (a mark) all others of it in the batch are refused too, so that they can be
sent again in order; nothing of a refused request is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from redraft.accel.scan import scan_args
from redraft.commands.context import Context
from redraft.commands.reply import REFUSED
from redraft.commands.slotted import slots_of
from redraft.commands.table import IDS

Marks = Sequence[tuple[int, int]]
Run = Callable[[Context, bytes, Marks], list[bytes]]
"""Carries out requests that are all served."""

_REDRAFT: Final = IDS[b"redraft"]
_BEHIND_BULK: Final = 2
"""Bytes behind what a bulk holds."""


class Request:
    """One request of a batch, and where its bytes end."""

    __slots__ = ("end", "number", "slot", "words")

    def __init__(self, number: int, slot: int, end: int, words: list[bytes]) -> None:
        self.number = number
        self.slot = slot
        self.end = end
        self.words = words


def requests_of(data: bytes) -> Iterator[Request]:
    """Yield the requests of a batch."""
    commands, spans = scan_args(data)
    at = 0
    for number, slot, argc in zip(commands[0::3], commands[1::3], commands[2::3], strict=True):
        following = at + 2 * argc
        words = [data[spans[i] : spans[i + 1]] for i in range(at, following, 2)]
        at = following
        yield Request(number, slot, spans[at - 1] + _BEHIND_BULK, words)


def execute_guarded(ctx: Context, data: bytes, marks: Marks, run: Run) -> list[bytes]:
    """Carry out what is served of a batch, by `run`, and refuse the rest; a reply for each request."""
    keyspace = ctx.keyspace
    replies: list[bytes] = []
    gathered: list[tuple[int, int]] = []
    begin = end = 0

    def carry_out() -> None:
        nonlocal begin
        if gathered:
            replies.extend(run(ctx, data[begin:end], gathered))
            gathered.clear()
        begin = end

    requests = requests_of(data)
    for count, proto in marks:
        away = False
        for _ in range(count):
            request = next(requests)
            changes = is_step(request)
            if changes:
                carry_out()  # what stands before it is served as the slots are before it
            foreign = keyspace.foreign
            assert foreign is not None, "who never took part in a move refuses nothing"
            away = away or not foreign.isdisjoint(slots_of(request.number, request.slot, request.words))
            if away:
                carry_out()
                replies.append(REFUSED)
                begin = end = request.end
                continue
            end = request.end
            gathered.append((1, proto))
            if changes:
                carry_out()
    carry_out()
    return replies


def is_step(request: Request) -> bool:
    """Whether a request may change which slots are served."""
    return request.number == _REDRAFT and request.words[1] == b"MOVE"
