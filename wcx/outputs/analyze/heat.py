"""The heat map of layers by planes: one row per layer, one column per plane, one shaded number per cell.

The number is the null ratio of bdm_rarefied, or the field that --sort names; if -m or --null leave it out, the next
available one: another ratio, bdm, block_entropy, density. The shade shows the distance of a ratio from 1, or the place
of another number between the smallest and the largest. Where space is short cells lose digits: three decimals, two,
then the shade alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wcx.core.quantities import DENSITY, getter, leading_ratios, main_measures, plane_numbers, summed_measures
from wcx.core.report import LayerReport, ModelReport, PlaneReport
from wcx.outputs import View
from wcx.outputs.shared import figures
from wcx.outputs.shared.cells import Cell

SHADES = " ░▒▓█"
_MAIN = 2  # of the measures that compare shows of the model
_NAME_AT_LEAST = 16
_LEAST_SPREAD = 0.02  # of a ratio from 1, which fills a shade: less is chance in all but huge layers


def field_of(view: View, layers: Sequence[LayerReport]) -> str:
    """Return the field that the cells show."""
    if view.sort in plane_numbers():
        return str(view.sort)
    planes = [plane for layer in layers for plane in layer.planes]
    usual = (*leading_ratios(), *main_measures()[:_MAIN])
    return next((name for name in usual if any(getter(name)(plane) is not None for plane in planes)), DENSITY)


@dataclass(frozen=True, slots=True)
class Heat:
    """Rows of values, None where a layer lacks a plane; least and most of all values; `field` is what they are."""

    field: str
    planes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    model: tuple[tuple[str, tuple[float | None, ...]], ...]
    least: float
    most: float

    @property
    def is_ratio(self) -> bool:
        """True if the value 1 is unshaded."""
        return self.field.endswith("ratio")

    def share(self, value: float) -> float:
        """Return the strength of a cell's shade, 0 to 1."""
        if self.is_ratio:
            return abs(value - 1) / max(self.most - 1, 1 - self.least, _LEAST_SPREAD)
        return (value - self.least) / (self.most - self.least) if self.most > self.least else 0.0

    def tone(self, value: float) -> str:
        """Return the tone of a cell: less or more for a ratio that is shaded."""
        if not self.is_ratio:
            return "plain"
        return "dim" if self.share(value) < 0.125 else "less" if value < 1 else "more"

    def shade(self, value: float, shades: str = SHADES) -> str:
        """Return one of the shades."""
        return shades[min(round(self.share(value) * (len(shades) - 1)), len(shades) - 1)]

    def text(self, value: float | None, places: int) -> str:
        """Return a cell's number, without its leading 0 where space is short."""
        if value is None:
            return figures.MISSING
        if not self.is_ratio:
            return figures.any_number(float(value)) if places > 2 else f"{value:.2g}"
        text = f"{value:.{places}f}"
        return text if places > 2 else text.removeprefix("0")

    def width(self, name: int, columns: int | None, shaded: bool) -> tuple[int, int]:
        """Return decimals and width of the cells that fit next to names of that width; 0 decimals: a shade alone.

        columns: of the terminal, None where nothing limits them.
        """
        extra = 2 if shaded else 1
        for places in (3, 2):
            cells = [self.text(value, places) for _, row in (*self.rows, *self.model) for value in row]
            heads = [_head(plane, places) for plane in self.planes]
            cell = max(map(len, (*cells, *heads)), default=1) + extra
            if columns is None or min(name, _NAME_AT_LEAST) + cell * len(self.planes) <= columns:
                return places, cell
        return 0, 3 if min(name, _NAME_AT_LEAST) + 3 * len(self.planes) <= (columns or 0) else 2

    def heads(self, places: int, cell: int) -> str:
        """Return the heading of the cells."""
        return "".join(_head(plane, places).rjust(cell) for plane in self.planes)

    def cells(self, row: Sequence[float | None], places: int, cell: int, shades: str) -> list[Cell]:
        """Return the padded cells of a row. shades: the characters of the shades, empty for plain numbers."""
        found = []
        for value in row:
            shade = self.shade(value, shades) if shades and value is not None else ""
            text = (
                self.text(value, places).rjust(cell - 1 - len(shade)) if places else "" if shade else self._digit(value)
            )
            found.append(Cell((shade + text).rjust(cell), "plain" if value is None else self.tone(value)))
        return found

    def _digit(self, value: float | None) -> str:
        """Return the shade as a digit, for streams that have no shades."""
        return figures.MISSING if value is None else str(round(9 * self.share(value)))


def make_heat(layers: Sequence[LayerReport], model: ModelReport, view: View) -> Heat:
    """Return the heat map of those layers and the model's pooled row."""
    field = field_of(view, layers)
    get = getter(field)
    names = dict.fromkeys(plane.plane for layer in layers for plane in layer.planes)
    rows = tuple((layer.name or '""', _values(layer.planes, names, get)) for layer in layers)
    pooled = [row.pooled for row in model.planes if row.pooled is not None]
    total = (("pooled", _values(pooled, names, get)),) if pooled and field not in summed_measures() else ()
    known = [value for _, row in (*rows, *total) for value in row if value is not None]
    return Heat(field, tuple(names), rows, total, min(known, default=0.0), max(known, default=0.0))


def _values(
    planes: Sequence[PlaneReport], names: Iterable[str], get: Callable[[object], Any]
) -> tuple[float | None, ...]:
    found = {plane.plane: get(plane) for plane in planes}
    return tuple(found.get(name) for name in names)


def _head(plane: str, places: int) -> str:
    if places > 2:
        return plane
    number = plane.removeprefix("bit")
    return number if number.isdigit() and not places else plane[:1] + number if number.isdigit() else plane[:3]
