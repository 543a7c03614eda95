"""Sharded models: an index.json that names the shard of every tensor, and the shards, checked against each other.

Source: the layout that Hugging Face libraries write, {"metadata": {...}, "weight_map": {tensor: shard}}, with shards in
safetensors or in PyTorch's format. The index must name every tensor and every shard that is there, since what it does
not name would be left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from wcx.core.checkpoint import Checkpoint
from wcx.core.errors import CheckpointError
from wcx.core.text import natural_key, shortened
from wcx.formats import pytorch, safetensors
from wcx.formats.file_names import check_relative, series_of
from wcx.formats.format import CheckName, FileContent, FileHead, Format, Match
from wcx.formats.json_walker import JsonError, JsonWalker
from wcx.formats.sources import open_file, source_of
from wcx.formats.unsupported import refuse_unsupported

_FORMATS: Mapping[str, tuple[Format, Callable[[str, int, CheckName], FileContent]]] = {
    ".safetensors": (safetensors.FORMAT, safetensors.read_file),
    ".bin": (pytorch.FORMAT, pytorch.read_file),
}  # of a shard, by its suffix
_MAX_INDEX = 100_000_000
_MAX_TENSORS = 200_000  # by the memory that they take
_MAX_METADATA = 1 << 20  # of an index
_MAX_METADATA_OF_MODEL = 16 << 20
_MAX_METADATA_TEXTS = 100_000
_MAX_MEMBERS = 1000  # an index has two


@dataclass(slots=True)
class _Index:
    """The content of an index.json: the shard of every tensor, and its own metadata as text."""

    shard_of: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def sniff(ends: FileHead) -> Match:
    """Recognise a JSON object with a weight_map; never raises."""
    named = ends.name.endswith(".index.json")
    if ends.head.lstrip()[:1] == b"{" and (named or b'"weight_map"' in ends.head):
        return Match.STRUCTURE
    return Match.SUFFIX if named else Match.NO


def open_index(path: str) -> Checkpoint:
    """Describe the sharded model of the index at `path`; CheckpointError where index and shards disagree.

    Tensors come in the natural order of their shards, in each in the order of its data. Of metadata under one name
    that of the index wins, then that of the first shard.
    """
    directory = source_of(path).split(path)[0]
    index = _read_index(path)
    shards = tuple(sorted(set(index.shard_of.values()), key=natural_key))
    format_, read_file = _FORMATS[_suffix_of(path, shards)]
    _check_shards(path, directory, shards)
    metadata = _Metadata(path, dict(index.metadata))
    placed = _Placed(path, index.shard_of)
    read = []
    for file, name in enumerate(shards):
        shard_path = source_of(directory).join(directory, name)
        refuse_unsupported(shard_path, format_.sniff)
        content = read_file(shard_path, file, partial(placed.add, name))
        metadata.add(content.metadata)
        read.append(replace(content, metadata={}))
    placed.check_all()
    return Checkpoint(
        path=path,
        format=format_.name,
        directory=directory,
        files=shards,
        signatures=tuple(content.signature for content in read),
        metadata=metadata.kept,
        tensors=tuple(tensor for content in read for tensor in content.tensors),
        notes=tuple(f"{shortened(n)}: {note}" for n, c in zip(shards, read, strict=True) for note in c.notes),
        version=read[0].version,
        producer=pytorch.PRODUCER if format_ is pytorch.FORMAT else None,
    )


# ------------------------------------------------------------------------------------------------------- the index


def _read_index(path: str) -> _Index:
    with open_file(path) as file:
        if file.nbytes > _MAX_INDEX:
            raise CheckpointError(path, f"an index of {file.nbytes} bytes is above the limit of 100 MB")
        text = file.read(0, file.nbytes)
    walker = JsonWalker(text)
    index = _Index()
    found = False
    try:
        for count, name in enumerate(walker.members()):
            if count > _MAX_MEMBERS:
                raise JsonError(f"more than {_MAX_MEMBERS} members", walker.position)
            if name == "weight_map":
                found = True
                _read_weight_map(walker, index)
            elif name == "metadata" and walker.at_object():
                _read_metadata(walker, index)
            else:
                walker.skip_value()
        walker.end()
    except JsonError as error:
        raise CheckpointError(path, f"bad index: {error.reason}", error.position) from error
    if not found:
        raise CheckpointError(path, "not an index of shards: it has no weight_map")
    if not index.shard_of:
        raise CheckpointError(path, "the index names no tensor")
    return index


def _read_weight_map(walker: JsonWalker, index: _Index) -> None:
    if not walker.at_object():
        raise JsonError("weight_map is not an object", walker.position)
    shards: dict[str, str] = {}  # one text per shard, however many tensors name it
    for tensor in walker.members():
        start = walker.position
        if not walker.at_string():
            raise JsonError(f"the shard of {shortened(tensor)} is not a string", start)
        shard = walker.string()
        if shard not in shards:
            _check_shard_name(shard, start)
        index.shard_of[tensor] = shards.setdefault(shard, shard)
        if len(index.shard_of) > _MAX_TENSORS:
            raise JsonError(f"more than {_MAX_TENSORS} tensors", start)


def _check_shard_name(shard: str, position: int) -> None:
    try:
        check_relative(shard)
    except ValueError as error:
        raise JsonError(f"the shard {shortened(shard)} is {error}", position) from error
    if not shard.endswith(tuple(_FORMATS)):
        raise JsonError(f"the shard {shortened(shard)} is neither a .safetensors nor a .bin file", position)


def _read_metadata(walker: JsonWalker, index: _Index) -> None:
    start = walker.position
    for key in walker.members():
        index.metadata[key] = walker.skip_value()
        if walker.position - start > _MAX_METADATA:
            raise JsonError(f"more than {_MAX_METADATA >> 20} MiB of metadata", start)


# ------------------------------------------------------------------------------------------------------ the shards


def _check_shards(path: str, directory: str, shards: tuple[str, ...]) -> None:
    """Check that all shards are there, inside the directory, and that the index names all of their series."""
    source = source_of(directory)
    for name in shards:
        try:
            source.check_inside(directory, name)
        except ValueError as error:
            raise CheckpointError(path, f"the shard {shortened(name)} is {error}") from error
        if source.kind(source.join(directory, name)) is None:
            raise CheckpointError(path, f"the shard {shortened(name)} is missing: download it")
    stray = _stray_shard(directory, shards)
    if stray:
        reason = f"the directory has the shard {shortened(stray)}, which the index does not name"
        raise CheckpointError(path, f"{reason}: remove the shard or fix the index")


def _stray_shard(directory: str, shards: tuple[str, ...]) -> str | None:
    """Return a shard of a named series (same prefix, same total) that the index does not name, or None."""
    series = {series_of(name) for name in shards} - {None}
    if not series:
        return None
    strays = (name for name in source_of(directory).list(directory) if series_of(name) in series and name not in shards)
    return min(strays, key=natural_key, default=None)


def _suffix_of(path: str, shards: tuple[str, ...]) -> str:
    """Return the suffix that all shards have, by which their format is known."""
    suffixes = {suffix for suffix in _FORMATS if any(name.endswith(suffix) for name in shards)}
    if len(suffixes) > 1:
        raise CheckpointError(path, "the index names shards of two formats, .safetensors and .bin")
    return suffixes.pop()


@dataclass(slots=True)
class _Metadata:
    """The metadata of a model, bounded over all of its shards; under one name the first stay."""

    path: str
    kept: dict[str, str]
    nbytes: int = 0

    def add(self, metadata: Mapping[str, str]) -> None:
        """Add those of a shard; raise CheckpointError above the limit."""
        for key, value in metadata.items():
            if key not in self.kept:
                self.nbytes += len(f"{key}{value}".encode(errors="surrogatepass"))
                self.kept[key] = value
        if self.nbytes > _MAX_METADATA_OF_MODEL or len(self.kept) > _MAX_METADATA_TEXTS:
            limit = f"{_MAX_METADATA_OF_MODEL >> 20} MiB or {_MAX_METADATA_TEXTS} texts"
            raise CheckpointError(self.path, f"its shards have more than {limit} of metadata")


@dataclass(slots=True)
class _Placed:
    """The shard in which each tensor was found, checked against the index."""

    path: str
    shard_of: Mapping[str, str]
    found: dict[str, str] = field(default_factory=dict)

    def add(self, shard: str, name: str) -> None:
        """Note a tensor of a shard; raise CheckpointError for one that can't be there."""
        if name in self.found:
            both = f"{shortened(self.found[name])} and {shortened(shard)}"
            raise CheckpointError(self.path, f"the tensor {shortened(name)} is in two shards, {both}")
        if name not in self.shard_of:
            where = f"the tensor {shortened(name)} is in {shortened(shard)}"
            raise CheckpointError(self.path, f"{where}, and the index does not name it")
        self.found[name] = shard

    def check_all(self) -> None:
        """Check that every tensor of the index was found in the one shard that it names."""
        for name, shard in self.shard_of.items():
            if name not in self.found:
                raise CheckpointError(self.path, f"the tensor {shortened(name)} is not in its shard {shortened(shard)}")
            if self.found[name] != shard:
                where = f"the tensor {shortened(name)} is in {shortened(self.found[name])}"
                raise CheckpointError(self.path, f"{where}, not in {shortened(shard)} as the index says")


FORMAT = Format("sharded", (".safetensors.index.json", ".bin.index.json"), sniff, open_index)
