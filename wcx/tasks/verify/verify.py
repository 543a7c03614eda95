"""Verify layers of a checkpoint against pybdm 0.1.0, on values decoded by another library.

The two sides share nothing but the bytes of the file: for pybdm the values are decoded, fitted and quantized as numbers
by NumPy and ml_dtypes (recompute.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import TensorReader
from wcx.core.dtypes import PlaneRule
from wcx.core.errors import MissingDependencyError, UsageError
from wcx.core.measure import Measure
from wcx.core.quantities import plane_measures
from wcx.core.report import PlaneReport
from wcx.core.scheme import Scheme
from wcx.core.settings import Settings
from wcx.core.verification import TOLERANCE, ComparedValue, Verification, VerifiedPlane
from wcx.core.version import __version__
from wcx.formats import open_checkpoint, open_reader
from wcx.scan.count import count_layers
from wcx.scan.engine import Threads
from wcx.scan.fit import fit_layers
from wcx.scan.layers import Layer
from wcx.scan.sources import FileSource
from wcx.scan.threads import cores
from wcx.tasks.analyze.evaluate import evaluate_plane
from wcx.tasks.analyze.plan import evaluation_of, make_plan
from wcx.tasks.analyze.settings import check_whole, make_settings, scheme_of
from wcx.tasks.verify.own_planes import own_planes
from wcx.tasks.verify.read_by_library import read_by_library
from wcx.tasks.verify.recompute import recomputed_planes

if TYPE_CHECKING:
    from wcx.quantizers import Quantizer
    from wcx.scan.count import CountedLayer

SCHEMA = "wcx/verification/1"
_LAYERS = 20
_SYMBOLS = 1 << 20  # pybdm takes 0.4 us a symbol; of blocks that overlap there is one a symbol
_SYMBOLS_SLIDING = 1 << 16
_OWN_PLANES = "the planes of {} come from wcx itself: this quantizer can't be recomputed independently"


def verify(
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    threads: int | None = None,
    **settings: Any,  # noqa: ANN401
) -> Verification:
    """Compare layers of a checkpoint with pybdm 0.1.0: 20 drawn by the seed, of each at most 2^20 symbols.

    Under the boundary correlated at most 2^16. Compare 20 tensors, of each at most 2^18 elements, with what the
    library of the format reads: safetensors, onnx, torch. full: every layer, tensor, symbol and element. threads:
    workers, all cores by default. settings: quantize, block, boundary, layout, include, exclude, include_optimizer and
    seed, as for analyze. Raises CheckpointError for a checkpoint that can't be read, UsageError for settings that make
    no sense or leave no layer, MissingDependencyError without pybdm.

        wcx.verify("model.safetensors").agrees
    """
    made = make_settings(**settings)
    if threads is not None:
        check_whole("threads", threads, 1)
    checkpoint = open_checkpoint(path)
    library = import_pybdm()
    plan = make_plan(checkpoint, made)
    if not plan.layers:
        raise UsageError(f"{checkpoint.path}: no layer to compare: wcx inspect lists the reasons")
    layers, parts = _drawn(plan.layers, made, full)
    with open_reader(checkpoint) as reader:
        found = list(_verify_layers(library, reader, plan.quantizer, layers, parts, made, threads or cores()))
        readings = read_by_library(checkpoint, reader, made.seed, full=full)
        reader.check_unchanged()
    planes = tuple(plane for verified, _ in found for plane in verified)
    independent = all(was_recomputed for _, was_recomputed in found)
    return Verification(
        schema=SCHEMA,
        wcx=__version__,
        pybdm="0.1.0",
        checkpoint=checkpoint.summary(),
        quantize=made.quantize,
        zero=made.zero,
        boundary=made.boundary,
        seed=made.seed,
        full=full,
        tolerance=TOLERANCE,
        layers_checked=len(parts),
        layers_total=len(plan.layers),
        agrees=all(plane.agrees for plane in planes) and all(reading.agrees is not False for reading in readings),
        planes=planes,
        readings=readings,
        notes=() if independent else (_OWN_PLANES.format(made.quantize),),
    )


def _drawn(layers: Sequence[Layer], settings: Settings, full: bool) -> tuple[list[Layer], list[Layer]]:
    """Draw the layers to compare, and of each the part to compare; full: all of all layers."""
    if full:
        return list(layers), list(layers)
    random = np.random.default_rng(settings.seed)
    chosen = list(range(len(layers)))
    if len(chosen) > _LAYERS:
        chosen = sorted(random.choice(len(chosen), _LAYERS, replace=False).tolist())
    most = _SYMBOLS_SLIDING if scheme_of(settings).shift else _SYMBOLS
    return [layers[index] for index in chosen], [_part(layers[index], random, most) for index in chosen]


def _part(layer: Layer, random: np.random.Generator, symbols: int) -> Layer:
    """Return the layer, or of a larger one block rows of at most that many symbols; of strings, a run of whole ones."""
    if layer.rows == 1:
        run = symbols // 12 * 12
        if layer.columns <= run:
            return layer
        return replace(layer, columns=run, first=int(random.integers(layer.columns // run)))
    most = max(4, symbols // layer.columns & ~3)
    if layer.rows <= most:
        return layer
    start = 4 * int(random.integers((layer.rows - most) // 4 + 1))
    return replace(layer, rows=most, first=start)


def _verify_layers(
    library: ModuleType,
    reader: TensorReader,
    quantizer: Quantizer,
    layers: Sequence[Layer],
    parts: Sequence[Layer],
    settings: Settings,
    threads: int,
) -> Iterator[tuple[list[VerifiedPlane], bool]]:
    """Fit the quantizer to whole layers, count the parts, and compare each plane with pybdm's."""
    source, engine = partial(FileSource, reader), Threads(threads)
    fits = fit_layers(layers, [quantizer], source, engine)
    rules = [quantizer.cut(layer.dtype, fit) for layer, (fit,) in zip(parts, fits, strict=True)]
    counts = count_layers(parts, rules, scheme_of(settings), source, engine, compiled=True)
    for layer, counted, rule in zip(parts, counts, rules, strict=True):
        yield _verify_layer(library, reader, layer, counted, quantizer, rule, settings)


def _verify_layer(
    library: ModuleType,
    reader: TensorReader,
    layer: Layer,
    counted: CountedLayer,
    quantizer: Quantizer,
    rule: PlaneRule,
    settings: Settings,
) -> tuple[list[VerifiedPlane], bool]:
    """Compare the planes of a layer; second, True if they were recomputed independently."""
    names = quantizer.planes(layer.dtype)
    measures = tuple(measure.name for measure in _measures())
    evaluation = evaluation_of(replace(settings, null="none"), measures)
    reports = [
        evaluate_plane(evaluation, name, counts, layer.tensor.name)
        for name, counts in zip(names, counted.planes, strict=True)
    ]
    recomputed = recomputed_planes(layer, reader, quantizer)
    bits = own_planes(layer, reader, rule, names) if recomputed is None else recomputed
    verified = [_verify_plane(library, layer, plane, bits[plane.plane], settings) for plane in reports]
    return verified, recomputed is not None


def _measures() -> list[Measure]:
    """Return the measures that pybdm has too."""
    return [measure for measure in plane_measures() if measure.pybdm is not None]


def _verify_plane(
    library: ModuleType, layer: Layer, plane: PlaneReport, bits: NDArray[np.bool_], settings: Settings
) -> VerifiedPlane:
    matrix = bits.astype(np.int64)
    strings = scheme_of(settings).strings
    reference = _pybdm_values(library, matrix.reshape(-1) if strings else matrix, scheme_of(settings))
    return VerifiedPlane(
        name=layer.tensor.name,
        plane=plane.plane,
        matrix=(layer.rows, layer.columns),
        rows=(layer.first, layer.first + layer.rows),
        symbols=layer.weights,
        values=tuple(
            _compare(measure.name, getattr(plane, measure.name), reference.get(measure.pybdm or ""))
            for measure in _measures()
        ),
    )


def _compare(measure: str, own: float | None, reference: float | None) -> ComparedValue:
    difference = None if own is None or reference is None else abs(own - reference) / max(1.0, abs(reference))
    return ComparedValue(measure, own, reference, difference)


def _pybdm_values(library: ModuleType, plane: NDArray[np.int64], scheme: Scheme) -> dict[str, float | None]:
    """Return pybdm's values by its names; none where it can't normalise, for overlapping or smaller blocks."""
    method = _pybdm_method(library, plane.ndim, scheme)
    counter = method.decompose_and_count(plane)
    bdm, entropy = float(method.compute_bdm(counter)), float(method.compute_ent(counter))
    if scheme.shift or (scheme.least and any(size % (12 if plane.ndim == 1 else 4) for size in plane.shape)):
        return {"bdm": bdm, "ent": entropy}
    low, high = method._get_min_bdm(plane), method._get_max_bdm(plane)
    entropy_range = method._get_max_ent(plane) - method._get_min_ent(plane)
    return {
        "bdm": bdm,
        "ent": entropy,
        "nbdm": float((bdm - low) / (high - low)),
        "nent": float(entropy / entropy_range) if entropy_range else None,
    }


def _pybdm_method(library: ModuleType, ndim: int, scheme: Scheme) -> Any:  # noqa: ANN401
    """Return pybdm's BDM object for a boundary."""
    from importlib import import_module

    partitions = import_module("pybdm.partitions")
    if scheme.least:
        return library.BDM(ndim=ndim, partition=partitions.PartitionRecursive, min_length=scheme.least)
    if scheme.shift:
        return library.BDM(ndim=ndim, partition=partitions.PartitionCorrelated, shift=scheme.shift)
    return library.BDM(ndim=ndim)


def import_pybdm() -> ModuleType:
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
