"""An interpreter of pickles that imports nothing and calls nothing: it records what a pickle says, as inert values.

Source: CPython's Lib/pickle.py and pickletools.py, protocols 0 to 5; the opcodes themselves are in opcodes.py.
Unlike an Unpickler it has no find_class, so that there is nothing to allow and nothing to bypass; unlike one it can't
be made to take gigabytes, since what the values need is counted while they are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from wcx.formats.pytorch.inert import Persistent, Value
from wcx.formats.pytorch.machine import Machine, StopError
from wcx.formats.pytorch.opcodes import OPCODES
from wcx.formats.pytorch.streams import Stream
from wcx.formats.pytorch.window import AHEAD, Window

MAX_OPCODES = 2_000_000
"""The limit for all pickles of one file."""

MAX_MEMORY = 190_000_000
"""Bytes that the values of all pickles of one file may take; with Python itself under 300 MiB, measured."""

_BATCH = 1000  # opcodes between two looks at the budget
_COST_OPCODE = 76  # the most that an opcode without a text leaves behind, measured


@dataclass(frozen=True, slots=True)
class Pickle:
    """The content of a pickle: its value, its references to things outside in their order, its bytes and opcodes.

    opcodes: their number, in full thousands. memory: bytes that the values take.
    """

    value: Value
    persistent: tuple[Persistent, ...]
    nbytes: int
    opcodes: int
    memory: int


def read_pickle(stream: Stream, path: str, opcodes: int = MAX_OPCODES, memory: int = MAX_MEMORY) -> Pickle:
    """Interpret the pickle at the beginning of a stream, of which at most a piece behind its STOP is read.

    opcodes: the most that it may have. memory: the most bytes that its values may take.

    Raises CheckpointError, with the byte, for what is not a pickle, is damaged, would run a program, or goes beyond the
    limits.
    """
    window = Window(stream, path)
    machine = Machine(window, memory)
    done = 0
    try:
        while done < opcodes:
            done += _BATCH
            _run(machine, window)
    except StopError:
        return Pickle(machine.result(), tuple(machine.persistent), window.position, done, machine.spent)
    except IndexError:
        window.fail("pops more values than its stack has: it is damaged")
    window.fail(f"has more opcodes than the limit of {opcodes}")


def _run(machine: Machine, window: Window) -> None:
    """Execute a batch of opcodes, unless one raises StopError."""
    machine.spend(_BATCH * _COST_OPCODE)
    for _ in range(_BATCH):
        if window.at + AHEAD > window.stop:
            window.refill()
        opcode = window.buffer[window.at]
        window.at += 1
        OPCODES[opcode](machine)
