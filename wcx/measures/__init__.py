"""From counts to numbers: what each measure is called and where it is defined.

A measure is a pure function of the counts of one plane. Adding one is one file and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wcx.registry import Registry

if TYPE_CHECKING:
    from wcx.measures.evidence import Measure

__all__ = ["MEASURES"]

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
