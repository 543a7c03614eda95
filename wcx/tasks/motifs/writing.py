"""A checkpoint written as safetensors, some of its tensors with other codes; streamed, never whole in memory.

Names, dtypes, shapes and metadata are the checkpoint's. Tensors lie in its order, those of wide dtypes first, as the
safetensors library lays them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wcx.core.checkpoint import Checkpoint, TensorInfo, TensorReader
from wcx.core.dtypes import DTYPES
from wcx.core.errors import UsageError
from wcx.core.files import written
from wcx.formats.safetensors import DTYPE_NAMES
from wcx.scan.layers import Layer, Piece

_COPIED = 1 << 20  # bytes at once


@contextmanager
def writing(target: str, checkpoint: Checkpoint) -> Iterator[SafetensorsWriter]:
    """Yield a writer of `checkpoint`'s tensors to `target`, which appears there when all has gone well.

    Raises UsageError where it can't be written: the place, a tensor that can't be read, a dtype that safetensors lacks.
    """
    if os.path.exists(target) and not os.path.isfile(target):
        raise UsageError(f"--write {target}: not a regular file: choose another name")
    for tensor in checkpoint.tensors:
        if tensor.unsupported or tensor.dtype not in DTYPE_NAMES:
            reason = tensor.unsupported or f"safetensors does not support {tensor.dtype}"
            raise UsageError(f"--write {target}: tensor {tensor.name} can't be written: {reason}")
    with written(target, "--write") as descriptor:
        yield SafetensorsWriter(descriptor, checkpoint)


class SafetensorsWriter:
    """Writer of a header, then of tensors in any order, each whole or by pieces."""

    def __init__(self, descriptor: int, checkpoint: Checkpoint) -> None:
        self._descriptor = descriptor
        entries = sorted(
            ((name, tensor) for tensor in checkpoint.tensors for name in (tensor.name, *tensor.aliases)),
            key=lambda entry: -DTYPES[entry[1].dtype].bits,
        )
        header: dict[str, Any] = {"__metadata__": dict(checkpoint.metadata)} if checkpoint.metadata else {}
        self._places: dict[str, list[int]] = {}
        end = 0
        for name, tensor in entries:
            offsets = [end, end + tensor.nbytes]
            header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
            self._places.setdefault(tensor.name, []).append(end)
            end += tensor.nbytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._write(0, len(text).to_bytes(8, "little") + text)
        self._begin = 8 + len(text)
        os.ftruncate(descriptor, self._begin + end)

    def copy(self, tensor: TensorInfo, reader: TensorReader) -> None:
        """Write a tensor as it is."""
        buffer = bytearray(min(_COPIED, tensor.nbytes))
        for start in range(0, tensor.nbytes, _COPIED):
            part = memoryview(buffer)[: min(_COPIED, tensor.nbytes - start)]
            reader.read_into(tensor, start, part)
            for place in self._places[tensor.name]:
                self._write(self._begin + place + start, part)

    def write(self, layer: Layer, piece: Piece, codes: NDArray[Any]) -> None:
        """Write the codes (height, width) of a piece of a layer; each piece once, in order."""
        if piece.width == layer.columns:
            self._write_run(layer, piece.start * layer.columns, codes.reshape(-1))
            return
        for row in range(piece.height):
            self._write_run(layer, (piece.start + row) * layer.columns + piece.first, codes[row])

    def _write_run(self, layer: Layer, start: int, codes: NDArray[Any]) -> None:
        bits = layer.dtype.bits
        first = start * bits // 8
        for place in self._places[layer.tensor.name]:
            begin = self._begin + place + first
            if bits >= 8:
                self._write(begin, np.ascontiguousarray(codes).data.cast("B"))
            else:
                self._write(begin, self._packed(begin, codes, bits, start * bits % 8))

    def _packed(self, begin: int, codes: NDArray[Any], bits: int, skipped: int) -> bytes:
        """Return codes of fewer than 8 bits as bytes, with what the bytes at both ends hold already."""
        stream = np.unpackbits(codes.reshape(-1, 1), axis=1, count=bits, bitorder="little").reshape(-1)
        packed = np.packbits(np.concatenate([np.zeros(skipped, np.uint8), stream]), bitorder="little")
        before = np.frombuffer(os.pread(self._descriptor, len(packed), begin), np.uint8)
        return (packed | before).tobytes()

    def _write(self, position: int, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._descriptor, view, position)
            view, position = view[done:], position + done
