"""Files that are recognised but not read: what each is, and what to do about it, in one line.

A table of signatures, most specific first. The texts go behind the file's name: "model.bin: a Git LFS pointer, ...".
"""

from __future__ import annotations

from collections.abc import Callable

from wcx.core.errors import UnknownFormatError
from wcx.formats.format import FileHead, Match, read_head

DISTRIBUTED = (
    "a shard of torch.distributed.checkpoint, which wcx does not read: convert the checkpoint with "
    "torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
)
_CONVERT = "which wcx does not read: save it as safetensors"
_READS = "wcx reads safetensors, PyTorch and ONNX files, and index.json"
_UNPACK = f"unpack it; {_READS}"


def _starts(*magics: bytes, at: int = 0) -> Callable[[FileHead], bool]:
    return lambda ends: ends.head.startswith(magics, at)


def _tar_of(*members: bytes) -> Callable[[FileHead], bool]:
    """Return a test for a tar archive whose first 64 KB have the header of one of `members`."""

    def test(ends: FileHead) -> bool:
        head = ends.head
        names = (head[start : start + 100].rstrip(b"\0").removeprefix(b"./") for start in range(0, len(head), 512))
        return head[257:262] == b"ustar" and any(name in members for name in names)

    return test


def _zip_of(*members: bytes) -> Callable[[FileHead], bool]:
    """Return a test for a zip archive whose directory (at the end) or first member names one of `members`."""

    def test(ends: FileHead) -> bool:
        names = ends.head[:512] + ends.tail
        return ends.head.startswith(b"PK\x03\x04") and any(member in names for member in members)

    return test


def _html(ends: FileHead) -> bool:
    text = ends.head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")) or b"<html" in text


def _json(ends: FileHead) -> bool:
    return ends.head.lstrip(b" \t\r\n")[:1] in (b"{", b"[") and b"\0" not in ends.head


def _suffix(*suffixes: str) -> Callable[[FileHead], bool]:
    return lambda ends: ends.name.lower().endswith(suffixes)


def _zeros(ends: FileHead) -> bool:
    return not any(ends.head) and not any(ends.tail)


_TABLE: tuple[tuple[Callable[[FileHead], bool], str], ...] = (
    (lambda ends: ends.nbytes == 0, "an empty file: download it again"),
    (_starts(b"version https://git-lfs.github.com/spec/"), "a Git LFS pointer, not the file itself: run git lfs pull"),
    (_starts(b"version https://hawser.github.com/spec/"), "a Git LFS pointer, not the file itself: run git lfs pull"),
    (_zeros, "only zero bytes, as after an interrupted download: download it again"),
    (_html, "an HTML page, not the file itself: download the file"),
    (_starts(b"GGUF"), "a GGUF file, whose quantized blocks wcx does not read: save it as safetensors"),
    (_starts(b"ggml", b"lmgg", b"tjgg", b"fmgg"), f"a GGML file, {_CONVERT}"),
    (_starts(b"\x89HDF\r\n\x1a\n"), f"an HDF5 file (Keras, .h5), {_CONVERT}"),
    (_starts(b"\x93NUMPY"), f"a NumPy .npy file, {_CONVERT}"),
    (_zip_of(b".npy"), f"a NumPy .npz file, {_CONVERT}"),
    (
        _zip_of(b"/archive_format", b"serialized_exported_program", b"serialized_state_dict"),
        "a torch.export program (.pt2), which wcx does not read: save the module's state_dict with torch.save",
    ),
    (
        _zip_of(b"/model.json", b"/tensors/"),
        "TorchScript of PyTorch 1.0 to 1.2, which wcx does not read: load it and save its state_dict with torch.save",
    ),
    (_zip_of(b"model.weights.h5"), f"a Keras file, {_CONVERT}"),
    (_starts(b"PK\x03\x04", b"PK\x05\x06"), f"a zip archive: {_UNPACK}"),
    (_starts(b"PTMF", at=4), f"a PyTorch Mobile file (flatbuffer), {_CONVERT}"),
    (
        _starts(b"ORTM", at=4),
        "a model in ONNX Runtime's own format (.ort), which wcx does not read: name the .onnx file",
    ),
    (lambda ends: ends.head[4:8] == b"TFL3", f"a TensorFlow Lite file, {_CONVERT}"),
    (_starts(b"\x1f\x8b"), f"compressed with gzip: {_UNPACK}"),
    (_starts(b"BZh"), f"compressed with bzip2: {_UNPACK}"),
    (_starts(b"\xfd7zXZ\0"), f"compressed with xz: {_UNPACK}"),
    (_starts(b"\x28\xb5\x2f\xfd"), f"compressed with zstd: {_UNPACK}"),
    (_starts(b"7z\xbc\xaf\x27\x1c"), f"a 7z archive: {_UNPACK}"),
    (
        _tar_of(b"model_config.yaml", b"model_weights.ckpt"),
        "a NeMo archive (.nemo): unpack it with tar, and name the model_weights.ckpt in it",
    ),
    (
        _tar_of(b"sys_info", b"storages", b"tensors"),
        "a PyTorch file of version 0.1 (tar): load it with a PyTorch before 2.0 and save it again with torch.save",
    ),
    (lambda ends: ends.head[257:262] == b"ustar", f"a tar archive: {_UNPACK}"),
    (_suffix(".pb"), f"a TensorFlow model, {_CONVERT}"),
    (_suffix(".ckpt.index", ".ckpt.meta", ".data-00000-of-00001"), f"a TensorFlow checkpoint, {_CONVERT}"),
    (_suffix(".msgpack"), f"a Flax file, {_CONVERT}"),
    (_json, "a JSON file that is not an index of shards (it has no weight_map): name the checkpoint itself"),
)


def describe(ends: FileHead) -> str | None:
    """Return what a known file is that wcx does not read, and what to do; None for an unknown one."""
    return next((text for test, text in _TABLE if test(ends)), None)


def describe_unknown(ends: FileHead) -> str:
    """Return the line for an unknown file."""
    return f"an unknown format ({ends.nbytes} bytes): {_READS}"


def refuse_unsupported(path: str, sniff: Callable[[FileHead], Match]) -> None:
    """Raise UnknownFormatError for a shard that is certainly something else, such as a Git LFS pointer.

    sniff: of the format that the shard should be in.
    """
    ends = read_head(path)
    text = describe(ends)
    if text and sniff(ends) < Match.STRUCTURE:
        raise UnknownFormatError(path, text)
