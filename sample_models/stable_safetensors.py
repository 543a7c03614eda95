"""Write safetensors files whose bytes depend on the content alone.

``safetensors`` writes the metadata of a file in an order that differs from one process to the next; here it is sorted.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save


def write_safetensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write ``tensors`` and ``metadata`` to ``path``, with the metadata in the order of its keys."""
    data = save(tensors, metadata)
    header_size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_size])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > header_size:
        raise ValueError("metadata and tensor names must be plain ASCII")
    path.write_bytes(data[:8] + text.ljust(header_size) + data[8 + header_size :])
