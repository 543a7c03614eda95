"""External files of an ONNX model that hold weights: those that a tensor may name, and their sizes.

Source: the keys of external_data in onnx.proto3. The onnx library refuses every symbolic link, which breaks models in
the Hugging Face cache; here a link is followed where it stays in the model's directory or in its repository there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wcx.core.checkpoint import Signature
from wcx.core.errors import CheckpointError
from wcx.core.text import shortened
from wcx.formats.file_names import check_relative
from wcx.formats.sources import source_of

_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})  # no reader uses the last two
_IN_MEMORY = "*/_ORT_MEM_ADDR_/*"  # of weights that ONNX Runtime has not written out
_PREPACKED = "prepacked"  # how the keys begin by which ONNX Runtime finds its own copies of a weight
_MAX_FILES = 10_000
_MAX_DIGITS = 19


@dataclass(slots=True)
class ExternalFiles:
    """The files that the tensors of a model name, in the order of their first mention; file 0 is the model."""

    directory: str
    names: list[str] = field(default_factory=list)
    signatures: list[Signature] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def locate(self, pairs: Sequence[tuple[str, str]], nbytes: int) -> tuple[int, int, str | None]:
        """Return the file, the offset in it and the unsupported reason of a tensor of `nbytes`.

        ValueError, with the reason, where what external_data says is not allowed or does not fit the file.
        """
        entries = _entries(pairs)
        location = entries.get("location", "")
        if location == _IN_MEMORY:
            return 0, 0, "data only in the memory of the process that wrote the file"
        file = self._file(location)
        available = self.signatures[file - 1].nbytes
        offset = _natural(entries, "offset", 0)
        length = _natural(entries, "length", nbytes)
        if length != nbytes:
            raise ValueError(f"the external length is {length}, but its shape and dtype need {nbytes} bytes")
        if offset + length > available:
            shown = f"bytes {offset} to {offset + length} of {shortened(location)}"
            raise ValueError(f"its data are {shown}, which has only {available}: download it again")
        return file, offset, None

    def _file(self, location: str) -> int:
        """Return the index of a file, which is checked when it is first named."""
        if location not in self._index:
            name = location.removeprefix("./")
            if name not in self._index:
                self.signatures.append(self._checked(name))
                self.names.append(name)
                self._index[name] = len(self.names)
            self._index[location] = self._index[name]
        return self._index[location]

    def _checked(self, name: str) -> Signature:
        source = source_of(self.directory)
        shown = f"the external file {shortened(name)}"
        if len(self.names) >= _MAX_FILES:
            raise ValueError(f"more than {_MAX_FILES} external files")
        try:
            check_relative(name)
            source.check_inside(self.directory, name)
        except ValueError as error:
            raise ValueError(f"{shown} is {error}") from None
        except OSError as error:
            raise ValueError(f"{shown} can't be found: {error.strerror}") from None
        target = source.join(self.directory, name)
        if source.kind(target) is None:
            raise ValueError(f"{shown} is missing: download it")
        try:
            with source.open(target) as file:
                return file.signature
        except CheckpointError as error:
            raise ValueError(f"{shown}: {error.reason}") from None


def _entries(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    entries: dict[str, str] = {}
    for key, value in pairs:
        if key not in _KEYS and not key.startswith(_PREPACKED):
            raise ValueError(f"unknown key {shortened(key)} in external_data")
        if key in entries:
            raise ValueError(f"duplicate key {shortened(key)} in external_data")
        entries[key] = value
    if "location" not in entries:
        raise ValueError("external_data has no location")
    return entries


def _natural(entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError(
            f"the external {key} {shortened(text)} is not a non-negative integer of at most {_MAX_DIGITS} digits"
        )
    return int(text)
