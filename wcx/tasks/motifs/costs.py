"""The fields that follow from how motifs are used, shared by what is counted and what is projected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wcx.core.motifs import UsageClass
from wcx.tasks.motifs.cut import Block
from wcx.tasks.motifs.lengths import description_length, entropy_length, usage_classes


def costs(usage: Mapping[int, int], block: Block, bits: int, weights: int) -> dict[str, Any]:
    """The fields that follow from how motifs are used."""
    distinct = sum(usage.values())
    blocks = sum(count * number for count, number in usage.items())
    length = description_length(distinct, blocks, block.size, bits)
    length_entropy = entropy_length(usage, block.size, bits)
    return {
        "length": length,
        "length_entropy": length_entropy,
        "ratio": weights * bits / length,
        "ratio_entropy": weights * bits / length_entropy,
        "usage": tuple(UsageClass(*item) for item in usage_classes(usage)),
    }
