"""Write a verification as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from wcx.core.text import escape
from wcx.core.verification import Reading, Verification, VerifiedPlane

_SHOWN = 3  # names of tensors for each reason; the JSON has all


def write(verification: Verification, stream: TextIO) -> None:
    """Write the values of each plane, how many of all agree, and how many tensors a library reads alike."""
    for plane in verification.planes:
        stream.writelines(f"{line}\n" for line in _plane_lines(plane))
    values = [value for plane in verification.planes for value in plane.values]
    agreeing = sum(value.agrees for value in values)
    of_all = f"{verification.layers_checked} of {verification.layers_total} layers"
    with_pybdm = f"agree with pybdm {verification.pybdm} to {verification.tolerance:.0e}"
    stream.write(f"{agreeing} of {len(values)} values {with_pybdm}: {of_all} compared\n")
    stream.writelines(f"{line}\n" for line in _reading_lines(verification.readings))
    stream.writelines(f"note: {escape(note)}\n" for note in verification.notes)


def _reading_lines(readings: Sequence[Reading]) -> Iterator[str]:
    """Yield a line for each difference, one for all that was compared, and one for each reason why others were not."""
    compared = [reading for reading in readings if reading.agrees is not None]
    for reading in compared:
        if not reading.agrees:
            yield f"{escape(reading.tensor)}  DIFFERS from {reading.library}: {escape(reading.reason or '')}"
    if compared:
        agreeing = sum(reading.agrees is True for reading in compared)
        by = f"{compared[0].library} {compared[0].version}"
        elements = sum(reading.elements for reading in compared)
        yield f"{agreeing} of {len(compared)} tensors read as by {by}: {elements} elements compared"
    names: dict[str, list[str]] = {}
    for reading in readings:
        if reading.agrees is None:
            names.setdefault(reading.reason or "", []).append(escape(reading.tensor))
    for reason, tensors in names.items():
        shown = ", ".join(tensors[:_SHOWN]) + (", ..." if len(tensors) > _SHOWN else "")
        yield f"not compared: {escape(reason)}: {len(tensors)} of {len(readings)} tensors ({shown})"


def _plane_lines(plane: VerifiedPlane) -> Iterator[str]:
    rows = "all rows" if plane.rows == (0, plane.matrix[0]) else f"rows {plane.rows[0]} to {plane.rows[1]}"
    mark = "" if plane.agrees else "  DIFFERS"
    yield f"{escape(plane.name)}  {plane.plane}  {plane.matrix[0]}x{plane.matrix[1]}, {rows}{mark}"
    for value in plane.values:
        difference = "" if value.difference is None else f"{value.difference:.1e}"
        sides = f"wcx {value.wcx!s:>20}  pybdm {value.pybdm!s:>20}"
        yield f"  {value.measure:24}  {sides}  {difference:>7}  {'ok' if value.agrees else 'DIFFERS'}"
