"""LZMA2 of preset 9 in an xz container: up to 8 MiB the bytes of lzma.compress(data, preset=9).

Source: Python's lzma (xz, CRC-64). Preset 9 has a dictionary of 64 MiB and would take 674 MiB of memory for a stream as
long; it takes what it needs of that, 64 MiB and 9 bytes for each of the stream. Streams of more than 8 MiB get a
dictionary of 8 MiB, all else as in preset 9: a repetition at a larger distance is not found. 1,000,000 zero bytes have
256.
"""

from __future__ import annotations

import lzma

from wcx.streams.compression import Compression

__all__ = ["LZMA"]

_LONG = 8 << 20  # bytes; the dictionary of longer streams
_HASHES = 64 << 20
_MEMORY_OF_LONG = 96 << 20
_PAGE = 4096


def _begin(nbytes: int) -> lzma.LZMACompressor:
    if nbytes <= _LONG:
        return lzma.LZMACompressor(preset=9)
    return lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": _LONG}])


def _memory(nbytes: int) -> int:
    return _MEMORY_OF_LONG if nbytes > _LONG else (1 << 20) + min(_HASHES, _PAGE * nbytes) + 9 * nbytes


LZMA = Compression("lzma", "bytes by xz (LZMA2), preset 9, and as a ratio", _begin, _memory)
