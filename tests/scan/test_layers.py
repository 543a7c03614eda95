"""Where codes come from: integers with zero points of every grid, against the values that they stand for."""

from __future__ import annotations

import math

import ml_dtypes
import naive
import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import BytesReader, cut_of

from wcx.core.checkpoint import Quantization, TensorInfo
from wcx.core.scheme import Scheme
from wcx.scan.count import count_layers
from wcx.scan.layers import Layer, Piece, layer_of
from wcx.scan.sources import FileSource

BITS = {"I2": 2, "U2": 2, "I4": 4, "U4": 4, "I8": 8, "U8": 8, "I16": 16, "U16": 16, "I32": 32}


def numbers_of(codes: NDArray[np.uint32], dtype: str) -> NDArray[np.int64]:
    """What codes spell as two's complement or plain integers."""
    half = 1 << (BITS[dtype] - 1)
    signed = [
        code - 2 * half if dtype.startswith("I") and code >= half else code for code in codes.reshape(-1).tolist()
    ]
    return np.array(signed, np.int64).reshape(codes.shape)


def pack(codes: NDArray[np.uint32], bits: int) -> bytes:
    """A little-endian stream of bits, the last byte filled up with zeros."""
    stream = sum(int(code) << (bits * place) for place, code in enumerate(codes.reshape(-1).tolist()))
    return stream.to_bytes(-(-codes.size * bits // 8), "little")


@st.composite
def quantized(draw: st.DrawFn) -> tuple[TensorInfo, bytes, NDArray[np.int64]]:
    """A tensor of integers, its bytes, and code - zero point of every element."""
    dtype = draw(st.sampled_from(sorted(BITS)))
    shape = tuple(draw(st.lists(st.integers(1, 13), min_size=2, max_size=3)))
    grid = tuple(draw(st.sampled_from(sorted({-(-size // block) for block in range(1, size + 1)}))) for size in shape)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    codes = random.integers(0, 1 << BITS[dtype], shape, np.uint32)
    least, most = (0, 1 << BITS[dtype]) if dtype.startswith("U") else (-1 << BITS[dtype] - 1, 1 << BITS[dtype] - 1)
    points = random.integers(least, most, grid)
    expected = numbers_of(codes, dtype)
    for index in np.ndindex(*shape):
        cell = tuple(place // math.ceil(size / cells) for place, size, cells in zip(index, shape, grid, strict=True))
        expected[index] -= points[cell]
    raw = pack(codes, BITS[dtype])
    quantization = Quantization(tuple(points.reshape(-1).tolist()), grid)
    return TensorInfo("w", dtype, shape, len(raw), quantization=quantization), raw, expected


@given(tensor=quantized(), data=st.data())
@settings(max_examples=examples(300), deadline=None)
def test_codes_are_what_they_stand_for(
    tensor: tuple[TensorInfo, bytes, NDArray[np.int64]], data: st.DataObject
) -> None:
    info, raw, expected = tensor
    layer = layer_of(info)
    matrix = expected.reshape(layer.rows, layer.columns)
    top = data.draw(st.integers(0, layer.rows - 1))
    start = data.draw(st.integers(top, layer.rows - 1))
    first = data.draw(st.integers(0, layer.columns - 1))
    piece = Piece(
        start - top,
        data.draw(st.integers(1, layer.rows - start)),
        first,
        data.draw(st.integers(1, layer.columns - first)),
    )
    part = Layer(info, info, layer.dtype, layer.rows - top, layer.columns, top)
    codes = FileSource(BytesReader(raw)).codes(part, piece)
    wanted = matrix[start : start + piece.height, first : first + piece.width]
    if layer.dtype.name == info.dtype:  # no zero point: the codes themselves
        assert numbers_of(codes.astype(np.uint32), info.dtype).tolist() == wanted.reshape(-1).tolist()
    else:
        assert codes.view(f"<i{codes.itemsize}").tolist() == wanted.reshape(-1).tolist()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["U8", "U4", "I8"])
def test_above_zero_is_above_the_zero_point(dtype: str, compiled: bool) -> None:
    random = np.random.default_rng(5)
    codes = random.integers(0, 1 << BITS[dtype], (40, 60), np.uint32)
    points = tuple(random.integers(1, 8, 40).tolist())
    values = numbers_of(codes, dtype) - np.array(points)[:, None]
    raw = pack(codes, BITS[dtype])
    info = TensorInfo("w", dtype, (40, 60), len(raw), quantization=Quantization(points, (40, 1)))
    (counted,) = count_layers(
        [layer_of(info)],
        [cut_of("sign", "I16")],
        Scheme(),
        lambda: FileSource(BytesReader(raw)),
        compiled=compiled,
    )
    (counts,) = counted.planes
    assert dict(zip(counts.codes.tolist(), counts.counts.tolist(), strict=True)) == naive.block_counts(
        naive.sign(values.astype(np.float64))
    )
    assert counted.zeros == int((values == 0).sum())


@pytest.mark.parametrize("name", ["int2", "int4", "uint2", "uint4"])
def test_ml_dtypes_reads_codes_in_bytes(name: str) -> None:
    """What `wcx verify` relies on."""
    bits = int(name[-1])
    values = np.arange(1 << bits, dtype=np.uint8).view(getattr(ml_dtypes, name)).astype(np.int64).tolist()
    assert values == numbers_of(np.arange(1 << bits, dtype=np.uint32), f"{name[0].upper()}{bits}").tolist()


def test_stored_codes_are_left_as_they_are() -> None:
    codes = np.arange(64, dtype=np.uint32).reshape(8, 8) * 4
    info = TensorInfo("w", "U8", (8, 8), 64, quantization=Quantization((128,), (1, 1)))
    layer = layer_of(info, as_stored=True)
    assert (layer.dtype.name, layer_of(info).dtype.name) == ("U8", "I16")
    found = FileSource(BytesReader(pack(codes, 8))).codes(layer, Piece(0, 8, 0, 8))
    assert found.tolist() == codes.reshape(-1).tolist()
