"""Zstandard at its own default, level 3, as a stream: a frame that states its content's size, without a checksum.

Source: RFC 8878; the library of Python 3.14, before that the same from backports.zstd. A stream is cut into blocks of
128 KiB whatever its pieces, so that compress() of the whole bytes gives some bytes more or fewer (up to 1.2 % seen);
another version of zstd may do so too. 1,000,000 zero bytes have 50 with zstd 1.5.7.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wcx.core.errors import MissingDependencyError
from wcx.measures.compression import Compression

if TYPE_CHECKING:
    from wcx.measures.compression import Compressor

_LEVEL = 3


def _library() -> Any:  # noqa: ANN401
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise MissingDependencyError('the measure zstd needs its library: pip install "backports.zstd>=1.0"') from error
    return zstd


def _begin(nbytes: int) -> Compressor:
    compressor: Any = _library().ZstdCompressor(level=_LEVEL)
    compressor.set_pledged_input_size(nbytes)
    begun: Compressor = compressor
    return begun


ZSTD = Compression(
    "zstd",
    "compressed size by Zstandard, level 3, and its ratio",
    _begin,
    lambda _nbytes: 5 << 20,
    formula="length of one Zstandard frame, level 3, written as a stream that states its size, without a checksum",
    example=50,
    range="bytes, from 10",
    source="RFC 8878; libzstd",
)
