"""The arguments of a command, out of the line that shows its usage.

The table says once how a command is used, as a line people read; COMMAND DOCS wants it as a tree, from
which redis-cli makes its hints.  The line's grammar:

    usage    = sequence ("|" sequence)*            one of several
    sequence = item*
    item     = "[" usage "]"                       optional
             | "<" usage ">"                       grouped
             | "[" item+ "...]"                    the items before it, repeated
             | TOKEN [name | "<" usage ">"]        words in capitals are written as they are
             | name
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

_LEXEMES = re.compile(r"\.\.\.|[\[\]<>|]|[^\s\[\]<>|]+")

_INTEGERS = frozenset(
    [
        "bit",
        "count",
        "cursor",
        "decrement",
        "destination-db",
        "end",
        "entries-added",
        "entries-read",
        "frequency",
        "increment",
        "index",
        "len",
        "milliseconds",
        "num-matches",
        "numkeys",
        "offset",
        "protover",
        "rank",
        "seconds",
        "slot",
        "start",
        "ttl",
        "client-id",
    ]
)
_SIGNS = frozenset("$*=~")
_KEYS = frozenset(["destination", "key", "key1", "key2", "newkey", "source", "destkey", "sourcekey"])


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, as COMMAND DOCS describes it.

    `type` is string, integer, double, key, pattern, unix-time, pure-token, oneof or block; the last
    two have `parts`.  `token` is the word before it, empty without one.
    """

    name: str
    type: str
    token: str = ""
    optional: bool = False
    multiple: bool = False
    parts: tuple[Argument, ...] = ()


def _type_of(name: str) -> str:
    if name in _KEYS:
        return "key"
    if name in _INTEGERS:
        return "integer"
    if name.startswith("unix-time"):
        return "unix-time"
    return "pattern" if name == "pattern" else "string"


def _is_token(word: str) -> bool:
    return word == word.upper() and (word[0].isalpha() or word in _SIGNS)


def _grouped(items: list[Argument]) -> Argument:
    """Make one argument of several."""
    if len(items) == 1:
        return items[0]
    return Argument("-".join(item.name for item in items[:2]), "block", parts=tuple(items))


class _Parser:
    """Goes through the lexemes of one line."""

    def __init__(self, usage: str) -> None:
        self._lexemes: list[str] = _LEXEMES.findall(usage)
        self._at = 0

    def _peek(self) -> str:
        return self._lexemes[self._at] if self._at < len(self._lexemes) else ""

    def _take(self) -> str:
        self._at += 1
        return self._lexemes[self._at - 1]

    def usage(self) -> list[Argument]:
        """Read alternatives up to a closing bracket or the end."""
        alternatives = [self._sequence()]
        while self._peek() == "|":
            self._take()
            alternatives.append(self._sequence())
        if len(alternatives) == 1:
            return alternatives[0]
        parts = tuple(_grouped(items) for items in alternatives)
        plain = all(part.type == "pure-token" for part in parts)
        return [Argument("condition" if plain else "choice", "oneof", parts=parts)]

    def _sequence(self) -> list[Argument]:
        items: list[Argument] = []
        while self._peek() not in ("", "|", "]", ">", "..."):
            lexeme = self._take()
            if lexeme == "<":
                items.append(_grouped(self.usage()))
                self._take()
            elif lexeme == "[":
                inner = self.usage()
                if self._peek() == "...":
                    self._take()
                    repeated = _grouped(items[-len(inner) :])
                    items[-len(inner) :] = [replace(repeated, multiple=True)]
                else:
                    items.append(replace(_grouped(inner), optional=True))
                self._take()
            elif not _is_token(lexeme):
                items.append(Argument(lexeme, _type_of(lexeme)))
            elif self._peek() == "<":
                self._take()
                items.append(replace(_grouped(self.usage()), token=lexeme))
                self._take()
            elif self._peek() in ("", "|", "]", ">", "[") or _is_token(self._peek()):
                items.append(Argument(lexeme.lower(), "pure-token", token=lexeme))
            else:
                name = self._take()
                items.append(Argument(name, _type_of(name), token=lexeme))
        return items


@cache
def arguments_of(usage: str) -> tuple[Argument, ...]:
    """Return the arguments that a line of usage describes."""
    parser = _Parser(usage)
    found = tuple(parser.usage())
    assert not parser._peek(), f"the usage line {usage!r} closes what it did not open"
    return found
