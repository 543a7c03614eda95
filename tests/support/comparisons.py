"""Comparisons written by hand, for the tests of their outputs: no checkpoints, no statistics, plausible numbers.

Values are rounded to few digits, so that they are the same doubles on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp, sin
from typing import Any

from reports import HOSTILE

from wcx.core.comparison import (
    Coefficient,
    ComparedCheckpoint,
    Comparison,
    Conclusion,
    Correlation,
    CorrelationDifference,
    Difference,
    FisherMean,
    Joined,
    LayerSeries,
    ModelPlaneSeries,
    ModelSeries,
    Series,
)

MEASURES = ("bdm", "block_entropy", "bit_entropy", "mean_ctm", "bdm_rarefied")
DELTA = ("bdm", "block_entropy", "mean_ctm", "density", "null.bdm.ratio")
METRICS = ("train_loss", "val_accuracy")
SETTINGS: Mapping[str, Any] = {
    "quantize": "polarity",
    "zero": None,
    "block": "4x4",
    "boundary": "ignore",
    "layout": "rows",
    "measures": [*MEASURES, "gzip"],
    "null": "permutation",
    "null_draws": 1000,
    "preset": None,
    "rarefy": 1024,
    "seed": 0,
    "include": [],
    "exclude": [],
    "include_optimizer": False,
    "reference": None,
    "ctm": [{"shape": "4x4", "name": "CTM-B2-D4x4", "sha256": "0" * 64}],
    "order": "step",
    "packed": [],
    "group": False,
    "metrics": [],
    "log": {"path": "run/log.csv", "step_column": "step", "rule": "nearest", "paths": ["run/log.csv"]},
    "smooth": None,
    "block_length": 4,
    "resamples": 2000,
}


def _wave(start: float, end: float, count: int, wobble: float, phase: float) -> tuple[float, ...]:
    """From start to end, fast at first, with a wobble that looks like noise."""
    share = [(1 - exp(-4 * at / max(count - 1, 1))) / (1 - exp(-4)) for at in range(count)]
    return tuple(
        round(start + (end - start) * part + wobble * sin(phase + 2.39996 * at * at), 6)
        for at, part in enumerate(share)
    )


def _without(values: Sequence[float], missing: Sequence[int]) -> Series:
    return tuple(None if at in missing else value for at, value in enumerate(values))


def plane_series(count: int, end: float, phase: float, blocks: int, missing: Sequence[int] = ()) -> dict[str, Series]:
    """The series of one plane whose null ratio goes from 1 to `end`."""
    ratio = _wave(1.0, end, count, 0.002, phase)
    made = {
        "bdm": tuple(round(24.5 * blocks * value, 4) for value in ratio),
        "block_entropy": _wave(13.5, 13.5 * (0.3 + 0.7 * end), count, 0.01, phase + 1),
        "bit_entropy": _wave(0.9997, 0.99, count, 0.0001, phase),
        "mean_ctm": tuple(round(30.38 * (0.6 + 0.4 * value), 6) for value in ratio),
        "bdm_rarefied": tuple(round(24.5 * min(blocks, 1024) * value, 4) for value in ratio),
        "density": _wave(0.5, 0.45, count, 0.001, phase),
        "null.bdm.ratio": ratio,
        "null.bdm_rarefied.ratio": ratio,
        "gzip.nbytes": tuple(float(round(2 * blocks * value)) for value in _wave(1.02, end + 0.02, count, 0.001, 2.0)),
    }
    return {name: _without(values, missing) for name, values in made.items()}


def changes(count: int, phase: float, blocks: int, missing: Sequence[int] = ()) -> dict[str, Any]:
    """flips, flips_from_first, delta and delta_from_first of a plane."""
    flips = _without(_wave(0.06, 0.01, count, 0.002, phase), (0, *missing))
    since = _without(_wave(0.0, 0.25, count, 0.0, phase), missing)
    values = {
        "bdm": _wave(20.0 * blocks, 9.0 * blocks, count, 5.0, phase),
        "block_entropy": _wave(9.0, 5.0, count, 0.1, phase),
        "mean_ctm": _wave(28.0, 24.0, count, 0.1, phase),
        "density": _wave(0.06, 0.01, count, 0.002, phase),
        "null.bdm.ratio": _wave(0.96, 0.91, count, 0.01, phase),
    }
    delta = {name: _without(series, (0, *missing)) for name, series in values.items()}
    return {"flips": flips, "flips_from_first": since, "delta": delta, "delta_from_first": delta}


def layer(
    name: str,
    shape: tuple[int, ...],
    plane: str | None = "sign",
    count: int = 31,
    end: float = 0.9,
    missing: Sequence[int] = (),
) -> LayerSeries:
    blocks = max(shape[0] * shape[-1] // 16, 1)
    phase = float(len(name))
    return LayerSeries(
        name, shape, plane, plane_series(count, end, phase, blocks, missing), **changes(count, phase, blocks, missing)
    )


def stored(name: str, shape: tuple[int, ...], count: int = 31) -> LayerSeries:
    """What belongs to a layer as a whole."""
    none = (None,) * count
    return LayerSeries(name, shape, None, {"sparsity": _wave(0.0, 0.125, count, 0.0, 0.0)}, none, none, {}, {})


def checkpoint(at: int, run: str | None = None, **changed: Any) -> ComparedCheckpoint:  # noqa: ANN401
    label = f"epoch_{at:03d}"
    log: dict[str, float | None] = {
        "train_loss": round(2.6 * exp(-at / 6) + 0.013, 6),
        "val_accuracy": round(0.97 - 0.8 * exp(-at / 4), 6),
    }
    made = ComparedCheckpoint(
        label=label if run is None else f"{run}/{label}",
        step=at,
        unit="epoch",
        epoch=at,
        path=f"run/{run or 'only'}/{label}.safetensors",
        format="safetensors",
        group=run,
        duplicate_of=None,
        error=None,
        log=log,
    )
    return replace(made, **changed)


def coefficient(r: float | None, half: float = 0.2, q: float | None = None) -> Coefficient:
    if r is None:
        return Coefficient(None, None, None, None)
    return Coefficient(r, round((1 - abs(r)) / 2, 6), q, (round(max(r - half, -1), 6), round(min(r + half, 1), 6)))


def correlation(
    measure: str,
    metric: str,
    transform: str,
    r: float | None,
    plane: str = "plus",
    scope: str = "pooled",
    layer: str | None = None,
    group: str | None = None,
) -> Correlation:
    q = 0.01 if layer and transform == "raw" else 0.4 if layer else None
    values = [coefficient(None if r is None else round(r * part, 6), q=q) for part in (0.95, 1.0, 0.8)]
    n = 29 if transform == "diff" else 30
    effective = {"raw": 5.1, "log": 4.8}.get(transform, 27.5)
    return Correlation(scope, layer, group, plane, measure, metric, transform, n, effective, q, *values)


LEVELS = {"raw": 0.93, "log": 0.91, "detrended": 0.31, "diff": 0.08}
STRENGTH = {"bdm": 1.0, "block_entropy": 0.97, "bit_entropy": 0.6, "mean_ctm": 0.99, "bdm_rarefied": 1.0}
STRENGTH |= {"density": 0.5, "null.bdm.ratio": 1.0, "null.bdm_rarefied.ratio": 1.0, "gzip.nbytes": 1.01}


def correlations(planes: Sequence[str], layers: Sequence[str], group: str | None = None) -> tuple[Correlation, ...]:
    made = []
    for metric, sign in zip(METRICS, (1, -1), strict=True):
        for transform, r in LEVELS.items():
            for plane in planes:
                for measure, part in STRENGTH.items():
                    value = None if measure == "density" else round(sign * r * part, 6)
                    made.append(correlation(measure, metric, transform, value, plane, group=group))
                made.append(correlation("bdm", metric, transform, sign * r, plane, "sum", group=group))
                made += [correlation("bdm", metric, transform, sign * r, plane, "layer", one, group) for one in layers]
    return tuple(made)


def differences(planes: Sequence[str], group: str | None = None) -> tuple[CorrelationDifference, ...]:
    made = []
    for metric, sign in zip(METRICS, (1, -1), strict=True):
        for transform in LEVELS:
            for plane in planes:
                for against, by in (("block_entropy", 0.03), ("gzip.nbytes", -0.01)):
                    one = Difference(sign * by, (sign * by - 0.02, sign * by + 0.02), by, (by - 0.02, by + 0.02))
                    one = Difference(
                        one.difference,
                        (round(sign * by - 0.02, 6), round(sign * by + 0.02, 6)),
                        by,
                        (round(by - 0.02, 6), round(by + 0.02, 6)),
                    )
                    made.append(
                        CorrelationDifference(
                            "pooled", None, group, plane, "bdm", against, metric, transform, 30, one, one, one
                        )
                    )
    return tuple(made)


def fisher_means(planes: Sequence[str], runs: int) -> tuple[FisherMean, ...]:
    made = []
    for metric, sign in zip(METRICS, (1, -1), strict=True):
        for transform, r in LEVELS.items():
            for plane in planes:
                pairs = [(measure, None, sign * r * part) for measure, part in STRENGTH.items() if measure != "density"]
                pairs += [("bdm", "block_entropy", 0.12), ("bdm", "gzip.nbytes", -0.04)]
                for measure, against, value in pairs:
                    what = measure if against is None else f"{measure} - {against}"
                    made.append(
                        FisherMean(
                            f"pooled {plane} {what}, {metric}, {transform}, spearman",
                            runs,
                            round(value, 6),
                            (round(value - 0.1, 6), round(value + 0.05, 6)),
                            "correlation" if against is None else "strength",
                            "pooled",
                            None,
                            plane,
                            measure,
                            against,
                            metric,
                            transform,
                            "spearman",
                        )
                    )
    return tuple(made)


CONCLUSIONS = (
    Conclusion(
        "tracks", "plus", "bdm", None, "train_loss", None, True, False, False,
        "bdm of plane plus and train_loss: positive correlation in levels (Spearman 0.93, 95 % interval 0.73 to 1.00), "
        "no significant correlation in first differences (Spearman 0.08, 95 % interval -0.12 to 0.28): shown in "
        "levels only, where a common trend suffices",
    ),
    Conclusion(
        "tracks", "minus", "block_entropy", None, "train_loss", None, True, True, True,
        "block_entropy of plane minus and train_loss: positive correlation in levels (Spearman 0.90), positive "
        "correlation in first differences (Spearman 0.41): also shown from one checkpoint to the next",
    ),
    Conclusion(
        "better", "plus", "bdm", "gzip.nbytes", "train_loss", None, False, False, False,
        "bdm of plus does not track train_loss better than gzip.nbytes: -0.01, -0.03 to 0.01",
    ),
)  # fmt: skip


def model(planes: Sequence[str], count: int, missing: Sequence[int] = ()) -> ModelSeries:
    made = []
    for number, plane in enumerate(planes):
        pooled = plane_series(count, 0.94 + 0.01 * number, 5.0 + number, 13584, missing)
        added = {"bdm": tuple(None if value is None else round(value * 1.125, 4) for value in pooled["bdm"])}
        made.append(
            ModelPlaneSeries(plane=plane, pooled=pooled, sum=added, **changes(count, 5.0 + number, 13584, missing))
        )
    total = {"bdm": tuple(None if value is None else value * 2 for value in made[0].sum["bdm"])} if made else {}
    return ModelSeries(tuple(made), total, {})


def comparison(**changed: Any) -> Comparison:  # noqa: ANN401
    empty = Comparison(
        schema="wcx/comparison/1",
        wcx="0.1.0",
        settings=SETTINGS,
        checkpoints=(),
        layers=(),
        model=ModelSeries((), {}, {}),
        correlations=(),
        differences=(),
        groups=(),
        conclusions=(),
        joined=None,
        unmatched=(),
        notes=(),
        warnings=(),
    )
    return replace(empty, **changed)


SHAPES = {"fc1.weight": (256, 784), "fc2.weight": (64, 256), "head.weight": (10, 64)}
ENDS = {"fc1.weight": 0.86, "fc2.weight": 0.93, "head.weight": 1.012}


def training() -> Comparison:
    """31 checkpoints, three layers, two planes, a log, one file unreadable, one layer of another shape at the end."""
    broken = 7
    checkpoints = [checkpoint(step) for step in range(31)]
    checkpoints[broken] = replace(checkpoints[broken], format=None, error="truncated: 512 of 4096 bytes", log={})
    checkpoints[12] = replace(checkpoints[12], duplicate_of="epoch_011")
    checkpoints[3] = replace(checkpoints[3], log={**checkpoints[3].log, "train_loss": None})
    layers = []
    for name, shape in SHAPES.items():
        gone = (broken, 30) if name == "head.weight" else (broken,)
        layers += [
            layer(name, shape, plane, end=ENDS[name] + shift, missing=gone)
            for plane, shift in (("plus", 0.0), ("minus", 0.01))
        ]
        layers.append(stored(name, shape))
    planes = ("plus", "minus")
    return comparison(
        checkpoints=tuple(checkpoints),
        layers=tuple(layers),
        model=model(planes, 31, (broken,)),
        correlations=correlations(planes, tuple(SHAPES)),
        differences=differences(planes),
        conclusions=CONCLUSIONS,
        joined=Joined(rows=40, used=29, unused=11, duplicates=2),
        unmatched=({"name": "head.weight", "in": ["epoch_030"], "reason": "shape differs", "shape": [12, 64]},),
        notes=("epoch_012 has the same tensors as epoch_011",),
        warnings=("epoch_007 can't be read: truncated: 512 of 4096 bytes",),
    )


def two() -> Comparison:
    """A model and its fine-tune: no steps, no log."""
    names = ("base", "tuned")
    checkpoints = tuple(checkpoint(0, label=name, step=None, unit=None, epoch=None, log={}) for name in names)
    return comparison(
        settings={**SETTINGS, "quantize": "sign", "zero": "zero", "log": None},
        checkpoints=checkpoints,
        layers=tuple(layer(name, shape, count=2, end=ENDS[name]) for name, shape in SHAPES.items()),
        model=model(("sign",), 2),
    )


def same() -> Comparison:
    """A file compared with itself: nothing has changed."""
    once = two()
    nothing: dict[str, Any] = {
        "flips": (None, 0.0),
        "flips_from_first": (0.0, 0.0),
        "delta": dict.fromkeys(DELTA, (None, None)),
        "delta_from_first": dict.fromkeys(DELTA, (None, None)),
    }
    still = [
        replace(one, series={name: values[:1] * 2 for name, values in one.series.items()}, **nothing)
        for one in once.layers
    ]
    plane = once.model.planes[0]
    pooled = {name: values[:1] * 2 for name, values in plane.pooled.items()}
    added = {name: values[:1] * 2 for name, values in plane.sum.items()}
    unmoved = replace(plane, pooled=pooled, sum=added, **nothing)
    return replace(once, layers=tuple(still), model=ModelSeries((unmoved,), added, {}))


def runs(labels: Sequence[str] = ("seed_0", "seed_1", "seed_2"), count: int = 11) -> Comparison:
    """Several runs of one network, over which correlations are averaged."""
    checkpoints = tuple(checkpoint(step, label) for label in labels for step in range(count))
    total = len(checkpoints)
    return comparison(
        settings={**SETTINGS, "quantize": "sign", "zero": "zero"},
        checkpoints=checkpoints,
        layers=tuple(layer(name, shape, count=total, end=ENDS[name]) for name, shape in SHAPES.items()),
        model=model(("sign",), total),
        correlations=tuple(one for label in labels for one in correlations(("sign",), tuple(SHAPES), label)),
        differences=tuple(one for label in labels for one in differences(("sign",), label)),
        groups=fisher_means(("sign",), len(labels)),
        conclusions=CONCLUSIONS[:1],
        joined=Joined(total, total, 0, 0),
    )


def hostile() -> Comparison:
    """Names that would steer a terminal, break a line, be markup, mathematics or a formula, if they were let."""
    names = (*HOSTILE, "$x^2$.weight", r"$\frac{1}{$")
    checkpoints = tuple(
        checkpoint(at, label=f"{at}{name}", path=name, group=None, log=dict.fromkeys(HOSTILE[:6], 1.0 / (1 + at)))
        for at, name in enumerate(names)
    )
    checkpoints = (*checkpoints[:-1], replace(checkpoints[-1], error="odd \x1b[31m\n| error", log={}))
    count = len(checkpoints)
    return comparison(
        settings={
            **SETTINGS,
            "log": {"path": "odd\x1b[31m\n|.csv", "step_column": "\u202e", "rule": "nearest", "paths": ["run/log.csv"]},
        },
        checkpoints=checkpoints,
        layers=tuple(layer(name, (64, 64), names[0], count, 0.9 + at / 100) for at, name in enumerate(names)),
        model=model((names[0],), count),
        correlations=tuple(
            correlation("bdm", name, transform, r, names[0]) for name in HOSTILE[:6] for transform, r in LEVELS.items()
        ),
        conclusions=(replace(CONCLUSIONS[0], text="odd \x1b[31m\n| <b> conclusion"),),
        joined=Joined(3, 3, 0, 0),
        unmatched=tuple({"name": name, "in": [name], "reason": "missing"} for name in names),
        notes=tuple(names),
        warnings=tuple(names),
    )


def transformer(count: int = 70, checkpoints: int = 9) -> Comparison:
    """As many layers as asked for, named as large language models name theirs, over irregular steps."""
    parts = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj")
    layers = tuple(
        layer(
            f"model.layers.{at // 5}.{parts[at % 5]}.weight",
            (2048, 2048),
            count=checkpoints,
            end=1 - ((at * 37) % 101) / 1000,
        )
        for at in range(count)
    )
    steps = [0, *(2**at for at in range(checkpoints - 1))]
    return comparison(
        settings={**SETTINGS, "quantize": "sign", "zero": "zero", "log": None},
        checkpoints=tuple(
            checkpoint(step, label=f"step{step}", unit="step", epoch=None, log={}) for step in steps[:checkpoints]
        ),
        layers=layers,
        model=model(("sign",), checkpoints),
    )


def without_null() -> Comparison:
    """Neither a null model nor a measure but the entropy."""
    once = two()
    layers = tuple(
        replace(one, series={"block_entropy": one.series["block_entropy"], "density": one.series["density"]})
        for one in once.layers
    )
    bare = tuple(
        replace(one, pooled={"block_entropy": one.pooled["block_entropy"]}, sum={}) for one in once.model.planes
    )
    return replace(once, layers=layers, model=ModelSeries(bare, {}, {}))


COMPARISONS: Mapping[str, Callable[[], Comparison]] = {
    "training": training,
    "two": two,
    "same": same,
    "runs": runs,
    "hostile": hostile,
    "transformer": transformer,
    "without_null": without_null,
    "nothing": comparison,
}
