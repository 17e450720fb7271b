"""Commands that nodes send to groups, and clients cannot: the front end answers REDRAFT by itself.

They stand in no table, so COMMAND does not list them, and MULTI does not take them.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from redraft.commands import moving, whole
from redraft.commands.command import Command, row

_internal = partial(row, group="server", since="7.0.0")

INTERNAL: Final[dict[bytes, Command]] = {
    b"MOVE": _internal(
        "redraft|move", -4, "readonly", summary="A step of a move of slots", handler=moving.move
    ),
    b"SLOTS": _internal(
        "redraft|slots",
        -4,
        "readonly",
        summary="A command on the whole keyspace, for some slots",
        handler=whole.slots,
    ),
}
"""By the word behind REDRAFT, in capitals; they see to it themselves that reads change nothing."""
