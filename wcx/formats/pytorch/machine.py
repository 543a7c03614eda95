"""The state of the interpreter of pickles: a stack, marks in it, a memo, and a count of the memory that it takes."""

from __future__ import annotations

from wcx.formats.pytorch.inert import Blob, Call, Global, Persistent, Value
from wcx.formats.pytorch.malicious import why_call_is_refused, why_name_is_refused
from wcx.formats.pytorch.window import Window

_MAX_MEMO = 1_000_000
_MAX_TEXT = 1 << 20  # a longer text stays in the file
_MAX_DIGITS = 40
_MAX_INTEGER = 16  # bytes
_COST_TEXT = 60
_COST_GLOBAL = 400
_COST_LINES = 200
_NOTHING = object()  # in the memo, where nothing was put


class StopError(Exception):
    """The pickle has reached its STOP."""


class Machine:
    """The state of the interpreter: a stack, marks in it, a memo, and the window that the bytes come from."""

    def __init__(self, window: Window, budget: int) -> None:
        self.window = window
        self.stack: list[Value] = []
        self.memo: list[Value] = []
        self.persistent: list[Persistent] = []
        self._marks: list[int] = []
        self._globals: dict[tuple[str, str], Global] = {}
        self._globals_by_lines: dict[bytes, Global] = {}
        self.spent = 0
        self._budget = budget

    def spend(self, nbytes: int) -> None:
        """Count memory that the values take; fail above the budget."""
        self.spent += nbytes
        if self.spent > self._budget:
            self.window.fail("describes more than fits in wcx's memory limit of 300 MiB")

    def result(self) -> Value:
        """Return the one value that is left at the end."""
        if len(self.stack) != 1 or self._marks:
            self.window.fail(f"ends with {len(self.stack)} values on its stack instead of one: it is damaged")
        return self.stack[0]

    def mark(self) -> None:
        """Mark this place of the stack."""
        self._marks.append(len(self.stack))

    def since_mark(self) -> list[Value]:
        """Take what was pushed since the last mark, and the mark."""
        if not self._marks or self._marks[-1] > len(self.stack):
            self.window.fail("has no mark where it needs one: it is damaged")
        begin = self._marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    def pop(self) -> None:
        """Drop the top of the stack, which may be a mark."""
        if self._marks and self._marks[-1] == len(self.stack):
            self._marks.pop()
        else:
            self.stack.pop()

    def put(self, index: int) -> None:
        """Keep the top of the stack in the memo."""
        if index >= _MAX_MEMO:
            self.window.fail(f"uses entry {index} of its memo, above the limit of {_MAX_MEMO}")
        memo = self.memo
        if index >= len(memo):
            memo.extend([_NOTHING] * (index - len(memo)))
            memo.append(self.stack[-1])
        else:
            memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        """Push what the memo has."""
        if index >= len(self.memo) or self.memo[index] is _NOTHING:
            self.window.fail(f"reads entry {index} of its memo, which was never written: it is damaged")
        self.stack.append(self.memo[index])

    def text(self, raw: bytes) -> str:
        """Decode a text; what it takes is counted."""
        self.spend(_COST_TEXT + (len(raw) if raw.isascii() else 4 * len(raw)))
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.window.fail("has a string that is not valid UTF-8")

    def long_text(self, nbytes: int) -> str | Blob:
        """Read a text, of a long one only where it is."""
        return self.text(self.window.take(nbytes)) if nbytes <= _MAX_TEXT else self.window.blob(nbytes)

    def integer(self, nbytes: int) -> int:
        """Read a signed number of any size up to the limit."""
        if nbytes > _MAX_INTEGER:
            self.window.fail(f"has an integer of {nbytes} bytes, above the limit of {_MAX_INTEGER}")
        return int.from_bytes(self.window.take(nbytes), "little", signed=True)

    def decimal(self) -> bytes:
        """Read a line with a number in it."""
        return self.window.line(_MAX_DIGITS)

    def global_(self, module: str, name: str) -> Global:
        """Return the inert name of a class or function, the same for the same name."""
        found = self._globals.get((module, name))
        if found is None:
            length = len(module) + len(name)
            self.spend(_COST_GLOBAL + 2 * (length if module.isascii() and name.isascii() else 4 * length))
            if reason := why_name_is_refused(module, name):
                self.window.fail(reason)
            found = self._globals[module, name] = Global(module, name)
        return found

    def global_of(self, lines: bytes) -> Global:
        """Return the inert name whose module and name are two lines."""
        found = self._globals_by_lines.get(lines)
        if found is None:
            self.spend(_COST_LINES + len(lines))
            try:
                module, _end, name = lines.decode().partition("\n")
            except UnicodeDecodeError:
                self.window.fail("has a name that is not valid UTF-8")
            found = self._globals_by_lines[lines] = self.global_(module, name)
        return found

    def call(self, function: Value, args: Value) -> None:
        """Push an inert call."""
        if reason := why_call_is_refused(function, args):
            self.window.fail(reason)
        self.stack.append(Call(function, args))

    def text_like(self, blob: Blob) -> str | Blob:
        """Return a str of Python 2: a text where it is short and could be one, else bytes."""
        self.blob_cost(blob)
        return blob.data.decode("ascii") if blob.data.isascii() and len(blob.data) == blob.nbytes else blob

    def blob_cost(self, blob: Blob) -> None:
        """Count what a run of bytes takes."""
        self.spend(2 * _COST_TEXT + len(blob.data))
