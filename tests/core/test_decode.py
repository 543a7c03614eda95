"""Codes of 4 and 6 bits, spread to bytes, against the oracle that goes bit by bit."""

from __future__ import annotations

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from hypothesis import given

from wcx.core.decode import unpack


@given(st.binary(min_size=1, max_size=100), st.sampled_from([4, 6]), st.data())
def test_any_run_of_codes_is_the_oracles(data: bytes, bits: int, draw: st.DataObject) -> None:
    """A run may begin at any code, so that its first byte may belong to the code before."""
    codes = naive.unpack(data, bits, 8 * len(data) // bits)
    first = draw.draw(st.integers(0, len(codes)))
    number = draw.draw(st.integers(0, len(codes) - first))
    byte = first * bits // 8
    stop = -(-(first + number) * bits // 8)
    found = unpack(np.frombuffer(data[byte:stop], np.uint8), bits, first * bits - 8 * byte, number)
    assert found.dtype == np.uint8
    assert found.tolist() == codes[first : first + number]


def test_four_bits_come_low_nibble_first() -> None:
    packed = np.array([0x21, 0x43, 0xF0], np.uint8)
    assert unpack(packed, 4, 0, 6).tolist() == [1, 2, 3, 4, 0, 15]
    assert unpack(packed, 4, 4, 3).tolist() == [2, 3, 4]


def test_six_bits_are_a_little_endian_stream() -> None:
    packed = np.frombuffer((0b000001 | 0b100000 << 6 | 0b111111 << 12 | 0b010101 << 18).to_bytes(3, "little"), np.uint8)
    assert unpack(packed, 6, 0, 4).tolist() == [0b000001, 0b100000, 0b111111, 0b010101]
    assert unpack(packed, 6, 6, 2).tolist() == [0b100000, 0b111111]
    assert unpack(packed[1:], 6, 4, 2).tolist() == [0b111111, 0b010101]


@pytest.mark.parametrize("bits", [4, 6])
def test_every_code_comes_through(bits: int) -> None:
    codes = list(range(1 << bits))
    stream = sum(code << bits * number for number, code in enumerate(codes))
    packed = np.frombuffer(stream.to_bytes(bits * len(codes) // 8, "little"), np.uint8)
    assert unpack(packed, bits, 0, len(codes)).tolist() == codes
