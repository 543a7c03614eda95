"""`wcx analyze`: complexity of each layer and of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wcx.cli.exit_codes import UNREADABLE
from wcx.cli.gate import Gate
from wcx.cli.messages import print_error
from wcx.cli.option_groups import GroupedCommand
from wcx.cli.options import OutputOptions, analysis_options, choose_output, fail_on_option, output_options
from wcx.core.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from wcx.core.checkpoint import Checkpoint
    from wcx.core.report import Report
    from wcx.core.settings import Settings
    from wcx.outputs import Writer


@click.command(name="analyze", cls=GroupedCommand)
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@analysis_options
@output_options
@fail_on_option
def command(
    checkpoints: tuple[str, ...],
    threads: int | None,
    output: OutputOptions,
    conditions: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> int:
    """Measure the complexity of each layer of a checkpoint, and of the model.

    A CHECKPOINT is a file, a directory, an index of shards, or a quoted pattern. Every tensor is either analyzed or
    listed with the reason why it is skipped. Each value is shown next to its expectation under a random shuffle of the
    same bits.

    \b
    Examples:
      wcx analyze model.safetensors
      wcx analyze model.safetensors --json -o report.json
      wcx analyze model.safetensors --fail-on "any layer.null.bdm_rarefied.ratio < 0.5"

    Exit codes: 0 done, 1 a --fail-on condition holds, 2 wrong usage, 3 an input can't be read.
    """
    from wcx.cli.output_file import open_output
    from wcx.formats.find import can_give_several, find_checkpoints
    from wcx.outputs import OUTPUTS
    from wcx.tasks.analyze.analyze import open_reference
    from wcx.tasks.analyze.settings import make_settings
    from wcx.tasks.conditions import parse

    settings = make_settings(**options)
    _check_sort(output.sort, settings)
    gate = Gate([parse(text) for text in conditions])
    reference = open_reference(settings)
    open_writer = OUTPUTS[choose_output(output.kind, output.output)].open_writer
    failed = False
    with open_output(output.output) as stream:
        writer = open_writer(stream, output.view(stream, several=can_give_several(checkpoints)))
        for path in find_checkpoints(checkpoints):
            report = _analyze_one(path, settings, threads, writer, reference, show_progress=output.shows_progress)
            failed |= report is None
            if report is not None:
                gate.look(report, f"{report.checkpoint.path}: ")
        writer.end()
    return UNREADABLE if failed else gate.code()


def _check_sort(sort: str | None, settings: Settings) -> None:
    """Raise UsageError if the layers are to be sorted by a measure that is not computed."""
    scope, _, name = (sort or "").partition(".")
    if scope == "measures" and name.partition(".")[0] not in settings.measures:
        raise UsageError(f"--sort {sort}: needs -m {name.partition('.')[0]}")


def _analyze_one(
    path: str,
    settings: Settings,
    threads: int | None,
    writer: Writer,
    reference: Checkpoint | None,
    *,
    show_progress: bool,
) -> Report | None:
    """Write one checkpoint's report and return it, or None for one that can't be read, with a line on stderr."""
    from wcx.cli.progress import progress_bar
    from wcx.formats import open_checkpoint
    from wcx.scan.engine import Threads
    from wcx.scan.threads import cores
    from wcx.tasks.analyze.analyze import analyze_checkpoint

    try:
        checkpoint = open_checkpoint(path)
        with progress_bar(show_progress, lambda layer: writer.layer(path, layer)) as progress:
            report = analyze_checkpoint(checkpoint, settings, Threads(threads or cores()), progress, reference)
    except CheckpointError as error:
        print_error(str(error))
        writer.error(error)
        return None
    writer.report(report)
    return report
