"""ONNX: a protobuf ModelProto that holds its weights, or names the files beside it that do.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. The file is walked as protobuf, by position, without
the onnx library: that takes several times the file's size in memory, has protobuf's limit of 2 GiB, and would hand out
the bytes of a weight instead of their place. Weights are only located here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wcx.core.checkpoint import Checkpoint, Signature, TensorInfo
from wcx.core.errors import CheckpointError
from wcx.formats.format import FileHead, Format, Match
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.graph import read_model
from wcx.formats.onnx.model import Graph, Model
from wcx.formats.onnx.protobuf import BYTES, VARINT, ProtobufFile, varint
from wcx.formats.onnx.tensors import Draft, View
from wcx.formats.onnx.uses import note_uses
from wcx.formats.onnx.values import Values
from wcx.formats.roles import role_of
from wcx.formats.sources import open_file, source_of

__all__ = ["FORMAT"]

_SHOWN_FILES = 3
# ---------------------------------------------------------------------------------------------------- recognising one

_TEXTS = frozenset({2, 3, 4, 6})  # fields of ModelProto
_MESSAGES = frozenset({8, 14, 20, 25, 26})
_NUMBERS = frozenset({1, 5})
_GRAPH = 7
_GRAPH_FIELDS = frozenset({1, 2, 5, 10, 11, 12, 13, 14, 15, 16})
_MAX_IR_VERSION = 100
_MAX_FIELDS = 10_000
_MIN_TRUNCATED = 1024


def sniff(ends: FileHead) -> Match:
    """Recognise the fields of a model, one behind the other up to the end of the file, with a graph; never raises."""
    if _is_model(ends):
        return Match.STRUCTURE
    return Match.SUFFIX if ends.name.lower().endswith(".onnx") else Match.NO


def _is_model(ends: FileHead) -> bool:
    """Return True if all fields in both ends of the file are those of a model; one field may lie out of sight."""
    position, graphs, versions = 0, 0, 0
    for _ in range(_MAX_FIELDS):
        if position == ends.nbytes:
            break
        head = _bytes_at(ends, position)
        if head is None:  # behind a large field that is not the last
            return graphs > 0 and versions > 0
        try:
            tag, index = varint(head, 0)
            value, index = varint(head, index)
        except (IndexError, ValueError):
            return False
        number, wire = tag >> 3, tag & 7
        if wire == VARINT and number in _NUMBERS:
            if number == 1 and value >= _MAX_IR_VERSION:
                return False
            versions += number == 1
            position += index
        elif wire == BYTES and (number in _TEXTS or number in _MESSAGES or number == _GRAPH):
            if not _plausible(ends, number, position + index, value):
                return False
            if position + index + value > ends.nbytes:  # a download that broke off, if it had begun
                return number == _GRAPH and versions > 0 and ends.nbytes >= _MIN_TRUNCATED
            graphs += number == _GRAPH
            versions += number == 8
            position += index + value
        else:
            return False
    return graphs > 0 and versions > 0


def _bytes_at(ends: FileHead, position: int) -> bytes | None:
    """Return the bytes from a position on, as far as they are known."""
    if position < len(ends.head):
        return ends.head[position : position + 4096]
    tail = ends.nbytes - len(ends.tail)
    return ends.tail[position - tail :][:4096] if position >= tail else None


def _plausible(ends: FileHead, number: int, begin: int, nbytes: int) -> bool:
    """Return True if a text is one, or the first field of a graph or another message is one that it has."""
    data = (_bytes_at(ends, begin) or b"")[:nbytes]
    if number in _TEXTS:
        return not any(byte < 9 for byte in data)
    if not data:
        return True
    if number != _GRAPH:
        return data[0] & 7 in (VARINT, BYTES) and data[0] > 7
    try:
        tag, index = varint(data, 0)
        value, index = varint(data, index)
    except (IndexError, ValueError):
        return False
    return tag >> 3 in _GRAPH_FIELDS and tag & 7 == BYTES and index + value <= nbytes


# ------------------------------------------------------------------------------------------------------ describing one


def open_checkpoint(path: str) -> Checkpoint:
    """Describe the ONNX model at `path`; CheckpointError where it, or a file that it names, is damaged.

    Tensors come graph by graph, the outer ones first, in each in the order of the file.
    """
    directory, name = source_of(path).split(path)
    files = ExternalFiles(directory)
    with open_file(path) as file:
        if file.nbytes == 0:
            raise CheckpointError(path, "an empty file: download it again")
        source = ProtobufFile(file)
        model = read_model(source, files)
        note_uses(model, Values(source, files))
    return _checkpoint(path, name, model, files, file.signature)


def _checkpoint(path: str, name: str, model: Model, files: ExternalFiles, signature: Signature) -> Checkpoint:
    return Checkpoint(
        path=path,
        format="onnx",
        directory=files.directory,
        files=(name, *files.names),
        signatures=(signature, *files.signatures),
        metadata={**model.docs, **model.metadata},
        tensors=_with_aliases(_described(model.graphs)),
        notes=tuple(_notes(model, files)),
        version=_version(model) or None,
        producer=f"{model.producer} {model.producer_version}".strip() or None,
    )


def _version(model: Model) -> str:
    """Return a text such as `IR 9, opset 17, com.microsoft 1`."""
    parts = [] if model.ir_version is None else [f"IR {model.ir_version}"]
    parts += [f"opset {model.opsets[domain]}" for domain in ("",) if domain in model.opsets]
    parts += [f"{domain} {version}" for domain, version in sorted(model.opsets.items()) if domain]
    return ", ".join(parts)


def _notes(model: Model, files: ExternalFiles) -> Iterable[str]:
    inside = sum(len(graph.tensors) for graph in model.graphs if graph.parent is not None)
    if inside:
        yield f"{inside} tensors lie in subgraphs or functions, which their names begin with"
    if files.names:
        shown = ", ".join(files.names[:_SHOWN_FILES]) + (", ..." if len(files.names) > _SHOWN_FILES else "")
        yield f"weights in {len(files.names)} external files: {shown}"
    if not any(graph.tensors for graph in model.graphs):
        yield "the model holds no tensors"


def _described(graphs: Iterable[Graph]) -> list[TensorInfo]:
    """Return all tensors under unique names: those of inner graphs behind the path of their graph."""
    names: set[str] = set()
    tensors = []
    for graph in graphs:
        for draft in graph.tensors.values():
            name = f"{graph.path}{draft.name}"
            number = 2
            while name in names:
                name = f"{graph.path}{draft.name}~{number}"
                number += 1
            names.add(name)
            tensors.append(_tensor(name, draft))
    return tensors


def _tensor(name: str, draft: Draft) -> TensorInfo:
    view = _view(draft)
    role = draft.role if draft.role != "weight" else role_of(name)
    source = ", ".join((draft.place, *draft.uses))
    storage = draft.storage
    return TensorInfo(
        name=name,
        dtype=view.dtype,
        shape=view.shape,
        nbytes=draft.nbytes,
        file=draft.file,
        offset=draft.offset,
        role=role,
        source=source,
        storage=storage,
        quantization=view.quantization,
        unsupported=draft.unsupported or view.unsupported,
    )


def _view(draft: Draft) -> View:
    """Return how the users of a tensor read it; unsupported where they do not agree."""
    if not draft.views:
        return View(draft.dtype, draft.shape)
    first = draft.views[0]
    if all(view == first for view in draft.views):
        return first
    hindered = next((view for view in draft.views if view.unsupported), None)
    scaled = {replace(view.quantization, scale=None) if view.quantization else None for view in draft.views}
    if hindered is None and len(scaled) == 1 and len({(view.dtype, view.shape) for view in draft.views}) == 1:
        return replace(first, quantization=scaled.pop())  # only the scales differ
    return hindered or View(draft.dtype, draft.shape, unsupported="codes with different zero points")


def _with_aliases(tensors: list[TensorInfo]) -> tuple[TensorInfo, ...]:
    """Make tensors that share their bytes in an external file one: the first, with the others' names as aliases."""
    first: dict[tuple[object, ...], int] = {}
    aliases: dict[int, list[str]] = {}
    kept: list[TensorInfo] = []
    for tensor in tensors:
        key = (tensor.file, tensor.offset, tensor.nbytes, tensor.dtype, tensor.shape, tensor.quantization, tensor.role)
        if tensor.file and tensor.nbytes and not tensor.unsupported and key in first:
            aliases.setdefault(first[key], []).append(tensor.name)
            continue
        if tensor.file:
            first.setdefault(key, len(kept))
        kept.append(tensor)
    for position, names in aliases.items():
        kept[position] = replace(kept[position], aliases=tuple(names))
    return tuple(kept)


FORMAT = Format("onnx", (".onnx",), sniff, open_checkpoint)
