"""Parts and payloads: golden bytes, and back again whatever is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.replica.part import (
    decode_header,
    decode_parts,
    encode_part,
    encode_payload,
    mark,
    part_identity,
)

GOLDEN_PART = bytes.fromhex(
    "0300000007000000000000000900000000000000050000000000000001020000000200000005000000"
)


def test_part_has_its_golden_bytes() -> None:
    """The format on disk and on the wire does not change by accident."""
    part = encode_part(3, 7, 9, 5, True, [mark(1, 2), mark(2, 3)], [b"abc", b"defg"])
    assert part == GOLDEN_PART + b"abcdefg"


def test_payload_has_its_golden_bytes() -> None:
    """Version, flags, number of parts, clock, seed; then each part behind its length."""
    payload = encode_payload(0x0102, 0x0A, True, [b"xy"])
    assert payload.hex() == "0101010002010000000000000a0000000000000002000000" + b"xy".hex()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 64),
            st.integers(1, 2**63),
            st.integers(1, 2**63),
            st.booleans(),
            st.lists(
                st.tuples(st.integers(1, 1000), st.sampled_from((2, 3)), st.binary(max_size=50)), max_size=5
            ),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_payload_returns_what_was_put_in(parts: list, deny: bool) -> None:
    """Decoding gives the parts in order with their marks and bytes."""
    encoded = [
        encode_part(
            origin,
            incarnation,
            sequence,
            1,
            registers,
            [mark(count, proto) for count, proto, _ in requests],
            [data for _, _, data in requests],
        )
        for origin, incarnation, sequence, registers, requests in parts
    ]
    payload = encode_payload(12345, 99, deny, encoded)
    header = decode_header(payload)
    assert (header.clock_ms, header.seed, header.deny_oom, header.parts) == (12345, 99, deny, len(parts))
    for given_part, part, bytes_ in zip(parts, decode_parts(payload, header.parts), encoded, strict=True):
        origin, incarnation, sequence, registers, requests = given_part
        assert part_identity(bytes_) == (origin, incarnation, sequence)
        assert part[:4] == (origin, incarnation, sequence, 1)
        assert part.registers is registers
        assert part.marks == [(count, proto) for count, proto, _ in requests]
        assert part.commands == b"".join(data for _, _, data in requests)


def test_payload_with_bytes_behind_its_parts_is_a_bug() -> None:
    """A payload that does not end with its last part stops the node instead of being half applied."""
    payload = encode_payload(1, 1, False, [encode_part(1, 1, 1, 1, True, [], [])]) + b"!"
    with pytest.raises(AssertionError, match="behind its last part"):
        list(decode_parts(payload, 1))
