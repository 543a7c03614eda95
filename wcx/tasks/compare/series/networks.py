"""Networks that share a directory (G_1000.pth, D_1000.pth), and parts of one model (mp_rank_00, mp_rank_01).

Two families of names are two networks if both have two or more of the same steps. A family is a name with its digits
masked: G_#, D_#, netG_epoch_#, #_net_G.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from wcx.core.errors import UsageError
from wcx.core.text import shortened
from wcx.tasks.compare.series.paths import ParsedPath, Parts
from wcx.tasks.compare.series.steps import stem_of, varying_numbers

_LEAST_COMMON = 2  # steps that two networks have in common
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_LIGHTNING_VERSION = re.compile(r"-v[0-9]+$", re.ASCII)  # epoch=3-v1.ckpt repeats epoch=3.ckpt
_PART = re.compile(
    r"(?:mp|tp)_rank_[0-9]+(?:_(?:pp_rank_|dp_|ep_)?[0-9]+)*(?![0-9])", re.ASCII
)  # Megatron-LM, NeMo, DeepSpeed
_Family = tuple[Parts, str]


def check_no_parts(paths: Iterable[ParsedPath]) -> None:
    """Raise UsageError where the checkpoints are the parts of models that were split over processes."""
    parts: dict[str, dict[str, None]] = {}
    for path in paths:
        whole = "/".join(path.parts)
        if match := _PART.search(whole):
            parts.setdefault(whole[: match.start()], {})[match[0]] = None
    split = next((list(names) for names in parts.values() if len(names) > 1), None)
    if split is not None:
        first, second = (shortened(name)[1:-1] for name in split[:2])
        raise UsageError(
            f"the checkpoints are in parts, one for each model-parallel process ({first}, {second}), not runs: "
            f"convert each checkpoint to one file, or pass the files of one part, such as */{first}"
        )


def with_network_steps(paths: Sequence[ParsedPath]) -> list[ParsedPath]:
    """Take the one number that varies within each family as the step, where no path has another and they repeat."""
    if any(path.level is not None for path in paths):
        return list(paths)
    steps: dict[int, int] = {}
    for members in _families(paths).values():
        values = varying_numbers([path.name for path in members]) or []
        steps |= {path.index: value for path, value in zip(members, values, strict=False) if value is not None}
    numbered = [replace(path, step=steps.get(path.index), level=0) for path in paths if path.index in steps]
    networks = networks_in(numbered)
    return [replace(path, step=steps[path.index], level=0) if path.index in networks else path for path in paths]


def networks_in(paths: Sequence[ParsedPath]) -> dict[int, str]:
    """Return the network of each checkpoint in a directory that has several, by index."""
    steps = {
        family: {path.step for path in members}
        for family, members in _families(path for path in paths if path.level == 0).items()
    }
    repeats = Counter((directory, step) for (directory, _), own in steps.items() for step in own)
    several = {
        (directory, name)
        for (directory, name), own in steps.items()
        if sum(repeats[directory, step] > 1 for step in own) >= _LEAST_COMMON
    }
    return {path.index: _plain(family[1]) for path in paths if path.level == 0 and (family := _family(path)) in several}


def homes_of_networks(homes: Mapping[int, Parts], networks: Mapping[int, str]) -> dict[int, Parts]:
    """Return the run of each checkpoint, with its network."""
    return {index: (*home, networks[index]) if index in networks else home for index, home in homes.items()}


def _families(paths: Iterable[ParsedPath]) -> dict[_Family, list[ParsedPath]]:
    families: dict[_Family, list[ParsedPath]] = {}
    for path in paths:
        families.setdefault(_family(path), []).append(path)
    return families


def _family(path: ParsedPath) -> _Family:
    return path.parts[:-1], _DIGITS.sub("#", _LIGHTNING_VERSION.sub("", stem_of(path.name)))


def _plain(family: str) -> str:
    return family.strip("#_-.=+ ") or family
