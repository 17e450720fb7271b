"""What is known about one command: the row of the table from which all else follows.

A row holds facts only.  COMMAND and its relatives, routing (which groups a request concerns), the
native scan's configuration and the executor are all read off it.  Rows are made once, at import;
`redraft.commands.table` gathers them.  Nothing here knows how a command is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from redraft.commands.keyspec import KeySpec, plain

if TYPE_CHECKING:
    from redraft.commands.context import Context

Handler = Callable[["Context", list[bytes]], bytes]
"""Carries out one request: (context, [name, argument, ...]) -> the reply's bytes."""


class Kind(IntEnum):
    """Who carries a command out; the numbers are those of the native scan."""

    LOCAL = 0
    """The node a client is connected to, without asking a group."""
    READ = 1
    """A group, by its state, without an entry of its own."""
    WRITE = 2
    """A group, as part of an entry of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command or subcommand, as Redis 7.0 describes it.

    `name` is lower case; a subcommand's is `container|name`.  `arity` counts the name; negative
    means "at least".  `keys` is (first, last, step) as COMMAND INFO reports it; a last of -1 is
    the last argument.  `key_specs` says the same, and more where the flag `movablekeys` stands: there
    are keys that the native scan can't find.  `whole` marks commands that mean the whole keyspace:
    they are asked of every group, each answering for the slots it owns.
    """

    name: bytes
    arity: int
    kind: Kind
    group: str
    since: str
    summary: str
    complexity: str
    usage: str = ""
    flags: tuple[str, ...] = ()
    keys: tuple[int, int, int] = (0, 0, 0)
    key_specs: tuple[KeySpec, ...] = ()
    tips: tuple[str, ...] = ()
    whole: bool = False
    handler: Handler | None = None
    subcommands: tuple[Command, ...] = ()

    @property
    def categories(self) -> tuple[str, ...]:
        """ACL categories, which follow from the group and the flags."""
        flags = self.flags
        subject = _SUBJECT_OF_NAME.get(self.name.partition(b"|")[0], _SUBJECT_OF_GROUP.get(self.group))
        if self.subcommands and self.name not in _SUBJECT_OF_NAME:
            subject = None
        names = list(_SORTED) if self.name in _SORTING else [subject] if subject is not None else []
        names += [category for flag, category in _FLAG_CATEGORY if flag in flags]
        names.append("fast" if "fast" in flags else "slow")
        if "admin" in flags or self.name in _DANGEROUS:
            names.append("dangerous")
        return tuple(names)

    @property
    def routing_keys(self) -> tuple[int, int, int]:
        """Where the native scan looks for keys, (0, 0, 0) when that is not for the scan.

        A container's keys are those of its subcommands that have some.
        """
        if self.has_movable_keys:
            return 0, 0, 0
        return next((sub.keys for sub in self.subcommands if sub.keys[0]), self.keys)

    @property
    def has_movable_keys(self) -> bool:
        """Whether `find_keys` has to be asked where a request's keys are."""
        return "movablekeys" in self.flags

    def find_keys(self, words: Sequence[bytes]) -> list[int]:
        """Return the positions of a request's keys; those of a specification that finds none are left out."""
        return [position for spec in self.key_specs for position in spec.find(words) or ()]

    @property
    def denied_when_full(self) -> bool:
        """Whether the command may make the keyspace bigger (Redis's `denyoom`)."""
        return "denyoom" in self.flags

    def accepts(self, argc: int) -> bool:
        """Whether a request of `argc` words, the name included, has the right number of them."""
        return argc == self.arity if self.arity >= 0 else argc >= -self.arity


_SUBJECT_OF_GROUP = {
    "bitmap": "bitmap",
    "connection": "connection",
    "generic": "keyspace",
    "geo": "geo",
    "hash": "hash",
    "hyperloglog": "hyperloglog",
    "list": "list",
    "set": "set",
    "sorted-set": "sortedset",
    "stream": "stream",
    "string": "string",
    "transactions": "transaction",
}
_SUBJECT_OF_NAME = {
    b"dbsize": "keyspace",
    b"flushall": "keyspace",
    b"flushdb": "keyspace",
    b"command": "connection",
    b"asking": "connection",
    b"readonly": "connection",
    b"readwrite": "connection",
}
_SORTING = frozenset((b"sort", b"sort_ro"))
_SORTED = ("set", "sortedset", "list")
_FLAG_CATEGORY = (
    ("readonly", "read"),
    ("write", "write"),
    ("admin", "admin"),
    ("blocking", "blocking"),
    ("pubsub", "pubsub"),
)
_DANGEROUS = frozenset((b"keys", b"flushall", b"flushdb", b"restore", b"info", b"sort", b"sort_ro"))


def row(
    name: str,
    arity: int,
    flags: str = "",
    keys: tuple[int, int, int] = (0, 0, 0),
    key_flags: str = "",
    *,
    key_specs: tuple[KeySpec, ...] = (),
    group: str,
    since: str,
    summary: str,
    complexity: str = "O(1)",
    usage: str = "",
    tips: str = "",
    local: bool = False,
    whole: bool = False,
    handler: Handler | None = None,
    subcommands: tuple[Command, ...] = (),
) -> Command:
    """Make a row from the compact form the tables are written in.

    Flags and tips are words; `key_flags` holds words per key specification, divided by `/`; keys that
    (first, last, step) can't tell have `key_specs` instead, which are then all of them.  The kind
    follows from the flags `readonly` and `write` unless `local` says otherwise.
    """
    words = tuple(flags.split())
    kind = Kind.WRITE if "write" in words else Kind.READ if "readonly" in words else Kind.LOCAL
    if subcommands:
        kind = max(sub.kind for sub in subcommands)
    return Command(
        name=name.encode(),
        arity=arity,
        kind=Kind.LOCAL if local else kind,
        group=group,
        since=since,
        summary=summary,
        complexity=complexity,
        usage=usage,
        flags=words,
        keys=keys,
        key_specs=key_specs or plain(keys, key_flags),
        tips=tuple(tips.split()),
        whole=whole,
        handler=handler,
        subcommands=subcommands,
    )
