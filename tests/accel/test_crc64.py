"""CRC-64/Jones, native and twin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from redraft.accel.crc64 import crc64, crc64_twin


@given(data=st.binary(max_size=200))
def test_crc64_native_and_twin_agree(data: bytes) -> None:
    """Both give the same checksum of anything."""
    assert crc64(data) == crc64_twin(data)


def test_crc64_is_jones() -> None:
    """The check value of CRC-64/Jones as Redis has it."""
    assert crc64_twin(b"123456789") == 0xE9C6D914C4B8D9CA
