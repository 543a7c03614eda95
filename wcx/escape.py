"""Names from a file are data: what could steer a terminal or break a line is escaped before a person sees it."""

from __future__ import annotations

import unicodedata

__all__ = ["escape"]

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def escape(text: str) -> str:
    r"""Return `text` with control, format (bidi) and unassigned characters and lone surrogates written as escapes.

    >>> escape("fc1\x1b[31m.weight\n")
    'fc1\\x1b[31m.weight\\n'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) if _hidden(character) else character for character in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
