"""The page that tables for people are printed on: styled lines on a stream, in its width and its encoding.

Nothing here depends on what is shown. Every text from a file goes through `printable` before it is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from wcx.core.text import escape
from wcx.outputs import View
from wcx.outputs.shared.bars import PLAIN, bars_for, encoding_of
from wcx.outputs.shared.cells import Cell

_USUAL_WIDTH = 80
_NARROWEST = 20
STYLES = {
    "plain": "",
    "dim": "dim",
    "bold": "bold",
    "less": "cyan",
    "more": "magenta",
    "note": "dim",
    "warning": "yellow",
}
"""How each tone of a cell or sentence looks on a terminal with colours."""


class Page:
    """A stream with its view; `width` in columns, `bars` those that it can draw."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self.view = view
        self.width = max(view.width or _USUAL_WIDTH, _NARROWEST if view.terminal else _USUAL_WIDTH)
        self.bars = PLAIN if os.environ.get("TERM") == "dumb" else bars_for(stream)
        self._stream = stream
        self._encoding = encoding_of(stream)
        self._console = _console(stream, view, self.width)

    def print(self, texts: Iterable[Text]) -> None:
        """Print lines."""
        for text in texts:
            self._console.print(text, soft_wrap=True)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def printable(self, text: str) -> str:
        """Return the text with escapes for what could steer a terminal and what the stream can't take."""
        text = escape(text)
        return text if text.isascii() else text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def wrapped(self, text: Text) -> Iterator[Text]:
        """Yield a sentence in lines as wide as the terminal, all but the first indented; elsewhere in one line."""
        if not self.view.terminal or cell_len(text.plain) <= self.width:
            yield text
            return
        for index, line in enumerate(text.wrap(self._console, self.width - 2)):
            line.rstrip()
            yield Text("  ").append_text(line) if index else line

    def row(self, name: str, style: str, width: int, cells: Iterable[Cell]) -> Text:
        """Return a line of a table: a name as wide as its column, and padded cells."""
        row = Text(name + " " * (width - cell_len(name)), style)
        for cell in cells:
            row.append(cell.text, STYLES[cell.tone] or None)
        row.rstrip()
        return row


def _console(stream: TextIO, view: View, width: int) -> Console:
    return Console(
        file=stream,
        width=width,
        color_system="standard" if view.color else None,
        force_jupyter=False,
        no_color=not view.color,
        markup=False,
        emoji=False,
        highlight=False,
    )
