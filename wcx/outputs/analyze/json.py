"""The report as JSON: one indented object, or one object per line where there can be several checkpoints.

The fields are the contract of docs/json.md. The same report gives the same bytes; floats are written so that they read
back to the same double. A report is written layer by layer, so the memory it takes does not grow with the model.
"""

from __future__ import annotations

from typing import Any, TextIO

from wcx.core.errors import CheckpointError
from wcx.core.report import LayerReport, Report
from wcx.outputs import View
from wcx.outputs.shared.encoding import Encoder

ERROR_SCHEMA = "wcx/error/1"


def open_writer(stream: TextIO, view: View) -> JsonWriter:
    """A writer of JSON on `stream`."""
    return JsonWriter(stream, view)


def error_fields(error: CheckpointError) -> dict[str, Any]:
    """An input that can't be read, as the object that stands in its report's place."""
    return {"schema": ERROR_SCHEMA, "path": error.path, "error": error.reason, "offset": error.offset}


class JsonWriter:
    """Writes each report when it is done; raises ValueError for NaN or an infinity in it."""

    def __init__(self, stream: TextIO, view: View) -> None:
        self._stream = stream
        self._encoder = Encoder.for_stream(stream, indented=not view.several)

    def layer(self, path: str, layer: LayerReport) -> None:
        """Layers are written with their report."""

    def report(self, report: Report) -> None:
        """Write the whole report."""
        self._write(report)

    def error(self, error: CheckpointError) -> None:
        """Write an error object in the place of a report."""
        self._write(error_fields(error))

    def end(self) -> None:
        """Nothing is left to write."""

    def _write(self, value: Any) -> None:  # noqa: ANN401
        self._stream.writelines(self._encoder.pieces(value))
        self._stream.write("\n")
        self._stream.flush()
