"""Redis's glob patterns, as KEYS and SCAN match keys with.

    `*` any bytes, `?` any byte, `[abc]` `[a-z]` `[^abc]` one byte of a class, `\\` takes the next as it is

A pattern becomes a regular expression that never goes back over a `*` it has passed: a piece
between stars is looked for at the first place it fits, which is enough for a match of the whole,
and keeps the time of a hostile pattern in bounds.
"""

from __future__ import annotations

import re
from functools import lru_cache


def _class(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Return the expression of the class whose `[` is before `at`, and the offset behind the class.

    Redis's oddities: a class may lack its `]`, an empty one matches nothing, ranges go either way.
    """
    negated = pattern[at : at + 1] == b"^"
    at += negated
    chosen: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            chosen.add(pattern[at + 1])
            at += 2
        elif at + 2 < len(pattern) and pattern[at + 1 : at + 2] == b"-":
            low, high = sorted((pattern[at], pattern[at + 2]))
            chosen.update(range(low, high + 1))
            at += 3
        else:
            chosen.add(pattern[at])
            at += 1
    if not chosen:
        return (b"." if negated else b"(?!)"), at + 1
    listed = b"".join(b"\\x%02x" % byte for byte in sorted(chosen))
    return b"[%b%b]" % (b"^" if negated else b"", listed), at + 1


@lru_cache(maxsize=64)
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Return an expression whose `match` says whether a key matches the pattern."""
    pieces = [b""]
    at = 0
    while at < len(pattern):
        character = pattern[at : at + 1]
        at += 1
        if character == b"*":
            pieces.append(b"")
        elif character == b"?":
            pieces[-1] += b"."
        elif character == b"[":
            expression, at = _class(pattern, at)
            pieces[-1] += expression
        else:
            if character == b"\\" and at < len(pattern):
                character = pattern[at : at + 1]
                at += 1
            pieces[-1] += re.escape(character)
    if len(pieces) == 1:
        return re.compile(pieces[0] + rb"\Z", re.DOTALL)
    if len(pieces) > 2 and not any(pieces):  # of patterns of stars only the single one matches the empty key
        return re.compile(rb".+\Z", re.DOTALL)
    between = b"".join(b"(?>.*?%b)" % piece for piece in pieces[1:-1] if piece)
    return re.compile(b"%b%b.*%b\\Z" % (pieces[0], between, pieces[-1]), re.DOTALL)


def matches(pattern: bytes, text: bytes) -> bool:
    """Whether the whole of a text matches a pattern."""
    return compiled(pattern).match(text) is not None
