"""ONNX: a protobuf ModelProto that holds its weights, or names the files that do.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. The file is walked as protobuf, by position, without
the onnx library: that takes several times the file's size in memory, has protobuf's limit of 2 GiB, and would hand out
the bytes of a weight instead of their place. Weights are only located here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wcx.core.checkpoint import Checkpoint, Signature, TensorInfo
from wcx.core.errors import CheckpointError
from wcx.formats.format import Format
from wcx.formats.onnx.external import ExternalFiles
from wcx.formats.onnx.graph import read_model
from wcx.formats.onnx.model import Graph, Model
from wcx.formats.onnx.protobuf import ProtobufFile
from wcx.formats.onnx.sniff import sniff
from wcx.formats.onnx.tensors import Draft, OperatorView
from wcx.formats.onnx.uses import note_uses
from wcx.formats.onnx.values import Values
from wcx.formats.roles import role_of
from wcx.formats.sources import open_file, source_of

__all__ = ["FORMAT"]

_SHOWN_FILES = 3


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
    parts += [f"{domain or 'opset'} {version}" for domain, version in sorted(model.opsets.items())]
    return ", ".join(parts)


def _notes(model: Model, files: ExternalFiles) -> Iterable[str]:
    inside = sum(len(graph.tensors) for graph in model.graphs if graph.parent is not None)
    if inside:
        yield f"{inside} tensors are in subgraphs or functions: their names begin with the path to it"
    if files.names:
        shown = ", ".join(files.names[:_SHOWN_FILES]) + (", ..." if len(files.names) > _SHOWN_FILES else "")
        yield f"weights in {len(files.names)} external files: {shown}"
    if not any(graph.tensors for graph in model.graphs):
        yield "the model has no tensors"


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
    return TensorInfo(
        name=name,
        dtype=view.dtype,
        shape=view.shape,
        nbytes=draft.nbytes,
        file=draft.file,
        offset=draft.offset,
        role=draft.role if draft.role != "weight" else role_of(name),
        source=", ".join((draft.place, *draft.uses)),
        storage=draft.storage,
        quantization=view.quantization,
        unsupported=draft.unsupported or view.unsupported,
    )


def _view(draft: Draft) -> OperatorView:
    """Return how the users of a tensor read it; unsupported where they do not agree."""
    if not draft.views:
        return OperatorView(draft.dtype, draft.shape)
    first = draft.views[0]
    if all(view == first for view in draft.views):
        return first
    hindered = next((view for view in draft.views if view.unsupported), None)
    scaled = {replace(view.quantization, scale=None) if view.quantization else None for view in draft.views}
    if hindered is None and len(scaled) == 1 and len({(view.dtype, view.shape) for view in draft.views}) == 1:
        return replace(first, quantization=scaled.pop())  # only the scales differ
    return hindered or OperatorView(draft.dtype, draft.shape, unsupported="codes with different zero points")


def _with_aliases(tensors: list[TensorInfo]) -> tuple[TensorInfo, ...]:
    """Merge tensors that share their bytes in an external file: the first stays, with the other names as aliases."""
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
