"""The columns of a training log: those that count steps or epochs, the metrics, and their missing values.

A column is sparse: it holds the rows with a finite number. NaN, infinite and empty cells are missing values, as
loggers write NaN for "not measured here" too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from wcx.core.errors import UsageError
from wcx.core.text import shortened
from wcx.tasks.compare.logs.files import read_rows
from wcx.tasks.compare.logs.files.reading import LogFile
from wcx.tasks.compare.logs.long_form import wide_rows
from wcx.tasks.compare.logs.roles import LogAxis, LogColumn, axis_of, default_metrics, unit_of

_MAX_ROWS = 2_000_000
_MAX_COLUMNS = 10_000
_MAX_NUMBERS = 4_000_000  # 16 bytes each, and the same again when they are joined


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """A log that was read. rows: all of them, those that were left out too; columns number the rows that were not.

    axes: columns that count steps or epochs, at most one of each, or the one that was asked for (`chosen`). metrics:
    in the order asked for, else in the file's, by name.
    """

    path: str
    kind: str
    rows: int
    axes: tuple[LogAxis, ...]
    chosen: bool
    metrics: Mapping[str, LogColumn]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def read_log(path: str, *, step_column: str | None = None, metrics: Sequence[str] = ()) -> TrainingLog:
    """Read a training log; `metrics` are the columns wanted, by default all metrics with numbers.

    CheckpointError where the file can't be read, UsageError where it has no such column.
    """
    file = LogFile(path)
    columns: dict[str, LogColumn] = {}
    rows = _read_columns(file, columns, step_column, _filter(step_column, metrics))
    if rows <= file.left_out:
        raise file.error(f"no readable row: {file.why_left_out or 'the file has no rows'} ({file.kind})")
    axes = _axes(path, columns, step_column)
    wanted = {name: _named(path, columns, name, "--metric") for name in metrics} or default_metrics(columns, axes)
    if not wanted:
        raise UsageError(f"--log {path}: no numeric column other than the steps; {_listed(columns)}")
    notes = (*_file_notes(file, columns), *([] if metrics else _unused(columns, axes, wanted)))
    warnings = [*_file_warnings(file)]
    for name, column in wanted.items():
        warnings += _cell_warnings(name, column)
    return TrainingLog(path, file.kind, rows, axes, step_column is not None, wanted, notes, tuple(warnings))


def _filter(step_column: str | None, metrics: Sequence[str]) -> Callable[[str], bool]:
    """Return the test for columns to hold in memory: all, or those asked for and those that may count."""
    if not metrics:
        return lambda name: True
    asked = {*metrics, step_column}
    return lambda name: name in asked or (step_column is None and unit_of(name) is not None)


def _read_columns(
    file: LogFile, columns: dict[str, LogColumn], step_column: str | None, is_wanted: Callable[[str], bool]
) -> int:
    """Fill the columns, the names of others too; return the number of rows, those left out too."""
    wanted: dict[str, LogColumn | None] = {}
    numbers = read = 0
    for read, row in enumerate(wide_rows(read_rows(file), file, step_column), 1):
        if read > _MAX_ROWS:
            raise file.error(f"more than {_MAX_ROWS:,} rows: subsample the log")
        for name, cell in row.items():
            if name not in wanted:
                if len(columns) == _MAX_COLUMNS:
                    raise file.error(f"more than {_MAX_COLUMNS:,} columns: remove some")
                columns[name] = LogColumn()
                wanted[name] = columns[name] if is_wanted(name) else None
            column = wanted[name]
            if cell is not None and column is not None:
                column.add(read - 1, cell)
                numbers += 1
        if numbers > _MAX_NUMBERS:
            raise file.error(f"more than {_MAX_NUMBERS:,} values: choose columns with --metric")
    return read + file.left_out


def _axes(path: str, columns: Mapping[str, LogColumn], asked: str | None) -> tuple[LogAxis, ...]:
    if asked is not None:
        return (LogAxis(asked, unit_of(asked), _named(path, columns, asked, "--step-column")),)
    axes = tuple(axis for unit in ("step", "epoch") if (axis := axis_of(columns, unit)) is not None)
    if not axes:
        raise UsageError(
            f"--log {path}: no column of steps or epochs with numbers, choose one with --step-column; "
            f"{_listed(columns)}"
        )
    return axes


def _named(path: str, columns: Mapping[str, LogColumn], name: str, option: str) -> LogColumn:
    """Return the column that an option names."""
    column = columns.get(name)
    if column is None:
        close = get_close_matches(name, columns, 1)
        hint = f" (did you mean {shortened(close[0])}?)" if close else ""
        raise UsageError(f"{option} {shortened(name)}: {path} has no such column{hint}; {_listed(columns)}")
    if not column.values and not (column.nonfinite and option == "--metric"):
        raise UsageError(f"{option} {shortened(name)}: this column of {path} contains no number; {_listed(columns)}")
    return column


# ------------------------------------------------------------------------------------------------- notes and warnings


def _file_notes(file: LogFile, columns: Mapping[str, LogColumn]) -> list[str]:
    tags = sum(unit_of(name) is None for name in columns)
    return _texts(
        (bool(file.long_form), f"one metric a row: read a column for each {file.long_form!r} ({tags:,})"),
        (file.repeated, f"skipped repeated header lines, as after a resume: {file.repeated:,}"),
        (file.unnamed, f"skipped columns without a name: {file.unnamed:,}"),
        (file.decimal_comma, "read commas in numbers as decimal points"),
    )


def _file_warnings(file: LogFile) -> list[str]:
    return _texts(
        (file.left_out, f"skipped unreadable rows: {file.left_out:,} (first: {file.why_left_out})"),
        (file.short, f"lines with fewer cells than the header: {file.short:,} (their last columns count as missing)"),
        (file.cut, "the last line has no line ending: its last number may be truncated"),
    )


def _cell_warnings(name: str, column: LogColumn) -> list[str]:
    name = shortened(name)
    return _texts(
        (column.nonfinite, f"{name}: treated NaN or infinite values as missing: {column.nonfinite:,}"),
        (column.text, f"{name}: treated non-numeric cells as missing: {column.text:,} ({_first(column)})"),
    )


def _texts(*pairs: tuple[int, str]) -> list[str]:
    """Return the texts whose count is not 0."""
    return [text for count, text in pairs if count]


def _unused(columns: Mapping[str, LogColumn], axes: Sequence[LogAxis], wanted: Mapping[str, LogColumn]) -> list[str]:
    """Return notes on the columns that are not metrics by default: those of numbers, and those of other cells."""
    others = {name: column for name, column in columns.items() if name not in {*wanted, *(axis.name for axis in axes)}}
    unused = [shortened(name) for name, column in others.items() if column.values]
    texts = [_described(name, column) for name, column in others.items() if column.text and not column.values]
    return _texts(
        (len(unused), f"columns not used by default, choose them with --metric: {_some(unused)}"),
        (len(texts), f"columns left out, since they contain no number: {_some(texts)}"),
    )


def _listed(columns: Mapping[str, LogColumn]) -> str:
    texts = [_described(name, column) for name, column in columns.items()]
    return f"its columns are {_some(texts)}" if columns else "it has no columns"


def _described(name: str, column: LogColumn) -> str:
    """Return the name of a column, with its first cell where none is a number."""
    return shortened(name) + (f" ({_first(column)})" if column.text and not column.values else "")


def _first(column: LogColumn) -> str:
    return f"first: {shortened(column.first_text)}"


def _some(texts: Sequence[str], limit: int = 20) -> str:
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit:,} more" if len(texts) > limit else "")
