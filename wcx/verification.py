"""A check from outside: layers of a checkpoint once more, by pybdm on values decoded by another library.

Nothing of wcx's counting is shared with the other side but the bytes: there the values are decoded by NumPy and
ml_dtypes, compared as numbers, and handed to pybdm 0.1.0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wcx import __version__
from wcx.blocks.unpack import unpack
from wcx.count import count_layers
from wcx.dtypes import DTYPES
from wcx.errors import MissingDependencyError, UsageError
from wcx.evaluate import evaluate_layer
from wcx.formats import open_reader
from wcx.layers import FileSource, Layer
from wcx.pipeline import make_plan
from wcx.settings import scheme_of
from wcx.types import Checkpoint, CheckpointSummary, Fit, Quantization, Scheme, Settings, TensorReader, to_plain

if TYPE_CHECKING:
    from wcx.count import CountedLayer

__all__ = ["TOLERANCE", "Comparison", "Verification", "VerifiedPlane", "verify"]

SCHEMA = "wcx/verification/1"
TOLERANCE = 1e-9
"""Relative difference, absolute below 1, up to which two values agree."""

_LAYERS = 20
_SYMBOLS = 1 << 20  # pybdm takes 0.4 us a symbol; of blocks that overlap there is one a symbol
_SYMBOLS_SLIDING = 1 << 16
_MEASURES = ("bdm", "block_entropy", "bdm_normalized", "block_entropy_normalized")

_NUMPY = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "uint8",
}
_ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F6_E2M3": "float6_e2m3fn",
    "F6_E3M2": "float6_e3m2fn",
    "F4": "float4_e2m1fn",
    "I4": "int4",
    "U4": "uint4",
    "I2": "int2",
    "U2": "uint2",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number from both sides; difference is relative, absolute where pybdm's is below 1; None where both are."""

    measure: str
    wcx: float | None
    pybdm: float | None
    difference: float | None

    @property
    def agrees(self) -> bool:
        """Whether the two are the same number to the tolerance."""
        if self.wcx is None or self.pybdm is None:
            return self.wcx is None and self.pybdm is None
        return self.difference is not None and self.difference <= TOLERANCE


@dataclass(frozen=True, slots=True)
class VerifiedPlane:
    """One plane of one layer. rows: those that were compared, from and up to; symbols: how many bits that is."""

    name: str
    plane: str
    matrix: tuple[int, int]
    rows: tuple[int, int]
    symbols: int
    values: tuple[Comparison, ...]

    @property
    def agrees(self) -> bool:
        """Whether every value agrees."""
        return all(value.agrees for value in self.values)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, with what, and whether all of it agrees."""

    schema: str
    wcx: str
    pybdm: str
    checkpoint: CheckpointSummary
    quantize: str
    zero: str | None
    boundary: str
    seed: int
    full: bool
    tolerance: float
    layers_checked: int
    layers_total: int
    agrees: bool
    planes: tuple[VerifiedPlane, ...]

    def to_dict(self) -> dict[str, Any]:
        """The verification as plain dicts and lists, as in the JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def verify(checkpoint: Checkpoint, settings: Settings, *, full: bool = False, threads: int = 1) -> Verification:
    """Compare layers of a checkpoint with pybdm: 20 drawn by the seed, of each at most 2^20 symbols.

    Under the boundary correlated at most 2^16. full: every layer, every symbol. Raises CheckpointError, and
    MissingDependencyError without pybdm.
    """
    library = _import_pybdm()
    plan = make_plan(checkpoint, settings)
    random = np.random.default_rng(settings.seed)
    if not plan.layers:
        raise UsageError(f"{checkpoint.path}: no layer to compare: wcx inspect says why")
    chosen = list(range(len(plan.layers)))
    if not full and len(chosen) > _LAYERS:
        chosen = sorted(random.choice(len(chosen), _LAYERS, replace=False).tolist())
    scheme = scheme_of(settings)
    most = None if full else _SYMBOLS_SLIDING if scheme.shift else _SYMBOLS
    parts = [_part(plan.layers[number], random, most) for number in chosen]
    with open_reader(checkpoint) as reader:
        cuts = [plan.quantizer.cut(layer.dtype, Fit()) for layer in parts]
        counts = count_layers(parts, cuts, scheme, lambda: FileSource(reader), threads, compiled=True)
        planes = [
            plane
            for layer, counted in zip(parts, counts, strict=True)
            for plane in _verify_layer(library, reader, layer, counted, plan.quantizer.planes(layer.dtype), settings)
        ]
        reader.check_unchanged()
    return Verification(
        schema=SCHEMA,
        wcx=__version__,
        pybdm="0.1.0",
        checkpoint=checkpoint.summary(),
        quantize=settings.quantize,
        zero=settings.zero,
        boundary=settings.boundary,
        seed=settings.seed,
        full=full,
        tolerance=TOLERANCE,
        layers_checked=len(parts),
        layers_total=len(plan.layers),
        agrees=all(plane.agrees for plane in planes),
        planes=tuple(planes),
    )


def _part(layer: Layer, random: np.random.Generator, symbols: int | None) -> Layer:
    """Return the layer, or some of its block rows, of at most so many symbols, as a layer of its own."""
    most = layer.rows if symbols is None else max(4, symbols // layer.columns & ~3)
    if layer.rows <= most:
        return layer
    start = 4 * int(random.integers((layer.rows - most) // 4 + 1))
    return replace(layer, rows=most, first=start)


def _verify_layer(
    library: ModuleType,
    reader: TensorReader,
    layer: Layer,
    counted: CountedLayer,
    planes: Sequence[str],
    settings: Settings,
) -> Iterator[VerifiedPlane]:
    report = evaluate_layer(layer, counted, planes, replace(settings, measures=_MEASURES, null="none"))
    values = _decode(layer, reader)
    bits = {"sign": values > 0 if settings.zero != "one" else values >= 0, "plus": values > 0, "minus": values < 0}
    for plane in report.planes:
        theirs = _pybdm_values(library, bits[plane.plane].astype(np.int64), scheme_of(settings))
        yield VerifiedPlane(
            name=layer.tensor.name,
            plane=plane.plane,
            matrix=(layer.rows, layer.columns),
            rows=(layer.first, layer.first + layer.rows),
            symbols=layer.weights,
            values=tuple(_compare(name, getattr(plane, name), theirs[name]) for name in _MEASURES),
        )


def _compare(measure: str, ours: float | None, theirs: float | None) -> Comparison:
    if ours is None or theirs is None:
        return Comparison(measure, ours, theirs, None)
    return Comparison(measure, ours, theirs, abs(ours - theirs) / max(1.0, abs(theirs)))


def _pybdm_values(library: ModuleType, plane: NDArray[np.int64], scheme: Scheme) -> dict[str, float | None]:
    """The four numbers that pybdm has, from one decomposition; it can't normalise overlapping or smaller blocks."""
    method = _pybdm_method(library, scheme)
    counter = method.decompose_and_count(plane)
    bdm, entropy = float(method.compute_bdm(counter)), float(method.compute_ent(counter))
    if scheme.shift or (scheme.least and any(size % 4 for size in plane.shape)):
        return {**dict.fromkeys(_MEASURES), "bdm": bdm, "block_entropy": entropy}
    low, high = method._get_min_bdm(plane), method._get_max_bdm(plane)
    entropy_range = method._get_max_ent(plane) - method._get_min_ent(plane)
    return {
        "bdm": bdm,
        "block_entropy": entropy,
        "bdm_normalized": float((bdm - low) / (high - low)),
        "block_entropy_normalized": float(entropy / entropy_range) if entropy_range else None,
    }


def _pybdm_method(library: ModuleType, scheme: Scheme) -> Any:  # noqa: ANN401
    """The BDM of pybdm under a boundary."""
    from importlib import import_module

    partitions = import_module("pybdm.partitions")
    if scheme.least:
        return library.BDM(ndim=2, partition=partitions.PartitionRecursive, min_length=scheme.least)
    if scheme.shift:
        return library.BDM(ndim=2, partition=partitions.PartitionCorrelated, shift=scheme.shift)
    return library.BDM(ndim=2)


def _decode(layer: Layer, reader: TensorReader) -> NDArray[Any]:
    """Return the layer's values as a matrix of numbers that can be compared with 0."""
    tensor = layer.tensor
    bits = DTYPES[tensor.dtype].bits
    begin, end = (row * layer.columns * bits for row in (layer.first, layer.first + layer.rows))
    raw = np.empty(-(-end // 8) - begin // 8, np.uint8)
    reader.read_into(tensor, begin // 8, raw.data)
    if bits < 8:
        raw = unpack(raw, bits, begin % 8, layer.weights)
    if tensor.dtype in _NUMPY:
        values: NDArray[Any] = raw.view(np.dtype(_NUMPY[tensor.dtype]).newbyteorder("<"))
    else:
        import ml_dtypes

        values = raw.view(getattr(ml_dtypes, _ML_DTYPES[tensor.dtype])).astype(np.float64)
    values = values.reshape(layer.rows, layer.columns)
    return values if tensor.quantization is None else values - _zero_points(layer, tensor.quantization)


def _zero_points(layer: Layer, quantization: Quantization) -> NDArray[np.float64]:
    """The zero points of the layer's weights: cell [i, j, ...] of the grid serves a block of the tensor."""
    shape = layer.tensor.shape
    indices = np.ix_(
        *(np.arange(size) // -(-size // cells) for size, cells in zip(shape, quantization.grid, strict=True))
    )
    grid = np.array(quantization.zero_points, np.float64).reshape(quantization.grid)
    every: NDArray[np.float64] = grid[indices].reshape(shape[0], -1)[layer.first : layer.first + layer.rows]
    return every


def _import_pybdm() -> ModuleType:
    """Import pybdm 0.1.0, which takes one function from pkg_resources, a module that new setuptools no longer has."""
    stand_in = ModuleType("pkg_resources")
    stand_in.resource_stream = _resource_stream  # type: ignore[attr-defined]
    before = sys.modules.get("pkg_resources")
    if before is None:
        sys.modules["pkg_resources"] = stand_in
    try:
        import pybdm
    except ImportError as error:
        raise MissingDependencyError('wcx verify needs pybdm: pip install "pybdm==0.1.0"') from error
    finally:
        if before is None:
            del sys.modules["pkg_resources"]
    found: ModuleType = pybdm
    return found


def _resource_stream(package: str, name: str) -> BinaryIO:
    from importlib.resources import files

    return (files(package) / name).open("rb")  # type: ignore[return-value]
