"""Slots: how 16384 of them are shared out, and how ranges of them are written.

A slot is CRC16/XMODEM of a key (or of its {tag}) modulo 16384, as in Redis Cluster; the arithmetic
on keys is `redraft.accel.scan.key_slot`.  Here only whole slots are dealt with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SLOTS = 16384


def contiguous_ranges(groups: int) -> list[tuple[int, int]]:
    """Return the first and last slot of each of `groups` groups; sizes differ by at most one."""
    if not 1 <= groups <= SLOTS:
        raise ValueError(f"groups must be between 1 and {SLOTS}, not {groups}")
    bounds = [SLOTS * number // groups for number in range(groups + 1)]
    return [(bounds[number], bounds[number + 1] - 1) for number in range(groups)]


def ranges_of(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Fold slots into inclusive ranges, ascending: {3, 1, 2, 7} is [(1, 3), (7, 7)]."""
    ranges: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if ranges and ranges[-1][1] == slot - 1:
            ranges[-1] = (ranges[-1][0], slot)
        else:
            ranges.append((slot, slot))
    return ranges


def united(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Fold ranges, in any order, into as few as there can be, ascending."""
    folded: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if folded and first <= folded[-1][1] + 1:
            folded[-1] = (folded[-1][0], max(last, folded[-1][1]))
        else:
            folded.append((first, last))
    return folded


def without(ranges: Iterable[tuple[int, int]], gone: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what is left of ranges when others are taken out of them: by ranges, however long they are."""
    left: list[tuple[int, int]] = []
    holes = united(gone)
    at = 0
    for first, last in united(ranges):
        begin = first
        while at < len(holes) and holes[at][1] < begin:
            at += 1
        while at < len(holes) and holes[at][0] <= last:
            low, high = holes[at]
            if begin < low:
                left.append((begin, low - 1))
            begin = high + 1
            if begin > last:
                break  # it may reach into the next range
            at += 1
        if begin <= last:
            left.append((begin, last))
    return left


def format_ranges(ranges: Iterable[tuple[int, int]]) -> bytes:
    """Return ranges as requests between nodes name them: 0-99,200."""
    return b",".join(b"%d" % first if first == last else b"%d-%d" % (first, last) for first, last in ranges)


def parse_ranges(text: bytes) -> list[tuple[int, int]]:
    """Return the ranges that `format_ranges` has written."""
    ranges = []
    for each in text.split(b",") if text else ():
        first, dash, last = each.partition(b"-")
        ranges.append((int(first), int(last if dash else first)))
    return ranges


def owner_table(owned: Sequence[tuple[int, Iterable[tuple[int, int]]]]) -> list[int]:
    """Return the group of each slot (0: nobody's) from (group, ranges) pairs; ValueError for two owners."""
    table = [0] * SLOTS
    _own(table, owned)
    return table


def owner_table_after(
    table: Sequence[int],
    lost: Iterable[Iterable[tuple[int, int]]],
    owned: Sequence[tuple[int, Iterable[tuple[int, int]]]],
) -> list[int]:
    """Return a table in which the ranges that are `lost` are nobody's, then those of `owned` are put in."""
    changed = list(table)
    for ranges in lost:
        for first, last in ranges:
            changed[first : last + 1] = [0] * (last - first + 1)
    _own(changed, owned)
    return changed


def _own(table: list[int], owned: Sequence[tuple[int, Iterable[tuple[int, int]]]]) -> None:
    for group, ranges in owned:
        for first, last in ranges:
            for slot in range(first, last + 1):
                if table[slot]:
                    raise ValueError(f"slot {slot} belongs to group {table[slot]} and to group {group}")
                table[slot] = group
