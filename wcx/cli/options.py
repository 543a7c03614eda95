"""Options that several commands share, and the values that they become."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from wcx.cli.option_groups import option
from wcx.core.errors import UsageError

if TYPE_CHECKING:
    from wcx.outputs import View

Command = TypeVar("Command", bound=Callable[..., Any])
_INDEX = ".index.json"

INPUT, PLANES, MEASURES, OUTPUT, RUN = "Input", "Planes of bits", "Measures", "Output", "Run"


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
        raise UsageError(f"-o {output}: refusing to overwrite a file with a checkpoint suffix; use e.g. report.json")
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
        for one in reversed(options):
            function = one(function)
        return function

    return decorate


def _with_output(function: Command) -> Callable[..., Any]:
    """Pass the options of output as one value, `output`."""

    @wraps(function)
    def call(**values: Any) -> Any:  # noqa: ANN401
        output = OutputOptions(**{item.name: values.pop(item.name) for item in fields(OutputOptions)})
        return function(output=output, **values)

    return call


def _alternatives(names: Iterable[str], more: str = "") -> str:
    return " | ".join(names) + more


def _quantizers() -> str:
    from wcx.quantizers import QUANTIZERS

    return _alternatives(QUANTIZERS.names(), ". `wcx kinds` shows their parameters, e.g. uniform:8:p99.9.")


def _measures() -> str:
    from wcx.measures import MEASURES as REGISTRY

    return f"Measure to compute (repeatable); `all` for every one: {', '.join(REGISTRY.names())}."


def _layouts() -> str:
    from wcx.blocks.layout import LAYOUTS

    return f"Order of the axes: {_alternatives(LAYOUTS)} (flat for 1x12)."


def _presets() -> str:
    from wcx.tasks.analyze.presets import PRESETS

    return f"Reproduce a published method: {_alternatives(PRESETS)}. Other options override it."


quantize_option = option(PLANES, "-q", "--quantize", metavar="SPEC", usual="sign", text=_quantizers)
block_option = option(PLANES, "-b", "--block", metavar="SPEC", usual="4x4", text="4x4 | 1x12")
boundary_option = option(
    PLANES,
    "--boundary",
    metavar="SPEC",
    usual="ignore",
    text="Cells that fill no block: ignore | recursive[:MIN] | correlated[:SHIFT]",
)
include_option = option(
    INPUT,
    "--include",
    multiple=True,
    metavar="GLOB",
    text="Analyze only matching tensors (repeatable; overrides the dtype and role rules).",
)
exclude_option = option(INPUT, "--exclude", multiple=True, metavar="GLOB", text="Skip matching tensors (repeatable).")
include_optimizer_option = option(INPUT, "--include-optimizer", is_flag=True, text="Include the optimizer's state.")
seed_option = option(
    MEASURES, "--seed", type=int, default=0, metavar="N", text="Seed of everything random; printed in the report."
)
threads_option = option(
    RUN,
    "-j",
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    usual="all cores, at most 8",
    text="Number of worker threads; results do not depend on it.",
)
json_option = option(OUTPUT, "--json", "as_json", is_flag=True, text="Write JSON instead of text.")
output_option = option(OUTPUT, "-o", "--output", metavar="FILE", text="Write to FILE; .json selects JSON.")
no_progress_option = option(RUN, "--no-progress", is_flag=True, text="Hide the progress bar.")
fail_on_option = option(
    RUN,
    "--fail-on",
    "conditions",
    multiple=True,
    metavar="EXPR",
    text="Exit with 1 if the condition holds (repeatable), e.g. 'layer.null.mean_ctm.z < -6'.",
)
analysis_options = _all(
    quantize_option,
    block_option,
    boundary_option,
    option(PLANES, "--layout", metavar="SPEC", usual="rows", text=_layouts),
    option(PLANES, "--preset", metavar="NAME", text=_presets),
    option(
        MEASURES,
        "-m",
        "--measure",
        "measures",
        multiple=True,
        metavar="NAME",
        usual="measures of planes",
        text=_measures,
    ),
    option(
        MEASURES,
        "--rarefy",
        type=int,
        default=1024,
        metavar="M",
        text="Number of blocks of bdm_rarefied.",
    ),
    option(
        MEASURES,
        "--null",
        default="permutation",
        metavar="SPEC",
        text="Expectation under shuffled bits: permutation (closed form) | shuffle:K (K real shuffles) | none.",
    ),
    option(MEASURES, "--reference", metavar="FILE", text="Report each plane's BDM as a ratio to this checkpoint's."),
    seed_option,
    include_option,
    exclude_option,
    include_optimizer_option,
    threads_option,
)
output_options = _all(
    _with_output,
    option(
        OUTPUT,
        "--json",
        "kind",
        flag_value="json",
        text="Write JSON; one object per line for several checkpoints.",
    ),
    option(OUTPUT, "--ndjson", "kind", flag_value="ndjson", text="Write a JSON object per layer and plane."),
    option(OUTPUT, "--csv", "kind", flag_value="csv", text="Write a CSV row per layer and plane."),
    option(OUTPUT, "--markdown", "kind", flag_value="markdown", text="Write a Markdown table."),
    option(OUTPUT, "-o", "--output", metavar="FILE", text="Write to FILE; its suffix selects the output (.json)."),
    option(
        OUTPUT,
        "--sort",
        metavar="COLUMN",
        text="Order of the layers: name, file, a field such as bdm; deviation (analyze); change, flips (compare).",
    ),
    option(OUTPUT, "--top", type=click.IntRange(min=0), metavar="N", text="Number of layers in the table; 0 for all."),
    option(OUTPUT, "--planes", is_flag=True, text="Show a layers x planes heat map of the --sort column."),
    option(OUTPUT, "--quiet", is_flag=True, text="Print the table alone, without progress."),
    option(
        OUTPUT,
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        text="Color the table; auto on a terminal, unless NO_COLOR is set.",
    ),
    no_progress_option,
)
