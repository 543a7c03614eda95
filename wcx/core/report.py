"""The frozen values that travel between the stages, and nothing else.

Every field that a report prints has the name that it has in the JSON, so that to_dict() is a plain walk. What a scheme
or an option can't give is None; no field ever holds NaN or an infinity. All quantities are in bits unless the name says
otherwise; docs/measures.md defines each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wcx.core.checkpoint import CheckpointSummary
from wcx.core.plain import SPREAD, to_plain
from wcx.core.registry import NOTEBOOK_VIEWS
from wcx.core.scheme import Fit
from wcx.core.settings import Settings

Item = TypeVar("Item")


class Values(Mapping[str, Item]):
    """Values by name, which all planes of a report share; a model can have a million planes.

    places: the place of each name, from 0 up, in the order of the values. in_order: the values.
    """

    __slots__ = ("_places", "in_order")

    def __init__(self, places: Mapping[str, int], values: tuple[Item, ...]) -> None:
        self._places = places
        self.in_order = values

    def __getitem__(self, name: str) -> Item:
        return self.in_order[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return repr(dict(self))


def _item(report: PlaneReport | NullReport, name: str) -> Any:  # noqa: ANN401
    """Return the value of a measure as an attribute of its report."""
    try:
        return object.__getattribute__(report, "values")[name]
    except KeyError:
        raise AttributeError(f"{type(report).__name__!r} object has no attribute {name!r}") from None


# ------------------------------------------------------------------------------------------------------------- reports


@dataclass(frozen=True, slots=True)
class NullStatistic:
    """One quantity under the null model: mean and standard deviation, z = (value - mean) / sd, ratio = value / mean."""

    mean: float
    sd: float
    z: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class NullReport:
    """Values of a plane's measures under random permutations of its bits.

    kind: permutation (closed form), sampled (from `draws` draws, for few weights) or shuffle (real ones).
    values: by measure, in the order of the JSON; each is an attribute too (null.bdm). None where it was not asked for.
    """

    kind: str
    draws: int | None
    values: Values[NullStatistic | None] = field(metadata=SPREAD)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return _item(self, name)


@dataclass(frozen=True, slots=True)
class ReferencePlane:
    """This plane in the reference checkpoint: its bdm, and ratio = the plane's bdm / that; None where it has none."""

    bdm: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class PlaneReport:
    """The numbers of one plane of bits; docs/measures.md defines each.

    values: by measure, in the order of the JSON; each is an attribute too (plane.bdm). None where it was not asked for
    or is not defined.
    """

    plane: str
    ones: int
    density: float
    blocks: int
    possible: int
    left_over: int | None
    values: Values[float | int | str | None] = field(metadata=SPREAD)
    null: NullReport | None
    reference: ReferencePlane | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return _item(self, name)


@dataclass(frozen=True, slots=True)
class Total:
    """Values added up, over planes or layers (as opposed to pooled, where counts are added).

    bdm: None where it was not asked for. reference_ratio: to the same sum of the reference; None where a layer or plane
    has none.
    """

    bdm: float | None
    reference_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One analysed tensor. matrix: its rows and columns as counted; zeros and nonfinite: numbers of such weights."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    matrix: tuple[int, int]
    weights: int
    role: str
    source: str | None
    aliases: tuple[str, ...]
    zeros: int
    nonfinite: int
    fit: Fit
    planes: tuple[PlaneReport, ...]
    total: Total
    measures: Mapping[str, Any]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as plain dicts and lists, as in the JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """One tensor that was not analysed, and why."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelPlane:
    """One plane of the whole model: `pooled` adds the counts of all layers and evaluates once, `sum` adds values."""

    plane: str
    pooled: PlaneReport | None
    sum: Total


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The model's rows: weights and number of the layers analysed, and each plane over all of them."""

    weights: int
    layers: int
    planes: tuple[ModelPlane, ...]
    total: Total
    concatenated: PlaneReport | None = None
    measures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The report on one checkpoint; `to_dict()` is the JSON, a notebook shows it as a table."""

    schema: str
    wcx: str
    checkpoint: CheckpointSummary
    settings: Settings
    layers: tuple[LayerReport, ...]
    skipped: tuple[SkippedTensor, ...]
    model: ModelReport
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dicts and lists, exactly the fields of `wcx analyze --json`."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def _repr_html_(self) -> str:
        """Return the report as an HTML table, which Jupyter shows."""
        return NOTEBOOK_VIEWS[self.schema](self)
