"""Which measures are set against which: complexity against the baselines that explain most of it.

Published claims are that BDM tracks training better than block entropy does. The compressed bytes of the packed plane
are the baseline that is left out; bit entropy is the share of ones alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wcx.tasks.compare.statistics.records import Measured

_BASELINES = {
    "bdm": ("block_entropy", "bit_entropy"),
    "null.bdm.ratio": ("block_entropy", "null.block_entropy.ratio"),
    "bdm_rarefied": ("block_entropy",),
    "mean_ctm": ("block_entropy",),
}
_COMPRESSORS = ("gzip", "bz2", "lzma", "zstd")
Place = tuple[str, str | None, str | None, str]


def opponents(measured: Sequence[Measured]) -> list[list[int]]:
    """Of each measure, the numbers of those that it is set against, of the same plane of the same layer or model.

    bdm of a plane is also set against the bytes of the packed plane under each compressor that was asked for; those of
    the model may stand under scope model.
    """
    at: dict[Place, int] = {}
    for number, one in enumerate(measured):
        at.setdefault((one.scope, one.layer, one.plane, one.measure), number)
    return [_of(one, at) for one in measured]


def _of(one: Measured, at: Mapping[Place, int]) -> list[int]:
    if one.plane is None or one.scope not in ("pooled", "layer"):
        return []
    found = [at.get((one.scope, one.layer, one.plane, name)) for name in _BASELINES.get(one.measure, ())]
    if one.measure == "bdm":
        found += [_packed(one, compressor, at) for compressor in _COMPRESSORS]
    return [number for number in found if number is not None]


def _packed(one: Measured, compressor: str, at: Mapping[Place, int]) -> int | None:
    """The compressed bytes of the plane that a measure is of."""
    scopes = (one.scope,) if one.scope == "layer" else (one.scope, "model")
    for scope in scopes:
        for plane, name in ((one.plane, f"{compressor}.nbytes"), (None, f"{compressor}.planes.{one.plane}.nbytes")):
            if (number := at.get((scope, one.layer, plane, name))) is not None:
                return number
    return None
