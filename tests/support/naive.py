"""The slow oracle: every number that wcx reports, computed again by plain loops and exact arithmetic.

Here live the definitions, written as they are said: decode, quantize, cut into blocks, count, measure, and the exact
moments of the measures under a permutation or under independent bits. Nothing of wcx is imported, and nothing is
approximated: counts are integers, probabilities are fractions (or decimals of 60 digits), floats appear at the end.
The Coding Theorem Method (CTM) tables are read from the data files of pybdm 0.1.0, without importing it.

Sources: Zenil et al. 2018, Entropy 20(8):605 (BDM); pybdm 0.1.0 (tables and normalisations).

A block shape is (rows, columns): (4, 4), (3, 3), (2, 2), or (1, length) with length 2 to 12 for strings.
Cell (r, c) of a block is bit columns * r + c of its code, the least significant bit first.
"""

from __future__ import annotations

import gzip
import importlib.util
import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import MIN_EMIN, Context, Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Block = tuple[int, int]
Counts = dict[int, int]
Table = dict[int, float]
Floats = NDArray[np.float64]
Plane = NDArray[np.uint8]

SQUARE: Block = (4, 4)
STRING: Block = (1, 12)


# ---------------------------------------------------------------------------------------------- bytes -> values

PLAIN_DTYPES: dict[str, Any] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2",
    "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "U8": "<u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}  # fmt: skip

PACKED_DTYPES: dict[str, tuple[int, Any]] = {
    "F4": (4, ml_dtypes.float4_e2m1fn),
    "F6_E2M3": (6, ml_dtypes.float6_e2m3fn),
    "F6_E3M2": (6, ml_dtypes.float6_e3m2fn),
}


def decode(raw: bytes, dtype: str, shape: Sequence[int]) -> Floats:
    """Values of a safetensors tensor as float64: exact, but for 64-bit integers beyond 2^53, which are rounded.

    Packed types are one little-endian stream of bits (F4: low nibble first; F6: 4 codes in 3 bytes). BOOL: 0.0 and 1.0.
    """
    size = math.prod(shape)
    if dtype in PACKED_DTYPES:
        width, kind = PACKED_DTYPES[dtype]
        _require_length(raw, size * width, dtype)
        stored = np.array(unpack(raw, width, size), dtype=np.uint8).view(kind)
    elif dtype == "BOOL":
        _require_length(raw, size * 8, dtype)
        stored = np.array([byte != 0 for byte in raw], dtype=np.uint8)
    else:
        kind = np.dtype(PLAIN_DTYPES[dtype])
        _require_length(raw, size * kind.itemsize * 8, dtype)
        stored = np.frombuffer(raw, dtype=kind)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return stored.astype(np.float64).reshape(tuple(shape))


def unpack(raw: bytes, width: int, size: int) -> list[int]:
    """The first codes of `width` bits in a stream of bytes, least significant bits first."""
    codes = []
    for i in range(size):
        code = 0
        for bit in range(width):
            position = i * width + bit
            code |= (raw[position // 8] >> (position % 8) & 1) << bit
        codes.append(code)
    return codes


def _require_length(raw: bytes, bits: int, dtype: str) -> None:
    if len(raw) * 8 != bits:
        raise ValueError(f"{len(raw)} bytes, but {bits} bits of {dtype} expected")


# --------------------------------------------------------------------------------------------- values -> planes


def sign(values: Floats, zero: str = "zero") -> Plane:
    """One where w > 0; with zero="one" where w >= 0, so that -0.0 gives 1 too. NaN gives 0 in both."""
    positive = {"zero": values > 0, "one": values >= 0}[zero]
    return positive.astype(np.uint8)


def polarity(values: Floats) -> dict[str, Plane]:
    """The planes plus (w > 0) and minus (w < 0); zeros and NaN are in neither."""
    return {"plus": (values > 0).astype(np.uint8), "minus": (values < 0).astype(np.uint8)}


def uniform(values: Floats, bits: int, range_: str = "minmax") -> dict[str, Plane]:
    """The planes of QuBD's quantizer, in float32 (saintslab/QuBD, get_bitplanes); NaN is level 0, infinities saturate.

    range_: of the finite values: minmax, absmax, or a percentile as p99.9.
    """
    known = finite(values)
    if not known:
        known = [0.0]
    with np.errstate(all="ignore"):
        lo, hi = (np.float32(bound) for bound in range_of(known, range_))
        delta = (hi - lo) / np.float32(2**bits - 1)
        if hi - lo < np.float32(1e-8) or not np.isfinite(delta):
            levels = np.zeros(values.shape, np.int64)
        else:
            steps = np.round((values.astype(np.float32) - lo) / delta)  # half to even
            levels = np.where(np.isnan(steps), 0, np.clip(steps, 0, 2**bits - 1)).astype(np.int64)
    return {f"bit{k}": (levels // 2**k % 2).astype(np.uint8) for k in range(bits)}


def range_of(known: Sequence[float], range_: str) -> tuple[float, float]:
    """The ends of a uniform quantizer's range, of sorted values."""
    if range_ == "minmax":
        return known[0], known[-1]
    if range_ == "absmax":
        return -max(map(abs, known)), max(map(abs, known))
    tail = (1.0 - float(range_[1:]) / 100.0) / 2.0
    return quantile(known, tail), quantile(known, 1.0 - tail)


def exact_level(value: float, bits: int, lo: float, hi: float) -> int:
    """The level of one finite number by exact fractions, each result rounded to float32 as IEEE 754 says."""
    w, low, high = float32(Fraction(value)), float32(Fraction(lo)), float32(Fraction(hi))
    delta = float32(float32(high - low) / (2**bits - 1))
    return min(max(round(float32(float32(w - low) / delta)), 0), 2**bits - 1)


def float32(number: Fraction) -> Fraction:
    """The nearest number of 24 significant bits, ties to even, no finer than 2^-149; ValueError beyond the largest."""
    if number == 0:
        return number
    exponent = abs(number.numerator).bit_length() - number.denominator.bit_length()
    if abs(number) < Fraction(2) ** exponent:
        exponent -= 1
    step = Fraction(2) ** max(exponent - 23, -149)
    rounded = round(number / step) * step
    if abs(rounded) >= 2**128:
        raise ValueError(f"{float(number)} is beyond float32")
    return rounded


def integer(codes: Sequence[int], bits: int, *, signed: bool) -> dict[str, list[int]]:
    """The bits of codes; of signed types those of code XOR the sign bit, which ascends with the number."""
    offset = [code ^ (1 << bits - 1) if signed else code for code in codes]
    return {f"bit{k}": [code >> k & 1 for code in offset] for k in range(bits)}


def rows(array: NDArray[Any]) -> NDArray[Any]:
    """The tensor [d0, d1, d2, ...] as the matrix [d0, d1 * d2 * ...], in C order."""
    return array.reshape(array.shape[0], math.prod(array.shape[1:]))


# --------------------------------------------------------------------------------------------- planes -> counts


def block_counts(plane: NDArray[Any], block: Block = SQUARE) -> Counts:
    """How often each code occurs among the blocks that fit; what does not fill a block is left out."""
    height, width = block
    cells = plane.tolist()
    counts: Counts = {}
    for top in range(0, plane.shape[0] - height + 1, height):
        for left in range(0, plane.shape[1] - width + 1, width):
            code = 0
            for r in range(height):
                for c in range(width):
                    if cells[top + r][left + c]:
                        code |= 1 << (width * r + c)
            counts[code] = counts.get(code, 0) + 1
    return counts


def recursive_counts(plane: NDArray[Any], least: int = 2, block: Block = SQUARE) -> Counts:
    """The blocks of all shapes under pybdm's boundary `recursive`; codes of smaller shapes follow those of larger ones.

    A part that is no whole block is cut into squares of its smaller side (strings: is taken as it is), and so on.
    """
    height, width = block
    sides = range(width, least - 1, -1)
    sizes = [side if height == 1 else side * side for side in sides]
    starts = {side: sum(2**size for size in sizes[:at]) for at, side in enumerate(sides)}
    counts: Counts = {}
    for part in _parts(plane.tolist(), block, least):
        code = sum(2**at for at, cell in enumerate(cell for row in part for cell in row) if cell)
        code += starts[len(part[0])]
        counts[code] = counts.get(code, 0) + 1
    return counts


def _parts(cells: list[list[int]], block: Block, least: int) -> Iterable[list[list[int]]]:
    height, width = block
    for top in range(0, len(cells), height):
        for left in range(0, len(cells[0]), width):
            part = [row[left : left + width] for row in cells[top : top + height]]
            if (len(part), len(part[0])) == block:
                yield part
                continue
            side = len(part[0]) if height == 1 else min(len(part), len(part[0]))
            if side >= least:
                yield from _parts(part, (1 if height == 1 else side, side), least)


def sliding_counts(plane: NDArray[Any], shift: int = 1, block: Block = SQUARE) -> Counts:
    """The blocks at every `shift` rows and columns, under pybdm's boundary `correlated`."""
    height, width = block
    counts: Counts = {}
    for top in range(0, plane.shape[0] - height + 1, shift):
        for left in range(0, plane.shape[1] - width + 1, shift):
            for code, number in block_counts(plane[top : top + height, left : left + width], block).items():
                counts[code] = counts.get(code, 0) + number
    return counts


def left_over(plane: NDArray[Any], block: Block = SQUARE) -> int:
    """Cells of the plane that are in no block."""
    height, width = block
    inside = (plane.shape[0] // height * height) * (plane.shape[1] // width * width)
    return plane.shape[0] * plane.shape[1] - inside


def ones(plane: NDArray[Any]) -> int:
    """Cells of the whole plane, left-over included, that are one."""
    return sum(1 for row in plane.tolist() for cell in row if cell)


def pooled(*layers: Counts) -> Counts:
    """The counts of several layers added."""
    total: Counter[int] = Counter()
    for counts in layers:
        total.update(counts)
    return dict(total)


def golden_plane(height: int = 64, width: int = 64) -> Plane:
    """M[r, c] = bit 31 of ((width * r + c) * 2654435761 mod 2^32)."""
    bits = [[(width * r + c) * 2654435761 % 2**32 >> 31 for c in range(width)] for r in range(height)]
    return np.array(bits, dtype=np.uint8)


# --------------------------------------------------------------------------------------------------- CTM tables


@cache
def ctm_table(block: Block = SQUARE) -> Table:
    """CTM of every code of a block shape; a block and its complement share one value."""
    cells = block[0] * block[1]
    key: tuple[int, ...] = (block[1],) if block[0] == 1 else block
    table: Table = {}
    for text, value in _pybdm_file("ctm-b2-d12.pkl.gz" if block[0] == 1 else "ctm-b2-d4x4.pkl.gz")[key].items():
        code = sum(1 << i for i, symbol in enumerate(text) if symbol == "1")
        table[code] = value
        table[2**cells - 1 - code] = value
    if len(table) != 2**cells:
        raise ValueError(f"{len(table)} CTM values for blocks of shape {block}")
    return table


@cache
def _pybdm_file(name: str) -> dict[tuple[int, ...], dict[str, float]]:
    spec = importlib.util.find_spec("pybdm")  # the folder of a top-level package is found without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("pybdm is not installed; its CTM tables are needed")
    path = Path(spec.submodule_search_locations[0]) / "ctmdata" / name
    tables: dict[tuple[int, ...], dict[str, float]] = pickle.loads(gzip.decompress(path.read_bytes()))
    return tables


def alphabet(block: Block = SQUARE) -> int:
    """S, the number of possible blocks."""
    return 2 ** (block[0] * block[1])


# ------------------------------------------------------------------------------------------- counts -> measures


def blocks(counts: Counts) -> int:
    """B, the number of blocks."""
    return sum(counts.values())


def bdm(counts: Counts, block: Block = SQUARE) -> float:
    """Sum over blocks that occur of CTM + log2 n."""
    table = ctm_table(block)
    return math.fsum([table[code] for code in counts] + [math.log2(n) for n in counts.values()])


def mean_ctm(counts: Counts, block: Block = SQUARE) -> float:
    """Sum of p CTM, in bits per block."""
    table = ctm_table(block)
    return float(sum(n * Fraction(table[code]) for code, n in counts.items()) / blocks(counts))


def block_entropy(counts: Counts) -> float:
    """Minus the sum of p log2 p, in bits per block."""
    return _entropy(counts.values())


def bit_entropy(N: int, K: int) -> float:
    """Entropy of the density p = K / N, in bits per weight."""
    return _entropy([K, N - K])


def density(N: int, K: int) -> float:
    return K / N


def _entropy(parts: Iterable[int]) -> float:
    """Shannon entropy of a partition of sum(parts); 60 digits, so that nothing is lost near 0."""
    present = [n for n in parts if n]
    total = sum(present)
    with localcontext(_decimals()):
        nats = sum((many * n * (Decimal(total) / n).ln() for n, many in Counter(present).items()), Decimal(0))
        return float(nats / total / Decimal(2).ln())


def bdm_rarefied(counts: Counts, m: int = 1024, block: Block = SQUARE) -> float:
    """Expected BDM of m of the B blocks, drawn without replacement; bdm itself where B <= m."""
    B = blocks(counts)
    if m >= B:
        return bdm(counts, block)
    table = ctm_table(block)
    terms = {n: rarefied_terms(n, B, m) for n in set(counts.values())}
    seen = [table[code] * terms[n][0] for code, n in counts.items()]
    return math.fsum(seen + [terms[n][1] for n in counts.values()])


def rarefied_terms(n: int, B: int, m: int) -> tuple[float, float]:
    """P(k > 0) and E[log2 k; k > 0] of k, the number among m of B blocks that are one of n: hypergeometric."""
    samples = math.comb(B, m)
    present = (samples - math.comb(B - n, m)) / samples
    logarithm = math.fsum(
        math.comb(n, k) * math.comb(B - n, m - k) / samples * math.log2(k)
        for k in range(max(1, m - (B - n)), min(n, m) + 1)
    )
    return present, logarithm


def bdm_normalized(counts: Counts, block: Block = SQUARE) -> float:
    """pybdm's nbdm, (bdm - lowest) / (highest - lowest).

    Lowest: B equal blocks of the simplest kind. Highest: B blocks dealt over all kinds in turn, most complex first.
    """
    B = blocks(counts)
    descending = sorted(ctm_table(block).values(), reverse=True)
    rounds, rest = divmod(B, len(descending))
    dealt = [(value, rounds + (1 if rank < rest else 0)) for rank, value in enumerate(descending)]
    highest = math.fsum(part for value, n in dealt if n for part in (value, math.log2(n)))
    lowest = descending[-1] + math.log2(B)
    return (bdm(counts, block) - lowest) / (highest - lowest)


def block_entropy_normalized(counts: Counts, block: Block = SQUARE) -> float | None:
    """pybdm's nent: block entropy over log2 min(B, S); None for a single block."""
    B = blocks(counts)
    return None if B == 1 else block_entropy(counts) / math.log2(min(B, alphabet(block)))


def distinct(counts: Counts) -> int:
    """How many of the possible blocks occur."""
    return sum(1 for n in counts.values() if n)


def load(counts: Counts, block: Block = SQUARE) -> float:
    """B / S, blocks per possible block."""
    return blocks(counts) / alphabet(block)


def regime(counts: Counts, block: Block = SQUARE) -> str:
    """`saturated` from 99.9 % of the possible blocks on, else `sparse` under a load of 0.25, else `crowded`."""
    S = alphabet(block)
    if 1000 * distinct(counts) >= 999 * S:
        return "saturated"
    return "sparse" if 4 * blocks(counts) < S else "crowded"


Value = float | int | str | None


def measures(counts: Counts, N: int, K: int, m: int = 1024, block: Block = SQUARE) -> dict[str, Value]:
    """Every quantity by its name."""
    return {
        "bdm": bdm(counts, block),
        "block_entropy": block_entropy(counts),
        "bit_entropy": bit_entropy(N, K),
        "mean_ctm": mean_ctm(counts, block),
        "bdm_rarefied": bdm_rarefied(counts, m, block),
        "bdm_normalized": bdm_normalized(counts, block),
        "block_entropy_normalized": block_entropy_normalized(counts, block),
        "density": density(N, K),
        "distinct": distinct(counts),
        "load": load(counts, block),
        "regime": regime(counts, block),
    }


# -------------------------------------------------------------- the sum over blocks that is behind four measures


def terms(quantity: str, n: int, B: int, m: int = 1024) -> tuple[float, float]:
    """The pair a, b such that the quantity is the sum over the S possible blocks of CTM a(n) + b(n)."""
    if quantity == "mean_ctm":
        return n / B, 0.0
    if n == 0:
        return 0.0, 0.0
    if quantity == "bdm" or (quantity == "bdm_rarefied" and m >= B):
        return 1.0, math.log2(n)
    if quantity == "block_entropy":
        return 0.0, n / B * -math.log2(n / B)
    if quantity == "bdm_rarefied":
        return rarefied_terms(n, B, m)
    raise ValueError(f"no sum over blocks: {quantity}")


class BlockClass(NamedTuple):
    """The blocks with the same number of ones (or of the same chance): how many, the sums of CTM and of CTM^2."""

    size: Any
    total: Any
    squares: Any


@cache
def block_classes(block: Block = SQUARE) -> list[BlockClass]:
    """One class for each number of ones from 0 to the number of cells; exact fractions."""
    members: list[list[Fraction]] = [[] for _ in range(block[0] * block[1] + 1)]
    for code, value in ctm_table(block).items():
        members[code.bit_count()].append(Fraction(value))
    return [BlockClass(len(values), sum(values), sum(v * v for v in values)) for values in members]


Number = TypeVar("Number", Fraction, Decimal)
Expectations = list[list[Number]]  # [[E a a', E a b'], [E b a', E b b']]


def _second_moment(
    classes: Sequence[BlockClass],
    one: Callable[[int], Expectations[Number]],
    two: Callable[[int, int], Expectations[Number]],
) -> Number:
    """E of the square of the sum over all blocks of CTM a(n) + b(n).

    one(k): expectations with both factors of the same block of class k; two(k, l): of two different blocks.
    """
    total: Any = 0
    for k, first in enumerate(classes):
        (aa, ab), (_, bb) = one(k)
        total += first.squares * aa + 2 * first.total * ab + first.size * bb
        for other in range(k, len(classes)):
            second = classes[other]
            (aa, ab), (ba, bb) = two(k, other)
            pairs = first.total * (second.total * aa + second.size * ab)
            pairs += first.size * (second.total * ba + second.size * bb)
            if other == k:  # a block is not different from itself
                pairs -= first.squares * aa + first.total * (ab + ba) + first.size * bb
            total += pairs if other == k else 2 * pairs
    return total


# ----------------------------------------------------------------------------------- null model: permuted planes


def shuffled_counts(N_rows: int, N_cols: int, K: int, generator: np.random.Generator, block: Block = SQUARE) -> Counts:
    """Block counts of a plane whose K ones were put in random places, all planes equally likely."""
    cells = [1] * K + [0] * (N_rows * N_cols - K)
    order = generator.permutation(len(cells)).tolist()
    plane = np.array([cells[i] for i in order], dtype=np.uint8).reshape(N_rows, N_cols)
    return block_counts(plane, block)


class Layer(NamedTuple):
    """What a permutation keeps: B blocks; N symbols and K ones of the whole plane, left-over included."""

    B: int
    N: int
    K: int


@cache
def _placements(N: int, K: int) -> int:
    return math.comb(N, K) if 0 <= K <= N else 0


@lru_cache(maxsize=1000)
def count_distribution(layer: Layer, k: int, cells: int = 16) -> list[Fraction]:
    """P(n = 0), ..., P(n = B) of the count of one block that has k ones, under a permutation.

    j given blocks all equal it in C(N - j cells, K - j k) of the C(N, K) planes; inclusion and exclusion over j.
    """
    B, N, K = layer
    all_equal = [math.comb(B, j) * _placements(N - j * cells, K - j * k) for j in range(B + 1)]
    planes = math.comb(N, K)
    return [
        Fraction(sum((-1) ** (j - n) * math.comb(j, n) * all_equal[j] for j in range(n, B + 1)), planes)
        for n in range(B + 1)
    ]


def pooled_distribution(layers: Sequence[Layer], k: int, cells: int = 16) -> list[Fraction]:
    """The same for the counts of several layers added, each permuted by itself."""
    total = [Fraction(1)]
    for layer in layers:
        own = count_distribution(layer, k, cells)
        added = [Fraction(0)] * (len(total) + len(own) - 1)
        for i, p in enumerate(total):
            for j, q in enumerate(own):
                added[i + j] += p * q
        total = added
    return total


def permutation_mean(quantity: str, layers: Sequence[Layer], m: int = 1024, block: Block = SQUARE) -> float:
    """Exact mean of bdm, mean_ctm, block_entropy or bdm_rarefied under a permutation; more layers than one are pooled.

    A second at 256 blocks, and as their cube.
    """
    return float(_permutation_mean(quantity, layers, m, block))


def permutation_variance(quantity: str, layers: Sequence[Layer], m: int = 1024, block: Block = SQUARE) -> float:
    """Exact variance of the same: seconds at 64 blocks in one layer, or 12 in several.

    f(n) is the sum over i of C(n, i) D_i, with D_i the differences of f at 0; so E f(n) g(n') needs E C(n, i) C(n', j)
    only, which counts the planes where i given blocks equal one code and j others the other.
    """
    cells = block[0] * block[1]
    a, b = _tabulated(quantity, layers, m)
    planes = math.prod(math.comb(layer.N, layer.K) for layer in layers)
    differences = [_differences(a), _differences(b)]

    def one(k: int) -> Expectations[Fraction]:
        chances = pooled_distribution(layers, k, cells)
        return [[_expectation(chances, [x * y for x, y in zip(f, g, strict=True)]) for g in (a, b)] for f in (a, b)]

    def two(k: int, other: int) -> Expectations[Fraction]:
        moments = _pooled_pair_moments(layers, k, other, cells)
        return [
            [Fraction(_bilinear(f, moments, g), f_unit * g_unit * planes) for g, g_unit in differences]
            for f, f_unit in differences
        ]

    mean = _permutation_mean(quantity, layers, m, block)
    return float(_second_moment(block_classes(block), one, two) - mean * mean)


def mean_ctm_moments(layer: Layer, block: Block = SQUARE) -> tuple[float, float]:
    """Exact mean and variance of mean_ctm under a permutation, at any size: one block and two are all it takes."""
    B, N, K = layer
    cells = block[0] * block[1]
    classes = block_classes(block)
    chance = [Fraction(_placements(N - cells, K - k), math.comb(N, K)) for k in range(cells + 1)]
    mean = sum((c.total * p for c, p in zip(classes, chance, strict=True)), Fraction(0))
    second = sum((c.squares * p for c, p in zip(classes, chance, strict=True)), Fraction(0)) / B
    if B > 1:
        both = [Fraction(_placements(N - 2 * cells, K - t), math.comb(N, K)) for t in range(2 * cells + 1)]
        product = sum(
            (c.total * d.total * both[j + k] for j, c in enumerate(classes) for k, d in enumerate(classes)), Fraction(0)
        )
        second += Fraction(B - 1, B) * product
    return float(mean), float(second - mean * mean)


def _permutation_mean(quantity: str, layers: Sequence[Layer], m: int, block: Block) -> Fraction:
    a, b = _tabulated(quantity, layers, m)
    total = Fraction(0)
    for k, members in enumerate(block_classes(block)):
        chances = pooled_distribution(layers, k, block[0] * block[1])
        total += members.total * _expectation(chances, a) + members.size * _expectation(chances, b)
    return total


def _tabulated(quantity: str, layers: Sequence[Layer], m: int) -> tuple[list[Fraction], list[Fraction]]:
    B = sum(layer.B for layer in layers)
    pairs = [terms(quantity, n, B, m) for n in range(B + 1)]
    return [Fraction(a) for a, _ in pairs], [Fraction(b) for _, b in pairs]


def _expectation(chances: Sequence[Fraction], values: Sequence[Fraction]) -> Fraction:
    return sum((p * v for p, v in zip(chances, values, strict=True) if v), Fraction(0))


def _differences(values: Sequence[Fraction]) -> tuple[list[int], int]:
    """The differences of all orders at 0, as integers of a common unit."""
    unit = math.lcm(*(value.denominator for value in values))
    row = [int(value * unit) for value in values]
    result = []
    while row:
        result.append(row[0])
        row = [after - before for before, after in pairwise(row)]
    return result, unit


def _pair_moments(layer: Layer, k: int, other: int, cells: int) -> list[list[int]]:
    """[i][j]: the sum over all planes of C(n, i) C(n', j), for two different blocks of k and `other` ones."""
    B, N, K = layer
    return [
        [
            math.comb(B, i) * math.comb(B - i, j) * _placements(N - (i + j) * cells, K - i * k - j * other)
            for j in range(B - i + 1)
        ]
        for i in range(B + 1)
    ]


def _pooled_pair_moments(layers: Sequence[Layer], k: int, other: int, cells: int) -> list[list[int]]:
    total = [[1]]
    for layer in layers:
        own = _pair_moments(layer, k, other, cells)
        total = own if total == [[1]] else _convolved(total, own)
    return total


def _convolved(left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    """C(x + y, i) is the sum of C(x, i') C(y, i - i'), so the moments of a sum are a convolution."""
    B = len(left) + len(right) - 2
    result = [[0] * (B - i + 1) for i in range(B + 1)]
    for i, left_row in enumerate(left):
        for j, x in enumerate(left_row):
            for u, right_row in enumerate(right):
                for v, y in enumerate(right_row):
                    result[i + u][j + v] += x * y
    return result


def _bilinear(f: Sequence[int], moments: list[list[int]], g: Sequence[int]) -> int:
    return sum(f[i] * sum(g[j] * x for j, x in enumerate(row)) for i, row in enumerate(moments) if f[i])


# --------------------------------------------------------------------------------- null model: independent bits


def _decimals() -> Context:
    return Context(prec=60, Emin=MIN_EMIN)


def binomial_distribution(B: int, q: Decimal) -> list[Decimal]:
    """P(n = 0), P(n = 1), ... of n successes in B trials of chance q < 1, up to where less than 1e-45 is left."""
    with localcontext(_decimals()):
        odds = q / (1 - q)
        chances = [(1 - q) ** B]
        for n in range(B):
            if n > B * q and chances[-1] < Decimal("1e-50"):
                break
            chances.append(chances[-1] * odds * (B - n) / (n + 1))
        return chances


def chance_classes(p: Fraction, block: Block = SQUARE) -> list[tuple[Decimal, BlockClass]]:
    """Chance of a block and the sums over all blocks that have it, for independent bits that are one with chance p."""
    cells = block[0] * block[1]
    groups: dict[Fraction, BlockClass] = {}
    for k, members in enumerate(block_classes(block)):
        q = p**k * (1 - p) ** (cells - k)
        size, total, squares = groups.get(q, BlockClass(0, 0, 0))
        groups[q] = BlockClass(size + members.size, total + members.total, squares + members.squares)
    return [(_decimal(q), BlockClass(*map(_decimal, sums))) for q, sums in groups.items()]


def independent_mean(quantity: str, B: int, p: Fraction, block: Block = SQUARE) -> float:
    """Exact expected bdm, block_entropy or mean_ctm of B blocks of independent bits, one with chance 0 < p < 1.

    The steps are as many as the commonest block has copies. bdm_rarefied(m) of such bits is the bdm of m blocks.
    """
    with localcontext(_decimals()):
        total = Decimal(0)
        for q, members in chance_classes(p, block):
            for n, chance in enumerate(binomial_distribution(B, q)):
                a, b = terms(quantity, n, B)
                total += chance * (members.total * Decimal(a) + members.size * Decimal(b))
        return float(total)


def independent_variance(quantity: str, B: int, p: Fraction, block: Block = SQUARE) -> float:
    """Exact variance of the same: given n copies of one block, those of another are binomial in the other B - n."""
    with localcontext(_decimals()):
        chances, classes = zip(*chance_classes(p, block), strict=True)
        single = [binomial_distribution(B, q) for q in chances]
        table = [tuple(map(Decimal, terms(quantity, n, B))) for n in range(max(map(len, single)))]

        def one(k: int) -> Expectations[Decimal]:
            return [[_mean_of(single[k], [v[i] * v[j] for v in table]) for j in (0, 1)] for i in (0, 1)]

        def two(k: int, other: int) -> Expectations[Decimal]:
            result = [[Decimal(0), Decimal(0)], [Decimal(0), Decimal(0)]]
            for n, weight in enumerate(single[k]):
                rest = binomial_distribution(B - n, chances[other] / (1 - chances[k]))
                for j in (0, 1):
                    expected = _mean_of(rest, [v[j] for v in table])
                    for i in (0, 1):
                        result[i][j] += weight * table[n][i] * expected
            return result

        mean = Decimal(0)
        for members, distribution in zip(classes, single, strict=True):
            mean += _mean_of(distribution, [members.total * a + members.size * b for a, b in table])
        return float(_second_moment(classes, one, two) - mean * mean)


def _mean_of(chances: Sequence[Decimal], values: Sequence[Decimal]) -> Decimal:
    """The table of values is as long as the longest distribution."""
    return sum((chance * value for chance, value in zip(chances, values, strict=False)), Decimal(0))


def _decimal(value: Fraction | int) -> Decimal:
    with localcontext(_decimals()):
        return Decimal(value.numerator) / Decimal(value.denominator)


# -------------------------------------------------------------------------------------------- statistics of a tensor


def finite(values: Floats) -> list[float]:
    """The finite values, sorted."""
    return sorted(value for value in values.ravel().tolist() if math.isfinite(value))


def mean(values: Sequence[float]) -> float:
    """The sum rounded to the nearest double, over the number of values; of sums beyond all doubles, rounded once."""
    total = sum(map(Fraction, values), Fraction(0))
    try:
        return float(total) / len(values)
    except OverflowError:
        return float(total / len(values))


def median(values: Sequence[float]) -> float:
    """The middle value of sorted ones, or the half sum of the two, rounded once."""
    size = len(values)
    return float((Fraction(values[(size - 1) // 2]) + Fraction(values[size // 2])) / 2)


def quantile(values: Sequence[float], q: float) -> float:
    """Of sorted values, as numpy.quantile says "linear", in double."""
    return median(values) if q == 0.5 else float(np.quantile(np.array(values, np.float64), q))


def threshold(values: Floats, bound: float) -> Plane:
    """One where w > t."""
    return (values > bound).astype(np.uint8)


def ternary(values: Floats, factor: float = 0.7) -> dict[str, Plane]:
    """The planes w > d and w < -d, d = factor * mean(abs(w)) over the finite values (Li, Zhang & Liu 2016, eq. 6)."""
    sizes = [abs(value) for value in finite(values)]
    bound = factor * mean(sizes) if sizes else 0.0
    return {"plus": (values > bound).astype(np.uint8), "minus": (values < -bound).astype(np.uint8)}
