"""Another checkpoint to set a report against, such as the random initialisation: the ratio of the bdm of both.

What is compared has the same name and the same shape in both files; each side has its own fit (QuBD's
`complexity_per_layer.py` does so). What the reference lacks is said on the layer, and the model's rows have a ratio
only where every layer has one. Counts of the reference are kept only added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum

from wcx.blocks.counts import BlockCounts
from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.dtypes import DType
from wcx.core.report import LayerReport, ModelPlane, ModelReport, PlaneReport, ReferencePlane, Sum, Total
from wcx.core.settings import Settings
from wcx.measures.bdm import BDM
from wcx.measures.evidence import Evidence
from wcx.measures.tables import load_table
from wcx.quantizers import Quantizer
from wcx.scan.layers import Layer, layer_of
from wcx.tasks.analyze.selection import select
from wcx.tasks.analyze.settings import scheme_of

Counted = Sequence[tuple[str, BlockCounts]]
"""The planes of one layer of the reference, each with its name."""


def reference_note(path: str) -> str:
    """What a reader has to know of the two ratios."""
    return (
        f"two ratios: null.*.ratio is to the layer's own shuffle, reference.ratio to {path}; they disagree on "
        "heavy-tailed weights, whose density of ones a shuffle keeps and another checkpoint does not have"
    )


class Partners:
    """Which tensor of the reference stands beside a layer."""

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
            return None, "not in the reference"
        if tensor.shape != layer.tensor.shape:
            return None, f"of shape {'x'.join(map(str, tensor.shape))} in the reference"
        reason = select(tensor, scheme_of(self._settings), refuses=quantizer.refuses, include=["*"])
        if reason is not None:
            return None, f"not to be counted in the reference ({reason})"
        return layer_of(tensor, self._settings.layout, as_stored=quantizer.stored), ""


class ReferenceRows:
    """The reference's side of a report, built up layer by layer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._complete = True
        self._planes: dict[str, _Plane] = {}

    def set_against(self, report: LayerReport, counted: Counted | None, reason: str) -> LayerReport:
        """Return the layer with its reference; None, with the reason, where the reference has no such layer."""
        if counted is None:
            self._complete = False
            return replace(report, warnings=(*report.warnings, f"no reference: {reason}"))
        counts = dict(counted)
        planes = tuple(self._plane(plane, counts.get(plane.plane)) for plane in report.planes)
        theirs = [plane.reference.bdm if plane.reference else None for plane in planes]
        return replace(report, planes=planes, total=Total(report.total.bdm, _ratio(report.total.bdm, _sum(theirs))))

    def _plane(self, plane: PlaneReport, counts: BlockCounts | None) -> PlaneReport:
        if counts is None:
            self._complete = False
            return plane
        bdm = self._bdm(counts)
        self._planes.setdefault(plane.plane, _Plane()).add(counts, bdm)
        return replace(plane, reference=ReferencePlane(bdm, _ratio(plane.bdm, bdm)))

    def set_against_model(self, model: ModelReport) -> ModelReport:
        """Return the model's rows with their reference, where every layer has one."""
        if not self._complete or not self._planes:
            return model
        planes = tuple(self._row(row) for row in model.planes)
        theirs = _sum([self._planes[row.plane].sum if row.plane in self._planes else None for row in planes])
        total = Sum(model.total.bdm, _ratio(model.total.bdm, theirs))
        return replace(model, planes=planes, total=total)

    def _row(self, row: ModelPlane) -> ModelPlane:
        theirs = self._planes.get(row.plane)
        if theirs is None or row.pooled is None:
            return row
        bdm = self._bdm(theirs.pooled)
        pooled = replace(row.pooled, reference=ReferencePlane(bdm, _ratio(row.pooled.bdm, bdm)))
        return ModelPlane(row.plane, pooled, Sum(row.sum.bdm, _ratio(row.sum.bdm, theirs.sum)))

    def _bdm(self, counts: BlockCounts) -> float:
        scheme = scheme_of(self._settings)
        evidence = Evidence(counts, load_table(scheme.alphabet), self._settings.rarefy, scheme.kind)
        value = BDM.of(evidence)
        return float(value or 0.0)


class _Plane:
    """One plane of the reference's layers, added up."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, BlockCounts]] = []  # of ever more layers each, so that few merges are large
        self._bdm: list[float] = []

    def add(self, counts: BlockCounts, bdm: float) -> None:
        """Take in the plane of a layer."""
        self._bdm.append(bdm)
        layers = 1
        while self._parts and self._parts[-1][0] == layers:
            counts = self._parts.pop()[1].merge(counts)
            layers *= 2
        self._parts.append((layers, counts))

    @property
    def sum(self) -> float:
        """The layers' bdm added."""
        return fsum(self._bdm)

    @property
    def pooled(self) -> BlockCounts:
        """The layers' counts added."""
        first, *others = (counts for _, counts in self._parts)
        for counts in others:
            first = first.merge(counts)
        return first


def planes_of(quantizer: Quantizer, dtype: DType, counted: Sequence[BlockCounts]) -> Counted:
    """The counts of a layer with the names of its planes."""
    return list(zip(quantizer.planes(dtype), counted, strict=True))


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fsum(known) if len(known) == len(values) else None


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None
