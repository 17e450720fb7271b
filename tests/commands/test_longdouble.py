"""INCRBYFLOAT's arithmetic is that of an x87 unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.commands import longdouble
from tests.commands.oracle import Oracle, compare, generated

DIGITS = st.text("0123456789", max_size=25)
NUMBERS = st.one_of(
    st.floats().map(lambda number: repr(number).encode()),
    st.floats().map(lambda number: (number.hex()).encode()),
    st.integers(-(2**70), 2**70).map(lambda number: b"%d" % number),
    st.tuples(
        st.sampled_from(["", "-", "+"]), DIGITS, DIGITS, st.one_of(st.none(), st.integers(-5000, 5000))
    ).map(
        lambda parts: f"{parts[0]}{parts[1]}.{parts[2]}{'' if parts[3] is None else f'e{parts[3]}'}".encode()
    ),
    st.text("0123456789.+-eExXpPinf_ ", max_size=12).map(str.encode),
)


@generated
@given(value=NUMBERS, increments=st.lists(NUMBERS, min_size=1, max_size=4))
def test_incrbyfloat_is_redis_to_the_last_digit(
    oracle: Oracle, value: bytes, increments: list[bytes]
) -> None:
    """Any spelling of numbers, and what is none, gives Redis's reply on x86."""
    compare(
        oracle, [[b"SET", b"k", value], *([b"INCRBYFLOAT", b"k", increment] for increment in increments)], 2
    )


@pytest.mark.parametrize(
    ("text", "mantissa", "exponent"),
    [
        (b"1", 1 << 63, -63),
        (b"0.1", 0xCCCCCCCCCCCCCCCD, -67),
        (b"-0x1.8p0", -(3 << 62), -63),
        (b"18446744073709551617", 1 << 63, 1),
        (b"3.6e-4951", 1, longdouble.EXPONENT_MIN),
        (b"1.18973149535723176502e4932", (1 << 64) - 1, longdouble.EXPONENT_MAX),
    ],
)
def test_longdouble_parse_rounds_to_64_bits(text: bytes, mantissa: int, exponent: int) -> None:
    """Nearest, ties to even, from the smallest denormal to the largest number."""
    assert longdouble.parse(text) == longdouble.LongDouble(mantissa, exponent)


@pytest.mark.parametrize(
    "text", [b"1.2e4932", b"1e-4952", b"1e999999999999", b"nan", b" 1", b"1 ", b"", b"0x", b"1e", b"1\n"]
)
def test_longdouble_parse_refuses_what_strtold_or_redis_does(text: bytes) -> None:
    """Out of range, or no number from end to end."""
    assert longdouble.parse(text) is None


def test_longdouble_spells_numbers_of_thousands_of_digits() -> None:
    """The largest number has 4933 digits; none of Python's bounds on digits is in the way."""
    largest = longdouble.parse(b"1.18973149535723176502e4932")
    assert largest is not None
    text = longdouble.spell(largest)
    assert len(text) == 4933
    assert longdouble.parse(text) == largest
