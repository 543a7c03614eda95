"""bzip2 at level 9: the bytes of bz2.compress(data, 9).

Source: Burrows & Wheeler 1994; Python's bz2. Blocks are of 900,000 bytes. 1,000,000 zero bytes have 48.
"""

from __future__ import annotations

import bz2

from wcx.measures.compression import Compression


def _begin(nbytes: int) -> bz2.BZ2Compressor:
    return bz2.BZ2Compressor(9)


BZ2 = Compression(
    "bz2",
    "compressed size by bzip2, level 9, and its ratio",
    _begin,
    lambda _nbytes: 8 << 20,
    formula="length of `bz2.compress(data, 9)`",
    example=48,
    range="bytes, from 37",
    source="bzip2",
)
