"""Options that several commands share, and the values that they become."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from wcx.core.errors import UsageError

if TYPE_CHECKING:
    from wcx.outputs import View

Command = TypeVar("Command", bound=Callable[..., Any])
_INDEX = ".index.json"

QUANTIZE = (
    "sign[:zero=one] | polarity | threshold:mean|median|VALUE | ternary[:FACTOR] | "
    "uniform:BITS[:minmax|:p99.9|:absmax] | integer; see wcx kinds.  [sign]"
)
BLOCK = "4x4 | 1x12  [4x4]"
BOUNDARY = "ignore | recursive[:MIN] | correlated[:SHIFT]  [ignore]"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The values of the options of output: where reports are written, and how they look."""

    kind: str | None
    output: str | None
    sort: str | None
    top: int | None
    planes: bool
    quiet: bool
    no_progress: bool
    color: str

    @property
    def shows_progress(self) -> bool:
        """True if a progress bar may appear."""
        return not (self.quiet or self.no_progress)

    def view(self, stream: TextIO, *, several: bool) -> View:
        """Return the view of reports on `stream`."""
        from wcx.outputs import View

        terminal = stream is sys.stdout and stream.isatty()
        width = shutil.get_terminal_size().columns if terminal or "COLUMNS" in os.environ else None
        return View(
            several=several,
            sort=self.sort,
            top=self.top,
            planes=self.planes,
            width=width if width and width > 0 else None,
            color=wants_color(self.color, stream),
            terminal=terminal,
            quiet=self.quiet,
        )


def wants_color(color: str, stream: TextIO) -> bool:
    """Return True for `always`, or on a terminal that has colours, unless NO_COLOR is set and not empty."""
    if color != "auto":
        return color == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def choose_output(kind: str | None, output: str | None, command: str = "", offered: Sequence[str] = ()) -> str:
    """Return the kind of output: `kind`, else the one that the file's suffix names, else the table.

    Raise UsageError for a kind that is not among those `offered` by the command, and for a file with a checkpoint's
    suffix, which a report would overwrite.
    """
    name = (output or "").lower()
    if name and name.endswith(_checkpoint_suffixes()):
        raise UsageError(
            f"-o {output}: a report would be written over what is called like a checkpoint; name a .json, say"
        )
    kind = kind or _output_of(os.path.splitext(name)[1]) or "table"
    if offered and kind not in offered:
        raise UsageError(f"-o {output}: {command} writes {', '.join(offered)}, not {kind}")
    return kind


def _checkpoint_suffixes() -> tuple[str, ...]:
    from wcx.formats import FORMATS

    return (_INDEX, *(suffix for format_ in FORMATS.values() for suffix in format_.suffixes))


def _output_of(suffix: str) -> str | None:
    """Return the output that a suffix names; trying the one of its name first usually imports it alone."""
    from wcx.outputs import OUTPUTS

    names = sorted(OUTPUTS, key=lambda name: f".{name}" != suffix) if suffix else ()
    return next((name for name in names if suffix in OUTPUTS[name].suffixes), None)


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Put several options on a command, the first on top of its help."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _with_output(function: Command) -> Callable[..., Any]:
    """Pass the options of output as one value, `output`."""

    @wraps(function)
    def call(**values: Any) -> Any:  # noqa: ANN401
        output = OutputOptions(**{item.name: values.pop(item.name) for item in fields(OutputOptions)})
        return function(output=output, **values)

    return call


include_option = click.option(
    "--include", multiple=True, metavar="GLOB", help="Only tensors of that name, whatever their type."
)
exclude_option = click.option(
    "--exclude", multiple=True, metavar="GLOB", help="No tensors of that name; repeatable as --include."
)
threads_option = click.option(
    "-j", "--threads", type=click.IntRange(min=1), metavar="N", help="Workers.  [all cores, at most 8]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
no_progress_option = click.option("--no-progress", is_flag=True, help="No progress bar.")
fail_on_option = click.option(
    "--fail-on", "conditions", multiple=True, metavar="EXPR", help="Exit 1 where it holds; repeatable."
)
analysis_options = _all(
    click.option("-q", "--quantize", metavar="SPEC", help=QUANTIZE),
    click.option("-b", "--block", metavar="SPEC", help=BLOCK),
    click.option("--boundary", metavar="SPEC", help=BOUNDARY),
    click.option(
        "--layout",
        metavar="SPEC",
        help="rows | in-channel-rows | channels-last | mosaic | square; flat for 1x12.  [rows]",
    ),
    click.option(
        "-m",
        "--measure",
        "measures",
        multiple=True,
        metavar="NAME",
        help="Repeatable; see wcx kinds; all.  [of planes]",
    ),
    click.option("--rarefy", type=int, default=1024, metavar="M", help="Blocks of bdm_rarefied.  [1024]"),
    click.option("--null", default="permutation", metavar="SPEC", help="permutation | shuffle:K | none  [permutation]"),
    click.option("--reference", metavar="FILE", help="Another checkpoint: the ratio of bdm to its, per plane."),
    click.option(
        "--preset", metavar="NAME", help="pybdm | sakabe | qubd | momos: a published method; other options win."
    ),
    include_option,
    exclude_option,
    click.option("--include-optimizer", is_flag=True, help="Analyse the optimizer's state too."),
    click.option("--seed", type=int, default=0, metavar="N", help="For everything random.  [0]"),
    threads_option,
)
output_options = _all(
    _with_output,
    click.option("--json", "kind", flag_value="json", help="JSON: an object, or one a line of several checkpoints."),
    click.option("--ndjson", "kind", flag_value="ndjson", help="A JSON object per layer and plane, as it is done."),
    click.option("--csv", "kind", flag_value="csv", help="A row per layer and plane, as it is done."),
    click.option("--markdown", "kind", flag_value="markdown", help="A Markdown table."),
    click.option("-o", "--output", metavar="FILE", help="Write to FILE; its suffix decides the kind."),
    click.option(
        "--sort",
        metavar="COLUMN",
        help="The table's order: name, file, a field such as bdm; deviation (analyze); change, flips (compare).",
    ),
    click.option("--top", type=click.IntRange(min=0), metavar="N", help="The table's length; 0 for all."),
    click.option("--planes", is_flag=True, help="The view of layers by planes; of what --sort names."),
    click.option("--quiet", is_flag=True, help="The table alone, no progress."),
    no_progress_option,
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set.  [auto]",
    ),
)
