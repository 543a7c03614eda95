"""Sparklines: a series as one character per checkpoint, or as one character per stretch of checkpoints, their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TextIO

from wcx.core.groups import mean
from wcx.outputs.shared.bars import encoding_of

_LEAST_SPREAD = 0.01  # of the largest value: what changes less looks flat


@dataclass(frozen=True, slots=True)
class Sparks:
    """The characters of sparklines: levels from low to high, and one for a missing value."""

    levels: str
    missing: str

    def draw(self, values: Sequence[float | None], width: int) -> str:
        """Return a sparkline of at most `width` characters, from the series' least to its most.

        A spread of less than 1 % of the largest value is drawn as if it were 1 %, so that noise does not look like a
        trend.

        >>> FANCY.draw([0.0, 1.0, None, 7.0], 8), FANCY.draw([1.0, 1.001, 0.999], 8), PLAIN.draw([0, 0, 7, 7], 2)
        ('▁▂·█', '▅▅▄', '_#')
        """
        means = _stretches(values, width)
        known = [value for value in values if value is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        spread = max(high - low, _LEAST_SPREAD * max(abs(low), abs(high)))
        low -= (spread - (high - low)) / 2
        return "".join(self._character(value, low, spread) for value in means)

    def _character(self, value: float | None, low: float, spread: float) -> str:
        if value is None:
            return self.missing
        top = len(self.levels) - 1
        return self.levels[min(max(round(top * (value - low) / spread), 0), top) if spread else (top + 1) // 2]


FANCY = Sparks("▁▂▃▄▅▆▇█", "·")
PLAIN = Sparks("_.-~=+*#", "?")


def sparks_for(stream: TextIO) -> Sparks:
    """Return the finest sparklines that the stream's encoding can take."""
    try:
        (FANCY.levels + FANCY.missing).encode(encoding_of(stream))
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return FANCY


def _stretches(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return the values themselves if they fit, else the means of `width` stretches, as even as possible."""
    count = len(values)
    if count <= width:
        return list(values)
    edges = [count * index // width for index in range(width + 1)]
    return [mean(values[start:stop]) for start, stop in pairwise(edges)]
