"""The zip archives of PyTorch: those of torch.save since 1.6, of TorchScript, and of torch.package.

Source: torch/serialization.py, torch/package and caffe2/serialize/inline_container.h of PyTorch 2.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wcx.core.text import shortened
from wcx.formats.pytorch.pickle_file import BINARY_PICKLES, PickleFile
from wcx.formats.pytorch.pickles import Pickle
from wcx.formats.pytorch.storages import ZipStorages
from wcx.formats.pytorch.streams import DeflatedStream, RawStream, Stream
from wcx.formats.pytorch.visit import Contents
from wcx.formats.pytorch.zips import DEFLATED, Member, data_start, read_directory

_PACKAGE = "/.data/extern_modules"
_MAX_VERSION = 10  # kMaxSupportedFileFormatVersion
_LEAST_PICKLE = 3  # bytes of an empty one
_MAX_RECORD = 1000  # bytes of `byteorder`, `version`


def read_archive(source: PickleFile) -> tuple[Contents, str]:
    """Return the contents of a zip archive, and the layout and version of its format."""
    members = read_directory(source.file)
    package = next((name.removesuffix(_PACKAGE) for name in members if name.endswith(_PACKAGE)), "")
    if package:
        return _Archive(source, members, package).read_package()
    return _Archive(source, members, _root(source, members)).read_saved()


def _root(source: PickleFile, members: Mapping[str, Member]) -> str:
    """Return the folder that the archive's content is in: the one with a data.pkl."""
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if not roots:
        raise source.error("no data.pkl in this zip archive: torch.save was interrupted, or another program wrote it")
    if len(roots) > 1:
        raise source.error(f"{len(roots)} folders with a data.pkl in one archive, instead of one")
    return roots[0]


@dataclass(frozen=True, slots=True)
class _Archive:
    """A zip archive and the folder in it that has the content."""

    source: PickleFile
    members: Mapping[str, Member]
    root: str

    def read_saved(self) -> tuple[Contents, str]:
        """Read what torch.save or TorchScript has written."""
        big_endian = self._is_big_endian()
        version = self._version()
        is_script = f"{self.root}/constants.pkl" in self.members

        def storages(folder: str) -> ZipStorages:
            return ZipStorages(self.source.file, self.members, f"{self.root}/{folder}/", big_endian=big_endian)

        content = self._pickle(self.members[f"{self.root}/data.pkl"])
        found = self.source.visit(content.value, storages("data"), plain=not is_script)
        if is_script:
            content = self._pickle(self.members[f"{self.root}/constants.pkl"])
            constants = storages("constants")
            self._add(found, self.source.visit(content.value, constants, "constants", source="TorchScript constant"))
        return found, f"{'TorchScript' if is_script else 'zip'} {version}".strip()

    def read_package(self) -> tuple[Contents, str]:
        """Read the objects that torch.package has pickled, and its TorchScript; names begin with the object's."""
        folder, big_endian = f"{self.root}/.data/", self._is_big_endian()
        storages = ZipStorages(self.source.file, self.members, folder, big_endian=big_endian, suffix=".storage")
        found = Contents()
        for name, member in self.members.items():
            inside = name.removeprefix(f"{self.root}/")
            if self._is_pickled_object(member, inside):
                prefix = inside.removeprefix(".data/").removesuffix("/data.pkl").removesuffix(".pkl").replace("/", ".")
                script = inside.startswith(".data/")
                kind = "TorchScript" if script else None
                content = self._pickle(member)
                self._add(found, self.source.visit(content.value, storages, prefix, source=kind, plain=not script))
        return found, f"package {self._version()}".strip()

    def _add(self, found: Contents, more: Contents) -> None:
        try:
            found.add(more)
        except ValueError as error:
            raise self.source.error(str(error)) from error

    def _is_pickled_object(self, member: Member, inside: str) -> bool:
        """Return True for a pickle: TorchScript's, or any outside of .data that begins like one."""
        if inside.startswith(".data/"):
            return inside.startswith(".data/ts_code/") and inside.endswith(("/data.pkl", "/constants.pkl"))
        if inside.endswith(".py") or member.nbytes < _LEAST_PICKLE:
            return False
        return next(iter(self._stream(member).read, b""), b"")[:2] in BINARY_PICKLES

    def _version(self) -> str:
        """Return the version of the format, which the oldest archives do not give."""
        version = (self._record("version") or self._record(".data/version")).strip()
        if version and not (version.isdecimal() and int(version) <= _MAX_VERSION):
            known = f"wcx reads versions of PyTorch's format up to {_MAX_VERSION}"
            raise self.source.error(f"its version is {shortened(version)}: {known}")
        return version

    def _is_big_endian(self) -> bool:
        order = self._record("byteorder").strip()
        if order not in ("", "little", "big"):
            raise self.source.error("its byteorder is neither little nor big")
        return order == "big"

    def _record(self, name: str) -> str:
        """Return a short text of the archive; the empty text where there is none."""
        member = self.members.get(f"{self.root}/{name}")
        if member is None:
            return ""
        if member.nbytes > _MAX_RECORD:
            raise self.source.error(f"the zip member {shortened(member.name)} should be a short string", member.header)
        return b"".join(iter(self._stream(member).read, b"")).decode("ascii", "replace")

    def _pickle(self, member: Member) -> Pickle:
        content = self.source.interpret(self._stream(member))
        if content.nbytes != member.nbytes:
            follow = f"{member.nbytes - content.nbytes} bytes follow the end of the pickle"
            raise self.source.error(f"{follow} in {shortened(member.name)}", member.header)
        return content

    def _stream(self, member: Member) -> Stream:
        file = self.source.file
        start = data_start(file, member)
        if member.method == DEFLATED:
            return DeflatedStream(file, start, member.packed, member.nbytes, member.crc32)
        return RawStream(file, start, member.nbytes, member.crc32)
