"""LCS against the table it stands for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from redraft.commands.lcs import BYTES_MAX, matches, rows
from tests.commands.oracle import context, run

WORDS = st.text("abc", max_size=30).map(str.encode)


def table(first: bytes, second: bytes) -> list[list[int]]:
    """Return the classic recurrence's table."""
    found = [[0] * (len(second) + 1)]
    for byte in first:
        row = [0]
        for j, other in enumerate(second):
            row.append(found[-1][j] + 1 if byte == other else max(found[-1][j + 1], row[j]))
        found.append(row)
    return found


@given(first=WORDS, second=WORDS)
def test_lcs_rows_are_the_steps_of_the_table(first: bytes, second: bytes) -> None:
    """A clear bit j of a row is a step up of the table between j and j + 1."""
    for row, values in zip(rows(first, second), table(first, second), strict=True):
        for j in range(len(second)):
            assert (row >> j & 1 == 0) == (values[j + 1] > values[j])


@given(first=WORDS, second=WORDS)
def test_lcs_matches_are_common_and_as_long_as_can_be(first: bytes, second: bytes) -> None:
    """The runs are equal in both strings, descend, and sum up to the length."""
    found = matches(first, second)
    assert sum(match.length for match in found) == table(first, second)[-1][-1]
    for match in found:
        assert first[match.first :][: match.length] == second[match.second :][: match.length]
    for later, earlier in pairwise(found):
        assert earlier.first + earlier.length <= later.first
        assert earlier.second + earlier.length <= later.second


def test_lcs_of_too_long_strings_is_refused() -> None:
    """No request may hold up the others for long."""
    requests = [
        [b"MSET", b"a", b"x" * BYTES_MAX, b"b", b"y"],
        [b"LCS", b"a", b"b"],
        [b"LCS", b"a", b"b", b"LEN"],
    ]
    replies = run(context(), requests, 2)
    assert replies[1] == replies[2]
    assert replies[1].startswith(b"-ERR Insufficient memory, transient memory for LCS exceeds")
