"""Kept bits and the blocks of what changed: both paths against the oracle, which XORs planes and counts them itself.

With NUMBA_DISABLE_JIT=1 the same tests run the kernels as plain Python, on less.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from depth import examples, one_of
from hypothesis import given, settings
from numba import config
from numpy.typing import NDArray
from strategies import DTYPE_NAMES, FLAVOURS, code_type, cut_of, decode, planes_of, random_codes

from wcx.blocks.counter import Counter, compiled_kernels
from wcx.blocks.numpy_kernels import Window
from wcx.blocks.packed import PackedBits, packed_words
from wcx.blocks.xor_counter import XorCounter
from wcx.core.dtypes import DTYPES, BitRule, CodeSet, PlaneRule, UniformRule

COMPILED = not config.DISABLE_JIT
KERNELS = compiled_kernels(packing=True)
PATHS = pytest.mark.parametrize("kernels", [KERNELS, None], ids=["compiled", "numpy"])
SHARES = (0.0, 0.001, 0.02, 0.2, 0.5, 1.0)  # from where there is nothing to count to a plane inverted
GARBAGE = 0xDEADBEEFDEADBEEF
BIT = CodeSet(1, 1)  # of U8 codes that are bits

SHAPES = [(4, 4), (5, 13), (13, 5), (4, 16), (4, 17), (7, 9), (1, 64), (1, 100), (3, 40), (2, 3), (6, 65)]
if COMPILED:
    SHAPES += [(64, 64), (61, 67), (1003, 5), (4, 1000), (33, 251), (12, 512), (12, 768), (9, 1090)]

TILES = [(1500, 190), (32_900, 4), (2100, 63), (72, 4096), (8, 32_767)] if COMPILED else [(60, 19)]
"""Shapes of more than one tile, which begin at any bit of a word."""

Planes = list[NDArray[Any]]
Found = list[dict[int, int]]


def packed_of(
    kernels: Any,  # noqa: ANN401
    dtype: str,
    cut: PlaneRule,
    codes: NDArray[Any],
    shape: tuple[int, int],
    *,
    strings: bool = False,
) -> tuple[PackedBits, Found, list[int]]:
    """What a counter keeps of codes, in memory full of something else, and counts; nothing around it is written."""
    words = packed_words(*shape, len(cut))
    memory = np.full(words + 2, GARBAGE, np.uint64)
    counter = Counter(len(cut), kernels, strings=strings)
    counter.begin(DTYPES[dtype], cut)
    counter.count(codes, *shape, memory[1:-1])
    assert memory[0] == memory[-1] == GARBAGE
    return memory[1:-1], as_dicts(counter.take()), counter.take_totals()


def as_dicts(planes: list[tuple[NDArray[Any], NDArray[Any]]]) -> Found:
    return [dict(zip(codes.tolist(), counts.tolist(), strict=True)) for codes, counts in planes]


def packed_bytes(planes: Planes) -> list[int]:
    """The bytes that are packed of planes, by NumPy."""
    nbytes = []
    for plane in planes:
        some = np.packbits(plane.astype(bool), bitorder="little").tobytes()
        nbytes += [*some, *bytes(-len(some) % 8)]
    return nbytes


def packed_plane(planes: Planes) -> PackedBits:
    return np.array(packed_bytes(planes), np.uint8).view(np.uint64)


def changes(
    kernels: Any,  # noqa: ANN401
    packed: PackedBits,
    earlier: PackedBits,
    shape: tuple[int, int],
    planes: int,
    *,
    strings: bool = False,
) -> tuple[Found, list[int]]:
    """What a counter of changes finds, and that it is empty then."""
    counter = XorCounter(planes, kernels, strings=strings)
    counter.count(packed, earlier, *shape, planes)
    found, ones = counter.take()
    assert counter.take()[1] == [0] * planes
    assert not any(len(codes) for codes, _ in counter.take()[0])
    return as_dicts(found), ones


def expected(now: Planes, earlier: Planes, block: tuple[int, int] = (4, 4)) -> tuple[Found, list[int]]:
    """The blocks of the XOR of planes, and its ones, by the oracle."""
    changed = [(a != b).astype(np.uint8) for a, b in zip(now, earlier, strict=True)]
    return [naive.block_counts(plane, block) for plane in changed], [int(plane.sum()) for plane in changed]


def planes_like(planes: int, shape: tuple[int, int], seed: int, share: float | None = None) -> Planes:
    """Random planes, or those of which a share of the bits is one."""
    random = np.random.default_rng([seed, *shape])
    return [(random.random(shape) < (0.5 if share is None else share)).astype(np.uint8) for _ in range(planes)]


# ------------------------------------------------------------------------------------------------------------ keeping


@one_of(7)
@PATHS
@pytest.mark.parametrize("quantizer", ["sign", "polarity", "uniform:2:absmax", "uniform:9:p99.5"])
@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_the_planes_of_every_dtype_are_kept_bit_by_bit(dtype: str, quantizer: str, kernels: Any) -> None:  # noqa: ANN401
    for number, shape in enumerate(SHAPES):
        random = np.random.default_rng([*shape, DTYPE_NAMES.index(dtype)])
        codes = random_codes(dtype, shape[0] * shape[1], random, FLAVOURS[number % len(FLAVOURS)])
        values = decode(codes, dtype, shape)
        cut = cut_of(quantizer, dtype, values.reshape(-1) if quantizer.startswith("uniform") else None)
        packed, found, totals = packed_of(kernels, dtype, cut, codes, shape)
        planes = planes_of(values, quantizer)
        assert packed.view(np.uint8).tolist() == packed_bytes(planes), shape
        assert found == [naive.block_counts(plane) for plane in planes]
        assert totals[2:] == [int(plane.sum()) for plane in planes]


@PATHS
@pytest.mark.parametrize("dtype", ["I8", "U16", "I32", "U64", "I64", "U4"])
def test_the_bits_of_integers_are_kept(dtype: str, kernels: Any) -> None:  # noqa: ANN401
    width = DTYPES[dtype].bits
    shape = (13, 67)
    codes = np.random.default_rng(width).integers(0, 1 << width, 13 * 67, np.uint64).astype(f"<u{max(1, width // 8)}")
    offset = codes.astype(np.uint64) ^ np.uint64(1 << (width - 1) if dtype[0] == "I" else 0)
    planes = [(offset.reshape(shape) >> np.uint64(bit) & np.uint64(1)).astype(np.uint8) for bit in range(width)]
    packed, found, _ = packed_of(kernels, dtype, BitRule(width), codes, shape)
    assert packed.view(np.uint8).tolist() == packed_bytes(planes)
    assert found == [naive.block_counts(plane) for plane in planes]


@one_of(3)
@PATHS
@pytest.mark.parametrize("shape", TILES)
def test_planes_of_many_tiles_are_kept_whole(shape: tuple[int, int], kernels: Any) -> None:  # noqa: ANN401
    codes = random_codes("BF16", shape[0] * shape[1], np.random.default_rng(0), "special")
    for quantizer in ("polarity", "uniform:2:absmax"):
        values = decode(codes, "BF16", shape)
        cut = cut_of(quantizer, "BF16", values.reshape(-1))
        packed, _, _ = packed_of(kernels, "BF16", cut, codes, shape)
        np.testing.assert_array_equal(packed.view(np.uint8), packed_bytes(planes_of(values, quantizer)))


@PATHS
@pytest.mark.parametrize("columns", [12, 100, 768, 5000, *([131_072, 131_100, 400_001] if COMPILED else [])])
def test_planes_of_strings_are_kept(columns: int, kernels: Any) -> None:  # noqa: ANN401
    shape = (1, columns)
    codes = random_codes("F16", columns, np.random.default_rng(1), "special")
    values = decode(codes, "F16", shape)
    packed, found, _ = packed_of(kernels, "F16", cut_of("polarity", "F16"), codes, shape, strings=True)
    planes = planes_of(values, "polarity")
    np.testing.assert_array_equal(packed.view(np.uint8), packed_bytes(planes))
    assert found == [naive.block_counts(plane, (1, 12)) for plane in planes]


@PATHS
def test_what_is_kept_does_not_depend_on_the_dtype(kernels: Any) -> None:  # noqa: ANN401
    shape = (23, 61)
    numbers = np.random.default_rng(0).integers(-3, 4, 23 * 61)
    same = []
    for dtype in ("F64", "F32", "F16", "BF16", "F8_E4M3", "I8", "I64"):
        codes = np.array([naive_code(value, dtype) for value in range(-3, 4)], code_type(dtype))[numbers + 3]
        for cut in (cut_of("polarity", dtype), UniformRule(2, -1.5, 1.0)):
            same.append((len(cut), cut, packed_of(kernels, dtype, cut, codes, shape)[0].tolist()))
    for planes in (cut_of("polarity", "I8"), UniformRule(2, -1.5, 1.0)):
        kind = isinstance(planes, UniformRule)
        assert len({tuple(packed) for _, cut, packed in same if isinstance(cut, UniformRule) is kind}) == 1


def naive_code(value: int, dtype: str) -> int:
    """The code of a small integer."""
    kind = naive.PLAIN_DTYPES[dtype]
    return int(np.array([value], np.float64).astype(kind).view(code_type(dtype))[0])


def test_kept_bits_of_another_size_are_refused() -> None:
    counter = Counter(2, KERNELS)
    counter.begin(DTYPES["U8"], (BIT, BIT))
    codes = np.zeros(80, np.uint8)
    for words in (3, 5):
        with pytest.raises(ValueError, match="words of uint64 are not the bits of 2 x 4 x 20 codes"):
            counter.count(codes, 4, 20, np.zeros(words, np.uint64))
        for one, other in ((4, words), (words, 4)):
            with pytest.raises(ValueError, match="words of uint64 are not the bits of 2 x 4 x 20 codes"):
                XorCounter(2, KERNELS).count(np.zeros(one, np.uint64), np.zeros(other, np.uint64), 4, 20, 2)


def test_kept_bits_that_would_be_copied_are_refused() -> None:
    counter = Counter(1, KERNELS)
    counter.begin(DTYPES["U8"], (BIT,))
    for some in (np.zeros(4, np.uint64)[::2], np.zeros(2, np.int64), np.zeros(16, np.uint8)):
        with pytest.raises(ValueError, match="are not the bits of"):
            counter.count(np.zeros(80, np.uint8), 4, 20, some)


# ------------------------------------------------------------------------------------------------------------ changes


def test_bits_that_may_not_be_written_are_compared_by_the_same_code() -> None:
    now, earlier = planes_like(1, (16, 64), 0), planes_like(1, (16, 64), 1)
    some = [packed_plane(planes) for planes in (now, earlier)]
    for bits in some:
        bits.flags.writeable = False
    compiled = list(KERNELS.count_xor.nopython_signatures) if COMPILED else None
    assert changes(KERNELS, *some, (16, 64), 1) == expected(now, earlier)
    assert not COMPILED or KERNELS.count_xor.nopython_signatures == compiled


@PATHS
@pytest.mark.parametrize("planes", [1, 2, 8, 16])
def test_blocks_of_what_changed_are_the_oracles(planes: int, kernels: Any) -> None:  # noqa: ANN401
    for shape in SHAPES:
        now = planes_like(planes, shape, 0)
        flips = [plane for number in range(planes) for plane in planes_like(1, shape, number, SHARES[number % 6])]
        earlier = [plane ^ flip for plane, flip in zip(now, flips, strict=True)]
        found = changes(kernels, packed_plane(now), packed_plane(earlier), shape, planes)
        assert found == expected(now, earlier), shape


@one_of(7)
@PATHS
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("shape", TILES)
def test_changes_of_many_tiles_are_the_oracles(shape: tuple[int, int], share: float, kernels: Any) -> None:  # noqa: ANN401
    now = planes_like(1, shape, 0)
    earlier = [now[0] ^ planes_like(1, shape, 1, share)[0]]
    assert changes(kernels, packed_plane(now), packed_plane(earlier), shape, 1) == expected(now, earlier)


@PATHS
@pytest.mark.parametrize("columns", [12, 100, 768, 5000, *([131_072, 131_100, 400_001] if COMPILED else [])])
def test_strings_of_what_changed_are_the_oracles(columns: int, kernels: Any) -> None:  # noqa: ANN401
    shape = (1, columns)
    for share in SHARES:
        now = planes_like(2, shape, 0)
        earlier = [now[0] ^ planes_like(1, shape, 1, share)[0], now[1]]
        found = changes(kernels, packed_plane(now), packed_plane(earlier), shape, 2, strings=True)
        assert found == expected(now, earlier, (1, 12))


@PATHS
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 4), (4, 5), *TILES])
def test_a_single_bit_anywhere_is_found(shape: tuple[int, int], kernels: Any) -> None:  # noqa: ANN401
    size = shape[0] * shape[1]
    now = planes_like(1, shape, 0)
    for where in {0, size // 2, size - 1}:
        earlier = now[0].copy()
        earlier.reshape(-1)[where] ^= 1
        found, ones = changes(kernels, packed_plane(now), packed_plane([earlier]), shape, 1)
        assert ones == [1]
        row, column = divmod(where, shape[1])
        inside = row < shape[0] // 4 * 4 and column < shape[1] // 4 * 4
        blocks = shape[0] // 4 * (shape[1] // 4)
        correct = {0: blocks - inside, 1 << (row % 4 * 4 + column % 4): int(inside)}
        assert found == [{code: count for code, count in correct.items() if count}]


@settings(max_examples=examples(150 if COMPILED else 30), deadline=None)
@given(
    dtypes=st.tuples(st.sampled_from(DTYPE_NAMES), st.sampled_from(DTYPE_NAMES)),
    quantizer=st.sampled_from(["sign", "sign:zero=one", "polarity", "uniform:8:absmax"]),
    flavours=st.tuples(st.sampled_from(FLAVOURS), st.sampled_from(FLAVOURS)),
    rows=st.integers(1, 40),
    columns=st.integers(1, 200 if COMPILED else 70),
    seed=st.integers(0, 2**32),
    strings=st.booleans(),
)
def test_changes_between_any_two_matrices_are_the_oracles(
    dtypes: tuple[str, str],
    quantizer: str,
    flavours: tuple[str, str],
    rows: int,
    columns: int,
    seed: int,
    strings: bool,
) -> None:
    shape = (1, rows * columns) if strings else (rows, columns)
    random = np.random.default_rng(seed)
    both = []
    for dtype, flavour in zip(dtypes, flavours, strict=True):
        codes = random_codes(dtype, rows * columns, random, flavour)
        values = decode(codes, dtype, shape)
        cut = cut_of(quantizer, dtype, values.reshape(-1) if quantizer.startswith("uniform") else None)
        both.append((dtype, cut, codes, planes_of(values, quantizer)))
    correct = expected(both[0][3], both[1][3], (1, 12) if strings else (4, 4))
    blocks = rows * columns // 12 if strings else rows // 4 * (columns // 4)
    unchanged = [{0: blocks} if blocks else {}] * len(both[0][3]), [0] * len(both[0][3])
    packed = [[packed_of(some, *one[:3], shape, strings=strings)[0] for one in both] for some in (KERNELS, None)]
    for kernels in (KERNELS, None):
        for now in packed:  # what one path packed, the other can compare
            for earlier in packed:
                planes = len(correct[1])
                assert changes(kernels, now[0], earlier[1], shape, planes, strings=strings) == correct
                assert changes(kernels, now[0], earlier[0], shape, planes, strings=strings) == unchanged


@PATHS
def test_changes_of_pieces_add_up_until_they_are_taken(kernels: Any) -> None:  # noqa: ANN401
    now, earlier = planes_like(3, (60, 52), 0), planes_like(3, (60, 52), 1)
    correct = expected(now, earlier)
    counter = XorCounter(3, kernels)
    wide, ones = np.full((3, 65536), 1 << 40, np.int64), np.full(3, 7, np.int64)
    for add in (False, True, False):
        for start, stop in ((0, 4), (4, 32), (32, 60)):
            some = [packed_plane([plane[start:stop] for plane in planes]) for planes in (now, earlier)]
            counter.count(*some, stop - start, 52, 3)
        if add:
            counter.add_to(wide, ones)
        else:
            found, changed = counter.take()
            assert (as_dicts(found), changed) == correct
    assert (ones - 7).tolist() == correct[1]
    for histogram, counts in zip(wide, correct[0], strict=True):
        assert {int(code): int(histogram[code]) - (1 << 40) for code in np.flatnonzero(histogram > 1 << 40)} == counts


@PATHS
def test_a_layer_of_fewer_planes_leaves_the_others_out(kernels: Any) -> None:  # noqa: ANN401
    now, earlier = planes_like(2, (8, 24), 0), planes_like(2, (8, 24), 1)
    counter = XorCounter(5, kernels)
    counter.count(packed_plane(now), packed_plane(earlier), 8, 24, 2)
    found, ones = counter.take()
    assert (as_dicts(found), ones) == expected(now, earlier)


# --------------------------------------------------------------------------------------------------- other boundaries


@PATHS
@pytest.mark.parametrize("least", [2, 3])
def test_smaller_blocks_of_what_changed(least: int, kernels: Any) -> None:  # noqa: ANN401
    for shape in [(4, 4), (5, 13), (7, 9), (10, 19), (8, 20), (3, 50), (30, 34)]:
        now, earlier = planes_like(2, shape, 0), planes_like(2, shape, 1)
        counter = XorCounter(2, kernels, least=least)
        counter.count(packed_plane(now), packed_plane(earlier), *shape, 2)
        found, ones = counter.take()
        changed = [a ^ b for a, b in zip(now, earlier, strict=True)]
        assert as_dicts(found) == [naive.recursive_counts(plane, least) for plane in changed], shape
        assert ones == [int(plane.sum()) for plane in changed]


@PATHS
@pytest.mark.parametrize("columns", [5, 11, 12, 100, 777])
def test_shorter_strings_of_what_changed(columns: int, kernels: Any) -> None:  # noqa: ANN401
    now, earlier = planes_like(1, (1, columns), 0), planes_like(1, (1, columns), 1)
    counter = XorCounter(1, kernels, strings=True, least=2)
    counter.count(packed_plane(now), packed_plane(earlier), 1, columns, 1)
    assert as_dicts(counter.take()[0]) == [naive.recursive_counts(now[0] ^ earlier[0], 2, (1, 12))]


@one_of(3)
@PATHS
@pytest.mark.parametrize(("strings", "shift"), [(False, 1), (False, 3), (True, 1), (True, 5)])
def test_overlapping_blocks_of_what_changed(strings: bool, shift: int, kernels: Any) -> None:  # noqa: ANN401
    block = (1, 12) if strings else (4, 4)
    for shape in [(1, 12), (1, 200)] if strings else [(4, 4), (9, 23), (5, 7), (21, 80)]:
        both = []
        for seed, dtype in ((0, "F32"), (1, "I8")):
            codes = random_codes(dtype, shape[0] * shape[1], np.random.default_rng(seed), "special")
            counter = Counter(2, kernels, strings=strings)
            counter.begin(DTYPES[dtype], cut_of("polarity", dtype))
            packed = np.full(packed_words(*shape, 2), GARBAGE, np.uint64)
            counter.slide(codes, *shape, Window(*shape, 0, 0, shift), packed)
            both.append((packed, planes_of(decode(codes, dtype, shape), "polarity")))
            assert packed.view(np.uint8).tolist() == packed_bytes(both[-1][1])
        changed = [a ^ b for a, b in zip(both[0][1], both[1][1], strict=True)]
        changes = XorCounter(2, kernels, strings=strings)
        changes.slide(both[0][0], both[1][0], *shape, 2, Window(*shape, 0, 0, shift))
        found, ones = changes.take()
        assert as_dicts(found) == [naive.sliding_counts(plane, shift, block) for plane in changed], shape
        assert ones == [int(plane.sum()) for plane in changed]


@PATHS
def test_only_a_pieces_own_changes_are_counted_where_blocks_overlap(kernels: Any) -> None:  # noqa: ANN401
    now, earlier = planes_like(1, (20, 30), 0), planes_like(1, (20, 30), 1)
    counter = XorCounter(1, kernels)
    for start, height, below in ((0, 9, 3), (9, 8, 3), (17, 3, 0)):
        some = [packed_plane([planes[0][start : start + height + below]]) for planes in (now, earlier)]
        counter.slide(*some, height + below, 30, 1, Window(height, 30, -start % 2, 0, 2))
    found, ones = counter.take()
    changed = now[0] ^ earlier[0]
    assert (as_dicts(found), ones) == ([naive.sliding_counts(changed, 2)], [int(changed.sum())])
