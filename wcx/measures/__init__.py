"""From counts, bytes and values to numbers: ONE registry of all measures, in the order in which they are listed.

A measure of planes (core/measure.py) is a function of the counts of one plane; a compressor takes a layer's bytes, a
statistic its exact moments. Each is one file and one line here, or an entry point of the group `wcx.measures` in
another package.
"""

from __future__ import annotations

from typing import TypeAlias

from wcx.core.measure import Measure
from wcx.core.registry import Registry
from wcx.measures.compression import Compression
from wcx.measures.statistics import Statistic

__all__ = [
    "MEASURES",
    "AnyMeasure",
    "Streamed",
    "compressor_names",
    "is_streamed",
    "main_compressors",
    "streamed_names",
]

Streamed: TypeAlias = Compression | Statistic
"""A measure that reads the layer once more, since block counts do not determine it."""

AnyMeasure: TypeAlias = Measure | Streamed

MEASURES: Registry[AnyMeasure] = Registry(
    "measure",
    {
        "bdm": "wcx.measures.bdm:BDM",
        "block_entropy": "wcx.measures.block_entropy:BLOCK_ENTROPY",
        "bit_entropy": "wcx.measures.bit_entropy:BIT_ENTROPY",
        "mean_ctm": "wcx.measures.mean_ctm:MEAN_CTM",
        "bdm_rarefied": "wcx.measures.bdm_rarefied:BDM_RAREFIED",
        "bdm_normalized": "wcx.measures.bdm_normalized:BDM_NORMALIZED",
        "block_entropy_normalized": "wcx.measures.block_entropy_normalized:BLOCK_ENTROPY_NORMALIZED",
        "distinct": "wcx.measures.distinct:DISTINCT",
        "load": "wcx.measures.load:LOAD",
        "regime": "wcx.measures.regime:REGIME",
        "gzip": "wcx.measures.gzip:GZIP",
        "bz2": "wcx.measures.bz2:BZ2",
        "lzma": "wcx.measures.lzma:LZMA",
        "zstd": "wcx.measures.zstd:ZSTD",
        "sparsity": "wcx.measures.statistics:SPARSITY",
        "l2_norm": "wcx.measures.statistics:L2_NORM",
        "min": "wcx.measures.statistics:MIN",
        "max": "wcx.measures.statistics:MAX",
        "mean": "wcx.measures.statistics:MEAN",
        "sd": "wcx.measures.statistics:SD",
        "nonfinite": "wcx.measures.statistics:NONFINITE",
    },
    group="wcx.measures",
    accepts=lambda item: isinstance(item, (Measure, Compression, Statistic)),
)


def is_streamed(name: str) -> bool:
    """Return True for a compressor or a statistic."""
    return isinstance(MEASURES[name], (Compression, Statistic))


def compressor_names() -> tuple[str, ...]:
    """Return the names of the compressors, in the order of the registry."""
    return tuple(name for name in MEASURES if isinstance(MEASURES[name], Compression))


def main_compressors() -> tuple[str, ...]:
    """Return the compressors that compare sets measures against where none is asked for."""
    return tuple(name for name in compressor_names() if getattr(MEASURES[name], "main", False))


def streamed_names() -> tuple[str, ...]:
    """Return the names of the compressors and statistics, in the order of the registry."""
    return tuple(name for name in MEASURES if is_streamed(name))
