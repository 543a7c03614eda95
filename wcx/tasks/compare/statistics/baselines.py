"""Which measures are set against which: complexity against the baselines that explain most of it.

Published claims are that BDM tracks training better than block entropy does. The compressed bytes of the packed plane
are the baseline that is left out; bit entropy is the share of ones alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wcx.core.quantities import claimed_measures, null_measures, plane_measures
from wcx.measures import compressor_names
from wcx.tasks.compare.statistics.records import Measured

Place = tuple[str, str | None, str | None, str]


def opponents(measured: Sequence[Measured]) -> list[list[int]]:
    """Of each measure, the numbers of those that it is set against, of the same plane of the same layer or model.

    A claimed measure of a plane (bdm) is also set against the bytes of the packed plane under each compressor that was
    asked for; those of the model may stand under scope model.
    """
    at: dict[Place, int] = {}
    for number, one in enumerate(measured):
        at.setdefault((one.scope, one.layer, one.plane, one.measure), number)
    baselines = _baselines()
    return [_of(one, at, baselines) for one in measured]


def _baselines() -> dict[str, tuple[str, ...]]:
    """By series those that it is set against."""
    own = {measure.name: measure.baselines for measure in plane_measures()}
    return own | {f"null.{one.name}.ratio": one.null.baselines for one in null_measures() if one.null}


def _of(one: Measured, at: Mapping[Place, int], baselines: Mapping[str, Sequence[str]]) -> list[int]:
    if one.plane is None or one.scope not in ("pooled", "layer"):
        return []
    found = [at.get((one.scope, one.layer, one.plane, name)) for name in baselines.get(one.measure, ())]
    if any(one.measure == measure.name for measure in claimed_measures()):
        found += [_packed(one, compressor, at) for compressor in compressor_names()]
    return [number for number in found if number is not None]


def _packed(one: Measured, compressor: str, at: Mapping[Place, int]) -> int | None:
    """The compressed bytes of the plane that a measure is of."""
    scopes = (one.scope,) if one.scope == "layer" else (one.scope, "model")
    for scope in scopes:
        for plane, name in ((one.plane, f"{compressor}.nbytes"), (None, f"{compressor}.planes.{one.plane}.nbytes")):
            if (number := at.get((scope, one.layer, plane, name))) is not None:
                return number
    return None
