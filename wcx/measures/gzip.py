"""gzip at level 9 with a time of 0: the bytes of gzip.compress(data, 9, mtime=0).

Source: RFC 1951 and 1952; Python's zlib. Its window is 32 KiB; header and trailer take 18 bytes. 1,000,000 zero bytes
have 1,003.
"""

from __future__ import annotations

import zlib

from wcx.measures.compression import Compression

_GZIP_HEADER = 16 + zlib.MAX_WBITS  # zlib writes gzip's header, with a time of 0


def _begin(nbytes: int) -> zlib._Compress:
    return zlib.compressobj(9, zlib.DEFLATED, _GZIP_HEADER)


GZIP = Compression(
    "gzip",
    "compressed size by gzip, level 9, and its ratio",
    _begin,
    lambda _nbytes: 300 << 10,
    formula="length of `gzip.compress(data, 9, mtime=0)`",
    example=1003,
    range="bytes, from 20",
    source="RFC 1951, 1952; zlib",
    main=True,
)
