"""CRC-32 of a storage that is read in pieces, in any order."""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from functools import lru_cache
from threading import Lock

from wcx.formats.storage.streams import StreamError


class Checksums:
    """The CRCs of storages that are being read, from several threads at once."""

    def __init__(self) -> None:
        self._pieces: dict[Hashable, _Pieces] = {}
        self._lock = Lock()

    def check(self, key: Hashable, nbytes: int, crc32: int, start: int, piece: memoryview) -> None:
        """Add a piece of a storage of `nbytes`; StreamError once all of it has been read and its CRC is another."""
        piece_crc32 = zlib.crc32(piece)
        with self._lock:
            seen = self._pieces.setdefault(key, _Pieces())
            seen.add(start, piece_crc32, len(piece))
            if seen.nbytes < nbytes:
                return
            del self._pieces[key]
        if seen.crc32() not in (None, crc32):
            raise StreamError("its bytes do not match their CRC-32")


class _Pieces:
    """The CRCs and lengths of the pieces of a storage that have been read, by their positions."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[int, int]] = {}
        self.nbytes = 0

    def add(self, start: int, crc32: int, nbytes: int) -> None:
        """Add a piece; one that was read before counts once."""
        self.nbytes += nbytes - self._pieces.get(start, (0, 0))[1]
        self._pieces[start] = crc32, nbytes

    def crc32(self) -> int | None:
        """Return the CRC of all pieces in a row; None where they overlap."""
        found = position = 0
        for start, (crc, nbytes) in sorted(self._pieces.items()):
            if start != position:
                return None
            found = combined_crc32(found, crc, nbytes)
            position += nbytes
        return found


_POLYNOMIAL = 0xEDB88320  # of CRC-32, reflected
_ONE = 1 << 31  # the polynomial 1; lower powers of x are in higher bits


def combined_crc32(first: int, second: int, nbytes: int) -> int:
    """Return the CRC-32 of two texts in a row from those of each; nbytes: the length of the second.

    Appending n bytes multiplies the first's by x^(8n) modulo the polynomial (as zlib's crc32_combine does).

    >>> import zlib
    >>> combined_crc32(zlib.crc32(b"weights "), zlib.crc32(b"and bits"), 8) == zlib.crc32(b"weights and bits")
    True
    """
    return _times(_power_of_x(8 * nbytes), first) ^ second


def _times(left: int, right: int) -> int:
    """Return the product of two polynomials over GF(2), modulo CRC-32's."""
    product = 0
    bit = _ONE
    while bit and left:
        if left & bit:
            product ^= right
            left ^= bit
        bit >>= 1
        right = (right >> 1) ^ (_POLYNOMIAL if right & 1 else 0)
    return product


@lru_cache(maxsize=64)
def _power_of_x(exponent: int) -> int:
    """Return x^exponent modulo the polynomial, by squaring."""
    power, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            power = _times(square, power)
        square = _times(square, square)
        exponent >>= 1
    return power
