"""From counts to numbers: what each measure is called and where it is defined.

A measure is a pure function of the counts of one plane. Adding one is one file and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wcx.core.registry import Registry

if TYPE_CHECKING:
    from wcx.measures.compression import Compression
    from wcx.measures.evidence import Measure
    from wcx.measures.statistics import Statistic

__all__ = ["MEASURES", "STREAMS"]

MEASURES: Registry[Measure] = Registry(
    "measure",
    {
        "bdm": "wcx.measures.bdm:BDM",
        "block_entropy": "wcx.measures.entropy:BLOCK_ENTROPY",
        "bit_entropy": "wcx.measures.entropy:BIT_ENTROPY",
        "mean_ctm": "wcx.measures.ctm:MEAN_CTM",
        "bdm_rarefied": "wcx.measures.rarefied:BDM_RAREFIED",
        "bdm_normalized": "wcx.measures.bdm:BDM_NORMALIZED",
        "block_entropy_normalized": "wcx.measures.entropy:BLOCK_ENTROPY_NORMALIZED",
        "distinct": "wcx.measures.coverage:DISTINCT",
        "load": "wcx.measures.coverage:LOAD",
        "regime": "wcx.measures.coverage:REGIME",
    },
)

STREAMS: Registry[Compression | Statistic] = Registry(
    "measure",
    {
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
)
