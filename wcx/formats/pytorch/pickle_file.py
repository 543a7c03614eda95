"""An open file with pickles in it, and the limits that all of them share."""

from __future__ import annotations

from dataclasses import dataclass

from wcx.core.errors import CheckpointError
from wcx.formats.pytorch.inert import Value
from wcx.formats.pytorch.pickles import MAX_MEMORY, MAX_OPCODES, Pickle, read_pickle
from wcx.formats.pytorch.streams import RawStream, Stream
from wcx.formats.pytorch.tensors import Storages
from wcx.formats.pytorch.visit import Contents, visit
from wcx.formats.sources.source import OpenFile

BINARY_PICKLES = tuple(bytes((0x80, version)) for version in (2, 3, 4, 5))
"""The first bytes of pickles of the protocols from 2 on."""


@dataclass(slots=True)
class PickleFile:
    """An open file, and the opcodes that its pickles may still have and the memory that they may still take."""

    file: OpenFile
    opcodes: int = MAX_OPCODES
    memory: int = MAX_MEMORY

    def pickle(self, start: int) -> Pickle:
        """Interpret the pickle at a byte of the file."""
        return self.interpret(RawStream(self.file, start, self.file.nbytes - start))

    def interpret(self, stream: Stream) -> Pickle:
        """Interpret the pickle that a stream begins with."""
        content = read_pickle(stream, self.file.path, self.opcodes, self.memory)
        self.opcodes -= content.opcodes
        self.memory -= content.memory
        return content

    def visit(
        self, value: Value, storages: Storages, prefix: str = "", *, source: str | None = None, plain: bool = True
    ) -> Contents:
        """Find the tensors and plain values of a pickle's value; CheckpointError where one can't be right."""
        try:
            return visit(value, storages, prefix, source=source, plain=plain)
        except ValueError as error:
            raise self.error(str(error)) from error

    def error(self, reason: str, offset: int | None = None) -> CheckpointError:
        """Return the error for what is wrong with the file."""
        return CheckpointError(self.file.path, reason, offset)
