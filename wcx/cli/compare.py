"""`wcx compare`: how complexity moves over the checkpoints of one network, and with the training log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wcx.cli.exit_codes import UNREADABLE
from wcx.cli.gate import Gate
from wcx.cli.messages import print_error
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
    gate = Gate([parse_comparison(text) for text in conditions])
    if plot is not None:
        _check_plot(plot)
    write = COMPARISON_OUTPUTS[choose_output(output.kind, output.output)]
    store = open_store(enabled=settings.cache)
    with open_output(output.output) as stream:
        view = output.view(stream, several=False)
        check(view)
        with progress_bar(output.shows_progress) as progress:
            comparison = compare_checkpoints(checkpoints, settings, threads or cores(), progress, store)
        unreadable = [f"{item.path}: {item.error}" for item in comparison.checkpoints if item.error is not None]
        for text in [store.trouble, *unreadable]:
            if text is not None:
                print_error(text)
        write(comparison, stream, view)
    if plot is not None:
        _draw(comparison, plot)
    gate.look(comparison)
    return UNREADABLE if unreadable else gate.code()


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
