"""What all tests share. That this file stands here also puts tests/ on the path: naive, strategies, contracts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import ModuleType

import depth
import pytest
from pybdm_reference import import_pybdm


def _is_full(config: pytest.Config) -> bool:
    """Return True if a run does what is exhaustive too."""
    return config.getoption("markexpr") != "not exhaustive"


def pytest_configure(config: pytest.Config) -> None:
    depth.load_profile(_is_full(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is exhaustive; properties are too: they run again, on more examples."""
    depth.mark_others(items)
    for item in items if _is_full(config) else ():
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(depth.EXHAUSTIVE)


_PROCESSOR_SECONDS = 300
"""The processor time after which a test fails: what grows with a square would otherwise take hours."""


@pytest.fixture(autouse=True)
def _end_of_patience() -> Iterator[None]:
    """End a test that computes without end; how busy the machine is makes no difference to it."""

    def fail(*_signal: object) -> None:
        raise TimeoutError(f"the test took more than {_PROCESSOR_SECONDS} s of processor time")

    usual = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, _PROCESSOR_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, usual)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither find what the user's runs have counted, nor leave anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WCX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def pybdm() -> ModuleType:
    """pybdm 0.1.0."""
    return import_pybdm()
