"""Settings of `wcx motifs` from options: checked once, here."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from wcx.core.errors import UsageError
from wcx.core.motifs import MotifSettings
from wcx.tasks.analyze.settings import check_whole
from wcx.tasks.motifs.cut import parse_block


def make_motif_settings(**options: Any) -> MotifSettings:  # noqa: ANN401
    """Return settings from options, those of MotifSettings by name; raise UsageError where they make no sense.

    >>> make_motif_settings(block="02")
    Traceback (most recent call last):
    wcx.core.errors.UsageError: unknown block '02': give values (2) or rows and columns (4x4), up to 4096 values
    """
    settings = MotifSettings(**{**options, "block": str(parse_block(str(options.get("block", "2"))))})
    check_whole("seed", settings.seed, 0)
    check_whole("top", settings.top, 0)
    if settings.k is not None:
        check_whole("k", settings.k, 1)
    if settings.q is not None:
        check_whole("q", settings.q, 1)
    if settings.k is not None and settings.capacity is not None:
        raise UsageError("k and capacity both set the number of motifs: give only one")
    if settings.capacity is not None:
        parse_capacity(settings.capacity)
    if settings.zero_block and not settings.projects:
        raise UsageError("the zero block needs a projection: give k or capacity too")
    return settings


def parse_capacity(text: str) -> Fraction:
    """Read a share such as 5% or 0.05, exactly; raise UsageError for anything but a share above 0, up to 1.

    >>> parse_capacity("5%") == parse_capacity("0.05") == Fraction(1, 20)
    True
    """
    number = text.removesuffix("%")
    if number.isascii() and number.replace(".", "", 1).isdigit() and len(number) < 20:
        share = Fraction(number) / (100 if text.endswith("%") else 1)
        if 0 < share <= 1:
            return share
    raise UsageError(f"invalid capacity {text!r}: give a fraction of the blocks, e.g. 5% or 0.05")
