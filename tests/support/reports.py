"""Reports written by hand, for the tests of outputs and conditions: no pipeline, no checkpoint, plausible numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.quantities import null_places, value_places
from wcx.core.report import (
    LayerReport,
    ModelPlane,
    ModelReport,
    NullReport,
    NullStatistic,
    PlaneReport,
    Report,
    SkippedTensor,
    Total,
    Values,
)
from wcx.core.scheme import Fit
from wcx.core.settings import CtmReference, Settings
from wcx.outputs import Writer

MEASURES = ("bdm", "block_entropy", "bit_entropy", "mean_ctm", "bdm_rarefied", "bdm_normalized")
TWO_VALUES = "at most two distinct values: a mask or a constant"
HOSTILE = (
    "fc[bold red]1[/].weight",
    "esc\x1b[31m\x1b]0;title\x07.weight",
    "right\u202eto\u2066left.weight",
    "line\nbreak\rand\ttab.weight",
    "pipe|tick`<b>html</b>&amp;.weight",
    '=cmd|"/c calc"!A1,comma',
    "nul\0c1\x9b31m.weight",
    "lone\ud800surrogate.weight",
    "漢字カタカナ.weight",
    "",
)


def added(values: Iterable[float]) -> float:
    """Add from left to right: the golden files have these digits, and sum() has others from Python 3.12 on."""
    return reduce(add, values, 0.0)


def statistic(value: float, mean: float, sd: float) -> NullStatistic:
    return NullStatistic(mean, sd, (value - mean) / sd if sd else None, value / mean if mean else None)


def null_report(kind: str, draws: int | None = None, **statistics: NullStatistic) -> NullReport:
    return NullReport(kind, draws, Values(null_places(), tuple(statistics.get(name) for name in null_places())))


def plane_report(**fields: Any) -> PlaneReport:  # noqa: ANN401
    """A plane by its fields and the values of measures, None for those that are not given."""
    values = tuple(fields.pop(name, None) for name in value_places())
    return PlaneReport(values=Values(value_places(), values), **fields)


def with_values(plane: PlaneReport, **changes: Any) -> PlaneReport:  # noqa: ANN401
    """The plane with other fields, or other values of measures."""
    values = tuple(changes.pop(name, value) for name, value in plane.values.items())
    return replace(plane, values=Values(value_places(), values), **changes)


def plane(
    plane: str = "sign",
    blocks: int = 12544,
    density: float = 0.49,
    ratio: float = 0.93,
    z: float = -37.5,
    distinct: int | None = None,
    regime: str | None = None,
    null: bool = True,
    left_over: int = 0,
) -> PlaneReport:
    """A plane whose rarefied bdm is `ratio` times its null's mean and lies z standard deviations from it."""
    load = blocks / 65536
    kind = regime or ("saturated" if load > 8 else "sparse" if load < 0.25 else "crowded")
    rarefied, m = 29720.25 * min(1.0, blocks / 1024), min(1024, blocks)
    bdm = 24.5 * min(blocks, 65536) * (0.5 + 0.5 * ratio)
    sd = abs(rarefied * (1 - ratio) / z) if z else 0.0
    closed = null_report(
        "permutation",
        bdm=statistic(bdm, bdm / (0.5 + 0.5 * ratio), 2 * sd),
        mean_ctm=statistic(30.38 * (0.6 + 0.4 * ratio), 30.38, 0.4 * 30.38 * sd / rarefied),
        block_entropy=statistic(13.51, 13.58, 0.004),
        bdm_rarefied=statistic(rarefied * ratio, rarefied, sd),
    )
    return plane_report(
        plane=plane,
        ones=int(density * 16 * blocks),
        density=density,
        blocks=blocks,
        possible=65536,
        left_over=left_over,
        distinct=distinct or min(blocks, 65530),
        load=load,
        regime=kind,
        bdm=bdm,
        block_entropy=13.51,
        bit_entropy=0.9997,
        mean_ctm=30.38 * (0.6 + 0.4 * ratio),
        bdm_rarefied=rarefied * ratio,
        rarefied_m=m,
        bdm_normalized=0.8125,
        block_entropy_normalized=0.99,
        null=closed if null else None,
    )


def constant_plane(name: str = "sign", blocks: int = 256) -> PlaneReport:
    """All bits zero: the null has no spread, z is null and the ratio is 1."""
    bdm = 22.006706292292176 + 8.0
    same = NullStatistic(bdm, 0.0, None, 1.0)
    zero = NullStatistic(0.0, 0.0, None, None)
    null = null_report("permutation", bdm=same, mean_ctm=same, block_entropy=zero, bdm_rarefied=same)
    made = plane(name, blocks=blocks, density=0.0, distinct=1)
    values = {"bdm": bdm, "block_entropy": 0.0, "mean_ctm": 22.006706292292176, "bdm_rarefied": bdm}
    return with_values(made, **values, bit_entropy=0.0, null=null)


def layer(
    name: str = "fc1.weight",
    shape: tuple[int, ...] = (256, 784),
    planes: tuple[PlaneReport, ...] | None = None,
    measures: Mapping[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
    **changes: Any,  # noqa: ANN401
) -> LayerReport:
    weights = 1
    for side in shape:
        weights *= side
    planes = (plane(blocks=max(weights // 16, 1)),) if planes is None else planes
    made = LayerReport(
        name=name,
        dtype="F32",
        shape=shape,
        matrix=(shape[0], weights // shape[0]),
        weights=weights,
        role="weight",
        source=None,
        aliases=(),
        zeros=0,
        nonfinite=0,
        fit=Fit(),
        planes=planes,
        total=Total(bdm=added(item.bdm or 0.0 for item in planes)),
        measures=measures or {},
        warnings=warnings,
    )
    return replace(made, **changes)


SKIPPED = tuple(
    SkippedTensor(name, dtype, shape, role, reason)
    for name, dtype, shape, role, reason in [
        ("conv1.bias", "F32", (6,), "weight", "1-D"),
        ("conv2.bias", "F32", (16,), "weight", "1-D"),
        ("fc1.bias", "F32", (120,), "weight", "1-D"),
        ("bn.num_batches_tracked", "I64", (), "buffer", "1-D"),
        ("head.scale", "F32", (2, 3), "weight", "under 4x4"),
        ("position_ids", "I64", (1, 512), "buffer", "integer I64"),
        ("optimizer.state.0.exp_avg", "F32", (256, 784), "optimizer", "optimizer state"),
    ]
)


def report(
    layers: tuple[LayerReport, ...],
    skipped: tuple[SkippedTensor, ...] = SKIPPED,
    notes: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
    path: str = "lenet.safetensors",
    settings: Settings | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Report:
    return Report(
        schema="wcx/analysis/1",
        wcx="0.1.0",
        checkpoint=CheckpointSummary(path, "safetensors", (path,), 4 * 61706 + 1024, metadata or {"format": "pt"}),
        settings=settings or Settings(measures=MEASURES, ctm=(CtmReference("4x4", "CTM-B2-D4x4", "0" * 64),)),
        layers=layers,
        skipped=skipped,
        model=_model(layers),
        notes=notes,
        warnings=warnings,
    )


def _model(layers: tuple[LayerReport, ...]) -> ModelReport:
    names = list(dict.fromkeys(item.plane for one in layers for item in one.planes))
    planes = tuple(_model_plane(name, layers) for name in names)
    weights = sum(one.weights for one in layers)
    return ModelReport(weights, len(layers), planes, Total(added(item.sum.bdm or 0.0 for item in planes)))


def _model_plane(name: str, layers: tuple[LayerReport, ...]) -> ModelPlane:
    mine = [item for one in layers for item in one.planes if item.plane == name]
    blocks = sum(item.blocks for item in mine)
    pooled = plane(name, blocks=blocks, ratio=0.962, z=-48.0, null=all(item.null for item in mine))
    return ModelPlane(name, pooled, Total(added(item.bdm or 0.0 for item in mine)))


def lenet() -> Report:
    """Sparse, crowded and saturated layers, a constant plane, few blocks, skipped tensors of many reasons."""
    layers = (
        layer(
            "conv1.weight",
            (6, 1, 5, 5),
            (plane(blocks=6, ratio=1.012, z=0.8, left_over=54),),
            None,
            ("left over: 36 % of the weights are in no block", "few blocks: 6"),
        ),
        layer("conv2.weight", (16, 6, 5, 5), (plane(blocks=148, ratio=0.9871, z=-4.21, left_over=32, density=0.4363),)),
        layer("fc1.weight", (120, 400), (plane(blocks=3000, ratio=0.8764, z=-213.4, density=0.48),)),
        layer("fc2.weight", (512, 784), (plane(blocks=25088, ratio=0.9982, z=-1.4, density=0.5),)),
        layer("fc3.weight", (4096, 4096), (plane(blocks=1048576, ratio=0.9514, z=-1021.0, density=0.4999),)),
        layer("out.weight", (12, 84), (plane(blocks=63, ratio=1.0832, z=5.94, density=0.53),)),
        layer("prune_mask", (64, 64), (constant_plane(),), None, (TWO_VALUES,), zeros=4096),
    )
    notes = (
        "2 of 7 planes have more than 0.25 blocks per possible block (1 saturated): their bdm depends more on size "
        "than on structure; compare bdm_rarefied and the ratios to the null instead",
    )
    return report(layers, notes=notes, warnings=("a warning about the whole report",))


def polarity() -> Report:
    """Two planes per layer, with measures asked for and a fit."""
    measures = {"sparsity": 0.125, "gzip": {"nbytes": 2113, "ratio": 0.912}}
    layers = tuple(
        layer(
            f"encoder.layer.{index}.attention.output.dense.weight",
            (768, 768),
            (plane("plus", 36864, 0.42, 0.98 - 0.03 * index, -31.0), plane("minus", 36864, 0.41, 1.004, 1.1)),
            measures,
            fit=Fit(threshold=0.0125 * (index + 1)),
        )
        for index in range(4)
    )
    return report(layers, path="bert.safetensors", settings=Settings(quantize="polarity", measures=MEASURES, seed=7))


def without_null() -> Report:
    layers = (layer(planes=(plane(null=False),)), layer("fc2.weight", (10, 256), (plane(blocks=128, null=False),)))
    return report(layers, settings=Settings(null="none", null_draws=None, measures=MEASURES))


def hostile(
    names: Sequence[str] = HOSTILE, note: str = "note with [bold]markup[/] and \x1b[31m and a line\nbreak"
) -> Report:
    """Names that would steer a terminal, break a line, be markup or a formula, if they were let."""
    layers = tuple(layer(name, (64, 64), (plane(blocks=256),), None, (f"odd {name}",)) for name in names)
    skipped = tuple(SkippedTensor(name, "F32", (4,), "weight", "1-D") for name in names)
    metadata = {"format\x1b[31m": "\ud800", "|": "`<b>"}
    return report(layers, skipped, (note,), (note,), path="odd\x1b[31m\n[red]name|.safetensors", metadata=metadata)


def transformer(count: int = 70) -> Report:
    """As many layers as asked for, named as large language models name theirs."""
    parts = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj")
    layers = []
    for index in range(count):
        name = f"model.layers.{index // 5}.{parts[index % 5]}.weight"
        ratio = 1 - ((index * 37) % 101) / 1000
        layers.append(layer(name, (2048, 2048), (plane(blocks=262144, ratio=ratio, z=-1 - index % 60),)))
    return report(tuple(layers), path="model-00001-of-00002.safetensors")


REPORTS: Mapping[str, Any] = {
    "lenet": lenet,
    "polarity": polarity,
    "without_null": without_null,
    "hostile": hostile,
    "transformer": transformer,
    "nothing": lambda: report(()),
}


def write(report: Report, writer: Writer) -> None:
    """Give a report to a writer as the command line does."""
    for item in report.layers:
        writer.layer(report.checkpoint.path, item)
    writer.report(report)
    writer.end()


def all_text(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Every text in a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *all_text(item))
    elif isinstance(value, list):
        for item in value:
            yield from all_text(item)
