"""The user's settings, checked once at the edge; below, they are trusted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from wcx.blocks.layout import LAYOUTS
from wcx.core.errors import UsageError
from wcx.core.scheme import Scheme
from wcx.core.settings import CtmReference, Settings
from wcx.measures import MEASURES, is_streamed
from wcx.measures.tables import table_checksums
from wcx.quantizers import parse_quantizer
from wcx.tasks.analyze.presets import departures, find_preset

BLOCKS = ("4x4", "1x12")
BOUNDARIES = ("ignore", "recursive[:MIN]", "correlated[:SHIFT]")
_LARGEST = 1_000_000  # shift: no layer has more rows
_SHUFFLES = 1_000_000
SAMPLED_DRAWS = 1000
"""Draws of the null where it has no closed form."""


def make_settings(
    *,
    preset: str | None = None,
    quantize: str | None = None,
    block: str | None = None,
    boundary: str | None = None,
    layout: str | None = None,
    measures: Sequence[str] = (),
    null: str = "permutation",
    rarefy: int = 1024,
    seed: int = 0,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    include_optimizer: bool = False,
    reference: str | os.PathLike[str] | None = None,
) -> Settings:
    """Return checked settings; UsageError names the error and the valid values.

    preset: a published method; options given with it win. quantize, block, boundary (ignore,
    recursive[:MIN] or correlated[:SHIFT]), layout: None is the preset's, or the usual: sign, 4x4, ignore, rows; strings
    (1x12) are always cut from the flat tensor. measures: names, or `all` with compressors and statistics; none means
    those of planes. null: permutation, shuffle:K or none. seed: 0 or more. reference: path of a checkpoint to compare
    with.
    """
    usual = {"quantize": "sign", "block": "4x4", "boundary": "ignore"}
    if preset is not None:
        usual |= find_preset(preset).options
    quantize = usual["quantize"] if quantize is None else quantize
    layout = usual.get("layout") if layout is None and block in (None, usual["block"]) else layout
    block = usual["block"] if block is None else block
    boundary = usual["boundary"] if boundary is None else boundary
    if not isinstance(quantize, str) or not isinstance(null, str):
        raise UsageError(f"quantize and null take strings, not {quantize!r} and {null!r}")
    quantizer = parse_quantizer(quantize)
    block = _one_of("block", block, BLOCKS)
    scheme = Scheme(block, _parse_boundary(boundary, block), _layout(layout, block))
    check_whole("rarefy", rarefy, 1)
    check_whole("seed", seed, 0)
    kind, draws = _parse_null(null)
    settings = Settings(
        quantize=quantizer.name,
        zero=quantizer.zero,
        measures=_parse_measures(measures),
        null=kind,
        null_draws=draws,
        preset=preset,
        rarefy=rarefy,
        seed=seed,
        include=_texts("include", include),
        exclude=_texts("exclude", exclude),
        include_optimizer=bool(include_optimizer),
        reference=None if reference is None else os.fspath(reference),
        ctm=_tables(scheme),
    )
    return replace(settings, block=scheme.block, boundary=scheme.boundary, layout=scheme.layout)


def _tables(scheme: Scheme) -> tuple[CtmReference, ...]:
    """Return the tables of all shapes of blocks, in the order of their codes."""
    known = {shape: CtmReference(shape, name, checksum) for name, shape, checksum in table_checksums()}
    return tuple(known[shape] for shape in scheme.alphabet.split("+"))


def _parse_boundary(text: str, block: str) -> str:
    """Return the boundary in its shortest form; raises UsageError for anything else."""
    side = 12 if block == "1x12" else 4
    kind, colon, number = text.partition(":") if isinstance(text, str) else (text, "", "")
    if kind == "ignore" and not colon:
        return text
    if kind not in ("recursive", "correlated"):
        raise UsageError(f"unknown boundary {text!r}: choose one of {', '.join(BOUNDARIES)}")
    least, most, usual = (2, side, 2) if kind == "recursive" else (1, _LARGEST, 1)
    if not colon:
        return kind
    if not (number.isascii() and number.isdigit() and len(number) < 8 and least <= int(number) <= most):
        what = "the smallest side" if kind == "recursive" else "the shift"
        raise UsageError(
            f"boundary {text!r}: {what} must be a whole number from {least} to {most:,} for {block} blocks"
        )
    return kind if int(number) == usual else f"{kind}:{int(number)}"


def preset_notes(settings: Settings) -> list[str]:
    """Return the notes on the preset: departures from the original, and the original's own quirks."""
    if settings.preset is None:
        return []
    changed = departures(settings, make_settings(preset=settings.preset))
    departed = [f"these settings do not reproduce the original: {'; '.join(changed)}"] if changed else []
    return [f"preset {settings.preset}: {note}" for note in (*departed, *find_preset(settings.preset).quirks)]


def _layout(layout: str | None, block: str) -> str:
    """Return the layout, which for strings is the flat one and for no other block."""
    usual = "flat" if block == "1x12" else "rows"
    if layout is None:
        return usual
    _one_of("layout", layout, tuple(LAYOUTS))
    if (layout == "flat") != (block == "1x12"):
        raise UsageError(f"layout {layout} does not go with block {block}: use flat with 1x12, and any other with 4x4")
    return layout


def scheme_of(settings: Settings) -> Scheme:
    """Return the scheme that settings count under."""
    return Scheme(settings.block, settings.boundary, settings.layout)


def check_whole(option: str, value: object, least: int) -> None:
    """Raise UsageError for anything but a whole number from `least` up."""
    if type(value) is not int or value < least:
        raise UsageError(f"{option} takes a whole number from {least} up, not {value!r}")


def _texts(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return one text or several, as a tuple; raises UsageError for anything else."""
    found = (values,) if isinstance(values, str) else tuple(values)
    if not all(isinstance(value, str) for value in found):
        raise UsageError(f"{option} takes strings, not {values!r}")
    return found


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"unknown {option} {value!r}: choose one of {', '.join(known)}")
    return value


def _parse_measures(names: Sequence[str]) -> tuple[str, ...]:
    """Return the measures in their usual order, each once; those of planes where none is named."""
    names = _texts("measure", names)
    if not names:
        return tuple(name for name in MEASURES if not is_streamed(name))
    every = tuple(MEASURES)
    for name in names:
        _one_of("measure", name, (*every, "all"))
    return every if "all" in names else tuple(name for name in every if name in names)


def _parse_null(text: str) -> tuple[str, int | None]:
    """Return the kind of null and the number of draws that goes with it."""
    if text == "permutation":
        return text, SAMPLED_DRAWS
    if text == "none":
        return text, None
    kind, _, number = text.partition(":")
    if (
        kind == "shuffle"
        and number.isascii()
        and number.isdigit()
        and len(number) < 8
        and 2 <= int(number) <= _SHUFFLES
    ):
        return kind, int(number)
    raise UsageError(f"unknown null {text!r}: choose permutation, shuffle:K with K from 2 to {_SHUFFLES:,}, or none")
