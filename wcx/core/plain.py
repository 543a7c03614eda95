"""Turn reports into plain dicts and lists, as JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

SPREAD = {"json": "spread"}
"""Metadata of a field whose mapping has no object of its own in the JSON: its items take the field's place."""

OPTIONAL = {"json": "optional"}
"""Metadata of a field that is left out of the JSON where it is empty."""


def to_plain(value: Any) -> Any:  # noqa: ANN401
    """Turn a report or a part of one into dicts, lists, strings, numbers and None, in the order of the fields."""
    if is_dataclass(value) or isinstance(value, Mapping):
        return as_dict(value)
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def as_dict(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the items of a mapping or the fields of a dataclass, each as plain values."""
    return {key: to_plain(item) for key, item in members(value)}


def members(value: Any) -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    """Return the items of a mapping or the fields of a dataclass, by the names that they have in the JSON."""
    if isinstance(value, Mapping):
        return value.items()
    names, rules = _names(value.__class__)
    if rules:
        return _by_rules(value, names, rules)
    return ((name, getattr(value, name)) for name in names)


def _by_rules(value: Any, names: tuple[str, ...], rules: Mapping[str, str]) -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    for name in names:
        item, rule = getattr(value, name), rules.get(name)
        if rule == "spread":
            yield from item.items()
        elif rule is None or item:
            yield name, item


@cache
def _names(kind: Any) -> tuple[tuple[str, ...], Mapping[str, str]]:  # noqa: ANN401
    """Return the names of the fields, and the rules of those that are not plain."""
    every = fields(kind)
    return tuple(item.name for item in every), {
        item.name: item.metadata["json"] for item in every if "json" in item.metadata
    }
