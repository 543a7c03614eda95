"""Callbacks that report the progress of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wcx.core.report import LayerReport


@dataclass(frozen=True, slots=True)
class Progress:
    """Callbacks of a running analysis; worker threads may call any of them."""

    on_start: Callable[[int], None] = lambda _nbytes: None
    on_bytes: Callable[[int], None] = lambda _nbytes: None
    on_layer: Callable[[LayerReport], None] = lambda _layer: None
    on_draws: Callable[[int], None] = lambda _draws: None
    on_draw: Callable[[], None] = lambda: None
    on_correlations: Callable[[int], None] = lambda _steps: None
    on_correlation: Callable[[], None] = lambda: None
