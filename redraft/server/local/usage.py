"""A command's usage line as the tree of arguments that COMMAND DOCS gives, for clients' hints.

usage = item*                     item = word | token word | "[" choice "]" | "<" choice ">" , "..." behind
choice = usage ("|" usage)*       a TOKEN is upper case, another word is an argument's name
"""

from __future__ import annotations

import re

from redraft.server.encode import Status, Value

_LEXEME = re.compile(r"\.\.\.|[\[\]<>|]|[^\s\[\]<>|]+")
_TYPES = {
    "key": "key",
    "newkey": "key",
    "source": "key",
    "destination": "key",
    "pattern": "pattern",
    "seconds": "integer",
    "milliseconds": "integer",
    "count": "integer",
    "increment": "integer",
    "decrement": "integer",
    "offset": "integer",
    "start": "integer",
    "end": "integer",
    "unix-time-seconds": "unix-time",
    "unix-time-milliseconds": "unix-time",
}

Argument = dict[str, Value]


def arguments_of(usage: str, *, has_key: bool) -> list[Value]:
    """Return the arguments of a usage line; `has_key` says that the ones named so are keys."""
    return list(_Reader(_LEXEME.findall(usage), has_key).choices())


class _Reader:
    """Reads lexemes from left to right."""

    def __init__(self, lexemes: list[str], has_key: bool) -> None:
        self._lexemes = lexemes
        self._at = 0
        self._has_key = has_key
        self._keys = 0

    def _peek(self) -> str:
        return self._lexemes[self._at] if self._at < len(self._lexemes) else ""

    def choices(self) -> list[Argument]:
        """Alternatives become one argument of type oneof; without any, the sequence itself."""
        alternatives = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            alternatives.append(self._sequence())
        if len(alternatives) == 1:
            return alternatives[0]
        items = [each[0] if len(each) == 1 else _block(each) for each in alternatives if each]
        return [{"name": str(items[0]["name"]), "type": "oneof", "arguments": list(items)}]

    def _sequence(self) -> list[Argument]:
        found: list[Argument] = []
        while (lexeme := self._peek()) not in ("", "|", "]", ">"):
            self._at += 1
            if lexeme in "[<":
                inner = self.choices()
                self._at += 1
                self._add_group(found, inner, optional=lexeme == "[")
            elif lexeme != "...":
                found.append(self._word(lexeme))
            if self._peek() == "..." and found:
                self._at += 1
                _flag(found[-1], "multiple")
        return found

    def _add_group(self, found: list[Argument], inner: list[Argument], *, optional: bool) -> None:
        repeated = len(inner) == 1 and found and inner[0]["name"] == found[-1]["name"]
        if repeated:  # `key [key ...]`
            _flag(found[-1], "multiple")
            return
        argument = inner[0] if len(inner) == 1 else _block(inner)
        if optional:
            _flag(argument, "optional")
        found.append(argument)

    def _word(self, word: str) -> Argument:
        if not word.isupper():
            return self._value(word)
        following = self._peek()
        if following and following not in "[]<>|..." and not following.isupper():
            self._at += 1
            argument = self._value(following)
            argument["token"] = word
            return argument
        return {"name": word.lower(), "type": "pure-token", "token": word}

    def _value(self, word: str) -> Argument:
        kind = _TYPES.get(word, "string")
        if kind == "key" and not self._has_key:
            kind = "string"
        argument: Argument = {"name": word, "type": kind, "display_text": word}
        if kind == "key":
            argument["key_spec_index"] = self._keys
        return argument


def _block(inner: list[Argument]) -> Argument:
    return {"name": str(inner[0]["name"]) if inner else "", "type": "block", "arguments": list(inner)}


def _flag(argument: Argument, flag: str) -> None:
    flags = argument.setdefault("flags", [])
    assert isinstance(flags, list)
    if Status(flag) not in flags:
        flags.append(Status(flag))
