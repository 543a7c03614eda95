"""Counting in NumPy, with the counts of kernels.py, for inputs so small that loading numba would take longer.

About 0.6 ns a weight. tests hold both paths equal to the last count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.levels import Part, levels_of, parts
from wcx.blocks.remainders import remainders_of, smaller_blocks
from wcx.core.dtypes import BitRule, DType, UniformRule

Unsigned = NDArray[np.unsignedinteger]
BitsOf = Callable[[Unsigned], Iterator[NDArray[np.bool_]]]
_STRIPE = 1 << 18


class Window(NamedTuple):
    """The blocks that a piece owns of those that slide over it: those that begin in its first rows and columns.

    top, left: of the first such block; then every `shift` rows and columns. Weights of the first `height` rows and
    `width` columns are totalled; what comes after belongs to other pieces.
    """

    height: int
    width: int
    top: int
    left: int
    shift: int


def count_rows(
    codes: Unsigned,
    bits_of: BitsOf,
    rules: NDArray[np.uint64],
    magnitude: int,
    top: int,
    histograms: NDArray[np.uint32],
    totals: NDArray[np.int64],
    *,
    strings: bool = False,
) -> None:
    """Count the 4x4 blocks of a 2-D array of raw codes; the arguments mean what they do in kernels.count_rows.

    bits_of: gives the bits of each plane. strings: count the strings of 12 of its one row instead.
    """
    height = max(4, (_STRIPE // codes.shape[1]) & ~3)
    codes_of = strings_of_bits if strings else codes_of_bits
    for stripe in _string_stripes(codes) if strings else _stripes(codes, height):
        sizes = stripe & stripe.dtype.type(magnitude)
        if sizes.min() == 0 or sizes.max() >= top:
            add_totals(stripe, rules, totals)
        for plane, bits in enumerate(bits_of(stripe)):
            totals[2 + plane] += np.count_nonzero(bits)
            histograms[plane] += np.bincount(codes_of(bits), minlength=histograms.shape[1]).astype(np.uint32)


def _bytes_of(part: Part, cut: UniformRule | BitRule) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of the levels of a part, the lowest first."""
    if part.source.itemsize <= 2:
        yield from (table[part.source] for table in part.tables)
    elif isinstance(cut, UniformRule):
        levels = levels_of(part.source, cut)
        yield from ((levels >> shift & 255).astype(np.uint8) for shift in range(0, cut.bits, 8))


def count_remainders(
    codes: Unsigned, bits_of: BitsOf, least: int, histograms: NDArray[np.int64], *, strings: bool = False
) -> None:
    """Count the smaller blocks that recursive cuts what fills no block into, of sides down to `least`.

    codes: [rows, columns]. bits_of: gives the bits of each plane. histograms: int64 [planes, number of smaller blocks],
    the largest shape first, added to.
    """
    starts, start = {}, 0
    for side in range(11 if strings else 3, least - 1, -1):
        starts[side] = start
        start += 1 << (side if strings else side * side)
    for part in remainders_of(codes, strings=strings):
        for plane, bits in enumerate(bits_of(part)):
            for side, found in smaller_blocks(bits, least, strings=strings):
                np.add.at(histograms[plane], starts[side] + found, 1)


def count_sliding(
    codes: Unsigned,
    window: Window,
    bits_of: BitsOf,
    rules: NDArray[np.uint64],
    histograms: NDArray[np.uint32],
    totals: NDArray[np.int64],
    *,
    strings: bool = False,
) -> None:
    """Count overlapping blocks; the arguments mean what they do in kernels.count_sliding."""
    add_totals(codes[: window.height, : window.width], rules, totals)
    for plane, bits in enumerate(bits_of(codes)):
        totals[2 + plane] += np.count_nonzero(bits[: window.height, : window.width])
        found = _all_windows(bits, 1, 12) if strings else _all_windows(bits, 4, 4)
        found = found[: window.height, : window.width]
        found = found[window.top :: window.shift, window.left :: window.shift]
        histograms[plane] += np.bincount(found.reshape(-1), minlength=histograms.shape[1]).astype(np.uint32)


def add_totals(codes: Unsigned, rules: NDArray[np.uint64], totals: NDArray[np.int64]) -> None:
    """Count zeros and non-finite numbers."""
    totals[0] += np.count_nonzero(inside(codes, rules[0]))
    totals[1] += np.count_nonzero(inside(codes, rules[1]))


def bits_of_rules(codes: Unsigned, rules: NDArray[np.uint64]) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of each plane, in the shape of the codes: those of sets of codes."""
    return (inside(codes, rule) for rule in rules[2:])


def bits_of_levels(
    codes: Unsigned, dtype: DType, cut: UniformRule | BitRule, tables: NDArray[np.uint8]
) -> Iterator[NDArray[np.bool_]]:
    """Yield the bits of each plane, in the shape of the codes: those of a number; tables: of levels.tables_of."""
    for part in parts(np.ascontiguousarray(codes).reshape(-1), dtype, cut, tables):
        for place, levels in enumerate(_bytes_of(part, cut)):
            for plane in range(8 * place, min(8 * place + 8, part.planes)):
                yield (levels.reshape(codes.shape) >> np.uint8(plane & 7) & np.uint8(1)).view(np.bool_)


def _all_windows(bits: NDArray[np.bool_], height: int, width: int) -> NDArray[np.uint16]:
    """Return the codes of the blocks at every place of a plane where one fits."""
    rows, columns = (max(size - some + 1, 0) for size, some in zip(bits.shape, (height, width), strict=True))
    found = np.zeros((rows, columns), np.uint16)
    for row in range(height):
        for column in range(width):
            part = bits[row : row + rows, column : column + columns]
            found |= part.astype(np.uint16) << np.uint16(width * row + column)
    return found


def _stripes(codes: Unsigned, height: int) -> Iterator[Unsigned]:
    return (codes[at : at + height] for at in range(0, codes.shape[0], height))


def _string_stripes(codes: Unsigned) -> Iterator[Unsigned]:
    """Yield the one row in pieces of whole strings."""
    step = _STRIPE // 12 * 12
    return (codes[:, at : at + step] for at in range(0, codes.shape[1], step))


def inside(codes: Unsigned, rule: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return True for the codes in the two intervals of a rule."""
    kind = codes.dtype.type
    first, length, second, second_length = (kind(value) for value in rule)
    inside: NDArray[np.bool_] = codes - first < length
    if second_length:
        inside |= codes - second < second_length
    return inside


def codes_of_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the 16-bit codes of a plane's 4x4 blocks (cell (r, c) is bit 4 r + c), in no particular order.

    bits: [rows, columns]; what fills no block is left out.
    """
    stripes, columns = bits.shape[0] // 4, bits.shape[1] // 4 * 4
    if stripes == 0 or columns == 0:
        return np.empty(0, np.uint16)
    packed = np.packbits(bits[: 4 * stripes, :columns], axis=1, bitorder="little").reshape(stripes, 4, -1)
    rows = [packed[:, row].astype(np.uint16) for row in range(4)]  # [stripes, bytes], two blocks a byte
    even = rows[0] & 15 | (rows[1] & 15) << 4 | (rows[2] & 15) << 8 | (rows[3] & 15) << 12
    odd = rows[0] >> 4 | (rows[1] >> 4) << 4 | (rows[2] >> 4) << 8 | (rows[3] >> 4) << 12
    return np.concatenate([even.ravel(), odd[:, : columns // 8].ravel()])


def strings_of_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the codes of a row's strings of 12 (symbol j is bit j), in order; what fills no string is left out.

    bits: [1, columns].
    """
    whole = bits.shape[1] // 12
    packed = np.packbits(bits[0, : 12 * whole].reshape(whole, 12), axis=1, bitorder="little")
    return packed.view("<u2").reshape(-1)


def scan(histogram: NDArray[np.unsignedinteger]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Return a histogram's non-zero entries as codes (ascending) and counts, and clear it."""
    codes = np.flatnonzero(histogram)
    counts = histogram[codes].astype(np.int64)
    histogram[codes] = 0
    return codes.astype(np.uint16), counts
