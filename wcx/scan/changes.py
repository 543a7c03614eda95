"""The bits that changed between checkpoints, counted as planes of their own while one of them is read.

A checkpoint is read once. As its pieces go by, the bits of their planes are packed, set against those of the checkpoint
before it and of the first one (exclusive or), and what comes out is counted like any plane: the same blocks, boundary
and layout. The packed bits are kept for the next checkpoint, an eighth of a byte a weight and plane: in memory up to a
bound, beyond it in a temporary file that has no name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from wcx.blocks.counts import BlockCounts
from wcx.blocks.packed import PackedBits
from wcx.core.errors import UsageError

_MEMORY = 8 << 20  # bytes of bits that one checkpoint may keep in memory; three are kept at a time


class PieceKey(NamedTuple):
    """A piece of a layer: its key, first row and first column."""

    layer: str
    start: int
    first: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The changed bits of a layer's planes, counted: since the checkpoint before it, and since the first one.

    None where that was not asked for, or where the other checkpoint has not the same planes.
    """

    previous: tuple[BlockCounts, ...] | None = None
    first: tuple[BlockCounts, ...] | None = None


class BitStore:
    """The packed bits of a checkpoint's planes, piece by piece; put and got from several threads.

    Raises UsageError where the temporary directory can't take what has no room in memory.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._held: dict[PieceKey, PackedBits] = {}
        self._places: dict[PieceKey, tuple[int, int]] = {}
        self._file: Any = None
        self._end = 0
        self._lock = Lock()

    def put(self, key: PieceKey, bits: PackedBits) -> None:
        """Keep the bits of a piece, in place of earlier ones under that key."""
        with self._lock:
            room = self._memory + (self._held[key].nbytes if key in self._held else 0)
            if bits.nbytes <= room and key not in self._places:
                self._memory = room - bits.nbytes
                self._held[key] = bits
                return
            place = self._place(key, bits)
        self._write(place, bits)

    def get(self, key: PieceKey) -> PackedBits:
        """Return the bits last put under that key; KeyError if there are none."""
        if key in self._held:
            return self._held[key]
        return np.frombuffer(self._read(*self._places[key]), np.uint64)

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    def _place(self, key: PieceKey, bits: PackedBits) -> int:
        """Return the place of the bits in the file: their old one if the size is the same, else its end."""
        old = self._places.get(key)
        if old is not None and old[1] == bits.nbytes:
            place = old[0]
        else:
            place, self._end = self._end, self._end + bits.nbytes
        if key in self._held:
            self._memory += self._held.pop(key).nbytes
        self._places[key] = place, bits.nbytes
        return place

    def _write(self, place: int, bits: PackedBits) -> None:
        try:
            with self._lock:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="wcx-bits-")  # noqa: SIM115
            data = memoryview(bits.tobytes())
            while data:
                written = os.pwrite(self._file.fileno(), data, place)
                data, place = data[written:], place + written
        except OSError as error:
            raise UsageError(
                f"can't write the bits of a checkpoint to the temporary directory {tempfile.gettempdir()}: "
                f"{error.strerror or error}; set TMPDIR to a directory with more space"
            ) from error

    def _read(self, place: int, nbytes: int) -> bytearray:
        found = bytearray()
        while len(found) < nbytes:
            part = os.pread(self._file.fileno(), nbytes - len(found), place + len(found))
            if not part:
                raise UsageError(f"the temporary directory {tempfile.gettempdir()} lost data that was written to it")
            found += part
        return found


@dataclass(frozen=True, slots=True)
class PackedCheckpoint:
    """The bits of an earlier checkpoint. planes: of each layer that it has, by its key."""

    bits: BitStore = field(default_factory=BitStore)
    planes: dict[str, int] = field(default_factory=dict)


class Changes:
    """One checkpoint compared with earlier ones; shared by the workers that count it.

    previous, first: what its layers are compared with, None where that is not wanted. keep: where their own bits go,
    None where nobody will ask for them. Layers go by keys.
    """

    def __init__(
        self, previous: PackedCheckpoint | None, first: PackedCheckpoint | None, keep: PackedCheckpoint | None
    ) -> None:
        self.against: Mapping[str, PackedCheckpoint] = {
            kind: some for kind, some in (("previous", previous), ("first", first)) if some is not None
        }
        self.keep = keep

    def wanted(self, key: str, planes: int) -> list[tuple[str, PackedCheckpoint]]:
        """Return the earlier checkpoints that a layer of that number of planes is compared with."""
        return [(kind, some) for kind, some in self.against.items() if some.planes.get(key) == planes]

    def finish(self, key: str, planes: int) -> None:
        """Note that all bits of a layer are kept."""
        if self.keep is not None:
            self.keep.planes[key] = planes
