"""Levels and their bits: every code of small dtypes, a million float32 numbers, strings, integers of all widths."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest
from depth import one_of
from numba import config
from numpy.typing import NDArray
from strategies import DTYPE_NAMES, bits_of, code_type, decode, encode, random_codes

from wcx.blocks.counter import Counter, compiled_kernels
from wcx.blocks.levels import NO_TABLES, levels_of, tables_of
from wcx.core.dtypes import DTYPES, BitRule, PlaneRule, UniformRule

COMPILED = not config.DISABLE_JIT
KERNELS = compiled_kernels()
PATHS = pytest.mark.parametrize("kernels", [KERNELS, None], ids=["compiled", "numpy"])
INTEGERS = [name for name in DTYPES if DTYPES[name].kind in ("signed", "unsigned")]


def levels(bits: int, lo: float, hi: float) -> UniformRule:
    """Levels over a range."""
    width = np.float32(hi) - np.float32(lo)
    return UniformRule(bits, float(np.float32(lo)), float(width / np.float32(2**bits - 1)))


def counted(
    kernels: Any,  # noqa: ANN401
    dtype: str,
    cut: PlaneRule,
    codes: NDArray[Any],
    shape: tuple[int, int],
    *,
    strings: bool = False,
) -> tuple[list[dict[int, int]], list[int]]:
    """The counts of each plane, and the totals."""
    counter = Counter(len(cut), kernels, strings=strings)
    counter.begin(DTYPES[dtype], cut)
    counter.count(codes, *shape)
    totals = counter.take_totals()
    counts = [dict(zip(some.tolist(), numbers.tolist(), strict=True)) for some, numbers in counter.take()]
    return counts, totals


def expected(planes: list[NDArray[Any]], block: tuple[int, int] = (4, 4)) -> tuple[list[dict[int, int]], list[int]]:
    """What the oracle counts in planes, and their ones."""
    return [naive.block_counts(plane, block) for plane in planes], [int(plane.sum()) for plane in planes]


def level_planes(numbers: NDArray[np.float32], cut: UniformRule) -> list[NDArray[Any]]:
    """The planes by the definition, in float32."""
    steps = ((numbers - np.float32(cut.lo)) / np.float32(cut.delta)).round()
    q = np.where(np.isnan(steps), 0, np.clip(steps, 0, 2**cut.bits - 1)).astype(np.int64)
    return [q >> bit & 1 for bit in range(cut.bits)]


# ----------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize("dtype", [name for name in DTYPE_NAMES if bits_of(name) <= 16])
@pytest.mark.parametrize(("bits", "lo", "hi"), [(8, -1.5, 2.0), (1, 0.0, 1.0), (16, -300.0, 17.0), (9, -1e-3, 1e-3)])
def test_the_level_of_every_code_is_that_of_its_number(dtype: str, bits: int, lo: float, hi: float) -> None:
    codes = np.arange(1 << bits_of(dtype)).astype(code_type(dtype))
    values = decode(codes, dtype, codes.shape)
    cut = levels(bits, lo, hi)
    tables = tables_of(DTYPES[dtype], cut)
    found = sum(table[codes].astype(np.int64) << 8 * place for place, table in enumerate(tables))
    with np.errstate(all="ignore"):
        correct = sum(plane << bit for bit, plane in enumerate(level_planes(values.astype(np.float32), cut)))
    np.testing.assert_array_equal(found, correct)


@pytest.mark.parametrize(("bits", "lo", "hi"), [(8, -4.2, 4.1), (2, -1.0, 1.0), (16, -5.0, 5.5), (1, 0.0, 3.0)])
def test_levels_are_exact_fractions_rounded_half_to_even(bits: int, lo: float, hi: float) -> None:
    cut = levels(bits, lo, hi)
    random = np.random.default_rng(bits)
    halves = np.float32(cut.lo) + (random.integers(-2, 2**bits + 2, 700) + np.float32(0.5)) * np.float32(cut.delta)
    numbers = np.concatenate([random.normal(0, hi, 700), halves, [0.0, -0.0, 1e-45, -1e-40, 1e30, -1e30]])
    numbers = numbers.astype(np.float32)
    correct = [naive.exact_level(number, bits, lo, hi) for number in numbers.tolist()]
    assert levels_of(numbers, cut).tolist() == correct


SPECIAL = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38]


@pytest.mark.skipif(not COMPILED, reason="a million numbers")
@pytest.mark.parametrize(("bits", "lo", "hi"), [(8, -4.2, 4.1), (16, -5.0, 5.5), (13, -1e38, 2e38), (3, -1e-7, 1e-7)])
def test_a_million_numbers_have_the_same_levels_compiled(bits: int, lo: float, hi: float) -> None:
    random = np.random.default_rng(bits)
    cut = levels(bits, lo, hi)
    with np.errstate(over="ignore"):
        halves = np.float32(cut.lo) + (np.arange(1 << 18) % (2**bits + 4) - np.float32(1.5)) * np.float32(cut.delta)
    anything = random.integers(0, 1 << 32, 1 << 19, np.uint64).astype(np.uint32)
    usual = random.normal(0, max(-lo, hi) / 8, (1 << 20) - (1 << 19) - (1 << 18)).astype(np.float32)
    usual[: 11 * 100] = np.tile(np.array(SPECIAL, np.float32), 100)
    codes = np.concatenate([anything, usual.view(np.uint32), halves.astype(np.float32).view(np.uint32)])
    correct = levels_of(codes.view(np.float32), cut)
    made = np.zeros(KERNELS.TILE + 128, np.uint8)
    numbers = np.float32(cut.lo), np.float32(cut.delta), np.float32(2**bits - 1)
    for start in range(0, codes.size, KERNELS.TILE):
        tile = codes[start : start + KERNELS.TILE - 37]  # no whole number of vectors
        for place in range((bits + 7) // 8):
            KERNELS._make_bytes(4, tile.ctypes.data, tile.size, NO_TABLES, place, *numbers, made)
            np.testing.assert_array_equal(made[: tile.size], correct[start : start + tile.size] >> 8 * place & 255)


@PATHS
@pytest.mark.parametrize("dtype", ["F32", "F64", "BF16", "I8", "F8_E5M2"])
def test_a_step_of_zero_is_level_zero_everywhere(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    codes = random_codes(dtype, 16 * 20, np.random.default_rng(0), "special")
    counts, totals = counted(kernels, dtype, UniformRule(3, 0.0, 0.0), codes, (16, 20))
    assert counts == [{0: 20}] * 3
    assert totals[2:] == [0] * 3


# ---------------------------------------------------------------------------------------------------- integer codes


@PATHS
@pytest.mark.parametrize("shape", [(4, 5), (9, 13), (12, 70)])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_of_integer_codes(dtype: str, shape: tuple[int, int], kernels: Any) -> None:  # noqa: ANN401
    width = DTYPES[dtype].bits
    random = np.random.default_rng(shape)
    codes = random.integers(0, 1 << width, shape[0] * shape[1], np.uint64).astype(f"<u{max(1, width // 8)}")
    planes = naive.integer(codes.tolist(), width, signed=dtype.startswith("I"))
    counts, ones = expected([np.array(plane).reshape(shape) for plane in planes.values()])
    found, totals = counted(kernels, dtype, BitRule(width), codes, shape)
    assert found == counts
    assert totals == [int((codes == 0).sum()), 0, *ones]


# ---------------------------------------------------------------------------------------------------------- strings


LENGTHS = [12, 64, 65, 100, 767, 769, 5000]
if COMPILED:
    LENGTHS += [(1 << 17) // 768 * 768 + more for more in (-1, 0, 1, 63, 64, 100, 768)]


@one_of(5)
@PATHS
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F8_E4M3", "F64"])
def test_strings_of_bit_planes(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    cut = levels(9, -2.0, 1.5)
    for length in LENGTHS:
        codes = random_codes(dtype, length, np.random.default_rng(length), "bytes" if length % 2 else "special")
        values = decode(codes, dtype, codes.shape)
        with np.errstate(all="ignore"):
            planes = level_planes(values.astype(np.float32), cut)
        counts, ones = expected([plane.reshape(1, -1) for plane in planes], (1, 12))
        found, totals = counted(kernels, dtype, cut, codes, (1, length), strings=True)
        assert found == counts, length
        assert totals == [int((values == 0).sum()), int((~np.isfinite(values)).sum()), *ones]


def test_there_is_room_for_all_strings_of_a_tile() -> None:
    """12 symbols make a code of 16 bits: more bytes than a tile of 4x4 blocks."""
    assert 12 * Counter(1, KERNELS, strings=True)._narrow.size >= KERNELS.TILE


# ------------------------------------------------------------------------------------------------- one after another


@PATHS
def test_one_counter_serves_cut_after_cut(kernels: Any) -> None:  # noqa: ANN401
    counter = Counter(9, kernels)
    shape = (8, 20)
    sign = (DTYPES["F32"].positive,)
    codes = random_codes("F32", 160, np.random.default_rng(0), "special")
    values = decode(codes, "F32", shape)
    for cut in (levels(9, -1.0, 1.0), sign, levels(2, -1.0, 1.0), levels(2, -1.5, 1.0), sign):
        counter.begin(DTYPES["F32"], cut)
        counter.count(codes, *shape)
        with np.errstate(all="ignore"):
            planes = (
                level_planes(values.astype(np.float32), cut) if isinstance(cut, UniformRule) else [naive.sign(values)]
            )
        counts, ones = expected(planes)
        assert counter.take_totals()[2:] == ones
        assert [dict(zip(a.tolist(), b.tolist(), strict=True)) for a, b in counter.take()] == counts
    assert not counter.histograms.any()


@PATHS
def test_bit_planes_of_codes_at_any_address(kernels: Any) -> None:  # noqa: ANN401
    for dtype in ("F64", "F32", "F16", "I8"):
        codes = random_codes(dtype, 37 * 75, np.random.default_rng(1), "special")
        correct = counted(None, dtype, levels(8, -1.0, 1.0), codes, (37, 75))
        for offset in (1, 3):
            memory = np.frombuffer(bytes(offset) + codes.tobytes(), code_type(dtype), codes.size, offset)
            assert counted(kernels, dtype, levels(8, -1.0, 1.0), memory, (37, 75)) == correct


def test_halves_and_ends() -> None:
    codes = np.array(
        encode([-1.0, -0.5, 0.0, 0.5, 1.5, 2.5, 2.75, 3.0, 9.0, np.inf, -np.inf, np.nan], "F32"), np.uint32
    )
    found = levels_of(codes.view(np.float32), levels(2, 0.0, 3.0)).tolist()
    assert found == [0, 0, 0, 0, 2, 2, 3, 3, 3, 3, 0, 0]
