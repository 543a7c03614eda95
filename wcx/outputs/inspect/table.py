"""Write an inspection as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from wcx.core.errors import CheckpointError
from wcx.core.inspection import Inspection, Total
from wcx.core.text import escape
from wcx.outputs.shared.sentences import plural
from wcx.outputs.shared.text_table import write_table

_METADATA_SHOWN = 20
_KEY_WIDTH = 60
_VALUE_WIDTH = 100
_TENSOR_COLUMNS = ("tensor", "dtype", "shape", ">bytes", "role", "analysed")
_TOTAL_COLUMNS = ("total", ">tensors", ">elements", ">bytes")  # > aligns to the right


class InspectionTables:
    """Writes each inspection as a heading and two tables, with an empty line between two checkpoints."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gap = ""

    def report(self, inspection: Inspection) -> None:
        """Write the checkpoint's heading, its tensors and their totals."""
        self._stream.write(self._gap)
        self._stream.writelines(f"{line}\n" for line in _heading(inspection))
        write_table(self._stream, _TENSOR_COLUMNS, list(_tensor_rows(inspection)))
        self._stream.write("\n")
        write_table(self._stream, _TOTAL_COLUMNS, list(_total_rows(inspection)))
        self._stream.flush()
        self._gap = "\n"

    def error(self, error: CheckpointError) -> None:
        """Write nothing: the command line reports it on stderr."""


def _heading(inspection: Inspection) -> Iterator[str]:
    checkpoint = inspection.checkpoint
    size = f"{checkpoint.nbytes:,} bytes"
    kind = checkpoint.format if checkpoint.version is None else f"{checkpoint.format} ({checkpoint.version})"
    yield escape(f"{checkpoint.path}: {kind}, {plural(len(inspection.tensors), 'tensor')}, {size}")
    if checkpoint.producer is not None:
        yield f"written by {_cut(checkpoint.producer, _VALUE_WIDTH)}"
    if len(checkpoint.files) > 1:
        yield escape(f"{len(checkpoint.files)} files, {checkpoint.files[0]} to {checkpoint.files[-1]}")
    if checkpoint.metadata:
        yield plural(len(checkpoint.metadata), "metadata value")
    for key, value in list(checkpoint.metadata.items())[:_METADATA_SHOWN]:
        yield f"  {_cut(key, _KEY_WIDTH)}: {_cut(value, _VALUE_WIDTH)}"
    if len(checkpoint.metadata) > _METADATA_SHOWN:
        yield f"  and {len(checkpoint.metadata) - _METADATA_SHOWN} more (see --json)"
    for note in inspection.notes:
        yield f"note: {escape(note)}"


def _cut(text: str, width: int) -> str:
    """Return the beginning of a text, escaped, with the full length of a longer one."""
    return escape(text) if len(text) <= width else f"{escape(text[:width])}... ({len(text):,} characters)"


def _tensor_rows(inspection: Inspection) -> Iterator[tuple[str, ...]]:
    for tensor in inspection.tensors:
        shape = "x".join(map(str, tensor.shape)) or "scalar"
        names = escape(" = ".join((tensor.name, *tensor.aliases)))
        analysed = "yes" if tensor.reason is None else f"no: {tensor.reason}"
        yield names, tensor.dtype, shape, f"{tensor.nbytes:,}", tensor.role, analysed


def _total_rows(inspection: Inspection) -> Iterator[tuple[str, ...]]:
    totals = inspection.totals
    yield _total_row("all", totals.all)
    yield _total_row("analysed", totals.analysed)
    yield from (_total_row(f"dtype {dtype}", total) for dtype, total in totals.dtype.items())
    yield from (_total_row(f"role {role}", total) for role, total in totals.role.items())


def _total_row(label: str, total: Total) -> tuple[str, ...]:
    return label, f"{total.tensors:,}", f"{total.elements:,}", f"{total.nbytes:,}"
