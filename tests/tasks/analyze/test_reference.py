"""A reference that stands for itself: every ratio is 1, whatever the tensors are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wcx.core.checkpoint import Checkpoint, Quantization, TensorInfo
from wcx.core.files import signature_of
from wcx.scan.engine import Threads
from wcx.tasks.analyze.analyze import analyze_checkpoint
from wcx.tasks.analyze.settings import make_settings


@pytest.mark.parametrize("quantize", ["integer", "sign", "uniform:3"])
def test_integers_with_a_zero_point_against_themselves(tmp_path: Path, quantize: str) -> None:
    path = tmp_path / "w.onnx"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 40 * 48, np.uint8).tobytes())
    tensor = TensorInfo("w", "U8", (40, 48), 40 * 48, quantization=Quantization((131,), (1, 1)))
    signatures = (signature_of(path.stat()),)
    checkpoint = Checkpoint(str(path), "onnx", str(tmp_path), (path.name,), signatures, {}, (tensor,))
    settings = make_settings(quantize=quantize, null="none", reference=str(path))
    (layer,) = analyze_checkpoint(checkpoint, settings, Threads(1), reference=checkpoint).layers
    assert [plane.reference and plane.reference.ratio for plane in layer.planes] == [1.0] * len(layer.planes)
    assert layer.total.reference_ratio == 1.0
