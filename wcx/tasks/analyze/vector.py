"""All parameters as one vector of float32, MoMos' view of a network: its signs as one string, its bytes, its norm.

Source: Bakhtiarifard et al., arXiv 2602.14896, and `saintslab/MoMos`, src/metrics.py, flatten_weights and compute_*:
all parameters one after the other, biases and norms included, each as float32. A bit is 1 where w > 0: pybdm's
BDM(ndim=1) is of those, and the binarized compression rates, one byte a bit; the others are of the vector's own bytes,
little-endian. Strings and repetitions cross from one tensor into the next, so this is one stream, in the file's order.
It goes through compressors in stretches of one length whatever the tensors' sizes; threads share these, not the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wcx.blocks.counter import Counter
from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import TensorInfo
from wcx.core.decode import float32_values
from wcx.core.dtypes import DTYPES, CodeSet
from wcx.core.quantities import plane_measures
from wcx.core.scheme import Scheme
from wcx.measures import MEASURES
from wcx.measures.compression import Compression, Size, Tap, Unit, in_passes
from wcx.measures.statistics import L2_NORM
from wcx.scan.engine import OpenSource, Tools, Work, scan
from wcx.scan.grid import Flat
from wcx.scan.layers import Layer, Piece, layer_of
from wcx.scan.moments import begin_tally
from wcx.tasks.analyze.evaluate import Evaluation, PlaneValues, evaluate_counts

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]
_Unit = Unit[bool]  # the stream: whether it is the signs, one byte a bit, instead of the vector's own bytes
NAME = "concatenated"
"""The name of the plane, which seeds its null too."""

_SCHEME = Scheme("1x12", "ignore", "flat")
_STRING = 12
_ONE = (CodeSet(1, 255),)
_STRETCH = 21 * 12 * 1024  # weights: whole strings, and whole parts of 4 KiB of zlib's window; about 1 MiB
_PASS_MEMORY = 120 << 20  # bytes that the compressors of one reading may take, unless one alone takes more
_FLOAT = DTYPES["F32"]
_ORIGINAL = ("gzip", "bz2", "lzma", "sparsity", "l2_norm")


@dataclass(frozen=True, slots=True)
class Concatenated:
    """plane: of all signs, None where they fill no string. measures: by name, as the report has them."""

    plane: PlaneValues | None
    measures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Vector:
    """The parameters of a checkpoint, in file order, and the names of the measures that are wanted of them."""

    layers: tuple[Layer, ...]
    names: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Bytes to be read: once, and again where the compressors take too much memory together."""
        return sum(layer.tensor.nbytes for layer in self.layers) * len(self._passes())

    def _passes(self) -> list[list[_Unit]]:
        """Return the compressors of each reading; without compressors there is one reading too."""
        return in_passes(_units(self.layers, self.names), _PASS_MEMORY) or [[]]

    def read(
        self, evaluation: Evaluation, open_source: OpenSource, on_bytes: Callable[[int], None], threads: int = 1
    ) -> Concatenated:
        """Return the plane of all signs, one tensor after the other, and the measures.

        evaluation: of strings of 12. The last symbols that fill no string are left over.
        """
        layers, names = self.layers, self.names
        plane, sums = _Signs(), _Sums() if "l2_norm" in names else _Zeros()
        sizes: dict[str, dict[bool, Size]] = {}
        counting: tuple[_Sink, ...] = (plane, sums)
        for units in self._passes():
            taps = [_Compressing(unit) for unit in units]
            with _Stretches([*taps, *counting], threads) as stretches:
                works = [Work(layer, (stretches,)) for layer in layers]
                for _ in scan(works, open_source, on_bytes=on_bytes, together=True):
                    pass
            for unit, tap in zip(units, taps, strict=True):
                sizes.setdefault(unit.compression.name, {})[unit.stream] = tap.finish()
            counting = ()
        exact = _are_known(layers)
        measures: dict[str, Any] = {}
        for name in names if layers else ():
            if name == "sparsity":
                measures[name] = sums.zeros / plane.symbols
            elif name == "l2_norm":
                measures[name] = sums.norm(plane.symbols) if exact else None
            else:
                measures[name] = {**_plain(sizes[name].get(False)), "binarized": _plain(sizes[name][True])}
        return Concatenated(plane.evaluate(evaluation), measures)


def vector_of(tensors: Sequence[TensorInfo], measures: Sequence[str]) -> Vector:
    """Return the vector of a network's parameters: floating-point numbers, no buffers, none empty.

    measures: those of settings; where these are the usual ones, the vector has all that the original has.
    """
    layers = tuple(layer_of(tensor, "flat") for tensor in tensors if _is_parameter(tensor))
    usual = tuple(measures) == tuple(measure.name for measure in plane_measures())
    return Vector(layers, _ORIGINAL if usual else tuple(name for name in _ORIGINAL if name in measures))


def _is_parameter(tensor: TensorInfo) -> bool:
    floating = DTYPES[tensor.dtype].kind == "float" or tensor.quantization is not None
    return tensor.role == "weight" and floating and not tensor.unsupported and prod(tensor.shape) > 0


def _plain(size: Size | None) -> dict[str, Any]:
    """As the report has it; rate: as the original has it, the other way round."""
    if size is None:
        return {"nbytes": None, "ratio": None, "rate": None}
    return {"nbytes": size.nbytes, "ratio": size.ratio, "rate": size.original / size.nbytes}


def _are_known(layers: Sequence[Layer]) -> bool:
    """True if the values of all weights are known; scales of quantized integers are not, their signs and zeros are."""
    return all(layer.tensor.quantization is None for layer in layers)


# --------------------------------------------------------------------------------------------------- the vector


class _Stretches:
    """The vector on its way to its sinks, in stretches of one length, the last one shorter: a spec and its accumulator.

    All layers are one stream: they go through one worker, in order.
    """

    grid = Flat()
    ordered = True
    memory = 0

    def __init__(self, sinks: Sequence[_Sink], threads: int) -> None:
        self._sinks = sinks
        self._room: Floats = np.empty(_STRETCH, "<f4")
        self._filled = 0
        self._dtype = _FLOAT
        self._pool = ThreadPoolExecutor(min(threads, len(sinks)), "wcx-vector") if threads > 1 else None

    def __enter__(self) -> _Stretches:
        return self

    def __exit__(self, error: object, *_more: object) -> None:
        if error is None and self._filled:
            self._feed(self._room[: self._filled])
        if self._pool is not None:
            self._pool.shutdown()

    def kernels(self, _layer: Layer) -> Any:  # noqa: ANN401
        """Return None."""

    def begin(self, layer: Layer, _tools: Tools) -> _Stretches:
        """Go on with the next layer."""
        self._dtype = layer.dtype
        return self

    def add(self, _piece: Piece, codes: NDArray[Any]) -> None:
        """Take the next codes."""
        values = float32_values(codes, self._dtype)
        while values.size:
            some, values = values[: _STRETCH - self._filled], values[_STRETCH - self._filled :]
            self._room[self._filled : self._filled + some.size] = some
            self._filled += some.size
            if self._filled == _STRETCH:
                self._feed(self._room)
                self._filled = 0

    def _feed(self, values: Floats) -> None:
        """Let every sink have a stretch; several at a time, each sink in order."""
        above: NDArray[np.bool_] = values > 0
        bits = above.view(np.uint8)
        if self._pool is None:
            for sink in self._sinks:
                sink.see(values, bits)
            return
        for future in [self._pool.submit(sink.see, values, bits) for sink in self._sinks]:
            future.result()

    def release(self) -> None:
        """Do nothing: the vector is one stream."""

    def merge(self, other: _Stretches) -> None:
        """Refuse: the vector is one stream."""
        raise NotImplementedError

    def finish(self) -> None:
        """Do nothing: the next layer goes on."""


# -------------------------------------------------------------------------------------------------- sinks of stretches


class _Sink(Protocol):
    def see(self, values: Floats, bits: Bits) -> None: ...


def _units(layers: Sequence[Layer], names: Sequence[str]) -> list[_Unit]:
    weights = sum(layer.weights for layer in layers)
    compressions = [measure for name in names if isinstance(measure := MEASURES[name], Compression)]
    return [
        Unit(compression, binarized, weights if binarized else weights * _FLOAT.bits // 8)
        for compression in compressions
        for binarized in ((False, True) if _are_known(layers) else (True,))
    ]


class _Compressing(Tap[bool]):
    """A compressor of the vector's own bytes, or of its signs, one byte a bit."""

    def see(self, values: Floats, bits: Bits) -> None:
        """Take the next stretch."""
        self.take((bits if self.stream else values.view(np.uint8)).data)


class _Signs:
    """Strings of 12 signs, counted."""

    def __init__(self) -> None:
        self._counter = Counter(1, strings=True)
        self._counter.begin(DTYPES["U8"], _ONE)
        self._histogram: NDArray[np.int64] = np.zeros(self._counter.histograms.shape, np.int64)
        self._ones = 0
        self.symbols = 0

    def see(self, values: Floats, bits: Bits) -> None:
        whole = values.size // _STRING * _STRING
        if whole:
            self._counter.count(bits[:whole], 1, whole)
            self._counter.add_to(self._histogram)
        self._ones += int(bits.sum(dtype=np.int64))
        self.symbols += values.size

    def evaluate(self, evaluation: Evaluation) -> PlaneValues | None:
        if self.symbols < _STRING:
            return None
        counts = BlockCounts.from_histogram(_SCHEME.id, self._histogram[0], self.symbols, self._ones, _STRING)
        return evaluate_counts(evaluation, NAME, counts, [(NAME, 0)])


class _Zeros:
    """Return the number of weights that are 0 or -0.0."""

    def __init__(self) -> None:
        self.zeros = 0

    def see(self, values: Floats, bits: Bits) -> None:
        self.zeros += values.size - int(np.count_nonzero(values))

    def norm(self, weights: int) -> float | None:
        return None


class _Sums(_Zeros):
    """And the exact sum of their squares."""

    def __init__(self) -> None:
        super().__init__()
        self._tally = begin_tally(_FLOAT)

    def see(self, values: Floats, bits: Bits) -> None:
        super().see(values, bits)
        self._tally.add(None, values.view("<u4"))

    def norm(self, weights: int) -> float | None:
        """Return the square root of it as a double; None where a weight is NaN or infinite."""
        moments = self._tally.finish()
        return L2_NORM.evaluate(moments) if moments.number == weights else None
