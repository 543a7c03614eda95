"""Bars in text: size and direction of a line's deviation from its shuffle, readable without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Bars:
    """The characters of bars, rules and omissions.

    less, more, chance: the first character of a bar. parts: a cell filled from nothing to all, in even steps; without
    parts the first character is repeated.
    """

    less: str
    more: str
    chance: str
    parts: str
    rule: str
    ellipsis: str

    def draw(self, share: float | None, longest: float, width: int) -> str:
        """Return a bar of at most `width` characters for a signed `share`; one of `longest` fills it.

        >>> FANCY.draw(-0.06, 0.12, 6), FANCY.draw(0.0, 0.12, 6), PLAIN.draw(0.12, 0.12, 6)
        ('▼██▌', '·', '++++++')
        """
        if share is None:
            return ""
        if share == 0:
            return self.chance
        arrow = self.less if share < 0 else self.more
        length = min(abs(share) / longest, 1.0) * (width - 1)
        if not self.parts:
            return arrow * (1 + round(length))
        steps = len(self.parts) - 1
        whole, part = divmod(round(length * steps), steps)
        return arrow + self.parts[-1] * whole + self.parts[part].strip()


FANCY = Bars("▼", "▲", "·", " ▏▎▍▌▋▊▉█", "─", "…")
PLAIN = Bars("-", "+", ".", "", "-", "..")


def bars_for(stream: TextIO) -> Bars:
    """Return the finest bars that the stream's encoding can take."""
    glyphs = FANCY.less + FANCY.more + FANCY.chance + FANCY.parts + FANCY.rule + FANCY.ellipsis
    try:
        glyphs.encode(encoding_of(stream))
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return FANCY


def encoding_of(stream: TextIO) -> str:
    """Return the stream's encoding; UTF-8 for one in memory, which has none."""
    return getattr(stream, "encoding", None) or "utf-8"


def encodable(text: str, stream: TextIO) -> str:
    """Return the text with escapes for what the stream's encoding can't take."""
    if text.isascii():
        return text
    encoding = encoding_of(stream)
    return text.encode(encoding, "backslashreplace").decode(encoding)
