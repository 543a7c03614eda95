"""One worker's counter: raw codes in memory to block counts, by compiled code or by NumPy, with equal results.

Shapes and types are settled here; below, kernels.py trusts them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.blocks import numpy_kernels
from wcx.blocks.histograms import Found, Histograms
from wcx.blocks.levels import NO_TABLES, parts, tables_of
from wcx.blocks.packed import PackedBits, as_planes, pack, packed_words
from wcx.blocks.xor_counter import ONES, XorCounter
from wcx.core.dtypes import DTYPES, BitRule, DType, PlaneRule, UniformRule

_LANES = 64  # codes that the compiled code looks at together: it takes no fewer
_NEVER = np.uint64(2**64 - 1)


def compiled_kernels(
    dtype: DType = DTYPES["U8"],
    cut: PlaneRule = (DTYPES["U8"].positive,),
    *,
    strings: bool = False,
    sliding: bool = False,
    packing: bool = False,
) -> Any:  # noqa: ANN401
    """Import the compiled code and run once what such planes need; None where it can't be had and NumPy must serve.

    packing: compile what packs bits and compares them.

    numba keeps what it compiled on disk. Where it finds no folder that it may write to, or what it finds there is
    damaged, it raises; then a temporary folder serves.
    """
    for attempt in (import_module, _import_with_own_cache):
        try:
            kernels = attempt("wcx.blocks.kernels")
            counter = Counter(len(cut), kernels, strings=strings)
            counter.begin(dtype, cut)
            codes = np.zeros(_LANES, f"<u{dtype.itemsize}")
            shape = (1, _LANES) if strings else (4, _LANES // 4)
            if sliding:
                counter.slide(codes, *shape, numpy_kernels.Window(*shape, 0, 0, 1))
            packed = np.empty(packed_words(*shape, len(cut)), np.uint64) if packing else None
            counter.count(codes, *shape, packed)
            if packed is not None:
                XorCounter(len(cut), kernels, strings=strings).count(packed, packed, *shape, len(cut))
            counter.take()
        except Exception:
            continue
        return kernels
    return None


def _import_with_own_cache(name: str) -> Any:  # noqa: ANN401
    from numba.core import config

    folder = tempfile.mkdtemp(prefix="wcx-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = folder
    config.reload_config()  # type: ignore[no-untyped-call]
    sys.modules.pop(name, None)
    return import_module(name)


class Counter:
    """Counts blocks of several planes at once, in histograms that belong to one worker.

    planes: the most that any layer has. strings: count strings of 12 instead of 4x4. least: side of the smallest blocks
    that remainders are cut into; 0 to leave them out. histograms: uint32
    [planes, possible blocks]; edges: int64 [planes, smaller blocks]; totals: int64 [2 + planes], zeros, non-finite
    numbers and ones of each plane. All are added to by every `count` and emptied by `take` and `add_to`.
    """

    def __init__(self, planes: int, kernels: Any = None, *, strings: bool = False, least: int = 0) -> None:  # noqa: ANN401
        self._found = Histograms(planes, kernels, strings=strings, least=least)
        self._least = least
        self.histograms, self.remainders = self._found.blocks, self._found.remainders
        self.totals = np.zeros(2 + planes, np.int64)
        self._kernels = kernels
        self._strings = strings
        self._begun: tuple[DType, PlaneRule] | None = None
        self._planes = planes
        self._numbers: tuple[DType, UniformRule | BitRule] | None = None  # planes that are bits of a number
        self._tables = NO_TABLES
        self._rules = np.zeros((2 + planes, 4), np.uint64)
        self._magnitude = self._top = np.uint64(0)
        if kernels is not None:
            self._bits = np.zeros(kernels.TILE // 64 + 4, np.uint64)
            self._words = np.zeros(kernels.TILE // 48 + 4, np.uint64)  # a code of 16 bits for each 12 symbols
            self._narrow = self._words.view(np.uint16)
            self._levels = np.zeros(0, np.uint8)

    def begin(self, dtype: DType, cut: PlaneRule) -> None:
        """Set the dtype of the next codes, and the rule by which they become planes."""
        if (dtype, cut) == self._begun:
            return
        self._begun = dtype, cut
        self._planes = len(cut)
        sets = (dtype.zero, dtype.nonfinite, *(cut if isinstance(cut, tuple) else ()))
        self._rules = np.array(
            [(some.first, some.length, some.second_first, some.second_length) for some in sets], np.uint64
        )
        signed = dtype.kind in ("float", "signed")
        self._magnitude = np.uint64((1 << (dtype.bits - signed)) - 1)
        # a two's complement minimum and the NaN of the FNUZ forms have magnitude 0 and are found as zeros are
        above = dtype.nonfinite.length and dtype.nonfinite.first & int(self._magnitude)
        self._top = np.uint64(above) if above else _NEVER
        self._numbers = None
        if not isinstance(cut, tuple):
            self._numbers, self._tables = (dtype, cut), tables_of(dtype, cut)

    def count(self, codes: NDArray[Any], rows: int, columns: int, packed: PackedBits | None = None) -> None:
        """Count `rows` contiguous rows of codes: a 1-D array of 1, 2, 4 or 8 byte unsigned integers.

        Of strings, one row that begins at a multiple of 12 of its layer's. packed: where the bits go, overwritten.
        """
        matrix = codes.reshape(rows, columns)
        planes = None if packed is None else as_planes(packed, rows, columns, self._planes)
        if self._least:
            numpy_kernels.count_remainders(matrix, self._bits_of, self._least, self.remainders, strings=self._strings)
        if self._kernels is None or codes.size < _LANES:
            self._count_by_numpy(matrix, planes)
        elif self._numbers is not None:
            self._count_planes(*self._numbers, codes, rows, columns, planes)
        else:
            self._kernels.count_rows(
                codes.itemsize,
                codes.ctypes.data,
                rows,
                columns,
                self._rules,
                self._magnitude,
                self._top,
                self._strings,
                self._bits,
                self._words,
                self._narrow,
                self.histograms,
                self.totals,
                planes,
            )

    def _count_by_numpy(self, matrix: NDArray[Any], packed: PackedBits | None) -> None:
        """Count by NumPy, stripe by stripe, and pack the stripes together."""
        stripes: list[list[NDArray[np.bool_]]] = [[] for _ in range(self._planes)]

        def bits_of(codes: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
            for plane, bits in enumerate(self._bits_of(codes)):
                if packed is not None:
                    stripes[plane].append(bits)
                yield bits

        numpy_kernels.count_rows(
            matrix,
            bits_of,
            self._rules,
            int(self._magnitude),
            int(self._top),
            self.histograms,
            self.totals,
            strings=self._strings,
        )
        if packed is not None:
            pack((np.concatenate(some, axis=1 if self._strings else 0) for some in stripes), packed)

    def _count_planes(
        self,
        dtype: DType,
        cut: UniformRule | BitRule,
        codes: NDArray[Any],
        rows: int,
        columns: int,
        packed: PackedBits | None,
    ) -> None:
        """Count the bits of a number that is made of each code, by compiled code."""
        if not self._levels.size:
            self._levels = np.zeros(self._kernels.TILE + 2 * _LANES, np.uint8)
        lo, delta = (cut.lo, cut.delta) if isinstance(cut, UniformRule) else (0.0, 0.0)
        highest = (1 << cut.bits) - 1 if delta else 0  # a delta of 0 is for all of them level 0
        for part in parts(codes, dtype, cut, self._tables):
            self._kernels.count_planes(
                codes.itemsize if part.first == 0 else 0,
                codes.ctypes.data,
                rows,
                columns,
                self._rules,
                self._magnitude,
                self._top,
                part.source.itemsize,
                part.source.ctypes.data,
                part.tables,
                np.float32(lo),
                np.float32(delta or 1.0),
                np.float32(highest),
                part.planes,
                self._strings,
                self._levels,
                self._bits,
                self._words,
                self._narrow,
                self.histograms[part.first :],
                self.totals,
                self.totals[2 + part.first :],
                None if packed is None else packed[part.first :],
            )

    def _bits_of(self, codes: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
        """Yield the bits of each plane, by NumPy."""
        if self._numbers is None:
            return numpy_kernels.bits_of_rules(codes, self._rules)
        return numpy_kernels.bits_of_levels(codes, *self._numbers, self._tables)

    def slide(
        self,
        codes: NDArray[Any],
        rows: int,
        columns: int,
        window: numpy_kernels.Window,
        packed: PackedBits | None = None,
    ) -> None:
        """Count the overlapping blocks of a piece that are its own; the other arguments are as for `count`."""
        matrix = codes.reshape(rows, columns)
        if packed is not None:
            pack(self._bits_of(matrix), as_planes(packed, rows, columns, self._planes))
        if self._kernels is None or codes.size < _LANES:
            numpy_kernels.count_sliding(
                matrix, window, self._bits_of, self._rules, self.histograms, self.totals, strings=self._strings
            )
        elif self._numbers is None:
            self._slide(codes, matrix.shape, window, self._rules, self.histograms, self.totals)
        else:
            numpy_kernels.add_totals(matrix[: window.height, : window.width], self._rules, self.totals)
            for plane, bits in enumerate(self._bits_of(matrix)):
                totals = np.zeros(3, np.int64)
                some = bits.reshape(-1).view(np.uint8)
                self._slide(some, matrix.shape, window, ONES, self.histograms[plane : plane + 1], totals)
                self.totals[2 + plane] += totals[2]

    def _slide(
        self,
        codes: NDArray[Any],
        shape: tuple[int, ...],
        window: numpy_kernels.Window,
        rules: NDArray[np.uint64],
        histograms: NDArray[np.uint32],
        totals: NDArray[np.int64],
    ) -> None:
        self._kernels.count_sliding(
            codes.itemsize,
            codes.ctypes.data,
            *shape,
            12 if self._strings else 4,
            *window,
            rules,
            self._magnitude,
            self._top,
            self._bits,
            histograms,
            totals,
        )

    def take(self) -> list[Found]:
        """Return the blocks that occurred and how often, a pair of arrays a plane, and empty the histograms."""
        return self._found.take(self._planes)

    def take_totals(self) -> list[int]:
        """Return the totals as plain integers, and empty them."""
        totals: list[int] = self.totals[: 2 + self._planes].tolist()
        self.totals[:] = 0
        return totals

    def add_to(self, histograms: NDArray[np.int64]) -> None:
        """Add the histograms to wider ones (int64 [planes, all possible blocks]), and empty them."""
        self._found.add_to(histograms)
