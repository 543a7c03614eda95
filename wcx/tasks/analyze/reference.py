"""Another checkpoint that a report is compared with, such as the random initialisation: the ratio of the bdm of both.

What is compared has the same name and the same shape in both files; each side has its own fit (QuBD's
`complexity_per_layer.py` does so). What the reference lacks is said on the layer, and the model's rows have a ratio
only where every layer has one.
"""

from __future__ import annotations

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.settings import Settings
from wcx.quantizers import Quantizer
from wcx.scan.layers import Layer, layer_of
from wcx.tasks.analyze.selection import select
from wcx.tasks.analyze.settings import scheme_of


def reference_note(path: str) -> str:
    """Return the note that explains the two ratios."""
    return (
        f"null.*.ratio compares a layer with its own shuffle, reference.ratio with {path}; they differ for "
        "heavy-tailed weights: a shuffle keeps their density of ones, another checkpoint has its own density"
    )


class Partners:
    """The tensors of the reference, matched to layers by name."""

    def __init__(self, checkpoint: Checkpoint, settings: Settings) -> None:
        self.path = checkpoint.path
        self._settings = settings
        self._tensors: dict[str, TensorInfo] = {}
        for tensor in checkpoint.tensors:
            for name in (*tensor.aliases, tensor.name):
                self._tensors[name] = tensor

    def find(self, layer: Layer, quantizer: Quantizer) -> tuple[Layer | None, str]:
        """Return the partner of a layer, or None and why there is none."""
        tensor = self._tensors.get(layer.tensor.name)
        if tensor is None:
            return None, "the reference has no such tensor"
        if tensor.shape != layer.tensor.shape:
            return None, f"its shape is {'x'.join(map(str, tensor.shape))} in the reference"
        reason = select(tensor, scheme_of(self._settings), refuses=quantizer.refuses, include=["*"])
        if reason is not None:
            return None, f"it is skipped in the reference ({reason})"
        return layer_of(tensor, self._settings.layout, as_stored=quantizer.stored), ""
