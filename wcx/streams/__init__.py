"""What is no function of block counts: compressors and simple statistics, computed as a tensor streams by.

Asked for by name with -m. A stream measure is either a compression, which sees bytes, or a statistic, which is a
function of the moments of a tensor. Adding one is one file and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wcx.registry import Registry

if TYPE_CHECKING:
    from wcx.streams.compression import Compression
    from wcx.streams.moments import Statistic

__all__ = ["STREAMS"]

STREAMS: Registry[Compression | Statistic] = Registry(
    "measure",
    {
        "gzip": "wcx.streams.gzip:GZIP",
        "bz2": "wcx.streams.bz2:BZ2",
        "lzma": "wcx.streams.lzma:LZMA",
        "zstd": "wcx.streams.zstd:ZSTD",
        "sparsity": "wcx.streams.moments:SPARSITY",
        "l2_norm": "wcx.streams.moments:L2_NORM",
        "min": "wcx.streams.moments:MIN",
        "max": "wcx.streams.moments:MAX",
        "mean": "wcx.streams.moments:MEAN",
        "sd": "wcx.streams.moments:SD",
        "nonfinite": "wcx.streams.moments:NONFINITE",
    },
)
