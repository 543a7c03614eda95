"""Things to test with: raw codes of every dtype, planes, counts, files. Nothing here takes its answers from wcx.

What a dtype's codes mean is asked of NumPy and ml_dtypes, by way of the oracle.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.strategies as st
import naive
import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.dtypes import DTYPES, PlaneRule
from wcx.core.quantities import plane_measures
from wcx.core.scheme import Statistics
from wcx.measures.evidence import Evidence
from wcx.measures.tables import load_table
from wcx.quantizers import parse_quantizer
from wcx.scan.layers import Layer

DTYPE_NAMES = (*naive.PLAIN_DTYPES, *naive.PACKED_DTYPES, "BOOL")
"""Every dtype whose numbers have an order."""

QUANTIZERS = ("sign", "sign:zero=one", "polarity", "uniform:2:absmax", "uniform:9:p99.5")
FLAVOURS = ("bytes", "special", "ordinary", "sparse")
SCHEME = "4x4-ignore-rows"


# -------------------------------------------------------------------------------------------------------- raw codes


def cut_of(quantizer: str, dtype: str, values: NDArray[np.float64] | None = None) -> PlaneRule:
    """How a quantizer cuts a dtype, after a look at the values if it needs one."""
    found = parse_quantizer(quantizer)
    statistics = Statistics() if values is None else statistics_of(values, found.needs.quantiles)
    return found.cut(DTYPES[dtype], found.fit(statistics))


def statistics_of(values: NDArray[np.float64], quantiles: Sequence[float] = ()) -> Statistics:
    """The oracle's number, extremes and quantiles of the finite values."""
    known = naive.finite(values)
    if not known:
        return Statistics()
    return Statistics(len(known), known[0], known[-1], quantiles=tuple(naive.quantile(known, q) for q in quantiles))


def bits_of(dtype: str) -> int:
    """Width of one element in bits."""
    if dtype == "BOOL":
        return 8
    if dtype in naive.PACKED_DTYPES:
        return naive.PACKED_DTYPES[dtype][0]
    return 8 * np.dtype(naive.PLAIN_DTYPES[dtype]).itemsize


def code_type(dtype: str) -> np.dtype[Any]:
    """The unsigned integer that holds a code."""
    return np.dtype(f"<u{max(1, bits_of(dtype) // 8)}")


def encode(values: Sequence[float], dtype: str) -> list[int]:
    """The codes of values, rounded as the dtype rounds them."""
    kind = {**naive.PLAIN_DTYPES, "BOOL": "?"}.get(dtype) or naive.PACKED_DTYPES[dtype][1]
    with np.errstate(all="ignore"):
        codes: list[int] = np.array(values, np.float64).astype(kind).view(code_type(dtype)).tolist()
    return codes


@cache
def special_codes(dtype: str) -> list[int]:
    """Codes at which something changes: zeros, infinities, NaN, the smallest and largest numbers, the ends."""
    half, top = 1 << (bits_of(dtype) - 1), (1 << bits_of(dtype)) - 1
    codes = {0, 1, 2, half - 1, half, half + 1, top - 1, top}
    if DTYPES[dtype].kind == "float":
        infinity = encode([math.inf], dtype)[0]
        codes.update(encode([0.0, -0.0, 1.0, -1.0, math.nan, -math.nan, math.inf, -math.inf], dtype))
        codes.update({infinity - 1, min(infinity + 1, top), half + infinity - 1 & top, half + infinity + 1 & top})
    return sorted(codes)


def random_codes(dtype: str, size: int, random: np.random.Generator, flavour: str = "bytes") -> NDArray[Any]:
    """Codes of a dtype: any `bytes`; many `special` ones; `ordinary` numbers without zeros; `sparse`, mostly zeros."""
    kind = code_type(dtype)
    anything = random.integers(0, 1 << bits_of(dtype), size, np.uint64).astype(kind)
    if flavour == "bytes":
        return anything
    if flavour == "special":
        special = random.choice(np.array(special_codes(dtype), kind), size)
        return np.where(random.random(size) < 0.7, special, anything)
    if flavour == "ordinary":
        values = [1.0, 1.5, 2.0, 3.0] if DTYPES[dtype].kind in ("unsigned", "scale", "bool") else [1.0, -1.0, 1.5, -2.0]
        return random.choice(np.array(encode(values, dtype), kind), size)
    return np.where(random.random(size) < 0.03, anything, kind.type(0))


def pack(codes: NDArray[Any], dtype: str) -> bytes:
    """The stored bytes of codes, little-endian; the inverse of what the oracle unpacks."""
    width = bits_of(dtype)
    if width >= 8:
        return codes.astype(code_type(dtype)).tobytes()
    if codes.size * width % 8:
        raise ValueError(f"{codes.size} codes of {width} bits are no whole number of bytes")
    bits = codes.reshape(-1, 1) >> np.arange(width, dtype=np.uint8) & 1  # [codes, width]
    return np.packbits(bits, bitorder="little").tobytes()


# ----------------------------------------------------------------------------------------------- what is expected


class Expected(NamedTuple):
    """What counting has to give: block counts and ones of each plane, zeros and numbers that are not finite."""

    counts: list[dict[int, int]]
    ones: list[int]
    zeros: int
    nonfinite: int


def planes_of(values: NDArray[np.float64], quantizer: str) -> list[NDArray[np.uint8]]:
    """The oracle's planes."""
    if quantizer.startswith("uniform"):
        _, bits, range_ = f"{quantizer}:minmax".split(":")[:3]
        return list(naive.uniform(values, int(bits), range_).values())
    if quantizer == "polarity":
        return list(naive.polarity(values).values())
    return [naive.sign(values, zero="one" if quantizer == "sign:zero=one" else "zero")]


def expected(values: NDArray[np.float64], quantizer: str) -> Expected:
    """What the oracle counts in a matrix of values."""
    planes = planes_of(values, quantizer)
    return Expected(
        [naive.block_counts(plane) for plane in planes],
        [int(plane.sum()) for plane in planes],
        int((values == 0).sum()),
        int((~np.isfinite(values)).sum()),
    )


def decode(codes: NDArray[Any], dtype: str, shape: Sequence[int]) -> NDArray[np.float64]:
    """Values of codes, one a code, by NumPy or ml_dtypes; packed dtypes too, whose codes come one a byte here."""
    if dtype in naive.PACKED_DTYPES:
        return codes.astype(np.uint8).view(naive.PACKED_DTYPES[dtype][1]).astype(np.float64).reshape(tuple(shape))
    return naive.decode(codes.astype(code_type(dtype)).tobytes(), dtype, shape)


# ---------------------------------------------------------------------------------------------------------- layers


def layer_of(dtype: str, rows: int, columns: int, name: str = "layer", offset: int = 0) -> Layer:
    """A matrix that is to be counted."""
    nbytes = rows * columns * bits_of(dtype) // 8
    tensor = TensorInfo(name, dtype, (rows, columns), nbytes, offset=offset)
    return Layer(tensor, tensor, DTYPES[dtype], rows, columns)


class BytesReader:
    """Reads tensors from memory: `offset` of a tensor is its first byte there."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def __enter__(self) -> BytesReader:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def read_into(self, tensor: TensorInfo, start: int, out: memoryview) -> None:
        """Fill `out` from byte `start` of the tensor on; what lies outside of the tensor is refused."""
        if start < 0 or start + len(out) > tensor.nbytes:
            raise ValueError(f"bytes {start}..{start + len(out)} of a tensor that has {tensor.nbytes}")
        out[:] = self._data[tensor.offset + start : tensor.offset + start + len(out)]

    def check_unchanged(self) -> None:
        """Memory does not change."""


class Tensor(NamedTuple):
    """One tensor of a file that is to be written."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes

    @property
    def values(self) -> NDArray[np.float64]:
        """What the oracle reads in it."""
        return naive.decode(self.raw, self.dtype, self.shape)


def tensor_of(array: NDArray[Any], dtype: str) -> Tensor:
    """A tensor of an array whose dtype NumPy or ml_dtypes has."""
    return Tensor(dtype, array.shape, array.tobytes())


def random_tensor(dtype: str, shape: tuple[int, ...], seed: int = 0, flavour: str = "bytes") -> Tensor:
    """A tensor of random codes."""
    size = math.prod(shape)
    return Tensor(dtype, shape, pack(random_codes(dtype, size, np.random.default_rng([seed, size]), flavour), dtype))


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Write a safetensors file by its description: length of the header, JSON, data; dtypes that NumPy has not too."""
    header, begin = {}, 0
    for name, tensor in tensors.items():
        end = begin + len(tensor.raw)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.raw for tensor in tensors.values()))
    return path


# ---------------------------------------------------------------------------------------------- planes and counts


def random_plane(rows: int, columns: int, density: float, seed: int = 0) -> NDArray[np.uint8]:
    """Independent bits."""
    return (np.random.default_rng([seed, rows, columns]).random((rows, columns)) < density).astype(np.uint8)


def plane_of_ones(rows: int, columns: int, ones: int, seed: int = 0) -> NDArray[np.uint8]:
    """Exactly so many ones in random places."""
    plane = np.zeros(rows * columns, np.uint8)
    plane[:ones] = 1
    return np.random.default_rng([seed, rows, columns, ones]).permutation(plane).reshape(rows, columns)


def as_counts(counts: Mapping[int, int], symbols: int, ones: int, scheme: str = SCHEME) -> BlockCounts:
    """The oracle's counts as wcx holds them."""
    codes = sorted(counts)
    numbers = np.array([counts[code] for code in codes], np.int64)
    return BlockCounts(scheme, np.array(codes, np.uint16), numbers, symbols, ones)


def counts_of(plane: NDArray[Any]) -> BlockCounts:
    """Counts of a plane of bits, counted by the oracle."""
    return as_counts(naive.block_counts(plane), plane.size, int(plane.sum()))


def evaluate(counts: BlockCounts, rarefy: int = 1024) -> dict[str, Any]:
    """Every registered measure of some counts, by its name."""
    evidence = Evidence(counts, load_table("4x4"), rarefy)
    return {measure.name: measure.evaluate(evidence) for measure in plane_measures()}


def close(value: float, other: float, tolerance: float = 1e-9) -> bool:
    """Equal relative to the other, absolutely where that is below 1."""
    return abs(value - other) <= tolerance * max(1.0, abs(other))


@st.composite
def planes(draw: st.DrawFn, most: int = 40) -> NDArray[np.uint8]:
    """Planes of 4 to `most` rows and columns: independent bits of any density, among them constant ones."""
    rows, columns = draw(st.integers(4, most)), draw(st.integers(4, most))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.7, 0.99, 1.0]))
    plane = random_plane(rows, columns, density, draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(0, rows)), draw(st.integers(0, columns))
    plane[:height, :width] = draw(st.integers(0, 1))  # some structure: equal blocks
    return plane


@st.composite
def block_counts(draw: st.DrawFn, scheme: str = SCHEME) -> BlockCounts:
    """Any counts that a plane can have, small ones and large ones."""
    most = draw(st.sampled_from([1, 3, 70_000, 2**40]))
    counts = draw(st.dictionaries(st.integers(0, 65535), st.integers(1, most), max_size=20))
    symbols = 16 * sum(counts.values()) + draw(st.integers(0, 100))
    return as_counts(counts, symbols, draw(st.integers(0, symbols)), scheme)
