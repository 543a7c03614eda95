"""Plan, count, merge, measure, report: the only file that knows all stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wcx.core.checkpoint import Checkpoint, TensorInfo
from wcx.core.report import SkippedTensor
from wcx.core.scheme import Scheme
from wcx.core.settings import Settings
from wcx.measures import is_streamed
from wcx.quantizers import Quantizer, parse_quantizer
from wcx.quantizers.uniform import Uniform
from wcx.tasks.analyze.presets import find_preset
from wcx.tasks.analyze.selection import select_each
from wcx.tasks.analyze.settings import scheme_of

if TYPE_CHECKING:
    from wcx.scan.layers import Layer
    from wcx.tasks.analyze.reference import Partners

SCHEMA = "wcx/analysis/1"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is counted and what is skipped, and how: same input and settings, same plan.

    quantizers: the plan's own, and the one whose planes a preset adds. concatenated: what a preset takes as one vector,
    and how often it reads that. stored: compress the stored bytes too, not only the bits of planes.
    """

    quantizers: tuple[Quantizer, ...]
    scheme: Scheme
    layers: list[Layer]
    skipped: list[SkippedTensor]
    streams: tuple[str, ...] = ()
    partners: Partners | None = None
    concatenated: list[Layer] | None = None
    readings: int = 1
    stored: bool = True

    @property
    def quantizer(self) -> Quantizer:
        """The plan's own quantizer."""
        return self.quantizers[0]

    @property
    def drawn(self) -> list[Layer]:
        """What a null by shuffles permutes: the layers, and those of the vector once more."""
        return [*self.layers, *(self.concatenated or ())]

    @property
    def nbytes(self) -> int:
        """Bytes that will be read: once for all fits, once or more for counts and streams, the reference's likewise."""
        from wcx.scan.compress import stream_specs
        from wcx.scan.count import CountBlocks
        from wcx.scan.engine import Work, nbytes_read

        fits = [any(quantizer.needs) for quantizer in self.quantizers]
        nbytes = sum(layer.tensor.nbytes for layer in self.concatenated or ()) * self.readings
        for layer in self.layers:
            nbytes += layer.tensor.nbytes * any(fits)
            if self.partners is not None:
                nbytes += layer.tensor.nbytes * (len(fits) + sum(fits))
            planes = len(self.quantizer.planes(layer.dtype))
            streams = stream_specs(layer, (), planes, self.streams, self.stored) if self.streams else ()
            nbytes += nbytes_read(Work(layer, (CountBlocks((), self.scheme), *streams)))
        return nbytes


def make_plan(checkpoint: Checkpoint, settings: Settings, reference: Checkpoint | None = None) -> Plan:
    """Decide of every tensor whether it is analysed, and as which matrix."""
    from wcx.scan.layers import layer_of
    from wcx.tasks.analyze.reference import Partners

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
    more, concatenated = presets_own(settings, checkpoint.tensors)
    often = _readings(settings, concatenated)
    scheme, streams = scheme_of(settings), streams_of(settings)
    return Plan((quantizer, *more), scheme, layers, skipped, streams, partners, concatenated, often)


def streams_of(settings: Settings) -> tuple[str, ...]:
    """Those of the measures that are no function of block counts."""
    return tuple(name for name in settings.measures if is_streamed(name))


def presets_own(settings: Settings, tensors: Sequence[TensorInfo]) -> tuple[list[Quantizer], list[Layer] | None]:
    """Return what a preset adds: a second quantizer, and the tensors whose signs are one string."""
    from wcx.tasks.analyze.vector import parameters

    if settings.preset is None:
        return [], None
    preset = find_preset(settings.preset)
    more = [] if preset.beside is None else [parse_quantizer(preset.beside)]
    one_string = preset.concatenated and (settings.block, settings.boundary) == ("1x12", "ignore")
    return more, parameters(tensors) if one_string else None


def _readings(settings: Settings, concatenated: Sequence[Layer] | None) -> int:
    """How often the tensors that are one vector are read."""
    from wcx.tasks.analyze.vector import measures_wanted, readings

    return 0 if concatenated is None else readings(concatenated, measures_wanted(settings))


def quantizer_of(settings: Settings) -> Quantizer:
    """The quantizer of settings, with torch's rank of quantiles where a preset wants it."""
    quantizer = parse_quantizer(quantizer_text(settings))
    narrow = settings.preset is not None and find_preset(settings.preset).float32_rank
    return replace(quantizer, float32_rank=True) if narrow and isinstance(quantizer, Uniform) else quantizer


def quantizer_text(settings: Settings) -> str:
    """The quantizer of settings, as it is written on the command line."""
    return settings.quantize if settings.zero != "one" else f"{settings.quantize}:zero=one"
