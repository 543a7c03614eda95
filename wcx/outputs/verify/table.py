"""Write a verification as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from wcx.core.verification import Verification


def _write_text(stream: TextIO, found: Verification) -> None:
    from wcx.core.text import escape

    for plane in found.planes:
        rows = "all rows" if plane.rows == (0, plane.matrix[0]) else f"rows {plane.rows[0]} to {plane.rows[1]}"
        title = f"{escape(plane.name)}  {plane.plane}  {plane.matrix[0]}x{plane.matrix[1]}, {rows}"
        stream.write(f"{title}{'' if plane.agrees else '  DIFFERS'}\n")
        for value in plane.values:
            mark = "ok" if value.agrees else "DIFFERS"
            difference = "" if value.difference is None else f"{value.difference:.1e}"
            stream.write(
                f"  {value.measure:24}  wcx {value.wcx!s:>20}  pybdm {value.pybdm!s:>20}  {difference:>7}  {mark}\n"
            )
    values = sum(len(plane.values) for plane in found.planes)
    agreeing = sum(value.agrees for plane in found.planes for value in plane.values)
    of_all = f"{found.layers_checked} of {found.layers_total} layers"
    stream.write(
        f"{agreeing} of {values} values agree with pybdm {found.pybdm} to {found.tolerance:.0e}: {of_all} compared\n"
    )
