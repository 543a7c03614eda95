"""A comparison as one flat JSON object per line; `row` is its kind.

comparison (schema, version, settings), checkpoint, value (the tidy rows of --csv), correlation, difference, group,
conclusion, unmatched, note, warning, in this order. Names with a dot are nested fields of the JSON; the two ends of an
interval are .low and .high.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from wcx.core.comparison import TIDY_COLUMNS, Comparison
from wcx.core.plain import to_plain
from wcx.outputs import View
from wcx.outputs.shared.json import Encoder

_INTERVALS = ("ci95", "strength_ci95")


def write(comparison: Comparison, stream: TextIO, view: View) -> None:
    """Write the lines one after the other; raise ValueError for NaN or an infinity."""
    encoder = Encoder.for_stream(stream, indented=False)
    stream.writelines(encoder.text(row) + "\n" for row in _rows(comparison))
    stream.flush()


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    head = {"schema": comparison.schema, "wcx": comparison.wcx, "settings": to_plain(comparison.settings)}
    yield {"row": "comparison", **dict(_flat(head, ""))}
    yield from _flat_rows("checkpoint", comparison.checkpoints)
    for row in comparison.rows():
        yield {"row": "value", **dict(zip(TIDY_COLUMNS, row, strict=True))}
    yield from _flat_rows("correlation", comparison.correlations)
    yield from _flat_rows("difference", comparison.differences)
    yield from _flat_rows("group", comparison.groups)
    yield from _flat_rows("conclusion", comparison.conclusions)
    yield from _flat_rows("unmatched", comparison.unmatched)
    yield from ({"row": "note", "text": text} for text in comparison.notes)
    yield from ({"row": "warning", "text": text} for text in comparison.warnings)


def _flat_rows(kind: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for value in values:
        yield {"row": kind, **dict(_flat(to_plain(value), ""))}


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        elif name in _INTERVALS and prefix != "log.":  # where a column can have any name
            low, high = item or (None, None)
            yield from ((f"{prefix}{name}.low", low), (f"{prefix}{name}.high", high))
        else:
            yield prefix + name, item
