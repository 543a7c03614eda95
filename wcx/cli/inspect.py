"""`wcx inspect`: tensors, dtypes, shapes, bytes and metadata of checkpoints, from their headers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

import click

from wcx.cli.complain import complain
from wcx.cli.options import choose_output
from wcx.cli.text_table import write_table
from wcx.errors import CheckpointError, UsageError
from wcx.escape import escape

if TYPE_CHECKING:
    from wcx.inspection import Inspection, Total
    from wcx.types import Settings

__all__ = ["command"]

_UNREADABLE = 3
_KINDS = ("table", "json", "ndjson")
_METADATA_SHOWN = 20
_KEY_WIDTH = 60
_VALUE_WIDTH = 100


@click.command(name="inspect")
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@click.option("--include", multiple=True, metavar="GLOB", help="Only tensors whose name matches (repeatable).")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No tensors whose name matches (repeatable).")
@click.option("--include-optimizer", is_flag=True, help="Optimizer state too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
@click.option("-o", "--output", metavar="FILE", help="Write to FILE, as JSON if it is named .json or .ndjson.")
def command(
    checkpoints: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    include_optimizer: bool,
    as_json: bool,
    output: str | None,
) -> int:
    """Show what is in a checkpoint and what `wcx analyze` would count, from its headers alone.

    A CHECKPOINT is a file, a directory, or a quoted pattern. --include and --exclude decide what counts as analysed;
    all tensors are listed.

    \b
    Example:
      wcx inspect model.safetensors
    """
    from wcx.cli.destination import opened
    from wcx.formats import can_give_several, find_checkpoints
    from wcx.types import Settings

    settings = Settings(include=include, exclude=exclude, include_optimizer=include_optimizer)
    kind = choose_output("json" if as_json else None, output)
    if kind not in _KINDS:
        raise UsageError(f"-o {output}: inspect writes {', '.join(_KINDS)}, not {kind}")
    with opened(output) as stream:
        several = can_give_several(checkpoints) or kind == "ndjson"
        show = _text_writer(stream) if kind == "table" else _json_writer(stream, several)
        readable = [_inspect_one(path, settings, show) for path in find_checkpoints(checkpoints)]
    return 0 if all(readable) else _UNREADABLE


_Show = Callable[["Inspection | CheckpointError"], None]


def _inspect_one(path: str, settings: Settings, show: _Show) -> bool:
    """Show one checkpoint, or report on stderr why it can't be read; whether it could."""
    from wcx.inspection import inspect

    try:
        inspection = inspect(path, settings)
    except CheckpointError as error:
        complain(str(error))
        show(error)
        return False
    show(inspection)
    return True


# ---------------------------------------------------------------------------------------------------- how it looks


def _json_writer(stream: TextIO, several: bool) -> _Show:
    from wcx.outputs.encoding import Encoder
    from wcx.outputs.json import error_fields

    encoder = Encoder.for_stream(stream, indented=not several)

    def show(result: Inspection | CheckpointError) -> None:
        stream.writelines(encoder.pieces(error_fields(result) if isinstance(result, CheckpointError) else result))
        stream.write("\n")
        stream.flush()

    return show


def _text_writer(stream: TextIO) -> _Show:
    """Text for people; what can't be read has been reported on stderr."""
    shown = 0

    def show(result: Inspection | CheckpointError) -> None:
        nonlocal shown
        if isinstance(result, CheckpointError):
            return
        stream.write("\n" * bool(shown))
        stream.writelines(f"{line}\n" for line in _heading(result))
        write_table(stream, _TENSOR_COLUMNS, list(_tensor_rows(result)))
        stream.write("\n")
        write_table(stream, _TOTAL_COLUMNS, list(_total_rows(result)))
        stream.flush()
        shown += 1

    return show


_TENSOR_COLUMNS = ("tensor", "dtype", "shape", ">bytes", "role", "analysed")
_TOTAL_COLUMNS = ("total", ">tensors", ">elements", ">bytes")  # > aligns to the right


def _heading(inspection: Inspection) -> Iterator[str]:
    checkpoint = inspection.checkpoint
    size = f"{checkpoint.nbytes:,} bytes"
    kind = checkpoint.format if checkpoint.version is None else f"{checkpoint.format} ({checkpoint.version})"
    yield escape(f"{checkpoint.path}: {kind}, {_counted(len(inspection.tensors), 'tensor')}, {size}")
    if checkpoint.producer is not None:
        yield f"written by {_cut(checkpoint.producer, _VALUE_WIDTH)}"
    if len(checkpoint.files) > 1:
        yield escape(f"{len(checkpoint.files)} files, {checkpoint.files[0]} to {checkpoint.files[-1]}")
    if checkpoint.metadata:
        yield _counted(len(checkpoint.metadata), "metadata value")
    for key, value in list(checkpoint.metadata.items())[:_METADATA_SHOWN]:
        yield f"  {_cut(key, _KEY_WIDTH)}: {_cut(value, _VALUE_WIDTH)}"
    if len(checkpoint.metadata) > _METADATA_SHOWN:
        yield f"  and {len(checkpoint.metadata) - _METADATA_SHOWN} more, see --json"
    for note in inspection.notes:
        yield f"note: {escape(note)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _cut(text: str, width: int) -> str:
    """The beginning of a text, escaped, with its full length if it is longer."""
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
