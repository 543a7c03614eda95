"""Names in a pickle that only serve to run programs: a file with one is refused, though wcx would run nothing.

A warning, not a defence: such lists are always incomplete, and the interpreter needs none, since it calls nothing.
What is not listed is inert.
"""

from __future__ import annotations

import re

from wcx.core.text import shortened
from wcx.formats.pytorch.inert import Global, Value

_MODULES = frozenset(
    (
        *("_posixsubprocess", "_winapi", "bdb", "cProfile", "code", "codeop", "commands", "ctypes", "doctest"),
        *("ftplib", "http", "imp", "importlib", "marshal", "nt", "os", "pdb", "pip", "popen2", "posix", "profile"),
        *("pty", "runpy", "shutil", "smtplib", "socket", "subprocess", "sys", "telnetlib", "timeit", "urllib"),
        *("webbrowser",),
    )
)
_BUILTINS = frozenset(
    (
        *("__import__", "apply", "breakpoint", "compile", "delattr", "eval", "exec", "execfile", "file", "globals"),
        *("input", "locals", "open", "setattr", "vars"),
    )
)
_LOADERS = frozenset(
    (
        *("_pickle.load", "_pickle.loads", "cPickle.load", "cPickle.loads", "cloudpickle.loads", "dill.load"),
        *("dill.loads", "joblib.load", "numpy.load", "pandas.read_pickle", "pickle.load", "pickle.loads"),
        *("torch.load",),
    )
)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def why_name_is_refused(module: str, name: str) -> str | None:
    """Return the reason to refuse a pickle that names this, or None.

    >>> why_name_is_refused("os", "system")
    "would run 'os.system' when loaded: do not load it with any program"
    """
    whole = f"{module}.{name}"
    last = name.rpartition(".")[2]
    inside = name.split(".")[:-1]  # the parts of a dotted name: serialization.os.system
    if (
        module.partition(".")[0] in _MODULES
        or not _MODULES.isdisjoint(inside)
        or (module in ("builtins", "__builtin__") and last in _BUILTINS)
        or whole in _LOADERS
    ):
        return f"would run {shortened(whole)} when loaded: do not load it with any program"
    return None


def why_call_is_refused(function: Value, args: Value) -> str | None:
    """Return the reason to refuse a pickle that makes this call, or None.

    Only getattr: Python 3.11 pickles a member of an enum as getattr of its class and name, and nothing else may be.
    """
    if not isinstance(function, Global) or function.name != "getattr":
        return None
    plain = isinstance(args, tuple) and len(args) == 2 and isinstance(args[0], Global) and isinstance(args[1], str)
    if plain and _IDENTIFIER.fullmatch(args[1]):
        return None
    return f"would run {shortened(str(function))} when loaded: do not load it with any program"
