"""Names that the package's `__init__` gives to the registries of the core: of modules that lie above it.

Imports nothing, since importing wcx costs nothing.
"""

from __future__ import annotations

NOTEBOOK_VIEWS: dict[str, str] = {}
"""Functions from a report to HTML, by the report's schema."""

REGISTRIES: dict[str, str] = {}
"""The registries that other folders of the same floor need to list."""
