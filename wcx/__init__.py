"""wcx: algorithmic complexity and entropy of the weights in a checkpoint.

The public names are loaded on first use, so that importing wcx costs nothing.

    >>> import wcx
    >>> report = wcx.analyze("model.safetensors")            # doctest: +SKIP
    >>> report.model.planes[0].pooled.bdm                    # doctest: +SKIP
"""

from __future__ import annotations

from wcx.core.registrations import NOTEBOOK_VIEWS, REGISTRIES
from wcx.core.version import __version__

TYPE_CHECKING = False  # without typing, which takes long to import: Ctrl-C is quiet only afterwards
if TYPE_CHECKING:
    from typing import Any

    from wcx.core.checkpoint import Checkpoint, TensorInfo
    from wcx.core.comparison import Comparison
    from wcx.core.errors import CheckpointError, UsageError, WcxError
    from wcx.core.inspection import Inspection
    from wcx.core.kinds import Kinds
    from wcx.core.motifs import MotifReport
    from wcx.core.report import LayerReport, Report
    from wcx.core.verification import Verification
    from wcx.formats import open_checkpoint
    from wcx.tasks.analyze.analyze import analyze, measure
    from wcx.tasks.compare.compare import compare
    from wcx.tasks.inspect import inspect
    from wcx.tasks.kinds import kinds
    from wcx.tasks.motifs.motifs import motifs
    from wcx.tasks.verify.verify import verify

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "Inspection",
    "Kinds",
    "LayerReport",
    "MotifReport",
    "Report",
    "TensorInfo",
    "UsageError",
    "Verification",
    "WcxError",
    "__version__",
    "analyze",
    "compare",
    "inspect",
    "kinds",
    "measure",
    "motifs",
    "open_checkpoint",
    "verify",
]


_HOMES = {
    "analyze": "wcx.tasks.analyze.analyze",
    "compare": "wcx.tasks.compare.compare",
    "inspect": "wcx.tasks.inspect",
    "kinds": "wcx.tasks.kinds",
    "measure": "wcx.tasks.analyze.analyze",
    "motifs": "wcx.tasks.motifs.motifs",
    "open_checkpoint": "wcx.formats",
    "verify": "wcx.tasks.verify.verify",
    "Checkpoint": "wcx.core.checkpoint",
    "Comparison": "wcx.core.comparison",
    "Inspection": "wcx.core.inspection",
    "Kinds": "wcx.core.kinds",
    "LayerReport": "wcx.core.report",
    "MotifReport": "wcx.core.motifs",
    "Report": "wcx.core.report",
    "TensorInfo": "wcx.core.checkpoint",
    "Verification": "wcx.core.verification",
    "CheckpointError": "wcx.core.errors",
    "UsageError": "wcx.core.errors",
    "WcxError": "wcx.core.errors",
}

NOTEBOOK_VIEWS["wcx/analysis/1"] = "wcx.outputs.analyze.html:render_html"
NOTEBOOK_VIEWS["wcx/comparison/1"] = "wcx.outputs.compare.html:render_html"
REGISTRIES["measures"] = "wcx.measures:MEASURES"


def __getattr__(name: str) -> Any:  # noqa: ANN401
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'wcx' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
