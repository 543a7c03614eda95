"""Codes to numbers, and codes of 4 and 6 bits spread to bytes, against oracles and other libraries."""

from __future__ import annotations

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from hypothesis import given
from strategies import DTYPE_NAMES, FLAVOURS, bits_of, code_type, decode, pack, random_codes, special_codes

from wcx.core.decode import float32_values, float64_values, integer_values, plain_values, unpack
from wcx.core.dtypes import DTYPES


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


@pytest.mark.parametrize("dtype", [*DTYPE_NAMES])
def test_float64_values_are_those_of_other_libraries(dtype: str) -> None:
    size = 1 << min(16, bits_of(dtype))
    if bits_of(dtype) <= 16:
        codes = np.arange(size).astype(code_type(dtype))
    else:
        codes = np.concatenate([random_codes(dtype, 4096, np.random.default_rng(0), flavour) for flavour in FLAVOURS])
    expected = naive.decode(pack(codes, dtype), dtype, codes.shape)
    found = float64_values(codes, DTYPES[dtype])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found)[expected == 0], np.signbit(expected)[expected == 0])
    plain = plain_values(codes, DTYPES[dtype])
    assert [value is None for value in plain] == (~np.isfinite(expected)).tolist()


def test_whole_numbers_of_64_bits_are_shown_whole() -> None:
    codes = np.array([(1 << 64) - 1, (1 << 53) + 1], np.uint64)
    assert plain_values(codes, DTYPES["U64"]) == [(1 << 64) - 1, (1 << 53) + 1]
    assert plain_values(codes, DTYPES["I64"]) == [-1, (1 << 53) + 1]
    assert plain_values(np.array([7, 8, 15], np.uint8), DTYPES["I4"]) == [7, -8, -1]


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_float32_values_are_those_of_the_codes_rounded(dtype: str) -> None:
    random = np.random.default_rng(0)
    codes = np.array([*special_codes(dtype), *random_codes(dtype, 3000, random).tolist()], code_type(dtype))
    with np.errstate(all="ignore"):
        correct = decode(codes, dtype, codes.shape).astype(np.float32)
    found = float32_values(codes, DTYPES[dtype])
    assert found.dtype == np.float32
    if dtype in ("I64", "U64"):  # the oracle rounds to a double first
        correct = codes.view("<i8" if dtype == "I64" else "<u8").astype(np.float32)
    np.testing.assert_array_equal(found, correct)


def test_integers_of_64_bits_are_rounded_once() -> None:
    number = (1 << 62) + (1 << 38) + 1  # to a double first, it would be a tie that goes down
    assert float32_values(np.array([number], np.uint64), DTYPES["I64"])[0] == np.float32((1 << 62) + (1 << 39))
    assert np.float32(float(number)) == np.float32(1 << 62)


@pytest.mark.parametrize("dtype", [name for name in DTYPE_NAMES if DTYPES[name].kind in ("signed", "unsigned")])
def test_integer_values_hold_every_code(dtype: str) -> None:
    bits, codes = DTYPES[dtype].bits, np.array(special_codes(dtype), code_type(dtype))
    signed = DTYPES[dtype].kind == "signed"
    found = integer_values(codes, DTYPES[dtype])
    assert found.dtype.kind in "iu"
    assert found.tolist() == [code - (signed and code >> (bits - 1)) * 2**bits for code in codes.tolist()]


@pytest.mark.parametrize(("dtype", "code", "bits"), [("F16", 0x7C01, 0x7FC02000), ("BF16", 0x7F81, 0x7F810000)])
def test_float32_values_quieten_the_nans_of_f16_alone(dtype: str, code: int, bits: int) -> None:
    found = float32_values(np.array([code, code | 0x8000], np.uint16), DTYPES[dtype])
    assert found.view(np.uint32).tolist() == [bits, bits | 1 << 31]
