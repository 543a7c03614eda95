"""The values of an interpreted pickle: plain Python values, and these, which only record what was said.

Plain are None, bool, int, float, str, list and tuple. Nothing here is ever called, imported or hashed by its content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Value = Any
"""None, bool, int, float, str, list, tuple, or one of the classes below."""


class Dict(list[Value]):
    """A dict as a flat list of keys and values by turns: keys are not hashed, and may occur twice."""

    __slots__ = ()


class Set(list[Value]):
    """A set or frozenset as the list of what was put into it."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Global:
    """The name of a class or function."""

    module: str
    name: str
    dotted: str = field(init=False)

    def __post_init__(self) -> None:
        self.dotted = f"{self.module}.{self.name}"

    def __str__(self) -> str:
        return self.dotted


@dataclass(slots=True, eq=False)
class Persistent:
    """A reference to something outside the pickle, such as a storage."""

    id: Value


@dataclass(slots=True, eq=False)
class Call:
    """An object that the pickle would make by a call: the callable's name, its arguments, and what was added later."""

    callable: Value
    args: Value
    state: Value = None
    items: list[Value] | None = None
    pairs: Dict | None = None


@dataclass(slots=True, eq=False)
class Blob:
    """A run of bytes (or a long text, in UTF-8) of the pickle: `offset` in the file, None if it is compressed there.

    data: the bytes themselves if they are few, else none.
    """

    offset: int | None
    nbytes: int
    data: bytes = b""


PLAIN = frozenset({str, int, float, bool})
SIMPLE = PLAIN | {type(None), Blob, Global}
"""The types of values that hold no others; an interpreted pickle has no subclasses."""

CONTAINERS = frozenset({list, tuple, Dict, Set})
FEW = 16
"""Items that are looked at without a visit."""
