"""The arithmetic of INCRBYFLOAT: x86's 80-bit extended precision, in integers.

Redis computes in C's `long double`, which is one thing on x86 and another elsewhere; what a replica
stores must not depend on its machine.  So the numbers here are exact: a mantissa of up to 64 bits
times a power of two, results rounded to nearest, ties to even, as an x87 unit does, and spelled
like `printf("%.17Lf")` without trailing zeros (docs/incrbyfloat.md).  Tests compare with Redis on x86.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MANTISSA_BITS: Final = 64
EXPONENT_MIN: Final = -16445
"""Of the lowest bit of the smallest denormal number."""
EXPONENT_MAX: Final = 16384 - MANTISSA_BITS
"""Of the lowest bit of the largest numbers."""

TEXT_BYTES_MAX: Final = 5 * 1024 - 1
"""Redis reads, and writes, numbers in a buffer of 5 KiB."""

DIGITS: Final = 17
_EXPONENT_10_MAX: Final = 4933 + TEXT_BYTES_MAX
"""Beyond this no number of so many digits is in range, whatever the digits."""
_EXPONENT_2_MAX: Final = 16445 + 4 * TEXT_BYTES_MAX


class LongDouble(NamedTuple):
    """The number mantissa * 2**exponent; `infinite` ones have the sign of the mantissa."""

    mantissa: int
    exponent: int
    infinite: bool = False


_DECIMAL = re.compile(rb"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]+))?\Z")
_HEXADECIMAL = re.compile(
    rb"([+-]?)0[xX](?:([0-9a-fA-F]+)(?:\.([0-9a-fA-F]*))?|\.([0-9a-fA-F]+))(?:[pP]([+-]?[0-9]+))?\Z"
)
_INFINITE = re.compile(rb"([+-]?)inf(?:inity)?\Z", re.IGNORECASE)


def parse(text: bytes) -> LongDouble | None:
    """Return the number `strtold` reads in the whole of `text`; None when Redis would refuse it.

    Refused are white space, NaN, numbers too large for the format and those that vanish in it.
    """
    if not text or len(text) > TEXT_BYTES_MAX:
        return None
    if match := _DECIMAL.match(text):
        base, radix, bound = 10, 10, _EXPONENT_10_MAX
    elif match := _HEXADECIMAL.match(text):
        base, radix, bound = 16, 2, _EXPONENT_2_MAX
    elif match := _INFINITE.match(text):
        return LongDouble(-1 if match[1] == b"-" else 1, 0, infinite=True)
    else:
        return None
    fraction = (match[3] or b"") + (match[4] or b"")
    digits = _natural((match[2] or b"") + fraction, base)
    if digits == 0:
        return LongDouble(0, 0)
    exponent = max(-bound, min(bound, _exponent(match[5])))
    exponent -= len(fraction) * (4 if base == 16 else 1)
    sign = -1 if match[1] == b"-" else 1
    number = _round(sign * digits * radix ** max(exponent, 0), radix ** max(-exponent, 0))
    return None if number.infinite or number.mantissa == 0 else number


def add(left: LongDouble, right: LongDouble) -> LongDouble | None:
    """Return the rounded sum; None when it is not a finite number."""
    if left.infinite or right.infinite:
        return None
    exponent = min(left.exponent, right.exponent)
    total = (left.mantissa << (left.exponent - exponent)) + (right.mantissa << (right.exponent - exponent))
    rounded = _round(total << max(exponent, 0), 1 << max(-exponent, 0))
    return None if rounded.infinite else rounded


def spell(number: LongDouble) -> bytes:
    """Return the number in decimal: 17 digits behind the point, without the zeros at their end."""
    mantissa, exponent = abs(number.mantissa), number.exponent
    scaled = mantissa * 10**DIGITS
    units = scaled << exponent if exponent >= 0 else _divide(scaled, 1 << -exponent)
    whole, fraction = divmod(units, 10**DIGITS)
    text = b"%b%b" % (b"-" if number.mantissa < 0 and units else b"", _decimal(whole))
    return text + (b".%017d" % fraction).rstrip(b"0") if fraction else text


def _natural(digits: bytes, base: int) -> int:
    """Return the number that digits spell, however many they are (Python bounds `int` of decimal strings)."""
    if base == 16:
        return int(digits, 16)
    number = 0
    for at in range(0, len(digits), 4000):
        piece = digits[at : at + 4000]
        number = number * 10 ** len(piece) + int(piece)
    return number


def _decimal(number: int) -> bytes:
    """Return the decimal digits of a number, however many they are."""
    pieces: list[bytes] = []
    while number >= 10**4000:
        number, piece = divmod(number, 10**4000)
        pieces.append(b"%04000d" % piece)
    return b"".join([b"%d" % number, *reversed(pieces)])


def _exponent(text: bytes | None) -> int:
    """Return a written exponent; one of very many digits is only known to be very large."""
    if text is None:
        return 0
    digits = text.lstrip(b"+-").lstrip(b"0") or b"0"
    size = int(digits) if len(digits) < 10 else 10**9
    return -size if text[:1] == b"-" else size


def _divide(numerator: int, denominator: int) -> int:
    """Return the quotient of naturals, rounded to the nearest integer, ties to even."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient


def _round(numerator: int, denominator: int) -> LongDouble:
    """Return the number of the format nearest to a fraction."""
    size, sign = abs(numerator), -1 if numerator < 0 else 1
    if size == 0:
        return LongDouble(0, 0)
    exponent = size.bit_length() - denominator.bit_length() - MANTISSA_BITS
    for guess in (exponent, exponent + 1):  # the first guess may leave one bit too many
        exponent = max(guess, EXPONENT_MIN)
        mantissa = _divide(size << max(-exponent, 0), denominator << max(exponent, 0))
        if mantissa.bit_length() <= MANTISSA_BITS:
            break
    else:
        mantissa, exponent = mantissa >> 1, exponent + 1  # rounded up to a power of two
    if exponent > EXPONENT_MAX:
        return LongDouble(sign, 0, infinite=True)
    return LongDouble(sign * mantissa, exponent)
