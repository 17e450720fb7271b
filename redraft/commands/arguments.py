"""Reading arguments as Redis reads them: integers without leniency, options without case."""

from __future__ import annotations

from typing import Final

from redraft.commands.reply import NOT_INTEGER, CommandError

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)
INT32_MAX: Final = 2**31 - 1
INT32_MIN: Final = -(2**31)
_DIGITS_MAX: Final = 20
_SAFE_DIGITS: Final = 18
_ZERO: Final = ord("0")


def parse_integer(text: bytes) -> int | None:
    """Return the 64-bit integer `text` is the one canonical spelling of, else None."""
    if len(text) <= _SAFE_DIGITS and text.isdigit():
        return int(text) if text[0] != _ZERO or len(text) == 1 else None
    if len(text) > _DIGITS_MAX:
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    if b"%d" % number != text or not INT64_MIN <= number <= INT64_MAX:
        return None
    return number


def integer(text: bytes) -> int:
    """Return a 64-bit integer; raises CommandError."""
    number = parse_integer(text)
    if number is None:
        raise CommandError(NOT_INTEGER)
    return number


def small_integer(text: bytes) -> int:
    """Return a 32-bit integer; raises CommandError."""
    number = integer(text)
    if not INT32_MIN <= number <= INT32_MAX:
        raise CommandError(
            b"ERR value is out of range, value must between %d and %d" % (INT32_MIN, INT32_MAX)
        )
    return number


def positive(text: bytes, complaint: bytes = b"ERR value is out of range, must be positive") -> int:
    """Return a 64-bit integer that is not negative; raises CommandError, with the command's own words."""
    number = parse_integer(text)
    if number is None or number < 0:
        raise CommandError(complaint)
    return number


def key_count(words: list[bytes], at: int) -> int:
    """Return a number of keys, which stand behind it; raises CommandError when there are not as many."""
    number = parse_integer(words[at])
    if number is None or number <= 0:
        raise CommandError(b"ERR numkeys should be greater than 0")
    if number > len(words) - at - 1:
        raise CommandError(b"ERR Number of keys can't be greater than number of args")
    return number
