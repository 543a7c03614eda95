"""A comparison as a picture for a paper: the model's curves with the loss, layers by checkpoints below.

matplotlib (the extra `plot`) is imported only here and only when a picture is drawn. It is drawn on a figure of its
own, with the library's defaults: no window, no pyplot, no style of the user's. The same comparison gives the same bytes
with the same version of matplotlib: no dates, a fixed salt for the names in an SVG. Names are never parsed as
mathematics, and characters that the font lacks are written as escapes.

The colours are distinct with any colour vision: Okabe & Ito (2008) for lines, RdBu and viridis for maps.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import ceil, floor, log10, nan
from typing import TYPE_CHECKING, Any

from wcx.core.comparison import Comparison
from wcx.core.errors import MissingDependencyError, UsageError
from wcx.core.files import claim_output, written
from wcx.core.groups import grouped, mean
from wcx.core.text import escape
from wcx.outputs.compare.picture import Axis, Curve, HeatMap, curves, heat_maps, make_axis, metrics
from wcx.outputs.shared.names import cut, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTHS = {1: 3.5, 2: 7.2}
"""Inches of a picture over one or two columns of a page (89 and 183 mm)."""

_KINDS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_DPI = 300
_CURVES_INCHES = 2.0
_ROW_INCHES = 0.16
_LEAST_INCHES, _MOST_INCHES = 0.55, 3.2
_MARGIN_INCHES = 0.5
_MOST_NAMES = 24
_LONGEST_NAME = {1: 18, 2: 30}
_PLACES = 5  # of positions on the picture, whose sides are 1
_ELLIPSIS = "…"
_SIGNS_AN_INCH = 12  # of the picture's width, in the legend
_LEGEND_SIGNS = 5  # that a line and its margins take there
_MOST_MARKERS = 40
_MOST_TICKS = {1: 6, 2: 11}
_BAR_TICKS = 4
_MOST_CELLS = 4000  # of a heat map that stays a drawing in SVG and PDF, and does not become an image
_LEAST_HALF = 0.02  # of a ratio from 1, which fills the colours: less is chance in all but huge layers
_LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LOSSES = ("#000000", "#7F7F7F")
_DASHES = ("-", ":")
_LOSS_DASHES = ("--",)
_SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,
    "axes.titlesize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "text.parse_math": False,
    "text.usetex": False,
    "svg.hashsalt": "wcx",
    "pdf.fonttype": 42,
}


def plot(comparison: Comparison, path: str | os.PathLike[str], columns: int = 2) -> None:
    """Draw the comparison into a file; the suffix of `path` decides between PNG (300 dpi), SVG and PDF.

    columns: of a page that the picture is as wide as, 1 (89 mm) or 2 (183 mm). Raises UsageError for another suffix or
    number of columns, or where the file can't be written, MissingDependencyError without matplotlib.
    """
    kind = check_plot(path)
    drawn = render(comparison, kind, columns)
    with written(os.fspath(path), "--plot") as descriptor, open(descriptor, "wb", closefd=False) as file:
        file.write(drawn)


def check_plot(path: str | os.PathLike[str]) -> str:
    """Return png, svg or pdf by the suffix; raise what `plot` would raise, before anything is read."""
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _KINDS:
        raise UsageError(f"--plot {name}: the name must end in one of {', '.join(_KINDS)}")
    _library()
    claim_output(name, "--plot")
    return _KINDS[suffix]


def render(comparison: Comparison, kind: str, columns: int = 2) -> bytes:
    """Return the bytes of the picture; kind: png, svg or pdf."""
    if columns not in WIDTHS:
        raise UsageError(f"columns={columns}: choose 1 or 2")
    stream = io.BytesIO()
    with _own_settings():
        figure = _draw(comparison, columns)
        _freeze(figure)
        figure.savefig(stream, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return stream.getvalue()


def _library() -> Any:  # noqa: ANN401
    try:
        import matplotlib
    except ImportError as error:
        raise MissingDependencyError('a plot needs matplotlib: pip install "wcx-cli[plot]"') from error
    return matplotlib


@contextmanager
def _own_settings() -> Iterator[None]:
    """Set matplotlib's defaults and our settings, and restore the user's afterwards."""
    matplotlib = _library()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def _draw(comparison: Comparison, columns: int) -> Figure:
    from matplotlib.figure import Figure

    axis = make_axis(comparison)
    maps = list(heat_maps(comparison))
    heights = [_CURVES_INCHES, *(min(max(_ROW_INCHES * len(one.rows), _LEAST_INCHES), _MOST_INCHES) for one in maps)]
    height = sum(heights) + _MARGIN_INCHES * len(heights)
    figure = Figure(figsize=(WIDTHS[columns], height), dpi=_DPI, layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    _draw_curves(panels[0], list(curves(comparison, axis)), list(metrics(comparison, axis)), columns)
    for panel, one in zip(panels[1:], maps, strict=True):
        _draw_map(figure, panel, one, axis, columns)
    _draw_steps(panels[-1], axis, columns)
    for letter, panel in zip("abc", panels, strict=False):
        panel.annotate(
            letter, (0, 1), (-4, 3), "axes fraction", "offset points", ha="right", va="bottom", weight="bold", size=9
        )
    return figure


def _freeze(figure: Figure) -> None:
    """Lay the panels out once, and round where they are: the solver's last digits are not the same each time."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for panel in figure.axes:
        left, bottom, width, height = (round(number, _PLACES) for number in panel.get_position().bounds)
        panel.set_position((left, bottom, width, height))


def _draw_curves(panel: Axes, model: Sequence[Curve], logged: Sequence[Curve], columns: int) -> None:
    """Draw the model's measures, and the losses on an axis of their own on the right."""
    panel.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    hues = _hues(1 + max((one.hue for one in model), default=0))
    handles = _draw_lines(panel, model, hues, _DASHES)
    means = len({one.positions for one in model}) == 1 and len(model) > len(handles)
    panel.set_ylabel("change since first checkpoint, %" + ("\n(thick: mean of runs)" if means else ""))
    if logged:
        right = panel.twinx()
        handles |= _draw_lines(right, logged, _LOSSES, _LOSS_DASHES)
        right.set_ylabel(" and ".join(dict.fromkeys(_printable(one.name, columns) for one in logged)))
        _scale(right, [value for one in logged for value in one.values if value is not None])
    labels = [_printable(name, columns) for name in handles]
    fitting = _legend_columns([len(label) + _LEGEND_SIGNS for label in labels], int(WIDTHS[columns] * _SIGNS_AN_INCH))
    panel.legend(
        list(handles.values()), labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=fitting, columnspacing=1.2
    )


def _legend_columns(entries: Sequence[int], room: int) -> int:
    """Return the number of columns that fit, filled one after the other and evenly with entries of those widths."""
    for number in range(len(entries), 1, -1):
        rows, longer = divmod(len(entries), number)
        starts = [at * rows + min(at, longer) for at in range(number + 1)]
        if sum(max(entries[start:stop]) for start, stop in pairwise(starts)) <= room:
            return number
    return 1


def _hues(number: int) -> Sequence[Any]:
    """Return that number of colours: Okabe and Ito's, or for more of them steps of viridis."""
    from matplotlib import colormaps

    if number <= len(_LINES):
        return _LINES
    return [colormaps["viridis"](at / (number - 1)) for at in range(number)]


def _draw_lines(panel: Axes, shown: Sequence[Curve], hues: Sequence[Any], dashes: Sequence[str]) -> dict[str, Any]:
    """Draw the lines and return them by name; of several runs thin ones, and their mean if they have the same steps."""
    by_name = grouped(shown, lambda curve: curve.name)
    return {name: _draw_runs(panel, of_name, hues, dashes) for name, of_name in by_name.items()}


def _draw_runs(panel: Axes, runs: Sequence[Curve], hues: Sequence[Any], dashes: Sequence[str]) -> Any:  # noqa: ANN401
    """Draw the curves of one name, and return the line that represents them in the legend."""
    first = runs[0]
    look: dict[str, Any] = {"color": hues[first.hue % len(hues)], "linestyle": dashes[first.dash % len(dashes)]}
    if len(runs) == 1:
        look["marker"] = "." if len(first.values) <= _MOST_MARKERS else ""
        return panel.plot(first.positions, _numbers(first.values), linewidth=1.1, markersize=3, **look)[0]
    lines = [panel.plot(run.positions, _numbers(run.values), linewidth=0.5, alpha=0.55, **look)[0] for run in runs]
    if len({run.positions for run in runs}) > 1:
        return lines[0]
    means = [mean(values) for values in zip(*(run.values for run in runs), strict=True)]
    return panel.plot(first.positions, _numbers(means), linewidth=1.5, **look)[0]


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [nan if value is None else float(value) for value in values]


def _scale(panel: Axes, values: Sequence[float]) -> None:
    """Set a logarithmic axis for positive values over more than a decade; its labels are plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if min(values) > 0 and max(values) > 10 * min(values):
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())


def _draw_map(figure: Figure, panel: Axes, shown: HeatMap, axis: Axis, columns: int) -> None:
    """Draw one cell per checkpoint, as wide as the distance to its neighbours; grey or white without a value."""
    import numpy
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    values = numpy.ma.masked_invalid([_numbers(row) for row in shown.values])
    if shown.centre is None:
        colors, low, high = colormaps["viridis"].with_extremes(bad="1"), 0.0, float(values.max()) or 1.0
        ticks: Any = MaxNLocator(_BAR_TICKS)
    else:
        half = max(float(abs(values - shown.centre).max()), _LEAST_HALF)
        colors, low, high = colormaps["RdBu_r"].with_extremes(bad="0.75"), shown.centre - half, shown.centre + half
        ticks = [shown.centre + at * _nice(half) for at in (-1, 0, 1)]
    mesh = panel.pcolormesh(
        _edges(axis.positions),
        numpy.arange(len(shown.rows) + 1),
        values,
        cmap=colors,
        vmin=low,
        vmax=high,
        rasterized=values.size > _MOST_CELLS,
        linewidth=0,
    )
    every = ceil(len(shown.rows) / _MOST_NAMES)
    names = shorten([_printable(name) for name in shown.rows], _LONGEST_NAME[columns], len, _ELLIPSIS)
    panel.set_yticks([at + 0.5 for at in range(0, len(names), every)], names[::every])
    panel.tick_params(axis="y", length=0)
    panel.invert_yaxis()
    bar = panel.inset_axes((1.015, 0, 0.018 if columns == 2 else 0.035, 1))
    figure.colorbar(mesh, cax=bar, ticks=ticks)
    bar.tick_params(length=2)
    panel.set_title(shown.label, loc="left", pad=3)


def _nice(limit: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is at most `limit`."""
    power = 10.0 ** floor(log10(limit))
    return max((step * power for step in (1, 2, 5) if step * power <= limit), default=limit)


def _edges(positions: Sequence[float]) -> list[float]:
    """Return the borders of cells: half way between neighbours, and as far beyond the first and the last."""
    if len(positions) == 1:
        return [positions[0] - 0.5, positions[0] + 0.5]
    middles = [(a + b) / 2 for a, b in pairwise(positions)]
    return [2 * positions[0] - middles[0], *middles, 2 * positions[-1] - middles[-1]]


def _draw_steps(panel: Axes, axis: Axis, columns: int) -> None:
    """Draw the ticks below: numbers to scale, else those labels of checkpoints that fit."""
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel(axis.label)
    if axis.to_scale:
        panel.xaxis.set_major_locator(MaxNLocator(_MOST_TICKS[columns], integer=True, steps=(1, 2, 5, 10)))
        return
    every = max(ceil(len(axis.ticks) / _MOST_TICKS[columns]), 1)
    labels = shorten([_printable(tick) for tick in axis.ticks], 12, len, _ELLIPSIS)
    panel.set_xticks(range(0, len(labels), every), labels[::every])


def _printable(text: str, columns: int | None = None) -> str:
    """Return the text with escapes for characters that don't print or that the font lacks; in `columns` shortened."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    signs = (sign if font.get_char_index(ord(sign)) else _escaped(sign) for sign in escape(text))
    written = "".join(signs)
    return written if columns is None else cut(written, _LONGEST_NAME[columns], len, _ELLIPSIS)


def _escaped(sign: str) -> str:
    return sign.encode("ascii", "backslashreplace").decode("ascii")
