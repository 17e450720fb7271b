"""LCS: the longest common subsequence of two strings, by Redis's choice among equals.

Redis fills the table L(i, j) of the classic recurrence and walks back from its end: along the
diagonal where the bytes are the same, else up if L(i-1, j) > L(i, j-1), else left.  Here a row is
one big integer whose clear bit j says that L(i, j+1) = L(i, j) + 1 (Hyyro 2004), so a row costs a
few operations on as many bits as the second string has bytes.  The walk needs no more than those
bits: where the bytes differ, L(i-1, j) > L(i, j-1) just when row i steps up at j.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from redraft.commands import arguments
from redraft.commands.context import Context
from redraft.commands.reply import SYNTAX, CommandError, array, bulk, integer, mapping
from redraft.commands.strings import find_string

CELLS_MAX: Final = 2**27
"""Redis's bound: four bytes a cell within the default proto-max-bulk-len."""

BYTES_MAX: Final = 2**18
"""Both strings together: rows and steps of the walk, which no other command may have to wait for long."""

_TOO_BIG: Final = b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"


class Match(NamedTuple):
    """A run of bytes common to both strings: where it begins in each, and its length."""

    first: int
    second: int
    length: int


def rows(first: bytes, second: bytes) -> list[int]:
    """Return the rows of the table, that of the empty prefix of `first` included."""
    width = (1 << len(second)) - 1
    where = dict.fromkeys(first, 0)
    for position, byte in enumerate(second):
        if byte in where:
            where[byte] |= 1 << position
    row = width
    found = [row]
    for byte in first:
        common = row & where[byte]
        row = ((row + common) | (row - common)) & width
        found.append(row)
    return found


def matches(first: bytes, second: bytes) -> list[Match]:
    """Return the runs of the longest common subsequence, the last one first."""
    table = rows(first, second)
    i, j = len(first), len(second)
    found = []
    length = 0
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j, length = i - 1, j - 1, length + 1
            continue
        if length:
            found.append(Match(i, j, length))
            length = 0
        if table[i] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1
    if length:
        found.append(Match(i, j, length))
    return found


def lcs(ctx: Context, args: list[bytes]) -> bytes:
    """LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]."""
    try:
        first, second = ((find_string(ctx, key) or (b"", b""))[1] for key in args[1:3])
    except CommandError:
        raise CommandError(b"ERR The specified keys must contain string values") from None
    only_length = indexes = with_lengths = False
    length_min = 0
    rest = iter(args[3:])
    for word in rest:
        option = word.lower()
        if option == b"len":
            only_length = True
        elif option == b"idx":
            indexes = True
        elif option == b"withmatchlen":
            with_lengths = True
        elif option == b"minmatchlen" and (argument := next(rest, None)) is not None:
            length_min = arguments.integer(argument)
        else:
            raise CommandError(SYNTAX)
    if only_length and indexes:
        raise CommandError(b"ERR If you want both the length and indexes, please just use IDX.")
    cells = (len(first) + 1) * (len(second) + 1)
    if cells > CELLS_MAX or len(first) + len(second) > BYTES_MAX:
        raise CommandError(_TOO_BIG)
    if only_length:
        return integer(len(second) - rows(first, second)[-1].bit_count())
    found = matches(first, second)
    if not indexes:
        return bulk(b"".join(first[match.first :][: match.length] for match in reversed(found)))
    ranges = [
        array([
            array([integer(match.first), integer(match.first + match.length - 1)]),
            array([integer(match.second), integer(match.second + match.length - 1)]),
            *([integer(match.length)] if with_lengths else []),
        ])
        for match in found
        if match.length >= length_min
    ]  # fmt: skip
    total = sum(match.length for match in found)
    return mapping(ctx.proto, [(bulk(b"matches"), array(ranges)), (bulk(b"len"), integer(total))])
