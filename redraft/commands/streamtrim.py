"""How long a stream may be: MAXLEN and MINID, of XADD and XTRIM.

With `=` exactly what is too much goes.  With `~` Redis gives up whole nodes of its tree, up to a limit; here
it is what is too much rounded down to hundreds (a node's entries by default), or all of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from redraft.commands import streamid
from redraft.commands.arguments import integer
from redraft.commands.reply import SYNTAX, CommandError
from redraft.commands.stream import Stream

NODE_ENTRIES: Final = 100
"""Redis's default of stream-node-max-entries."""

LIMIT: Final = 100 * NODE_ENTRIES
"""How many entries go at most with `~`, unless LIMIT says otherwise."""


@dataclass(frozen=True, slots=True)
class Trimming:
    """What is too much: entries beyond a number, or below an ID; `limit` is 0 without one."""

    entries_max: int | None = None
    lowest: bytes = b""
    approximate: bool = False
    limit: int = 0

    def apply(self, stream: Stream) -> int:
        """Delete what is too much; return how many entries that was."""
        if self.entries_max is not None:
            excess = max(0, stream.length - self.entries_max)
        else:
            excess = stream.count_before(self.lowest)
        if self.approximate and excess:
            excess = min(excess, self.limit or excess)
            if excess < stream.length:
                excess -= excess % NODE_ENTRIES
        if excess:
            stream.drop_first(excess)
        return excess


@dataclass(slots=True)
class Options:
    """The words in front of XADD's ID, or behind XTRIM's key: read one option at a time."""

    strategy: bytes = b""
    threshold: int | bytes = 0
    approximate: bool = False
    limit: int | None = None

    def take(self, words: list[bytes], at: int) -> int:
        """Read the option that stands there; return where the next one is, or `at` when it is none.

        Raises CommandError.
        """
        name, left = words[at].lower(), len(words) - at - 1
        if left and name in {b"maxlen", b"minid"}:
            return self._take_threshold(name, words, at)
        if left and name == b"limit":
            self.limit = integer(words[at + 1])
            if self.limit < 0:
                raise CommandError(b"ERR The LIMIT argument must be >= 0.")
            return at + 2
        return at

    def _take_threshold(self, name: bytes, words: list[bytes], at: int) -> int:
        if self.strategy:
            raise CommandError(
                b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
            )
        self.strategy = name
        at += 1
        if words[at] in {b"~", b"="} and at + 1 < len(words):
            self.approximate = words[at] == b"~"
            at += 1
        if name == b"minid":
            self.threshold = streamid.parse(words[at])
            return at + 1
        self.threshold = integer(words[at])
        if self.threshold < 0:
            raise CommandError(b"ERR The MAXLEN argument must be >= 0.")
        return at + 1

    def trimming(self, *, required: bool = False) -> Trimming | None:
        """Return what they say together, None when nothing is to be trimmed; raises CommandError."""
        if self.limit and not self.strategy:
            raise CommandError(
                b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
            )
        if required and not self.strategy:
            raise CommandError(b"ERR syntax error, XTRIM must be called with a trimming strategy")
        if self.limit is not None and not self.approximate:
            raise CommandError(b"ERR syntax error, LIMIT cannot be used without the special ~ option")
        if not self.strategy:
            return None
        limit = LIMIT if self.limit is None else self.limit
        if isinstance(self.threshold, int):
            return Trimming(self.threshold, approximate=self.approximate, limit=limit)
        return Trimming(lowest=self.threshold, approximate=self.approximate, limit=limit)


def parse_trim(words: list[bytes]) -> Trimming:
    """Return what XTRIM's options say; raises CommandError."""
    options, at = Options(), 2
    while at < len(words):
        following = options.take(words, at)
        if following == at:
            raise CommandError(SYNTAX)
        at = following
    found = options.trimming(required=True)
    assert found is not None
    return found
