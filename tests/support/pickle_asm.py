"""A small assembler of pickles, opcode by opcode, and of the two files of torch.save around them.

No pickler is used, so that what none would write can be built too. Sources: the opcodes of CPython's pickletools, and
torch/serialization.py for the two layouts.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from zip_asm import Member, zip_file

__all__ = [
    "APPENDS",
    "BUILD",
    "MARK",
    "NONE",
    "REDUCE",
    "SETITEMS",
    "STOP",
    "TUPLE",
    "archive",
    "call",
    "dict_of",
    "integer",
    "legacy",
    "list_of",
    "members_of",
    "named",
    "numbers",
    "persistent",
    "pickled",
    "state",
    "storage",
    "tensor",
    "text",
    "tuple_of",
]

MARK, STOP, NONE, TUPLE, REDUCE, BUILD, APPENDS, SETITEMS = b"(", b".", b"N", b"t", b"R", b"b", b"e", b"u"

_MAGIC = 0x1950A86A20F9469CFC6C
_DATA = bytes(range(64))


def integer(value: int) -> bytes:
    """An integer in the shortest of the binary forms."""
    if 0 <= value < 1 << 8:
        return b"K" + bytes([value])
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def text(value: str) -> bytes:
    """A string of any length."""
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def tuple_of(*items: bytes) -> bytes:
    """A tuple of what these opcodes make."""
    return MARK + b"".join(items) + TUPLE


def numbers(values: Sequence[int]) -> bytes:
    """A tuple of integers."""
    return tuple_of(*map(integer, values))


def list_of(*items: bytes) -> bytes:
    """A list of what these opcodes make."""
    return b"](" + b"".join(items) + APPENDS


def dict_of(items: Mapping[str, bytes]) -> bytes:
    """A dict with these keys."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + SETITEMS


def named(module: str, name: str) -> bytes:
    """A class or function by name (GLOBAL)."""
    return b"c" + f"{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    """The call of a function (REDUCE)."""
    return function + tuple_of(*arguments) + REDUCE


def persistent(*items: bytes) -> bytes:
    """A reference to what lies outside the pickle (BINPERSID)."""
    return tuple_of(*items) + b"Q"


def storage(key: str = "0", numel: int = 16, kind: str = "FloatStorage", module: str = "torch") -> bytes:
    """A reference to a storage, as the zip format writes it."""
    return persistent(text("storage"), named(module, kind), text(key), text("cpu"), integer(numel))


def tensor(held: bytes = b"", offset: int = 0, shape: Sequence[int] = (4, 4), strides: Sequence[int] = (4, 1)) -> bytes:
    """A tensor as a view of a storage; of the storage "0" where none is given."""
    return call(
        named("torch._utils", "_rebuild_tensor_v2"),
        held or storage(),
        integer(offset),
        numbers(shape),
        numbers(strides),
        b"\x89",
        call(named("collections", "OrderedDict")),
    )


def pickled(*body: bytes) -> bytes:
    """A whole pickle of protocol 2."""
    return b"\x80\x02" + b"".join(body) + STOP


def state(**items: bytes) -> bytes:
    """The pickle of a state_dict."""
    return pickled(dict_of(items))


def members_of(pickle: bytes, storages: Mapping[str, bytes] | None = None, root: str = "archive") -> list[Member]:
    """The members of torch.save's zip; one storage of 64 bytes where none are given."""
    storages = {"0": _DATA} if storages is None else storages
    return [
        Member(f"{root}/data.pkl", pickle),
        Member(f"{root}/byteorder", b"little"),
        *(Member(f"{root}/data/{key}", data) for key, data in storages.items()),
        Member(f"{root}/version", b"3\n"),
    ]


def archive(pickle: bytes, storages: Mapping[str, bytes] | None = None, root: str = "archive") -> bytes:
    """The zip that torch.save writes."""
    return zip_file(members_of(pickle, storages, root))


def legacy(
    pickle: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    keys: bytes | None = None,
    numels: Mapping[str, int] | None = None,
    little_endian: bool = True,
    views: bool = False,
) -> bytes:
    """What torch.save wrote before 1.6: five pickles, then the storages, each behind its number of elements.

    keys: the fifth pickle; numels: what is said of a storage, a quarter of its bytes where nothing else is; views:
    whether the references to storages say of which part, as their sixth item, themselves. All numbers are
    little-endian, whatever little_endian says: torch swaps them on a big-endian machine.
    """
    pickle = pickle if views else pickle.replace(TUPLE + b"Q", NONE + TUPLE + b"Q")
    storages = {"0": _DATA} if storages is None else storages
    numels = numels or {}
    system = dict_of(
        {
            "protocol_version": integer(1001),
            "little_endian": b"\x88" if little_endian else b"\x89",
            "type_sizes": dict_of({"short": integer(2), "int": integer(4), "long": integer(4)}),
        }
    )
    return b"".join(
        [
            pickled(integer(_MAGIC)),
            pickled(integer(1001)),
            pickled(system),
            pickle,
            pickled(list_of(*map(text, storages))) if keys is None else keys,
            *(struct.pack("<q", numels.get(key, len(data) // 4)) + data for key, data in storages.items()),
        ]
    )
