"""The effect of each opcode of a pickle on the interpreter's stack and memo.

Source: CPython's pickletools.py (arguments) and Lib/pickle.py (effects), protocols 0 to 5. EXT1, EXT2 and EXT4 (a
registry that a file can't hold), NEXT_BUFFER and READONLY_BUFFER (bytes outside the file) are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NoReturn

from wcx.core.text import shortened
from wcx.formats.pytorch.inert import Call, Dict, Persistent, Set, Value
from wcx.formats.pytorch.machine import Machine, StopError

_MAX_LINE = 1 << 20
_MAX_NAME = 1000  # bytes of a global's module or name
_HIGHEST_PROTOCOL = 5
_FLOAT = struct.Struct(">d")
_INT = struct.Struct("<i")

_Step = Callable[[Machine], None]


def _unknown(m: Machine) -> NoReturn:
    m.window.fail(f"has the unknown opcode {m.window.buffer[m.window.at - 1]:#04x}: it is damaged, or not a pickle")


OPCODES: list[_Step] = [_unknown] * 256
"""The effect of every opcode by its byte."""


def _opcode(codes: bytes) -> Callable[[_Step], _Step]:
    """Register a function under one or more opcodes."""

    def register(step: _Step) -> _Step:
        for code in codes:
            OPCODES[code] = step
        return step

    return register


def _opcodes(steps: Mapping[bytes, _Step]) -> None:
    """Register steps of one expression each."""
    for code, step in steps.items():
        OPCODES[code[0]] = step


# ------------------------------------------------------------------------------------------- framing, stack and memo


@_opcode(b"\x80")
def _proto(m: Machine) -> None:
    version = m.window.number(1)
    if version > _HIGHEST_PROTOCOL:
        m.window.fail(f"uses protocol {version}: wcx reads protocols up to {_HIGHEST_PROTOCOL}")


@_opcode(b"\x95")
def _frame(m: Machine) -> None:
    nbytes = m.window.number(8)
    if nbytes >= 1 << 62:
        m.window.fail(f"has a frame of {nbytes} bytes: it is damaged")


@_opcode(b".")
def _stop(_m: Machine) -> None:
    raise StopError


@_opcode(b"1")
def _pop_mark(m: Machine) -> None:
    m.since_mark()


_opcodes(
    {
        b"(": lambda m: m.mark(),
        b"0": lambda m: m.pop(),
        b"2": lambda m: m.stack.append(m.stack[-1]),  # DUP
        b"p": lambda m: m.put(_natural(m)),
        b"q": lambda m: m.put(m.window.number(1)),
        b"r": lambda m: m.put(m.window.number(4)),
        b"\x94": lambda m: m.put(len(m.memo)),  # MEMOIZE
        b"g": lambda m: m.get(_natural(m)),
        b"h": lambda m: m.get(m.window.number(1)),
        b"j": lambda m: m.get(m.window.number(4)),
    }
)


def _natural(m: Machine) -> int:
    raw = m.decimal()
    if not raw.isdigit():
        _not_a_number(m, raw)
    return int(raw)


def _not_a_number(m: Machine, raw: bytes) -> NoReturn:
    m.window.fail(f"has {shortened(raw.decode('latin-1'))} where a number should be")


# ------------------------------------------------------------------------------------------------------------ scalars


_opcodes(
    {
        b"N": lambda m: m.stack.append(None),
        b"\x88": lambda m: m.stack.append(True),
        b"\x89": lambda m: m.stack.append(False),
        b"M": lambda m: m.stack.append(m.window.number(2)),
        b"L": lambda m: m.stack.append(_decimal(m, m.decimal().removesuffix(b"L"), int)),
        b"\x8a": lambda m: m.stack.append(m.integer(m.window.number(1))),
        b"\x8b": lambda m: m.stack.append(m.integer(m.window.number(4))),
        b"F": lambda m: m.stack.append(_decimal(m, m.decimal(), float)),
        b"G": lambda m: m.stack.append(_FLOAT.unpack(m.window.take(8))[0]),
    }
)


@_opcode(b"I")
def _int(m: Machine) -> None:
    raw = m.decimal()
    m.stack.append(raw == b"01" if raw in (b"00", b"01") else _decimal(m, raw, int))


def _decimal(m: Machine, raw: bytes, kind: type[int] | type[float]) -> float:
    try:
        return kind(raw)
    except ValueError:
        _not_a_number(m, raw)


@_opcode(b"J")
def _binint(m: Machine) -> None:
    window = m.window
    m.stack.append(_INT.unpack_from(window.buffer, window.at)[0])
    window.at += 4


@_opcode(b"K")
def _binint1(m: Machine) -> None:
    window = m.window
    m.stack.append(window.buffer[window.at])
    window.at += 1


# ------------------------------------------------------------------------------------------------- texts and bytes


_opcodes(
    {
        b"\x8c": lambda m: m.stack.append(m.text(m.window.take(m.window.number(1)))),
        b"X": lambda m: m.stack.append(m.long_text(m.window.number(4))),
        b"\x8d": lambda m: m.stack.append(m.long_text(m.window.number(8))),
        b"U": lambda m: m.stack.append(m.text_like(m.window.blob(m.window.number(1)))),
        b"T": lambda m: m.stack.append(m.text_like(m.window.blob(m.window.number(4)))),
        b"C": lambda m: _push_bytes(m, m.window.number(1)),
        b"B": lambda m: _push_bytes(m, m.window.number(4)),
        b"\x8e": lambda m: _push_bytes(m, m.window.number(8)),
        b"\x96": lambda m: _push_bytes(m, m.window.number(8)),  # BYTEARRAY8
    }
)


def _push_bytes(m: Machine, nbytes: int) -> None:
    blob = m.window.blob(nbytes)
    m.blob_cost(blob)
    m.stack.append(blob)


@_opcode(b"S")
def _string(m: Machine) -> None:
    raw = m.window.line(_MAX_LINE)
    if len(raw) < 2 or raw[:1] != raw[-1:] or raw[:1] not in (b"'", b'"'):
        m.window.fail("has a string without quotes")
    m.stack.append(m.text(raw[1:-1]))


@_opcode(b"V")
def _unicode(m: Machine) -> None:
    raw = m.window.line(_MAX_LINE)
    m.spend(4 * len(raw))
    try:
        m.stack.append(m.text(raw.decode("raw_unicode_escape").encode("utf-8", "surrogatepass")))
    except UnicodeDecodeError:
        m.window.fail("has a string with an invalid escape")


# ---------------------------------------------------------------------------------------------------------- containers


_opcodes(
    {
        b")": lambda m: m.stack.append(()),
        b"]": lambda m: m.stack.append([]),
        b"}": lambda m: m.stack.append(Dict()),
        b"\x8f": lambda m: m.stack.append(Set()),
        b"l": lambda m: m.stack.append(m.since_mark()),
        b"t": lambda m: m.stack.append(tuple(m.since_mark())),
        b"d": lambda m: m.stack.append(Dict(_paired(m, m.since_mark()))),
        b"\x91": lambda m: m.stack.append(Set(m.since_mark())),  # FROZENSET
    }
)


@_opcode(b"\x85")
def _tuple1(m: Machine) -> None:
    m.stack[-1] = (m.stack[-1],)


@_opcode(b"\x86")
def _tuple2(m: Machine) -> None:
    last = m.stack.pop()
    m.stack[-1] = (m.stack[-1], last)


@_opcode(b"\x87")
def _tuple3(m: Machine) -> None:
    last = m.stack.pop()
    middle = m.stack.pop()
    m.stack[-1] = (m.stack[-1], middle, last)


def _paired(m: Machine, values: list[Value]) -> list[Value]:
    if len(values) % 2:
        m.window.fail("has a key without a value: it is damaged")
    return values


@_opcode(b"a")
def _append(m: Machine) -> None:
    value = m.stack.pop()
    _add_items(m, m.stack[-1], [value])


@_opcode(b"e\x90")
def _appends(m: Machine) -> None:
    values = m.since_mark()
    _add_items(m, m.stack[-1], values)


def _add_items(m: Machine, target: Value, values: list[Value]) -> None:
    if isinstance(target, Call):
        target.items = target.items or []
        target.items += values
    elif isinstance(target, list) and not isinstance(target, Dict):
        target += values
    else:
        m.window.fail("appends to a value that is not a list: it is damaged")


@_opcode(b"s")
def _setitem(m: Machine) -> None:
    value = m.stack.pop()
    key = m.stack.pop()
    _add_pairs(m, m.stack[-1], [key, value])


@_opcode(b"u")
def _setitems(m: Machine) -> None:
    values = _paired(m, m.since_mark())
    _add_pairs(m, m.stack[-1], values)


def _add_pairs(m: Machine, target: Value, values: list[Value]) -> None:
    if isinstance(target, Call):
        target.pairs = target.pairs or Dict()
        target.pairs += values
    elif isinstance(target, Dict):
        target += values
    else:
        m.window.fail("sets a key of a value that is not a dict: it is damaged")


# ----------------------------------------------------------------------------------------------- names and objects


@_opcode(b"c")
def _global(m: Machine) -> None:
    m.stack.append(m.global_of(m.window.two_lines(_MAX_NAME)))


@_opcode(b"\x93")
def _stack_global(m: Machine) -> None:
    name = m.stack.pop()
    module = m.stack.pop()
    if not isinstance(name, str) or not isinstance(module, str) or len(name) + len(module) > _MAX_NAME:
        m.window.fail("has an invalid class name: it is damaged")
    m.stack.append(m.global_(module, name))


@_opcode(b"R\x81")  # REDUCE, NEWOBJ
def _reduce(m: Machine) -> None:
    args = m.stack.pop()
    m.call(m.stack.pop(), args)


@_opcode(b"\x92")
def _newobj_ex(m: Machine) -> None:
    keywords = m.stack.pop()
    args = m.stack.pop()
    m.call(m.stack.pop(), (args, keywords) if keywords else args)


@_opcode(b"i")
def _inst(m: Machine) -> None:
    function = m.global_of(m.window.two_lines(_MAX_NAME))
    m.call(function, tuple(m.since_mark()))


@_opcode(b"o")
def _obj(m: Machine) -> None:
    function, *args = m.since_mark() or [None]
    m.call(function, tuple(args))


@_opcode(b"b")
def _build(m: Machine) -> None:
    state = m.stack.pop()
    target = m.stack[-1]
    if not isinstance(target, Call) or target.state is not None:
        m.window.fail("sets the state of a value that is not an object, or sets it twice: it is damaged")
    target.state = state


@_opcode(b"P")
def _persid(m: Machine) -> None:
    m.stack.append(m.text(m.window.line(_MAX_LINE)))
    _binpersid(m)


@_opcode(b"Q")
def _binpersid(m: Machine) -> None:
    reference = Persistent(m.stack[-1])
    m.persistent.append(reference)
    m.stack[-1] = reference


@_opcode(b"\x82\x83\x84")
def _extension(m: Machine) -> NoReturn:
    m.window.fail("needs an extension registry, which is not in the file: save it again with torch.save")


@_opcode(b"\x97\x98")
def _buffer(m: Machine) -> NoReturn:
    m.window.fail("needs out-of-band buffers, which are not in the file: save it again with torch.save")
