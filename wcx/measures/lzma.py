"""LZMA2 of preset 9 in an xz container: up to 4 MiB the bytes of lzma.compress(data, preset=9).

Source: Python's lzma (xz, CRC-64). Preset 9 has a dictionary of 64 MiB, and of the 674 MiB of memory that go with it a
stream takes 64 MiB, however short, and 9 bytes for each of its own. Streams of more than 4 MiB get a dictionary of
8 MiB, all else as in preset 9: up to 8 MiB that can differ by a few bytes, beyond, a repetition at a larger distance is
not found.
1,000,000 zero bytes have 276.
"""

from __future__ import annotations

import lzma

from wcx.measures.compression import Compression

_EXACT = 4 << 20  # bytes; the memory of all compressors together is some 100 MiB
_DICTIONARY = 8 << 20  # of longer streams
_HASHES = 64 << 20
_MEMORY_OF_LONG = 96 << 20


def _begin(nbytes: int) -> lzma.LZMACompressor:
    if nbytes <= _EXACT:
        return lzma.LZMACompressor(preset=9)
    return lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": _DICTIONARY}])


def _memory(nbytes: int) -> int:
    return _MEMORY_OF_LONG if nbytes > _EXACT else (1 << 20) + _HASHES + 9 * nbytes


LZMA = Compression(
    "lzma",
    "compressed size by xz (LZMA2), preset 9, and its ratio",
    _begin,
    _memory,
    formula="length of `lzma.compress(data, preset=9)`: LZMA2 in an xz container with CRC-64; "
    "see below for streams above 4 MiB",
    example=276,
    range="bytes, from 60",
    source="liblzma",
)
