"""Resolve settings into a plan, before a byte of data is read: layers, quantizers, measures and null as objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.dtypes import PlaneRule
from wcx.core.quantities import null_measures, plane_measures
from wcx.core.report import SkippedTensor
from wcx.core.settings import Settings
from wcx.measures import is_streamed
from wcx.quantizers import Quantizer, parse_quantizer
from wcx.quantizers.uniform import Uniform
from wcx.scan.count import CountBlocks
from wcx.scan.engine import Spec, Work, nbytes_read
from wcx.scan.layers import Layer, layer_of
from wcx.tasks.analyze.evaluate import Evaluation, NullModel
from wcx.tasks.analyze.presets import find_preset
from wcx.tasks.analyze.reference import Partners
from wcx.tasks.analyze.selection import select_each
from wcx.tasks.analyze.settings import scheme_of

if TYPE_CHECKING:
    from wcx.tasks.analyze.vector import Vector

SCHEMA = "wcx/analysis/1"


@dataclass(frozen=True, slots=True)
class Plan:
    """The layers to count, the tensors to skip, and all objects for it: same input and settings, same plan.

    quantizers: the plan's own, and the one whose planes a preset adds. streams: compressors and statistics, by name.
    partners: of the layers in the reference. vector: the parameters that a preset takes as one string. stored: compress
    the stored bytes too, not only the bits of planes.
    """

    quantizers: tuple[Quantizer, ...]
    evaluation: Evaluation
    layers: list[Layer]
    skipped: list[SkippedTensor]
    streams: tuple[str, ...] = ()
    partners: Partners | None = None
    vector: Vector | None = None
    stored: bool = True

    @property
    def quantizer(self) -> Quantizer:
        """The plan's own quantizer."""
        return self.quantizers[0]

    @property
    def drawn(self) -> list[Layer]:
        """The layers that a null by shuffles permutes: all, and those of the vector once more."""
        return [*self.layers, *(self.vector.layers if self.vector else ())]

    def stream_specs(self, layer: Layer, rule: PlaneRule = ()) -> tuple[Spec, ...]:
        """Return the specs of compressors and statistics for a layer."""
        if not self.streams:
            return ()
        from wcx.scan.compress import stream_specs

        return stream_specs(layer, rule, len(self.quantizer.planes(layer.dtype)), self.streams, self.stored)

    @property
    def nbytes(self) -> int:
        """Bytes that will be read: once for all fits, once or more for counts and streams, the reference's likewise."""
        fits = [any(quantizer.needs) for quantizer in self.quantizers]
        nbytes = self.vector.nbytes if self.vector else 0
        for layer in self.layers:
            nbytes += layer.tensor.nbytes * any(fits)
            if self.partners is not None:
                nbytes += layer.tensor.nbytes * (len(fits) + sum(fits))
            blocks = CountBlocks((), self.evaluation.scheme)
            nbytes += nbytes_read(Work(layer, (blocks, *self.stream_specs(layer))))
        return nbytes


def make_plan(checkpoint: Checkpoint, settings: Settings, reference: Checkpoint | None = None) -> Plan:
    """Decide of every tensor whether it is analysed, and as which matrix."""
    preset = None if settings.preset is None else find_preset(settings.preset)
    quantizer = quantizer_of(settings)
    layers: list[Layer] = []
    skipped: list[SkippedTensor] = []
    for tensor, reason in select_each(checkpoint.tensors, settings, scheme_of(settings), quantizer.refuses):
        if reason is None and preset is not None and not settings.include:
            reason = preset.leaves_out(tensor)
        if reason is None:
            layers.append(layer_of(tensor, settings.layout, as_stored=quantizer.stored))
        else:
            skipped.append(SkippedTensor(tensor.name, tensor.dtype, tensor.shape, tensor.role, reason))
    partners = None if reference is None else Partners(reference, settings)
    return resolve(settings, layers, skipped, checkpoint.tensors, partners)


def resolve(
    settings: Settings,
    layers: list[Layer],
    skipped: Sequence[SkippedTensor] = (),
    tensors: Sequence[TensorInfo] = (),
    partners: Partners | None = None,
) -> Plan:
    """Return the plan for layers; tensors: all that the checkpoint has."""
    from wcx.tasks.analyze.vector import vector_of

    quantizers, vector = [quantizer_of(settings)], None
    if settings.preset is not None:
        preset = find_preset(settings.preset)
        quantizers += [] if preset.second_quantizer is None else [parse_quantizer(preset.second_quantizer)]
        if tensors and preset.concatenated and scheme_of(settings).strings and settings.boundary == "ignore":
            vector = vector_of(tensors, settings.measures)
    streams = tuple(name for name in settings.measures if is_streamed(name))
    return Plan(tuple(quantizers), evaluation_of(settings), layers, list(skipped), streams, partners, vector)


def evaluation_of(
    settings: Settings, measures: Sequence[str] | None = None, nulls: Sequence[str] | None = None
) -> Evaluation:
    """Return the inputs of evaluation. measures, nulls: to evaluate, and to give a null; None for all of settings."""
    wanted = settings.measures if measures is None else measures
    chosen = [measure for measure in plane_measures() if measure.coverage or measure.name in wanted]
    with_null = [
        measure for measure in null_measures() if measure.name in wanted and (nulls is None or measure.name in nulls)
    ]
    null = NullModel(settings.null, settings.null_draws or 0, tuple(with_null))
    return Evaluation(scheme_of(settings), tuple(chosen), null, settings.rarefy, settings.seed)


def quantizer_of(settings: Settings) -> Quantizer:
    """Return the quantizer of settings, with torch's rank of quantiles where a preset wants it."""
    quantizer = parse_quantizer(quantizer_text(settings))
    narrow = settings.preset is not None and find_preset(settings.preset).float32_rank
    return replace(quantizer, float32_rank=True) if narrow and isinstance(quantizer, Uniform) else quantizer


def quantizer_text(settings: Settings) -> str:
    """Return the quantizer of settings, as it is written on the command line."""
    return settings.quantize if settings.zero != "one" else f"{settings.quantize}:zero=one"
