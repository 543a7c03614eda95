"""Tables of text for people: plain where they go to a file or a pipe, as wide as the terminal where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO

_WIDEST = 100
_NARROWEST = 40
_ROWS_SHOWN = 1000


def write_table(stream: TextIO, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Write rows of escaped texts; a column whose name begins with > is aligned to the right."""
    (_write_rich if stream.isatty() else _write_plain)(stream, columns, rows)


def _write_plain(stream: TextIO, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Write columns of text and whole names; one very long name does not widen the column for all."""
    rows = [tuple(column.removeprefix(">") for column in columns), *rows]
    widths = [min(max(map(len, cells)), _WIDEST) for cells in zip(*rows, strict=True)]
    aligned = [">" if column.startswith(">") else "<" for column in columns]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip(aligned, widths, strict=True))
    stream.writelines(form.format(*row).rstrip() + "\n" for row in rows)


def _write_rich(stream: TextIO, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Write columns as wide as the terminal; of very many rows the first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.removeprefix(">")), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*map(Text, row))
    size = shutil.get_terminal_size()  # both: rich takes 80 columns for a dumb terminal if one is missing
    Console(file=stream, width=max(size.columns, _NARROWEST), height=size.lines).print(table)
    if len(rows) > _ROWS_SHOWN:
        stream.write(f"{len(rows) - _ROWS_SHOWN:,} more rows: use -o FILE or --json to see all\n")
