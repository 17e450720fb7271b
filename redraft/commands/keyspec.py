"""Where the keys of a command stand among its arguments, as data: COMMAND's key specifications.

    (first, last, step)   the native scan finds these by itself
    single(position)      one key
    counted(position)     behind the number there, which says how many they are: LMPOP, ZUNION, EVAL
    behind(word)          behind a word: one, all that is left, or a share of it: XREAD
    searched(function)    where the function says: SORT's STORE

A command may have several, each with the flags of its keys.  Commands that have others than the first are
flagged `movablekeys`; their keys are looked for in Python, by the router and by COMMAND GETKEYS alike.
Handlers have to refuse a request in which one of its specifications finds nothing: it was sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redraft.commands.arguments import parse_integer

Search = Callable[[Sequence[bytes]], Sequence[int]]
"""[name, argument, ...] -> the positions of keys."""

Found = Sequence[int] | None
"""Positions of keys; None when the request is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """One specification; made by the functions below."""

    flags: tuple[str, ...]

    def find(self, words: Sequence[bytes]) -> Found:
        """Return where the keys of a request stand that has as many words as its command asks for."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSpec(KeySpec):
    """From position `first` to `last`, every `step`; a negative `last` counts from the end."""

    first: int
    last: int
    step: int

    def find(self, words: Sequence[bytes]) -> Found:
        """See `KeySpec.find`."""
        last = self.last if self.last >= 0 else len(words) + self.last
        return range(self.first, min(last + 1, len(words)), self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedSpec(KeySpec):
    """So many as the number at position `at` says, right behind it."""

    at: int

    def find(self, words: Sequence[bytes]) -> Found:
        """See `KeySpec.find`."""
        number = parse_integer(words[self.at])
        if number is None or not 0 < number < len(words) - self.at:
            return None
        return range(self.at + 1, self.at + 1 + number)


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindSpec(KeySpec):
    """Behind the first `word` (in capitals) from position `start` on.

    A `share` of 0 means one key, 1 all that is left, 2 the first half of that.
    """

    word: bytes
    start: int
    share: int

    def find(self, words: Sequence[bytes]) -> Found:
        """See `KeySpec.find`; without the word there are none."""
        for at in range(self.start, len(words) - 1):
            if words[at].upper() == self.word:
                left = len(words) - at - 1
                return range(at + 1, at + 1 + (left // self.share if self.share else 1))
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedSpec(KeySpec):
    """Where a function finds them; COMMAND INFO says "unknown"."""

    search: Search

    def find(self, words: Sequence[bytes]) -> Found:
        """See `KeySpec.find`."""
        return self.search(words)


def plain(keys: tuple[int, int, int], key_flags: str) -> tuple[KeySpec, ...]:
    """Return what (first, last, step) means; flags divided by `/` are for a key each, as RENAME has them."""
    first, last, step = keys
    flags = [tuple(words.split()) for words in key_flags.split("/")] if key_flags else [("RW",)]
    if not first:
        return ()
    if len(flags) == 1:
        return (RangeSpec(flags=flags[0], first=first, last=last, step=step),)
    return tuple(
        RangeSpec(flags=words, first=first + nth, last=first + nth, step=1) for nth, words in enumerate(flags)
    )


def single(position: int, flags: str) -> KeySpec:
    """Return the specification of one key at a position."""
    return RangeSpec(flags=tuple(flags.split()), first=position, last=position, step=1)


def counted(position: int, flags: str) -> KeySpec:
    """Return the specification of keys whose number stands at a position, right before them."""
    return CountedSpec(flags=tuple(flags.split()), at=position)


def behind(word: bytes, flags: str, *, start: int, share: int) -> KeySpec:
    """Return the specification of keys behind a word; see `BehindSpec`."""
    return BehindSpec(flags=tuple(flags.split()), word=word, start=start, share=share)


def searched(search: Search, flags: str) -> KeySpec:
    """Return the specification of keys that only a function can find."""
    return SearchedSpec(flags=tuple(flags.split()), search=search)
