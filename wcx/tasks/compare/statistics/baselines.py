"""The baselines of each measure: simpler ones of the same plane, which explain most of its complexity.

Published claims are that BDM tracks training better than block entropy does. The compressed bytes of the packed plane
are the baseline that they leave out; bit entropy is the share of ones alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wcx.core.quantities import claimed_measures, null_measures, plane_measures
from wcx.measures import compressor_names
from wcx.tasks.compare.statistics.records import Measured

_Key = tuple[str, str | None, str | None, str]
"""scope, layer, plane, measure."""


def baselines_of(measured: Sequence[Measured]) -> list[list[int]]:
    """Return for each series the indices of its baselines, of the same plane of the same layer or model.

    The baselines of a claimed measure (bdm) include the bytes of the packed plane under each compressor that was asked
    for; those of the model may have scope model.
    """
    at: dict[_Key, int] = {}
    for index, series in enumerate(measured):
        at.setdefault((series.scope, series.layer, series.plane, series.measure), index)
    names = {measure.name: measure.baselines for measure in plane_measures()}
    names |= {f"null.{measure.name}.ratio": measure.null.baselines for measure in null_measures() if measure.null}
    packed = {measure.name: compressor_names() for measure in claimed_measures()}
    return [
        _first_of_each(_alternatives(series, names.get(series.measure, ()), packed.get(series.measure, ())), at)
        for series in measured
    ]


def _first_of_each(alternatives: Iterator[Sequence[_Key]], at: Mapping[_Key, int]) -> list[int]:
    indices = (next((at[key] for key in keys if key in at), None) for keys in alternatives)
    return [index for index in indices if index is not None]


def _alternatives(series: Measured, names: Sequence[str], compressors: Sequence[str]) -> Iterator[Sequence[_Key]]:
    """Yield the possible keys of each baseline, best first."""
    scope, layer, plane = series.scope, series.layer, series.plane
    if plane is None or scope not in ("pooled", "layer"):
        return
    yield from ([(scope, layer, plane, name)] for name in names)
    scopes = [scope] if scope == "layer" else [scope, "model"]
    for compressor in compressors:
        own, of_planes = f"{compressor}.nbytes", f"{compressor}.planes.{plane}.nbytes"
        yield [key for of in scopes for key in ((of, layer, plane, own), (of, layer, None, of_planes))]
