"""All commands of the server, in one table.

A command's id is its position in `COMMANDS`.  Ids are used within a process only, between the
native scan and the executor: nothing stores them or sends them.
"""

from __future__ import annotations

from redraft.commands.command import Command, Kind
from redraft.commands.facts_bitmaps import BITMAPS
from redraft.commands.facts_cluster import CLUSTER
from redraft.commands.facts_generic import GENERIC
from redraft.commands.facts_geo import GEO
from redraft.commands.facts_hashes import HASHES
from redraft.commands.facts_hyperloglog import HYPERLOGLOGS
from redraft.commands.facts_lists import LISTS
from redraft.commands.facts_local import LOCAL
from redraft.commands.facts_pubsub import PUBSUB
from redraft.commands.facts_sets import SETS
from redraft.commands.facts_sortedsets import SORTED_SETS
from redraft.commands.facts_streams import STREAMS
from redraft.commands.facts_strings import STRINGS

__all__ = ["BY_NAME", "COMMANDS", "IDS", "MOVABLE", "Command", "Kind", "scan_table"]

COMMANDS: tuple[Command, ...] = (
    *STRINGS,
    *BITMAPS,
    *HYPERLOGLOGS,
    *GENERIC,
    *GEO,
    *HASHES,
    *LISTS,
    *SETS,
    *SORTED_SETS,
    *STREAMS,
    *LOCAL,
    *PUBSUB,
    *CLUSTER,
)
"""Every command; containers hold their subcommands."""

IDS: dict[bytes, int] = {command.name: number for number, command in enumerate(COMMANDS)}
"""A command's id by its lower-case name."""

BY_NAME: dict[bytes, Command] = {command.name: command for command in COMMANDS}
"""A command by its lower-case name."""

MOVABLE: frozenset[int] = frozenset(
    number for number, command in enumerate(COMMANDS) if command.has_movable_keys
)
"""The ids of commands whose keys the scan doesn't see."""

assert len(IDS) == len(COMMANDS), "a command stands in the table twice"


def scan_table() -> list[tuple[bytes, int, int, int, int, int]]:
    """Return what `accel.scan.configure` takes: (name, kind, arity, first, last, step) by id.

    Commands that mean the whole keyspace are of kind LOCAL here: the front end has to look at them.  Those
    whose keys are movable have no keys here, so that it looks for them: `MOVABLE`.
    """
    return [
        (command.name, Kind.LOCAL if command.whole else command.kind, command.arity, *command.routing_keys)
        for command in COMMANDS
    ]
