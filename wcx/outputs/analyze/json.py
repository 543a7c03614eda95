"""The report as JSON: one indented object, or one object per line where there can be several checkpoints.

The fields are the contract of docs/json.md. The same report gives the same bytes; floats are written so that they read
back to the same double. A report is written layer by layer, so the memory it takes does not grow with the model.
"""

from __future__ import annotations

from typing import TextIO

from wcx.outputs import Output, View
from wcx.outputs.shared.json import JsonWriter


def open_writer(stream: TextIO, view: View) -> JsonWriter:
    """Return a writer of JSON on `stream`."""
    return JsonWriter(stream, several=view.several)


OUTPUT = Output("json", "all fields, one object per checkpoint", (".json",), open_writer)
