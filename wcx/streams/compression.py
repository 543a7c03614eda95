"""What a compression is: a compressor that takes bytes piece by piece, and how much memory it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Compression", "Compressor", "Size"]


class Compressor(Protocol):
    """One stream of bytes on its way through; the objects of zlib, bz2, lzma and zstd all are such."""

    def compress(self, data: memoryview, /) -> bytes:
        """Take some bytes; returns those that are done."""

    def flush(self) -> bytes:
        """The stream is complete; returns the rest."""


@dataclass(frozen=True, slots=True)
class Compression:
    """A compressor by name.

    begin: given how many bytes will come, a compressor for them. memory: bytes of memory that it takes for so many.
    """

    name: str
    summary: str
    begin: Callable[[int], Compressor]
    memory: Callable[[int], int]
    unit: str = "bytes"


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes before and after compression; sizes add."""

    original: int = 0
    nbytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.original + other.original, self.nbytes + other.nbytes)

    @property
    def ratio(self) -> float | None:
        """Compressed over original bytes; below 1 where compression saves something."""
        return self.nbytes / self.original if self.original else None
