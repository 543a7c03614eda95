"""Markdown tables, in which nothing from a file is markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from wcx.core.text import escape
from wcx.outputs.shared.bars import encoding_of
from wcx.outputs.shared.grid import Column, LineT, Section

_PLAIN_NAME = re.compile(r"[\w./: -]+", re.ASCII)
_MARKUP = re.compile(r"[\\`*{}\[\]<>|&#@]|(?<!\w)_|_(?!\w)")  # inside a word an underscore is not markup
_NO_TEXT = re.compile(r"[^\w ]|_")


def write_lines(stream: TextIO, lines: Iterator[str]) -> None:
    """Write lines and flush, with entities for what the stream's encoding can't take."""
    encoding = encoding_of(stream)
    written = "\n".join(lines) + "\n"
    stream.write(written.encode(encoding, "xmlcharrefreplace").decode(encoding))
    stream.flush()


def row(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def code(name: str) -> str:
    """Return a name as code; characters other than the usual ones become entities, which are never markup."""
    name = escape(name)
    if _PLAIN_NAME.fullmatch(name):
        return f"`{name}`"
    return f"<code>{_entities(_NO_TEXT, name)}</code>"


def text(sentence: str) -> str:
    """Return a sentence in which nothing is markup."""
    return _entities(_MARKUP, escape(sentence))


def _entities(characters: re.Pattern[str], text: str) -> str:
    return characters.sub(lambda found: f"&#{ord(found[0])};", text)


def table(
    columns: Sequence[Column[LineT]],
    sections: Sequence[Section[LineT]],
    draw: Callable[[LineT], str] = lambda _line: "",
    drawn: str = "",
    corner: str = "layer",
) -> Iterator[str]:
    """Yield the lines of a table; draw: the text of the cells of the column `drawn`."""
    yield row([corner, *(column.head for column in columns)])
    yield row([":--", *(":--" if column.look.left else "--:" for column in columns)])
    for section in sections:
        if section.title:
            mark = "**" if section.divider else "*"
            yield row([f"{mark}{text(section.title)}{mark}", *("" for _ in columns)])
        for line in section.lines:
            name = f"**{line.label}**" if section.bold else code(line.label)
            cells = (draw(line) if column.key == drawn else _cell(column, line) for column in columns)
            yield row([name if line.label else "", *cells])


def _cell(column: Column[LineT], line: LineT) -> str:
    """Return a cell; numbers are our own and have no markup, names of planes and runs may."""
    cell = column.cell(line).text.strip()
    return text(cell) if column.look.left else cell
