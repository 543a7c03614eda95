"""The contract of a compression with its memory, and a compressor at work, which takes bytes piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Stream = TypeVar("Stream", bound=Hashable)


class Compressor(Protocol):
    """One stream of bytes on its way through; the objects of zlib, bz2, lzma and zstd all are such."""

    def compress(self, data: memoryview, /) -> bytes:
        """Take some bytes; returns those that are done."""

    def flush(self) -> bytes:
        """The stream is complete; returns the rest."""


@dataclass(frozen=True, slots=True)
class Compression:
    """A compressor by name.

    begin: takes the number of bytes that will come, returns a compressor for them. memory: takes the same, returns the
    bytes of memory that it needs. formula, range, source: as docs/measures.md prints them. example: the size that
    1,000,000 zero bytes have. main: compare shows it of the model, and with a log compresses the bits of planes by it
    where no measure is named.
    """

    name: str
    summary: str
    begin: Callable[[int], Compressor]
    memory: Callable[[int], int]
    formula: str
    example: int
    range: str = "bytes"
    source: str = ""
    unit: str = "bytes"
    main: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Compression], tuple[str]]:
        """Pickle as the name, which every process that has the same packages knows."""
        return _registered, (self.name,)


def _registered(name: str) -> Compression:
    from wcx.measures import MEASURES

    found = MEASURES[name]
    if not isinstance(found, Compression):
        raise TypeError(f"{name} is not a compressor")
    return found


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


@dataclass(frozen=True, slots=True)
class Unit(Generic[Stream]):
    """One stream through one compressor. nbytes: of the stream, uncompressed."""

    compression: Compression
    stream: Stream
    nbytes: int

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes."""
        return self.compression.memory(self.nbytes)


class Tap(Generic[Stream]):
    """A compressor at work on one stream; counts what comes out."""

    def __init__(self, unit: Unit[Stream]) -> None:
        self.stream = unit.stream
        self._original = unit.nbytes
        self._compressor = unit.compression.begin(unit.nbytes)
        self._nbytes = 0

    def take(self, data: memoryview) -> None:
        """Some more of the stream."""
        self._nbytes += len(self._compressor.compress(data))

    def finish(self) -> Size:
        """The stream is complete."""
        return Size(self._original, self._nbytes + len(self._compressor.flush()))


def in_passes(units: Sequence[Unit[Stream]], memory: int) -> list[list[Unit[Stream]]]:
    """Put units together, in order, into as few readings as have room in `memory` bytes; one that has not is alone."""
    passes: list[list[Unit[Stream]]] = []
    room = 0
    for unit in units:
        if not passes or unit.memory > room:
            passes.append([])
            room = memory
        passes[-1].append(unit)
        room -= unit.memory
    return passes
