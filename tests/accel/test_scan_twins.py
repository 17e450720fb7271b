"""The C scanner and its Python twin say the same of any bytes, split anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.accel import cscan, pyscan, scan
from tests.accel.test_scan import FACTS, GROUPS, request

NAMES = [facts[0] for facts in FACTS] + [b"GeT", b"unknown", b"", b"x" * 40]


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    before = list(scan._configured)
    cscan.configure(FACTS)
    pyscan.configure(FACTS)
    yield
    cscan.configure(before)
    pyscan.configure(before)


def same_scan(
    data: bytes, start: int, *, args_max: int = 100, commands_max: int = 50, one_slot: bool = False
) -> None:
    """Asserts that all the two variants say of `data` is the same."""
    native = cscan.Scanner(200, args_max, commands_max, one_slot=one_slot)
    twin = pyscan.Scanner(200, args_max, commands_max, one_slot=one_slot)
    for scanner in (native, twin):
        scanner.set_groups(GROUPS)
    head = tuple(native.scan(data, start))
    assert head == twin.scan(data, start)
    assert native.commands() == twin.commands()
    if head[4] >= 0 and head[3]:
        assert native.partition(data, start) == twin.partition(data, start)
    if head[8] > 0 and head[1] == scan.OK:
        assert native.probe(data, head[7], head[8]) == twin.probe(data, head[7], head[8])


def same_args(data: bytes) -> None:
    """Asserts that both variants take `data` apart alike, or both refuse it."""
    outcomes = []
    for variant in (cscan, pyscan):
        try:
            outcomes.append(variant.scan_args(data))
        except ValueError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


pieces = st.one_of(
    st.lists(st.sampled_from(NAMES) | st.binary(max_size=20), min_size=1, max_size=6).map(
        lambda a: request(*a)
    ),
    st.sampled_from(
        [
            b"*0\r\n",
            b"*-1\r\n",
            b"*",
            b"$",
            b"\r\n",
            b"*2\r\n",
            b"*-0\r\n",
            b"$3\r\n",
            b"$03\r\n",
            b"PING\r\n",
        ]
    ),
    st.sampled_from(
        [b"*999999999999999999999\r\n", b"*1\r\n$-999999999999999999\r\n", b"*101\r\n", b"*1\r\n$201\r\n"]
    ),
    st.binary(max_size=12),
)


@given(st.lists(pieces, max_size=8).map(b"".join), st.data())
@settings(max_examples=600, deadline=None)
def test_scan_twins_agree_on_any_bytes(data: bytes, draw: st.DataObject) -> None:
    """Well-formed, cut off and broken requests alike, from any start."""
    cut = draw.draw(st.integers(0, len(data)))
    same_scan(data[:cut], draw.draw(st.integers(0, cut)))
    same_scan(data, 0, one_slot=True)
    same_scan(data, 0)
    same_args(data)


def test_scan_twins_agree_on_damaged_requests() -> None:
    """Valid pipelines with a few bytes flipped."""
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(1500):
        commands = [
            request(
                source.choice(NAMES),
                *[source.randbytes(source.randrange(12)) for _ in range(source.randrange(5))],
            )
            for _ in range(source.randrange(1, 8))
        ]
        data = bytearray(b"".join(commands))
        for _ in range(source.randrange(4)):
            data[source.randrange(len(data))] = source.choice(b"\r\n*$0123456789-:a\x00\xff")
        same_scan(bytes(data), 0, args_max=source.choice((3, 100)), commands_max=source.choice((1, 3, 50)))
        same_args(bytes(data))


def test_scan_of_any_split_finds_the_same_commands() -> None:
    """Wherever a stream is cut, the commands found are those of the whole."""
    stream = b"".join(request(b"SET", b"k%d" % n, b"v" * n) + b"*0\r\n" for n in range(20))
    for variant in (cscan, pyscan):
        scanner = variant.Scanner(200)
        scanner.set_groups(GROUPS)
        scanner.scan(stream)
        whole = scanner.commands()
        for cut in range(len(stream)):
            consumed, status, needed, *_ = scanner.scan(stream[:cut])
            first = scanner.commands()
            assert status == scan.OK
            assert cut < needed <= len(stream) or consumed == len(stream) - 4
            scanner.scan(stream, consumed)
            assert first + scanner.commands() == whole


@settings(deadline=None)
@given(keys=st.lists(st.binary(max_size=3), max_size=4), one_slot=st.booleans())
def test_placed_keys_are_as_a_scan_finds_them(keys: list[bytes], one_slot: bool) -> None:
    """Keys that a scan doesn't see are placed as if it had."""
    for variant in (cscan, pyscan):
        scanner = variant.Scanner(200, one_slot=one_slot)
        scanner.set_groups(GROUPS)
        scanner.scan(request(b"del", *keys))
        assert scanner.place(keys) == ((scanner.commands()[3], scanner.commands()[5]) if keys else (-1, -1))
