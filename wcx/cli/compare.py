"""`wcx compare`: how complexity moves over the checkpoints of one network, and with the training log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from wcx.cli.exit_codes import CONDITION_HOLDS, DONE, UNREADABLE
from wcx.cli.messages import any_holds, print_error
from wcx.cli.option_groups import GroupedCommand, option
from wcx.cli.options import (
    INPUT,
    OUTPUT,
    RUN,
    OutputOptions,
    analysis_options,
    choose_output,
    fail_on_option,
    output_options,
)
from wcx.core.errors import UsageError

if TYPE_CHECKING:
    from wcx.core.comparison import Comparison


LOG = "Training log"


@click.command(name="compare", cls=GroupedCommand)
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@option(
    INPUT,
    "--order",
    type=click.Choice(["step", "given"]),
    default="step",
    text="Order of the checkpoints: by the step in their names, or as given.",
)
@option(INPUT, "--group", is_flag=True, text="Compare several runs, one per directory.")
@option(
    LOG,
    "--log",
    "log",
    multiple=True,
    metavar="FILE",
    text="Training log to correlate with: CSV, TSV, JSON lines or trainer_state.json.",
)
@option(LOG, "--step-column", metavar="NAME", usual="found by its name", text="Column of steps or epochs.")
@option(
    LOG,
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    usual="all",
    text="Column to correlate with (repeatable).",
)
@option(LOG, "--smooth", metavar="NAME", text="Smooth series and metrics as a paper does: sakabe.")
@analysis_options
@output_options
@option(OUTPUT, "--plot", metavar="FILE", text="Draw the series to a .png, .svg or .pdf file (needs matplotlib).")
@fail_on_option
@option(RUN, "--no-cache", "cache", flag_value=False, default=True, text="Ignore cached counts.")
def command(
    checkpoints: tuple[str, ...],
    threads: int | None,
    plot: str | None,
    output: OutputOptions,
    conditions: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> int:
    """Follow the checkpoints of one network: each layer's complexity, what changed, and whether it tracks the loss.

    CHECKPOINTs are files, quoted patterns, or directories of checkpoints, ordered by the step in their names. Layers
    are matched by name. With --log, each measure is correlated with each column of the log: as levels, detrended, and
    as first differences, because any two series with a trend correlate.

    \b
    Examples:
      wcx compare "runs/epoch_*.safetensors"
      wcx compare runs/ --log runs/log.csv --metric train_loss
      wcx compare runs/seed_* --group --log log.csv --plot series.pdf

    Exit codes: 0 done, 1 a --fail-on condition holds, 2 wrong usage, 3 an input can't be read.
    """
    from wcx.cli.output_file import open_output
    from wcx.cli.progress import progress_bar
    from wcx.outputs.compare import COMPARISON_OUTPUTS
    from wcx.outputs.compare.ranking import check
    from wcx.scan.cache import open_store
    from wcx.scan.threads import cores
    from wcx.tasks.compare.compare import compare_checkpoints
    from wcx.tasks.compare.settings import make_comparison_settings
    from wcx.tasks.conditions import parse_comparison

    if output.planes:
        raise UsageError("--planes is a view of one checkpoint: use wcx analyze")
    settings = make_comparison_settings(**options)
    parsed = [parse_comparison(text) for text in conditions]
    _check_distinct([output.output, plot, *dict.fromkeys(settings.logs)])
    if plot is not None:
        _check_plot(plot)
    write = COMPARISON_OUTPUTS[choose_output(output.kind, output.output)]
    store = open_store(enabled=settings.cache)
    with open_output(output.output) as stream:
        view = output.view(stream, several=False)
        check(view)
        with progress_bar(output.shows_progress) as progress:
            comparison = compare_checkpoints(checkpoints, settings, threads or cores(), progress, store)
        _check_not_read([output.output, plot], comparison)
        unreadable = [f"{item.path}: {item.error}" for item in comparison.checkpoints if item.error is not None]
        for text in [store.trouble, *unreadable]:
            if text is not None:
                print_error(text)
        write(comparison, stream, view)
    if plot is not None:
        _draw(comparison, plot)
    held = any_holds(parsed, comparison)
    return UNREADABLE if unreadable else CONDITION_HOLDS if held else DONE


def _check_distinct(paths: Sequence[str | None]) -> None:
    """Raise UsageError if a file is named twice: as a log and for an output, or for the report and its picture."""
    seen: set[str] = set()
    for path in paths:
        if path is None or path == "-":
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise UsageError(f"{path}: named twice: as an output and as something else")
        seen.add(real)


def _check_not_read(written: Sequence[str | None], comparison: Comparison) -> None:
    """Raise UsageError for an output that would overwrite a checkpoint, or a log found next to a run."""
    logs = (comparison.settings["log"] or {}).get("paths", ())
    read = {os.path.realpath(path) for path in (*logs, *(item.path for item in comparison.checkpoints))}
    for path in written:
        if path is not None and path != "-" and os.path.realpath(path) in read:
            raise UsageError(f"{path}: it would be written over what was read")


def _check_plot(path: str) -> None:
    """Raise before anything is read, for an unknown suffix or if matplotlib is missing."""
    from wcx.outputs.compare.plot import check_plot

    check_plot(path)


def _draw(comparison: Comparison, path: str) -> None:
    from wcx.outputs.compare.plot import plot

    if comparison.layers:
        plot(comparison, path)
    else:
        print_error(f"--plot {path}: no layer, nothing is drawn")
