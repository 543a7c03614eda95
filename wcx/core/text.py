"""Names from a file are data: characters that could steer a terminal or break a line are escaped before display."""

from __future__ import annotations

import re
import unicodedata

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


_NUMBER = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Return a sort key that compares runs of digits as numbers; names that differ in leading zeros compare as text.

    >>> sorted(["epoch_10", "epoch_2"], key=natural_key)
    ['epoch_2', 'epoch_10']
    """
    parts = _NUMBER.split(name)  # text and digits by turns, so that like compares with like
    return tuple(_number(part) if index % 2 else part for index, part in enumerate(parts)), name


def _number(digits: str) -> tuple[int, str]:
    """Return a key that compares as the number does (Python refuses to read more than 4,300 digits)."""
    significant = digits.lstrip("0")
    return len(significant), significant


def shortened(name: str, width: int = 60) -> str:
    """Return a name for a message: quoted and escaped, and cut in the middle if it is long."""
    return f"'{escape(name if len(name) <= width else f'{name[: width // 2]}...{name[3 - width // 2 :]}')}'"
