"""A report as flat rows, one per layer and plane, for --ndjson and --csv.

The columns are fixed and listed, in order, in docs/csv.md: the row's identity, the plane's fields flattened with
dots, the layer's own fields, the reason why a tensor was skipped. A row holds only the columns that it has values for.

A `sum` row has the bdm of its plane added over the layers, as bdm, and that over all planes, as total.bdm; the model's
measures, which belong to no plane, are there too. A `concatenated` row is the one of preset momos, with
the measures of that vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from wcx.core.plain import members
from wcx.core.quantities import LAYER_FIELDS, getter, plane_fields, plane_getter
from wcx.core.report import LayerReport, ModelReport, PlaneReport, Report, SkippedTensor

Row = dict[str, Any]
Getters = tuple[tuple[str, Callable[[Any], Any]], ...]
_LAYER: Getters = tuple((name, getter(name)) for name in LAYER_FIELDS)


@cache
def columns() -> tuple[str, ...]:
    """Return the names of all columns, in order."""
    return ("row", "path", "name", "dtype", "shape", *plane_fields(), *LAYER_FIELDS, "reason")


@cache
def _plane() -> Getters:
    return tuple((name, plane_getter(name)) for name in plane_fields())


def layer_rows(path: str, layer: LayerReport) -> Iterator[Row]:
    """Yield the rows of one layer, one per plane."""
    own = {"row": "layer", "path": path, **_identity(layer), **_values(layer, _LAYER)}
    for plane in layer.planes:
        yield {**own, **_values(plane, _plane())}


def report_rows(report: Report) -> Iterator[Row]:
    """Yield the rows of a report after those of its layers: pooled, sum, skipped."""
    path = report.checkpoint.path
    yield from _model_rows(path, report.model)
    for tensor in report.skipped:
        yield _skipped_row(path, tensor)


def _model_rows(path: str, model: ModelReport) -> Iterator[Row]:
    common = {"path": path, "weights": model.weights}
    for item in model.planes:
        if item.pooled is not None:
            yield {"row": "pooled", **common, **_values(item.pooled, _plane())}
    measures, of_vector = split_measures(model)
    for item in model.planes:
        added = {"reference.ratio" if name == "reference_ratio" else name: value for name, value in members(item.sum)}
        totals = {f"total.{name}": value for name, value in members(model.total)}
        yield {"row": "sum", **common, "plane": item.plane, "measures": measures, **added, **totals}
    if model.concatenated is not None:
        yield {"row": "concatenated", "path": path, **_values(model.concatenated, _plane()), "measures": of_vector}


def split_measures(model: ModelReport) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the model's measures over all layers, and those of all parameters as one vector, for a preset."""
    usual = dict(model.measures)
    of_vector: Mapping[str, Any] = usual.pop("concatenated", {})
    return usual, of_vector


def _skipped_row(path: str, tensor: SkippedTensor) -> Row:
    return {"row": "skipped", "path": path, **_identity(tensor), "role": tensor.role, "reason": tensor.reason}


def _identity(tensor: LayerReport | SkippedTensor) -> Row:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": _product(tensor.shape)}


def _values(value: LayerReport | PlaneReport, getters: Getters) -> Row:
    return {name: _flat(get(value)) for name, get in getters}


def _flat(value: Any) -> Any:  # noqa: ANN401
    """Return a matrix as 256x784, several texts as one; measures stay a mapping, for each output to write its way."""
    if type(value) is not tuple:
        return value
    return _product(value) if value and isinstance(value[0], int) else "; ".join(value)


def _product(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def flat_measures(measures: Mapping[str, Any], prefix: str = "measures.") -> Iterator[tuple[str, Any]]:
    """Yield the measures asked for with -m, flattened with dots."""
    for name, value in measures.items():
        if isinstance(value, Mapping):
            yield from flat_measures(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
