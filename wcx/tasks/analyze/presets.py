"""Presets: a published method exactly as its public code does it, with the unexpected behaviour of that code.

A preset is a set of options, a rule about tensors where the original has one, and sentences for the report's notes. An
option given with it wins, and then the notes say that the settings do not reproduce the original.

Sources: pybdm 0.1.0; Sakabe et al., arXiv 2505.20646; Bakhtiarifard et al., arXiv 2605.15551 and `saintslab/QuBD`
(qbdm/qbdm.py, complexity_per_layer.py); Bakhtiarifard et al., arXiv 2602.14896 and `saintslab/MoMos` (src/metrics.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wcx.core.checkpoint import TensorInfo
from wcx.core.errors import UsageError
from wcx.core.settings import Settings


def _takes_all(_tensor: TensorInfo) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Preset:
    """A published method. options: as make_settings takes them. also: quantizers that the original ran with too.

    leaves_out: the reason why the original leaves a tensor out, or None. second_quantizer: its planes are
    listed separately and are in no total. concatenated: True to measure all parameters as one vector too, their
    signs as one string. float32_rank: quantiles as torch.quantile has them. quirks: sentences for the notes.
    """

    name: str
    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    leaves_out: Callable[[TensorInfo], str | None] = _takes_all
    second_quantizer: str | None = None
    concatenated: bool = False
    float32_rank: bool = False
    quirks: tuple[str, ...] = ()


def _not_of_sakabe(tensor: TensorInfo) -> str | None:
    if "weight" not in tensor.name or "bn" in tensor.name:
        return "name (preset sakabe)"
    return "not 2-D (preset sakabe)" if len(tensor.shape) != 2 else None


def _not_of_qubd(tensor: TensorInfo) -> str | None:
    return None if tensor.name.rpartition(".")[2] == "weight" else "name (preset qubd)"


_PRESETS = (
    Preset(
        name="pybdm",
        summary="signs in 4x4 blocks, as pybdm's BDM(ndim=2) with its normalised values",
        options={"quantize": "sign", "block": "4x4", "boundary": "ignore", "layout": "rows"},
        quirks=(
            "bdm, block_entropy, bdm_normalized and block_entropy_normalized are pybdm's bdm, ent, nbdm and nent of "
            "the array (weight > 0); pybdm takes one array, so the model rows are wcx's own",
            "edge rows and columns that do not fill a block are dropped silently (see left_over)",
        ),
    ),
    Preset(
        name="sakabe",
        summary="signs of 2-D weights, pooled over layers (binarized networks, arXiv 2505.20646)",
        options={"quantize": "sign", "block": "4x4", "boundary": "ignore", "layout": "rows"},
        leaves_out=_not_of_sakabe,
        quirks=(
            "the published numbers are pooled.bdm and pooled.block_entropy: the blocks of all layers are counted "
            "together, so the network's bdm is not the sum over its layers",
            "only 2-D tensors whose names contain weight and not bn are analyzed: convolutions and biases are left "
            "out, and so is any other name with the letters bn",
            "a weight of 0 counts as negative (w > 0)",
        ),
    ),
    Preset(
        name="qubd",
        summary="8 bit-planes of a uniform quantizer, bdm added over planes and layers (arXiv 2605.15551)",
        options={"quantize": "uniform:8:p99.9", "block": "4x4", "boundary": "ignore", "layout": "rows"},
        also=tuple(f"uniform:{bits}{range_}" for bits in (2, 4, 8, 16) for range_ in ("", ":p99.9")),
        leaves_out=_not_of_qubd,
        second_quantizer="sign",
        float32_rank=True,
        quirks=(
            "total adds the bit-planes; the plane sign (w > 0) is the original's binary plane and is in no total",
            "the original silently returns 0 for the binary plane of tensors of more than two dimensions (pybdm "
            "rejects them, and the error is ignored); wcx flattens them to rows, as both do for the bit-planes",
            "a matrix with fewer than 4 rows or columns has a binary plane of 0 and no bit-planes in the original; wcx "
            "leaves out both",
            "only tensors named weight (a module's .weight) are analyzed: position embeddings and fused in_proj_weight "
            "are left out; wcx counts a weight that two modules share once, the original once per module",
            "the original rounds in the dtype of the tensor, wcx in float32: the results are the same for float32 "
            "checkpoints only",
            "the published ratios compare with a random initialisation, in percent (--reference FILE); the null "
            "ratios compare with a shuffle of the same layer",
        ),
    ),
    Preset(
        name="momos",
        summary="signs of all parameters as one string in pieces of 12 (MoMos, arXiv 2602.14896)",
        options={"quantize": "sign", "block": "1x12"},
        concatenated=True,
        quirks=(
            "the published bdm is model.concatenated.bdm: the signs (w > 0) of all parameters, biases and norms "
            "included, as one string; the layer and model rows measure each tensor separately",
            "strings cross from one tensor into the next, in the order of the file; the original uses the order of the "
            "modules, which a file sorted by name does not keep",
            "buffers are recognized by their names (running_mean, running_var, num_batches_tracked)",
            "the last symbols are dropped where they do not fill a string of 12",
            "model.measures.concatenated are the original's other metrics, of all parameters as one vector of float32 "
            "(other floats are widened or narrowed): sparsity, l2_norm, gzip, bz2 and lzma of its bytes and, "
            "binarized, of one byte a sign; rate is the original's compression rate, ratio its inverse. With -m, "
            "only the named ones are computed, for every layer too (the compressors are slow: -m bdm leaves them out)",
            "l2_norm is exact where the original adds in float32; above 4 MiB lzma uses a dictionary of 8 MiB, the "
            "original one of 64 MiB; measures that need the values of quantized integers, and the norm of NaN or "
            "infinity, are null",
            "wcx motifs computes the motifs; the original has no default block size, and the example of its README, "
            "--s 4 --capacity 0.01 --force_zero, is --block 4 --capacity 1% --zero-block with other random draws",
        ),
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}
"""Every preset by name."""

_DECIDING = ("quantize", "zero", "block", "boundary", "layout", "include", "exclude", "include_optimizer")


def find_preset(name: str) -> Preset:
    """Return the preset of that name; UsageError for any other.

    >>> find_preset("sakabe").options["quantize"]
    'sign'
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def departures(settings: Settings, usual: Settings) -> list[str]:
    """Return the settings that differ from the preset's own, `usual`: one short phrase each.

    Only options that change a number of the original count; the null, the seed and the like are wcx's own.
    """
    preset = find_preset(settings.preset or "")
    found = []
    for name in _DECIDING:
        mine, original = getattr(settings, name), getattr(usual, name)
        if mine != original and not (name == "quantize" and mine in preset.also):
            found.append(f"{name.replace('_', '-')} {_text(mine)} instead of {_text(original)}")
    if "bdm" not in settings.measures:
        found.append("bdm is not among the measures")
    return found


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return {"True": "on", "False": "off", "None": "none"}.get(str(value), str(value))
