"""Which layers a table shows and in which order: --sort and --top.

`deviation` is what chance does not explain of a layer's distance from its own shuffle: max(0, |ratio - 1| - 2 sd/mean)
of the leading measure (bdm_rarefied), which stays meaningful for layers of any size. Unlike z, it does not grow with
the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wcx.core.quantities import LAYER_NUMBERS, getter, is_measure, leading, plane_numbers
from wcx.core.report import LayerReport, PlaneReport
from wcx.outputs import View
from wcx.outputs.shared.ordering import check_order, descending

_MOST = 40
_NAMED = ("deviation", "name", "file")
TRIVIAL = "at most two distinct values"
"""How the warning of a mask or a constant begins."""

_Key = Callable[[LayerReport], float | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """The layers to show: `main`, then `apart` those of at most two distinct values; how many were left out.

    order: the name of the order they are in.
    """

    main: tuple[LayerReport, ...]
    apart: tuple[LayerReport, ...]
    left_out: int
    order: str


def check(view: View) -> None:
    """Raise UsageError for an order or a length that makes no sense, before anything is read."""
    check_order(view, (*_NAMED, *LAYER_NUMBERS, *plane_numbers()), is_measure)


def select(layers: Sequence[LayerReport], view: View) -> Selection:
    """Choose and order layers; a terminal shows the 40 of highest deviation of more, unless told otherwise."""
    most = view.top if view.top is not None else _MOST if view.terminal else 0
    limited = 0 < most < len(layers)
    order = view.sort or ("deviation" if limited and _has_deviation(layers) else "file")
    main = _ordered([layer for layer in layers if not _is_trivial(layer)], order)
    apart = _ordered([layer for layer in layers if _is_trivial(layer)], order)
    if limited:
        main = main[:most]
        apart = apart[: most - len(main)]
    return Selection(tuple(main), tuple(apart), len(layers) - len(main) - len(apart), order)


def _is_trivial(layer: LayerReport) -> bool:
    """Return True for a mask or a constant: its deviation from its shuffle means nothing."""
    return any(warning.startswith(TRIVIAL) for warning in layer.warnings)


def deviation(plane: PlaneReport) -> float | None:
    """Return the part of the plane's distance from its shuffle that chance does not explain; None without a null."""
    null = plane.null.values[leading()[0]] if plane.null else None
    if null is None or null.ratio is None or null.mean == 0:
        return None
    return max(0.0, abs(null.ratio - 1) - 2 * null.sd / null.mean)


def _has_deviation(layers: Sequence[LayerReport]) -> bool:
    return any(deviation(plane) is not None for layer in layers for plane in layer.planes)


def _ordered(layers: list[LayerReport], order: str) -> list[LayerReport]:
    if order == "file":
        return layers
    if order == "name":
        return sorted(layers, key=lambda layer: layer.name)
    key = _key(order)
    return sorted(layers, key=lambda layer: descending(key(layer)))


def _key(order: str) -> _Key:
    if order in LAYER_NUMBERS or is_measure(order):
        return getter(order)
    value = deviation if order == "deviation" else _absolute(order) if order.endswith(".z") else getter(order)
    return lambda layer: max((one for one in map(value, layer.planes) if one is not None), default=None)


def _absolute(path: str) -> Callable[[object], float | None]:
    get = getter(path)

    def absolute(plane: object) -> float | None:
        value = get(plane)
        return None if value is None else abs(value)

    return absolute
