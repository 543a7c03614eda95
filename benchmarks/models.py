"""Checkpoints of any size for the benchmarks: valid safetensors files with random weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np


def write_model(path: Path, nbytes: int, shapes: tuple[tuple[int, ...], ...], dtype: str = "BF16") -> None:
    """Write tensors of `shapes`, over and over, until there are `nbytes` of data."""
    itemsize = {"BF16": 2, "F32": 4}[dtype]
    header: dict[str, object] = {}
    offset = 0
    while offset < nbytes:
        shape = shapes[len(header) % len(shapes)]
        end = offset + int(np.prod(shape)) * itemsize
        header[f"layers.{len(header)}.weight"] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0)
    weights = random.standard_normal(1 << 22, dtype=np.float32)
    block = (weights.view(np.uint32) >> 16).astype(np.uint16) if dtype == "BF16" else weights
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        while offset:
            part = np.roll(block, int(random.integers(block.size))).tobytes()[:offset]
            stream.write(part)
            offset -= len(part)
