"""`wcx analyze`: complexity of each layer and of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wcx.cli.messages import any_holds, complain
from wcx.cli.options import analysis_options, choose_output, make_view, output_options
from wcx.core.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from wcx.core.checkpoint import Checkpoint
    from wcx.core.report import Report
    from wcx.core.settings import Settings
    from wcx.outputs import Writer

_UNREADABLE = 3
_CONDITION_HELD = 1


@click.command(name="analyze")
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT...")
@analysis_options
@output_options
@click.option("--fail-on", "conditions", multiple=True, metavar="EXPR", help="Exit 1 where it holds; repeatable.")
def command(
    checkpoints: tuple[str, ...],
    threads: int | None,
    kind: str | None,
    output: str | None,
    sort: str | None,
    top: int | None,
    planes: bool,
    quiet: bool,
    no_progress: bool,
    color: str,
    conditions: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> int:
    """Measure the complexity of each layer of a checkpoint, and of the model.

    A CHECKPOINT is a file, a directory, an index of shards, or a quoted pattern. Every tensor is either analysed or
    listed with the reason why it is not. Beside each number stands what the same bits would give, were they shuffled.

    \b
    Examples:
      wcx analyze model.safetensors
      wcx analyze model.safetensors --json -o report.json
      wcx analyze model.safetensors --fail-on "any layer.null.bdm_rarefied.ratio < 0.5"

    Exit codes: 0 done, 1 a --fail-on condition holds, 2 usage, 3 an input can't be read.
    """
    from wcx.cli.output_file import opened
    from wcx.formats.find import can_give_several, find_checkpoints
    from wcx.outputs import OUTPUTS
    from wcx.tasks.analyze.analyze import open_reference
    from wcx.tasks.analyze.settings import make_settings
    from wcx.tasks.conditions import parse

    settings = make_settings(**options)
    _check_sort(sort, settings)
    parsed = [parse(text) for text in conditions]
    reference = open_reference(settings)
    open_writer = OUTPUTS[choose_output(kind, output)]
    failed = held = False
    with opened(output) as stream:
        several = can_give_several(checkpoints)
        view = make_view(stream, several=several, sort=sort, top=top, planes=planes, color=color, quiet=quiet)
        writer = open_writer(stream, view)
        for path in find_checkpoints(checkpoints):
            report = _analyze_one(path, settings, threads, writer, reference, show_progress=not (quiet or no_progress))
            failed |= report is None
            held |= report is not None and any_holds(parsed, report, f"{report.checkpoint.path}: ")
        writer.end()
    return _UNREADABLE if failed else _CONDITION_HELD if held else 0


def _check_sort(sort: str | None, settings: Settings) -> None:
    """Raise UsageError for an order by a measure that is not computed."""
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
    """Write one checkpoint's report, or report on stderr why it can't be read; returns the report if there is one."""
    from wcx.cli.progress import progress_bar
    from wcx.formats import open_checkpoint
    from wcx.scan.threads import cores
    from wcx.tasks.analyze.analyze import analyze_checkpoint

    try:
        checkpoint = open_checkpoint(path)
        with progress_bar(show_progress, checkpoint.nbytes, lambda layer: writer.layer(path, layer)) as progress:
            report = analyze_checkpoint(checkpoint, settings, threads or cores(), progress, reference)
    except CheckpointError as error:
        complain(str(error))
        writer.error(error)
        return None
    writer.report(report)
    return report
