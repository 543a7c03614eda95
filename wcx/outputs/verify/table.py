"""Write a verification as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from wcx.core.text import escape
from wcx.core.verification import Verification, VerifiedPlane


def write(verification: Verification, stream: TextIO) -> None:
    """Write the values of each plane, and how many of all agree."""
    for plane in verification.planes:
        stream.writelines(f"{line}\n" for line in _plane_lines(plane))
    values = [value for plane in verification.planes for value in plane.values]
    agreeing = sum(value.agrees for value in values)
    of_all = f"{verification.layers_checked} of {verification.layers_total} layers"
    with_pybdm = f"agree with pybdm {verification.pybdm} to {verification.tolerance:.0e}"
    stream.write(f"{agreeing} of {len(values)} values {with_pybdm}: {of_all} compared\n")
    stream.writelines(f"note: {escape(note)}\n" for note in verification.notes)


def _plane_lines(plane: VerifiedPlane) -> Iterator[str]:
    rows = "all rows" if plane.rows == (0, plane.matrix[0]) else f"rows {plane.rows[0]} to {plane.rows[1]}"
    mark = "" if plane.agrees else "  DIFFERS"
    yield f"{escape(plane.name)}  {plane.plane}  {plane.matrix[0]}x{plane.matrix[1]}, {rows}{mark}"
    for value in plane.values:
        difference = "" if value.difference is None else f"{value.difference:.1e}"
        sides = f"wcx {value.wcx!s:>20}  pybdm {value.pybdm!s:>20}"
        yield f"  {value.measure:24}  {sides}  {difference:>7}  {'ok' if value.agrees else 'DIFFERS'}"
