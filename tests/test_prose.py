"""The language of docstrings, messages and pages: plain sentences, without the words that are listed here.

Each test collects all offenders of one kind of text. docs/glossary.md has the words to use instead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "wcx").rglob("*.py"))
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BEGINNINGS = re.compile(r"(What|Whether|How|Of|The same|That|Where)\b")
"""Words that begin no docstring: a verb does, or a noun."""
WORDS = re.compile(
    r"""\b(
        beside | stands? | as\ many | gave\ way | all\ the\ same
        | (is|are|was|were|be)\ told | told\ (by|apart|from)
        | be\ called | (is|are)\ called\ like
        | (?<!there\ )is\ no(?!\ (longer|more)\b)(?=\ )
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Words and phrases that no text uses."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every docstring of the package."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{path}:{getattr(node, 'lineno', 1)}", flat(text)


def messages() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every other literal of several words: messages, help texts, notes about names."""
    for path, tree in SOURCES.items():
        first = {id(text) for text in documenting(tree)}
        inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield f"{path}:{node.lineno}", flat("".join(map(literal, node.values)))
            elif id(node) not in first | inside and (text := literal(node)) and " " in text:
                yield f"{path}:{node.lineno}", flat(text)


def documenting(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the literals that are docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node) and isinstance(node.body[0], ast.Expr):
            yield node.body[0].value


def literal(node: ast.AST) -> str:
    """Return the text of a literal; that of what is put into one is unknown."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "_"


def paragraphs() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every paragraph of the pages, without code."""
    for page in PAGES:
        text = re.sub(
            r"^```.*?^```$", lambda code: "\n" * code[0].count("\n"), page.read_text("utf-8"), flags=re.M | re.S
        )
        starts = [0, *(found.end() for found in re.finditer(r"\n\s*\n|\n(?=\s*[-*|] )", text)), len(text)]
        for start, stop in pairwise(starts):
            line = text.count("\n", 0, start) + 1
            yield f"{page.relative_to(ROOT)}:{line}", flat(re.sub(r"`[^`]*`", "_", text[start:stop]))


def flat(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def offenders(texts: Iterator[tuple[str, str]]) -> list[str]:
    """Return the places with words that no text uses."""
    return [
        f"{place}: {found[0]!r} in {around(text, found)!r}" for place, text in texts for found in WORDS.finditer(text)
    ]


def around(text: str, found: re.Match[str]) -> str:
    """Return some of the text before and after a match."""
    return text[max(0, found.start() - 30) : found.end() + 30]


def shown(found: list[str]) -> str:
    """Return all offenders, a line each."""
    return "\n".join([f"{len(found)} texts:", *found])


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    found = [f"{place}: {text[:80]}" for place, text in docstrings() if BEGINNINGS.match(text)]
    assert not found, shown(found)


def test_docstrings_use_the_words_of_the_field() -> None:
    found = offenders(docstrings())
    assert not found, shown(found)


def test_help_and_messages_use_the_words_of_the_field() -> None:
    found = offenders(messages())
    assert not found, shown(found)


def test_pages_use_the_words_of_the_field() -> None:
    found = offenders(paragraphs())
    assert not found, shown(found)


def test_lint_finds_what_it_is_for() -> None:
    bad = [
        *("It stands beside it.", "as many as fit", "is told from it", "they are told apart by name", "x is no number"),
        *("is called like a checkpoint", "rows that gave way", "read all the same", "how it is to be called"),
    ]
    good = ["there is no table", "is no longer read", "is no more than that", "the first is noted", "called by workers"]
    assert [text for text in bad if not WORDS.search(text)] == []
    assert [text for text in good if WORDS.search(text)] == []
    assert [text for text in ("What it is.", "The same.", "Of all.") if not BEGINNINGS.match(text)] == []
    assert [
        text for text in ("Whatever it is.", "Often.", "However.", "Return what is.") if BEGINNINGS.match(text)
    ] == []
