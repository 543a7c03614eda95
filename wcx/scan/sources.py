"""Sources of codes: tensors in files and arrays in memory, piece by piece."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Protocol

import numpy as np

from wcx.core.checkpoint import Quantization, TensorInfo, TensorReader
from wcx.core.decode import integer_values, unpack
from wcx.scan.layers import PIECE_BYTES, Codes, Layer, Piece, _Run


class Source(Protocol):
    """A source of the raw codes of layers; one per worker."""

    def codes(self, layer: Layer, piece: Piece) -> Codes:
        """Return the codes of a piece, row after row, as a 1-D array of unsigned integers that lives until the next."""

    def stored(self, layer: Layer, start: int, nbytes: int) -> memoryview:
        """Return the tensor's stored bytes from byte `start` on, in its own C order; they live until the next."""


class ArraySource:
    """The codes of one matrix in memory. stored: the little-endian array as it was before any layout."""

    def __init__(self, matrix: Codes, stored: Codes | None = None) -> None:
        self._matrix = matrix
        self._stored = np.ascontiguousarray(matrix if stored is None else stored).reshape(-1).view(np.uint8)

    def codes(self, layer: Layer, piece: Piece) -> Codes:
        """Return the codes of a piece; a copy only where the piece does not lie in one run."""
        matrix = self._matrix.reshape(-1, layer.columns)
        bottom, right = piece.start + piece.height + piece.more_rows, piece.first + piece.width + piece.more_columns
        part = matrix[piece.start : bottom, piece.first : right]
        return np.ascontiguousarray(part).reshape(-1)

    def stored(self, layer: Layer, start: int, nbytes: int) -> memoryview:
        """Return bytes of the array."""
        return self._stored[start : start + nbytes].data


class FileSource:
    """The codes of tensors in files, read into a buffer that is reused."""

    def __init__(self, reader: TensorReader) -> None:
        self._reader = reader
        memory = np.empty(PIECE_BYTES + 4096, np.uint8)
        aligned = -memory.ctypes.data % 64  # vector loads that cross no cache line are a tenth faster
        self._buffer = memory[aligned : aligned + PIECE_BYTES + 64]

    def codes(self, layer: Layer, piece: Piece) -> Codes:
        """Read a piece; codes of fewer than 8 bits are spread to a byte each."""
        runs = _runs(layer, piece)
        codes = self._read(layer, runs)
        quantization = layer.view.quantization
        if layer.dtype is layer.stored or quantization is None:
            return codes
        numbers = integer_values(codes, layer.stored).astype(f"<i{layer.dtype.bits // 8}")
        numbers -= np.concatenate(
            [_zero_points(layer.view.shape, quantization, start, number) for start, number, _ in runs]
        )
        return numbers.view(f"<u{layer.dtype.bits // 8}")

    def stored(self, layer: Layer, start: int, nbytes: int) -> memoryview:
        """Read bytes of the tensor: no more than a piece has."""
        data = self._buffer.data[:nbytes]
        self._reader.read_into(layer.tensor, start, data)
        return data

    def _read(self, layer: Layer, runs: list[_Run]) -> Codes:
        if layer.stored.bits < 8:
            parts = [self._read_packed(layer, start, number) for start, number, _ in runs]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        itemsize = layer.stored.bits // 8
        filled = 0
        view = self._buffer.data
        for start, number, tensor in runs:
            self._reader.read_into(tensor, start * itemsize, view[filled : filled + number * itemsize])
            filled += number * itemsize
        return self._buffer[:filled].view(f"<u{itemsize}")

    def _read_packed(self, layer: Layer, start: int, number: int) -> Codes:
        bits = layer.stored.bits
        first = start * bits // 8
        stop = -(-(start + number) * bits // 8)
        self._reader.read_into(layer.view, first, self._buffer.data[: stop - first])
        return unpack(self._buffer[: stop - first], bits, start * bits - 8 * first, number)


def _runs(layer: Layer, piece: Piece) -> list[_Run]:
    """Return the runs of elements that a piece is read in: first element, number, and the tensor that has them."""
    top, columns = layer.first + piece.start, layer.columns
    if piece.width == columns:
        runs = [(top * columns, piece.height * columns, layer.view)]
        if piece.more_rows:
            runs.append(((top + piece.height) * columns, piece.more_rows * columns, _unchecked(layer.view)))
        return runs
    runs = []
    for row in range(top, top + piece.height + piece.more_rows):
        start = row * columns + piece.first
        if row >= top + piece.height:
            runs.append((start, piece.width + piece.more_columns, _unchecked(layer.view)))
            continue
        runs.append((start, piece.width, layer.view))
        if piece.more_columns:
            runs.append((start + piece.width, piece.more_columns, _unchecked(layer.view)))
    return runs


def _unchecked(tensor: TensorInfo) -> TensorInfo:
    """Return the tensor without its checksum, for a second reading; the first takes every byte once and checks."""
    if tensor.storage is None or tensor.storage.crc32 is None:
        return tensor
    return replace(tensor, storage=replace(tensor.storage, crc32=None))


def _zero_points(shape: tuple[int, ...], quantization: Quantization, start: int, number: int) -> Codes:
    """Return the zero points of a run of a tensor's C order."""
    grid = np.array(quantization.zero_points, np.int64).reshape(quantization.grid)
    if grid.size == 1:
        return np.broadcast_to(grid.reshape(-1), number)
    inner = prod(shape[1:])
    top, bottom = start // inner, -(-(start + number) // inner)
    rows = grid[np.arange(top, bottom) // -(-shape[0] // quantization.grid[0])]
    if rows[0].size == 1:
        rows = rows.reshape(-1, 1).repeat(inner, axis=1)
    else:
        for axis, (size, cells) in enumerate(zip(shape[1:], quantization.grid[1:], strict=True), start=1):
            rows = rows.repeat(-(-size // cells), axis=axis).take(np.arange(size), axis=axis)
    every: Codes = rows.reshape(-1)[start - top * inner :][:number]
    return every
