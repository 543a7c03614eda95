"""The storages of a PyTorch file: where the bytes of each lie, held against what the tensors say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from wcx.core.dtypes import DTYPES
from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.pytorch.dtypes import storage_type
from wcx.formats.pytorch.inert import Persistent, Value
from wcx.formats.pytorch.streams import DeflatedStream
from wcx.formats.pytorch.tensors import Place, View
from wcx.formats.pytorch.zips import DEFLATED, Member, data_start
from wcx.formats.sources.source import OpenFile
from wcx.formats.storage.codes import integers_of

_MAX_NUMBERS_NBYTES = 8 << 20  # of zero points
_MAX_READ = 64 << 20  # of those of all tensors, unpacked bytes included


class _Storages:
    """The common part of both kinds: places by key, and small tensors that are needed to describe others."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._places: dict[str, Place] = {}
        self._read = 0

    def place(self, key: str, nbytes: int) -> Place:
        """Return the place of the storage of that key; ValueError where it does not have `nbytes` bytes."""
        place = self._places.get(key) or self._places.setdefault(key, self._find(key))
        if place.nbytes != nbytes:
            raise ValueError(f"its storage {shortened(key)} has {place.nbytes} bytes instead of {nbytes}")
        return place

    def _find(self, key: str) -> Place:
        raise ValueError(f"its storage {shortened(key)} is not in the file")

    def read_numbers(self, view: View) -> tuple[int, ...]:
        """Read a one-dimensional integer tensor of at most 8 MiB; ValueError where it is not one."""
        itemsize = DTYPES[view.dtype].bits // 8
        nbytes = prod(view.shape) * itemsize
        place = view.place
        if place is None or view.unsupported or view.strides is not None or len(view.shape) != 1:
            raise ValueError("its zero points are not a plain 1-D tensor")
        if nbytes > _MAX_NUMBERS_NBYTES or place.nbytes > _MAX_NUMBERS_NBYTES:
            raise ValueError(f"its zero points take more than {_MAX_NUMBERS_NBYTES >> 20} MiB")
        raw = self._bytes(place, view.first * itemsize, nbytes)
        return integers_of(raw, view.dtype, big_endian=place.big_endian)

    def _bytes(self, place: Place, start: int, nbytes: int) -> bytes:
        """Return bytes of a storage; ValueError once tensors need more than those of any real model."""
        self._read += 100 + (nbytes if place.encoding == "raw" else place.nbytes)
        if self._read > _MAX_READ:
            raise ValueError(f"the zero points up to this tensor take more than {_MAX_READ >> 20} MiB to read")
        if place.encoding == "raw":
            return self._file.read(place.start + start, nbytes)
        stream = DeflatedStream(self._file, place.start, place.packed, place.nbytes, place.crc32)
        return b"".join(iter(stream.read, b""))[start : start + nbytes]


class ZipStorages(_Storages):
    """Storages that are members of a zip archive, under one folder."""

    def __init__(
        self, file: OpenFile, members: Mapping[str, Member], folder: str, *, big_endian: bool, suffix: str = ""
    ) -> None:
        super().__init__(file)
        self._members = members
        self._folder = folder
        self._suffix = suffix
        self._big_endian = big_endian

    def _find(self, key: str) -> Place:
        member = self._members.get(f"{self._folder}{key}") or self._members.get(f"{self._folder}{key}{self._suffix}")
        if member is None:
            raise ValueError(f"its storage {shortened(self._folder + key)} is not in the archive")
        start = data_start(self._file, member)
        encoding = "deflate" if member.method == DEFLATED else "raw"
        return Place(key, start, member.packed, member.nbytes, encoding, self._big_endian, member.crc32)


class LegacyStorages(_Storages):
    """Storages that lie one behind the other at the end of a file: 8 bytes with the number of elements, then these.

    Always little-endian, whatever the machine that wrote them: torch's writer swaps (torch/csrc/serialization.cpp).
    """

    def __init__(self, file: OpenFile, keys: list[Value], references: Iterable[Persistent], start: int) -> None:
        super().__init__(file)
        end = file.nbytes
        bits = _bits_by_key(references)
        for key in keys:
            start = self._add(str(key), bits, start, end)
        if start != end:
            raise CheckpointError(file.path, f"{end - start} bytes after the last storage belong to no storage", start)

    def _add(self, key: str, bits_by_key: dict[str, int], start: int, end: int) -> int:
        path, shown, bits = self._file.path, f"the storage {shortened(key)}", bits_by_key.get(key)
        if bits is None or key in self._places:
            raise CheckpointError(path, f"{shown} is listed twice, or belongs to no tensor", start)
        if start + 8 > end:
            raise CheckpointError(path, f"truncated: {shown} is missing, download it again")
        elements = int.from_bytes(self._file.read(start, 8), "little", signed=True)
        nbytes = elements * bits // 8
        if elements < 0 or start + 8 + nbytes > end:
            raise CheckpointError(path, f"truncated: {shown} should have {elements} elements, download it again", start)
        self._places[key] = Place(key, start + 8, nbytes, nbytes)
        return start + 8 + nbytes


def _bits_by_key(references: Iterable[Persistent]) -> dict[str, int]:
    """Return the size of a storage's elements, by its key, as the first reference to it says."""
    bits: dict[str, int] = {}
    for reference in references:
        parts = reference.id
        if isinstance(parts, tuple) and len(parts) in (5, 6) and parts[0] == "storage":
            type_ = storage_type(parts[1])
            if type_ is not None and isinstance(parts[2], (str, int)):
                bits.setdefault(str(parts[2]), type_.bits)
    return bits
