"""List what this installation can read, count and print, each kind with a one-line summary."""

from __future__ import annotations

from wcx.blocks.layout import LAYOUTS
from wcx.core.dtypes import DTYPES
from wcx.core.kinds import Kind, Kinds, MeasureKind
from wcx.core.version import __version__
from wcx.formats import FORMATS
from wcx.measures import MEASURES
from wcx.outputs import OUTPUTS
from wcx.quantizers import QUANTIZERS
from wcx.tasks.analyze.presets import PRESETS
from wcx.tasks.analyze.settings import BLOCKS, BOUNDARIES

SCHEMA = "wcx/kinds/1"
_SUMMARIES = {
    "4x4": "binary matrices of 4 by 4 cells, 65,536 of them",
    "1x12": "binary strings of 12 symbols, 4,096 of them",
    "ignore": "leave out cells that fill no block",
    "recursive[:MIN]": "cut cells that fill no block into smaller squares (strings), of side MIN (2) or more",
    "correlated[:SHIFT]": "overlapping blocks, one every SHIFT (1) rows and columns",
    "permutation": "expectation under a random permutation of the plane's bits, in closed form",
    "shuffle:K": "the same estimated from K random permutations",
    "none": "no null model",
}


def kinds() -> Kinds:
    """Return all that this installation can read, count and print."""
    return Kinds(
        schema=SCHEMA,
        wcx=__version__,
        formats=tuple(Kind(format_.name, ", ".join(format_.suffixes)) for format_ in FORMATS.values()),
        dtypes=tuple(Kind(dtype.name, f"{dtype.bits} bits, {dtype.kind}") for dtype in DTYPES.values()),
        quantizers=tuple(Kind(kind.name, kind.summary) for kind in QUANTIZERS.values()),
        blocks=_listed(BLOCKS),
        boundaries=_listed(BOUNDARIES),
        layouts=tuple(Kind(name, summary) for name, summary in LAYOUTS.items()),
        measures=tuple(MeasureKind(measure.name, measure.summary, measure.unit) for measure in MEASURES.values()),
        nulls=_listed(("permutation", "shuffle:K", "none")),
        presets=tuple(Kind(preset.name, preset.summary) for preset in PRESETS.values()),
        outputs=tuple(Kind(output.name, output.summary) for output in OUTPUTS.values()),
    )


def _listed(names: tuple[str, ...]) -> tuple[Kind, ...]:
    return tuple(Kind(name, _SUMMARIES[name]) for name in names)
