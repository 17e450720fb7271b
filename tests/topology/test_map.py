"""Slots, placement and the first map: every slot has one owner, leaders are spread."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.topology.cluster_map import Member, first_map
from redraft.topology.placement import place_replicas, preferred_leader
from redraft.topology.slots import SLOTS, contiguous_ranges, owner_table, ranges_of


@given(st.integers(1, 300))
def test_ranges_cover_every_slot_once_and_evenly(groups: int) -> None:
    """Ranges are adjacent, and their sizes differ by at most one."""
    ranges = contiguous_ranges(groups)
    assert [slot for low, high in ranges for slot in range(low, high + 1)] == list(range(SLOTS))
    sizes = {high - low + 1 for low, high in ranges}
    assert max(sizes) - min(sizes) <= 1


@given(st.sets(st.integers(0, SLOTS - 1), max_size=60))
def test_ranges_of_slots_say_the_same_slots(slots: set[int]) -> None:
    """Folding into ranges loses and invents nothing."""
    ranges = ranges_of(slots)
    assert {slot for low, high in ranges for slot in range(low, high + 1)} == slots


def test_owner_table_refuses_two_owners() -> None:
    """Two groups with one slot is the mistake that must never be silent."""
    with pytest.raises(ValueError, match="slot 5 belongs to group 1 and to group 2"):
        owner_table([(1, [(0, 5)]), (2, [(5, 9)])])


@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 60))
def test_preferred_leaders_are_spread_evenly(nodes: int, factor: int, groups: int) -> None:
    """With all nodes alive no node is preferred by two groups more than another."""
    ids = list(range(1, nodes + 1))
    firsts = Counter(place_replicas(group, ids, factor)[0] for group in range(1, groups + 1))
    counts = [firsts[node] for node in ids]
    assert max(counts) - min(counts) <= 1


def test_preferred_leader_is_the_first_that_may_lead() -> None:
    """The dead are passed over; nobody usable means nobody preferred."""
    assert preferred_leader((2, 3, 1), lambda node: node != 2) == 3
    assert preferred_leader((2, 3, 1), lambda _node: False) == 0


def test_first_map_is_the_same_on_every_node() -> None:
    """It follows from the configuration alone."""
    members = [Member(n, f"{n:040x}", "127.0.0.1", 6378 + n, 0, 0, 0) for n in (1, 2, 3)]
    one = first_map("c", members, groups=3, replication_factor=3)
    assert one == first_map("c", members, groups=3, replication_factor=3)
    assert [group.voters for group in one.groups] == [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
    assert set(one.group_of_slot) == {1, 2, 3}
