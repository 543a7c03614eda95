"""The oracle against what is known without it: pybdm 0.1.0, published and recorded values, and full enumeration."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from types import ModuleType

import naive
import numpy as np
import pytest
from children import run_python
from naive import SQUARE, STRING, Block, Counts, Layer
from numpy.typing import NDArray
from pybdm_reference import resource_stream

HALF = Fraction(1, 2)
MEASURES_WITH_NULL = ["bdm", "mean_ctm", "block_entropy", "bdm_rarefied"]


def close(value: float, expected: float, tolerance: float = 1e-9) -> bool:
    """Equal relative to the expected value, or absolutely where that is below 1."""
    return abs(value - expected) <= tolerance * max(1.0, abs(expected))


def random_plane(shape: tuple[int, int], density: float, seed: int = 0) -> NDArray[np.int64]:
    return (np.random.default_rng([seed, *shape]).random(shape) < density).astype(np.int64)


# ------------------------------------------------------------------------------------------------------ alone


def test_imports_neither_wcx_nor_pybdm() -> None:
    program = "import sys, naive; naive.ctm_table(); print([m for m in ('wcx', 'pybdm') if m in sys.modules])"
    done = run_python(program)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_shim_reads_the_table_of_pybdm(pybdm: ModuleType) -> None:
    with resource_stream("pybdm.ctmdata", "ctm-b2-d12.pkl.gz") as stream:
        assert stream.read(2) == b"\x1f\x8b"


# ----------------------------------------------------------------------------------------------------- decode


@pytest.mark.parametrize(
    ("dtype", "raw", "expected"),
    [
        ("F64", np.array([1.5, -0.0], "<f8").tobytes(), [1.5, -0.0]),
        ("F32", bytes([0, 0, 128, 63, 0, 0, 160, 127]), [1.0, math.nan]),  # the second is a signalling NaN
        ("F16", bytes([0, 0x3C, 1, 0]), [1.0, 2.0**-24]),
        ("BF16", bytes([0x80, 0x3F, 0x80, 0xFF]), [1.0, -math.inf]),
        ("F8_E4M3", bytes([0x38, 0x7E, 0x7F, 0x80, 0x01]), [1.0, 448.0, math.nan, -0.0, 2.0**-9]),
        ("F8_E5M2", bytes([0x3C, 0x7B, 0x7C, 0x7D, 0x80]), [1.0, 57344.0, math.inf, math.nan, -0.0]),
        ("F8_E4M3FNUZ", bytes([0x40, 0x7F, 0x80]), [1.0, 240.0, math.nan]),
        ("F8_E5M2FNUZ", bytes([0x40, 0x7F, 0x80]), [1.0, 57344.0, math.nan]),
        ("F8_E8M0", bytes([0, 127, 254, 255]), [2.0**-127, 1.0, 2.0**127, math.nan]),
        ("F4", bytes([0x21, 0x7C, 0x8F]), [0.5, 1.0, -2.0, 6.0, -6.0, -0.0]),
        ("I8", bytes([255, 127]), [-1.0, 127.0]),
        ("I16", bytes([0, 128]), [-32768.0]),
        ("I32", bytes([1, 0, 0, 128]), [1.0 - 2.0**31]),
        ("I64", bytes(7) + bytes([128]), [-(2.0**63)]),
        ("U8", bytes([255, 0]), [255.0, 0.0]),
        ("U16", bytes([1, 2]), [513.0]),
        ("U32", bytes([255] * 4), [2.0**32 - 1]),
        ("U64", bytes(7) + bytes([128]), [2.0**63]),
        ("BOOL", bytes([0, 1]), [0.0, 1.0]),
    ],
)
def test_decode_known_codes(dtype: str, raw: bytes, expected: list[float]) -> None:
    values = naive.decode(raw, dtype, [len(expected)])
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, expected)
    known = ~np.isnan(values)
    np.testing.assert_array_equal(np.signbit(values)[known], np.signbit(expected)[known])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("F6_E2M3", [0.125, -7.5, 1.0, 0.0]), ("F6_E3M2", [0.0625, -28.0, 0.5, 0.0])],
)
def test_decode_six_bits_least_significant_first(dtype: str, expected: list[float]) -> None:
    stream = 1 | 0b111111 << 6 | 0b001000 << 12 | 0 << 18
    np.testing.assert_array_equal(naive.decode(stream.to_bytes(3, "little"), dtype, [2, 2]).ravel(), expected)


def test_decode_keeps_c_order_and_scalars() -> None:
    assert naive.decode(bytes(range(6)), "U8", [2, 3]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert naive.decode(bytes([7]), "U8", []).shape == ()


@pytest.mark.parametrize(("dtype", "nbytes"), [("F32", 7), ("F4", 2), ("BOOL", 1), ("F6_E2M3", 4)])
def test_decode_refuses_another_length(dtype: str, nbytes: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        naive.decode(bytes(nbytes), dtype, [2])


# ----------------------------------------------------------------------------------- quantizers, layout, blocks


def test_sign_and_polarity_of_special_values() -> None:
    values = np.array([1.0, -1.0, 0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324])
    assert naive.sign(values).tolist() == [1, 0, 0, 0, 0, 1, 0, 1, 0]
    assert naive.sign(values, zero="one").tolist() == [1, 0, 1, 1, 0, 1, 0, 1, 0]
    assert naive.polarity(values)["plus"].tolist() == [1, 0, 0, 0, 0, 1, 0, 1, 0]
    assert naive.polarity(values)["minus"].tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 1]


UNIFORM = [(8, -1.0, 1.0), (3, -0.7, 0.9), (16, -4.0, 5.5), (1, 0.0, 1e-7), (13, -1e38, 2e38), (4, -255.0, 0.0)]


@pytest.mark.parametrize(("bits", "lo", "hi"), UNIFORM)
def test_uniform_levels_are_those_of_exact_fractions(bits: int, lo: float, hi: float) -> None:
    inside = np.random.default_rng(bits).uniform(lo, hi, 500).astype(np.float32).astype(np.float64)
    delta = np.float32(np.float32(hi) - np.float32(lo)) / np.float32(2**bits - 1)
    halves = (np.float32(lo) + np.arange(0.5, min(2**bits, 200)) * delta).astype(np.float32).astype(np.float64)
    values = np.array([*inside, *halves, lo, hi, 0.0, -0.0, 1e-45, -1e-40])
    values = values[(values >= np.float32(lo)) & (values <= np.float32(hi))]
    planes = naive.uniform(np.append(values, [lo, hi]), bits)
    levels = sum(plane.astype(int) << k for k, plane in enumerate(planes.values()))
    assert levels[:-2].tolist() == [naive.exact_level(value, bits, lo, hi) for value in values.tolist()]


def test_uniform_planes_of_special_values() -> None:
    values = np.array([0.0, 0.5, 1.5, 2.5, 3.0, math.nan, math.inf, -math.inf])
    assert naive.uniform(values, 2)["bit0"].tolist() == [0, 0, 0, 0, 1, 0, 1, 0]  # levels 0 0 2 2 3, and 0 3 0
    assert naive.uniform(values, 2)["bit1"].tolist() == [0, 0, 1, 1, 1, 0, 1, 0]
    assert not naive.uniform(values * 1e-9, 2)["bit0"].any()
    assert naive.uniform(np.full(3, math.nan), 1)["bit0"].tolist() == [0, 0, 0]
    assert naive.uniform(np.array([-1.0, 3.0]), 1, "absmax")["bit0"].tolist() == [0, 1]
    assert naive.range_of(list(map(float, range(101))), "p90") == pytest.approx((5.0, 95.0))
    assert naive.range_of([-5.0, 1.0], "absmax") == (-5.0, 5.0)


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-45, 2.2e-45, 1.17549429e-38, 3.4028234e38, 1 + 2**-24, 1 + 3 * 2**-24])
def test_float32_of_a_fraction_is_numpys(value: float) -> None:
    assert float(naive.float32(Fraction(value))) == float(np.float32(value))
    assert float(naive.float32(Fraction(-value))) == float(np.float32(-value))


def test_integer_planes_are_offset_binary() -> None:
    assert naive.integer([0, 1, 2, 3], 2, signed=False) == {"bit0": [0, 1, 0, 1], "bit1": [0, 0, 1, 1]}
    assert naive.integer([0, 1, 2, 3], 2, signed=True) == {"bit0": [0, 1, 0, 1], "bit1": [1, 1, 0, 0]}


def test_rows_joins_all_axes_but_the_first() -> None:
    tensor = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert naive.rows(tensor).shape == (2, 60)
    assert naive.rows(tensor)[1, 4 * 5 + 2] == tensor[1, 1, 0, 2]
    assert naive.rows(tensor[:, 0, 0, 0]).shape == (2, 1)


@pytest.mark.parametrize(("r", "c"), [(0, 0), (0, 3), (1, 0), (3, 3)])
def test_block_code_has_bit_four_r_plus_c(r: int, c: int) -> None:
    plane = np.zeros((4, 4), dtype=np.uint8)
    plane[r, c] = 1
    assert naive.block_counts(plane) == {1 << (4 * r + c): 1}


def test_string_code_has_the_first_symbol_lowest() -> None:
    assert naive.block_counts(np.array([[1] + [0] * 11 + [0, 1] + [0] * 11]), STRING) == {1: 1, 2: 1}


def test_left_over_and_ones_cover_the_whole_plane() -> None:
    plane = np.ones((9, 6), dtype=np.uint8)
    assert naive.block_counts(plane) == {65535: 2}
    assert naive.left_over(plane) == 9 * 6 - 32
    assert naive.ones(plane) == 54
    assert naive.block_counts(plane[:3]) == {}
    assert naive.left_over(np.ones((1, 25), dtype=np.uint8), STRING) == 1


# ------------------------------------------------------------------------------------------------- CTM tables


def test_ctm_four_by_four() -> None:
    values = list(naive.ctm_table(SQUARE).values())
    mean = math.fsum(values) / len(values)
    assert len(values) == 65536
    assert naive.ctm_table()[0] == naive.ctm_table()[65535] == min(values) == 22.006706292292176
    assert max(values) == 36.02279026553976
    assert close(mean, 30.379284168273735, 1e-15)
    assert close(math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)), 2.130632227106724, 1e-14)
    assert math.fsum(values) == 1990936.7672519875


def test_ctm_strings() -> None:
    values = list(naive.ctm_table(STRING).values())
    assert len(values) == 4096
    assert (min(values), max(values)) == (25.610413747641715, 37.479236302416716)
    assert math.fsum(values) == 133138.52786480985


@pytest.mark.parametrize("block", [SQUARE, STRING, (3, 3), (2, 2)])
def test_every_block_has_the_value_that_pybdm_looks_up(pybdm: ModuleType, block: Block) -> None:
    table = naive.ctm_table(block)
    oracle = pybdm.BDM(ndim=1 if block[0] == 1 else 2)
    for code in range(0, len(table), max(1, len(table) // 257)):
        cells = np.array([code >> bit & 1 for bit in range(block[0] * block[1])])
        cells = cells if block[0] == 1 else cells.reshape(block)
        assert next(oracle.lookup([cells]))[1] == table[code]


# ------------------------------------------------------------------------------------------------ against pybdm

SHAPES = [(4, 4), (4, 8), (5, 7), (4, 63), (63, 4), (8, 8), (12, 12), (13, 17), (30, 41), (64, 64), (4, 256), (100, 9)]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_measures_equal_pybdm(pybdm: ModuleType, shape: tuple[int, int], density: float) -> None:
    plane = random_plane(shape, density)
    counts = naive.block_counts(plane)
    oracle = pybdm.BDM(ndim=2)
    assert close(naive.bdm(counts), oracle.bdm(plane))
    assert close(naive.block_entropy(counts), oracle.ent(plane))
    assert close(naive.bdm_normalized(counts), oracle.nbdm(plane))
    normalized = naive.block_entropy_normalized(counts)
    if naive.blocks(counts) == 1:
        assert normalized is None
    else:
        assert normalized is not None
        assert close(normalized, oracle.nent(plane))


def test_normalized_equal_pybdm_beyond_one_round_of_blocks(pybdm: ModuleType) -> None:
    plane = random_plane((4, 4 * 66_000), 0.5)
    counts = naive.block_counts(plane)
    normalized = naive.block_entropy_normalized(counts)
    assert normalized is not None
    assert close(naive.bdm_normalized(counts), pybdm.BDM(ndim=2).nbdm(plane))
    assert close(normalized, pybdm.BDM(ndim=2).nent(plane))


@pytest.mark.parametrize("size", [24, 131, 1201])
def test_strings_equal_pybdm(pybdm: ModuleType, size: int) -> None:
    bits = random_plane((1, size), 0.4)
    counts = naive.block_counts(bits, STRING)
    oracle = pybdm.BDM(ndim=1)
    assert close(naive.bdm(counts, STRING), oracle.bdm(bits[0]))
    assert close(naive.block_entropy(counts), oracle.ent(bits[0]))
    assert close(naive.bdm_normalized(counts, STRING), oracle.nbdm(bits[0]))
    normalized = naive.block_entropy_normalized(counts, STRING)
    assert normalized is not None
    assert close(normalized, oracle.nent(bits[0]))


# ------------------------------------------------------------------------------------------------ recorded values


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (8, 24.006706292292176),
        (12, 25.176631293734488),
        (16, 26.006706292292176),
        (32, 28.006706292292176),
    ],
)
@pytest.mark.parametrize("bit", [0, 1])
def test_bdm_of_constant_matrices(side: int, expected: float, bit: int) -> None:
    assert close(naive.bdm(naive.block_counts(np.full((side, side), bit))), expected, 1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0" * 24, 26.610413747641715),
        ("0" * 12 + "1" * 12, 51.22082749528343),
        ("01" * 18, 28.575689149882564),
    ],
)
def test_bdm_of_strings(text: str, expected: float) -> None:
    assert close(naive.bdm(naive.block_counts(np.array([list(map(int, text))]), STRING), STRING), expected, 1e-15)


def test_golden_matrix() -> None:
    plane = naive.golden_plane()
    found = naive.measures(naive.block_counts(plane), plane.size, naive.ones(plane), m=64)
    expected = {
        "bdm": 1083.7960451549948,
        "block_entropy": 4.732163183315679,
        "mean_ctm": 31.213869767047612,
        "bdm_rarefied": 815.5300626418208,
        "bit_entropy": 1.0,
        "density": 0.5,
        "load": 256 / 65536,
    }
    assert naive.ones(plane) == 2048
    assert (found["distinct"], found["regime"]) == (32, "sparse")
    assert [name for name, value in expected.items() if not close(found[name], value, 1e-12)] == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "expected", "deviation"),
    [
        (64, 7762.483105, 39.8),
        (256, 120749.918915, 342),
        (1024, 1279518.599749, 2360),
        (4096, 2249950.678322, 18.8),
        (16384, 2515039.499719, 1.027),
    ],
)
def test_expected_bdm_of_random_signs(side: int, expected: float, deviation: float) -> None:
    B = (side // 4) ** 2
    assert abs(naive.independent_mean("bdm", B, HALF) - expected) < 1e-6
    assert math.sqrt(naive.independent_variance("bdm", B, HALF)) == pytest.approx(deviation, rel=0.03)


@pytest.mark.parametrize(
    ("hidden", "B", "complexity", "deviation", "entropy"),
    [
        ((8, 4), 54, 1639.8400, 16.2, 5.754079),
        ((32, 16), 240, 7278.1865, 38.5, 7.903246),
        ((128, 64), 1344, 40427.8847, 132, 10.371912),
    ],
)
def test_random_signs_pooled_over_the_networks_of_sakabe(
    hidden: tuple[int, int], B: int, complexity: float, deviation: float, entropy: float
) -> None:
    sizes = [100, *hidden, 10]
    assert sum((rows // 4) * (columns // 4) for rows, columns in itertools.pairwise(sizes)) == B
    assert abs(naive.independent_mean("bdm", B, HALF) - complexity) < 1e-4
    assert abs(naive.independent_mean("block_entropy", B, HALF) - entropy) < 1e-6
    assert math.sqrt(naive.independent_variance("bdm", B, HALF)) == pytest.approx(deviation, rel=0.03)


@pytest.mark.parametrize(("side", "expected"), [(8, 0.197563), (16, 0.053510), (32, 0.014411)])
def test_all_zero_over_the_expected_random_matrix(side: int, expected: float) -> None:
    B = (side // 4) ** 2
    assert abs(naive.bdm({0: B}) / naive.independent_mean("bdm", B, HALF) - expected) < 1e-6


@pytest.mark.parametrize(("side", "percent"), [(64, 93), (256, 81), (1024, 54), (4096, 80), (16384, 94)])
def test_bdm_of_density_seven_tenths_against_fair_bits(side: int, percent: int) -> None:
    B = (side // 4) ** 2
    ratio = naive.independent_mean("bdm", B, Fraction(7, 10)) / naive.independent_mean("bdm", B, HALF)
    assert round(100 * ratio) == percent


@pytest.mark.parametrize(
    ("quantity", "mean", "tolerance"),
    [
        ("bdm", 7763.16784, 5e-6),
        ("block_entropy", 7.996127, 1e-6),
        ("bdm_rarefied", 1943.53, 5e-3),
    ],
)
def test_golden_null_means(quantity: str, mean: float, tolerance: float) -> None:
    assert abs(naive.permutation_mean(quantity, [Layer(256, 4096, 2048)], m=64) - mean) < tolerance


def test_golden_null_of_mean_ctm() -> None:
    mean, variance = naive.mean_ctm_moments(Layer(256, 4096, 2048))
    assert abs(mean - 30.381756648) < 1e-9
    assert abs(math.sqrt(variance) - 0.133143) < 1e-6


# ------------------------------------------------------------------------------------------- measures by themselves


def test_rarefied_terms_at_a_thousand_million_blocks() -> None:
    assert naive.rarefied_terms(1, 10**9, 1024) == (1.024e-06, 0.0)
    assert naive.rarefied_terms(2, 10**9, 1024) == pytest.approx((2.047998952448e-06, 1.047552e-12), rel=1e-6)
    assert naive.rarefied_terms(2, 10**9, 1024)[0] == pytest.approx(2.047998952448e-06, rel=1e-12)
    assert naive.rarefied_terms(15_259, 10**9, 1024)[0] == pytest.approx(0.015503900879838, rel=1e-13)


def test_rarefied_is_the_mean_over_all_subsets() -> None:
    counts = {3: 4, 77: 1, 500: 3, 65535: 2}
    drawn = [code for code, n in counts.items() for _ in range(n)]
    for m in (1, 2, 5, 9):
        subsets = [bag(subset) for subset in itertools.combinations(drawn, m)]
        mean = math.fsum(naive.bdm(subset) for subset in subsets) / len(subsets)
        assert close(naive.bdm_rarefied(counts, m), mean, 1e-13)
    assert naive.bdm_rarefied(counts, 10) == naive.bdm_rarefied(counts, 1024) == naive.bdm(counts)


def bag(codes: tuple[int, ...]) -> Counts:
    return {code: codes.count(code) for code in set(codes)}


def test_entropy_keeps_its_digits_near_zero() -> None:
    B = 10**12
    assert naive.block_entropy({5: B}) == 0.0
    assert naive.bit_entropy(B, 0) == naive.bit_entropy(B, B) == 0.0
    expected = (math.log2(B) + 1 / math.log(2) * (1 - 0.5 / B)) / B
    assert naive.block_entropy({5: B - 1, 6: 1}) == pytest.approx(expected, rel=1e-13)
    assert naive.bit_entropy(B, 1) == naive.bit_entropy(B, B - 1) == naive.block_entropy({5: B - 1, 6: 1})


def test_regimes_and_load_at_their_borders() -> None:
    assert naive.regime({0: 16_383}) == "sparse"
    assert naive.regime({0: 16_384}) == "crowded"
    assert naive.load({0: 16_384}) == 0.25
    assert naive.regime(dict.fromkeys(range(65_470), 1)) == "crowded"
    assert naive.regime(dict.fromkeys(range(65_471), 1)) == "saturated"


def test_pooled_adds() -> None:
    assert naive.pooled({1: 2, 5: 1}, {}, {5: 4}) == {1: 2, 5: 5}


@pytest.mark.parametrize("quantity", MEASURES_WITH_NULL)
def test_terms_sum_to_the_measure(quantity: str) -> None:
    plane = naive.golden_plane()
    counts = naive.block_counts(plane)
    pairs = [(naive.ctm_table()[code], *naive.terms(quantity, n, 256, 64)) for code, n in counts.items()]
    expected = naive.measures(counts, plane.size, naive.ones(plane), m=64)[quantity]
    assert close(math.fsum(ctm * a + b for ctm, a, b in pairs), expected, 1e-12)  # type: ignore[arg-type]


# ------------------------------------------------------------- nulls: exact moments against full enumeration

Case = tuple[Block, list[tuple[int, int, int]]]  # block, and (rows, columns, ones) of each layer

CASES: list[Case] = [
    ((2, 2), [(4, 4, 5)]),
    ((2, 2), [(4, 4, 8)]),
    ((2, 2), [(5, 4, 4)]),  # four cells left over
    ((2, 2), [(4, 6, 0)]),
    ((3, 3), [(3, 7, 4)]),
    (SQUARE, [(4, 9, 3)]),
    (SQUARE, [(4, 8, 29)]),
    ((1, 3), [(1, 13, 6)]),
    ((2, 2), [(4, 5, 2), (2, 4, 3)]),  # pooled
    ((2, 2), [(2, 4, 4), (2, 2, 1), (4, 2, 2)]),
]


def all_counts(shape: tuple[int, int, int], block: Block) -> list[Counts]:
    """Block counts of every plane with so many ones."""
    height, width, K = shape
    found = []
    for places in itertools.combinations(range(height * width), K):
        plane = np.zeros(height * width, dtype=np.uint8)
        plane[list(places)] = 1
        found.append(naive.block_counts(plane.reshape(height, width), block))
    return found


def evaluate(quantity: str, counts: Counts, m: int, block: Block) -> float:
    if quantity == "block_entropy":
        return naive.block_entropy(counts)
    if quantity == "bdm_rarefied":
        return naive.bdm_rarefied(counts, m, block)
    return {"bdm": naive.bdm, "mean_ctm": naive.mean_ctm}[quantity](counts, block)


@pytest.mark.parametrize(("block", "shapes"), CASES)
def test_permutation_moments_equal_enumeration(block: Block, shapes: list[tuple[int, int, int]]) -> None:
    layers = [Layer((h // block[0]) * (w // block[1]), h * w, K) for h, w, K in shapes]
    m = max(1, sum(layer.B for layer in layers) - 1)
    planes = [naive.pooled(*each) for each in itertools.product(*(all_counts(shape, block) for shape in shapes))]
    kinds: dict[tuple[tuple[int, int], ...], int] = {}
    for counts in planes:
        kind = tuple(sorted(counts.items()))
        kinds[kind] = kinds.get(kind, 0) + 1
    for quantity in MEASURES_WITH_NULL:
        values = [(evaluate(quantity, dict(kind), m, block), many / len(planes)) for kind, many in kinds.items()]
        mean = math.fsum(value * p for value, p in values)
        variance = math.fsum((value - mean) ** 2 * p for value, p in values)
        assert close(naive.permutation_mean(quantity, layers, m, block), mean, 1e-12), quantity
        assert close(naive.permutation_variance(quantity, layers, m, block), variance, 1e-10), quantity


def test_count_distribution_equals_enumeration() -> None:
    planes = all_counts((4, 4, 6), (2, 2))
    for code in (0, 1, 3, 7, 15):
        found = naive.count_distribution(Layer(4, 16, 6), code.bit_count(), 4)
        assert found == [Fraction(sum(c.get(code, 0) == n for c in planes), len(planes)) for n in range(5)]


@pytest.mark.parametrize("layer", [Layer(12, 200, 77), Layer(60, 1000, 111), Layer(1, 17, 9)])
def test_mean_ctm_in_two_ways(layer: Layer) -> None:
    mean, variance = naive.mean_ctm_moments(layer)
    assert close(naive.permutation_mean("mean_ctm", [layer]), mean, 1e-13)
    assert close(naive.permutation_variance("mean_ctm", [layer]), variance, 1e-12)


def test_mean_of_rarefied_is_that_of_bdm_for_m_blocks() -> None:
    rarefied = naive.permutation_mean("bdm_rarefied", [Layer(40, 700, 250)], m=15)
    assert close(rarefied, naive.permutation_mean("bdm", [Layer(15, 700, 250)]), 1e-13)


@pytest.mark.parametrize("layer", [Layer(16, 256, 0), Layer(16, 260, 260)])
def test_constant_plane_is_its_own_shuffle(layer: Layer) -> None:
    assert close(naive.permutation_mean("bdm", [layer]), 22.006706292292176 + 4, 1e-14)
    assert naive.permutation_variance("bdm", [layer]) == 0.0


def test_shuffles_agree_with_the_exact_moments() -> None:
    generator = np.random.default_rng(20)
    layer = Layer(4 * 4, 17 * 18, 30)
    shuffles = [naive.shuffled_counts(17, 18, 30, generator) for _ in range(800)]
    for quantity in MEASURES_WITH_NULL:
        values = np.array([evaluate(quantity, counts, 8, SQUARE) for counts in shuffles])
        deviation = math.sqrt(naive.permutation_variance(quantity, [layer], 8))
        error = (values.mean() - naive.permutation_mean(quantity, [layer], 8)) / deviation * math.sqrt(len(values))
        assert abs(error) < 4, quantity
        assert values.std() == pytest.approx(deviation, rel=0.15), quantity


def test_shuffle_keeps_blocks_and_depends_on_the_seed_alone() -> None:
    first, second = (naive.shuffled_counts(10, 9, 30, np.random.default_rng(3)) for _ in range(2))
    assert first == second
    assert naive.blocks(first) == 4
    without_left_over = naive.shuffled_counts(8, 8, 30, np.random.default_rng(1))
    assert sum(code.bit_count() * n for code, n in without_left_over.items()) == 30


@pytest.mark.parametrize("p", [HALF, Fraction(1, 3)])
def test_independent_moments_equal_enumeration(p: Fraction) -> None:
    block, B = (2, 2), 3
    chance = [p ** code.bit_count() * (1 - p) ** (4 - code.bit_count()) for code in range(16)]
    for quantity in ("bdm", "mean_ctm", "block_entropy"):
        values = [
            (evaluate(quantity, bag(codes), B, block), float(math.prod(chance[code] for code in codes)))
            for codes in itertools.product(range(16), repeat=B)
        ]
        mean = math.fsum(value * weight for value, weight in values)
        variance = math.fsum((value - mean) ** 2 * weight for value, weight in values)
        assert close(naive.independent_mean(quantity, B, p, block), mean, 1e-12)
        assert close(naive.independent_variance(quantity, B, p, block), variance, 1e-10)
