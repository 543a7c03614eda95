"""pybdm 0.1.0, the reference: imported with the one function that it takes from pkg_resources, which is no more."""

from __future__ import annotations

import importlib
import importlib.resources
import sys
import warnings
from types import ModuleType
from typing import IO

import pytest

__all__ = ["import_pybdm", "resource_stream"]


def resource_stream(package: str, path: str) -> IO[bytes]:
    """Open a file of a package, as pkg_resources does."""
    return importlib.resources.files(package).joinpath(path).open("rb")


def import_pybdm() -> ModuleType:
    """Import pybdm."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stand_in = ModuleType("pkg_resources")
        stand_in.resource_stream = resource_stream  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "pkg_resources", stand_in)
        return importlib.import_module("pybdm")
