"""wcx: algorithmic complexity and entropy of the weights in a checkpoint.

The public names are loaded on first use, so that importing wcx costs nothing.

    >>> import wcx
    >>> report = wcx.analyze("model.safetensors")            # doctest: +SKIP
    >>> report.model.planes[0].pooled.bdm                    # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from wcx.comparison.run import compare
    from wcx.comparison_types import Comparison
    from wcx.errors import CheckpointError, UsageError, WcxError
    from wcx.formats import open_checkpoint
    from wcx.pipeline import analyze, measure
    from wcx.types import Checkpoint, LayerReport, Report, TensorInfo

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "LayerReport",
    "Report",
    "TensorInfo",
    "UsageError",
    "WcxError",
    "__version__",
    "analyze",
    "compare",
    "measure",
    "open_checkpoint",
]

_HOMES = {
    "analyze": "wcx.pipeline",
    "compare": "wcx.comparison.run",
    "measure": "wcx.pipeline",
    "open_checkpoint": "wcx.formats",
    "Checkpoint": "wcx.types",
    "Comparison": "wcx.comparison_types",
    "LayerReport": "wcx.types",
    "Report": "wcx.types",
    "TensorInfo": "wcx.types",
    "CheckpointError": "wcx.errors",
    "UsageError": "wcx.errors",
    "WcxError": "wcx.errors",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'wcx' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
