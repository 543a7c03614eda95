"""Assemble the report of a checkpoint with its notes and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from wcx.core.checkpoint import Checkpoint
from wcx.core.report import LayerReport, Report
from wcx.core.settings import Settings
from wcx.core.version import __version__
from wcx.tasks.analyze.plan import SCHEMA, Plan
from wcx.tasks.analyze.run import Run
from wcx.tasks.analyze.settings import preset_notes


def make_report(checkpoint: Checkpoint, plan: Plan, settings: Settings, run: Run) -> Report:
    """Put the report of a checkpoint together."""
    layers, rows = run.finish()
    return Report(
        schema=SCHEMA,
        wcx=__version__,
        checkpoint=checkpoint.summary(),
        settings=settings,
        layers=tuple(layers),
        skipped=tuple(plan.skipped),
        model=rows,
        notes=(*checkpoint.notes, *notes_of(layers, settings), *_notes_of_settings(settings)),
        warnings=tuple(_warnings(layers)),
    )


def notes_of(layers: Sequence[LayerReport], settings: Settings) -> list[str]:
    """Return the notes about the numbers as a whole."""
    planes = [plane for layer in layers for plane in layer.planes]
    loaded = sum(plane.load is not None and plane.load > 0.25 for plane in planes)
    saturated = sum(plane.regime == "saturated" for plane in planes)
    notes = []
    if settings.null == "permutation" and settings.boundary != "ignore":
        notes.append("null: the closed form needs the boundary ignore; use --null shuffle:K")
    if loaded and settings.boundary != "ignore":
        notes.append(
            f"{loaded} of {len(planes)} planes have more than 0.25 blocks per possible block: their bdm depends more "
            "on size than on structure"
        )
    elif loaded:
        notes.append(
            f"{loaded} of {len(planes)} planes have more than 0.25 blocks per possible block ({saturated} saturated): "
            "their bdm depends more on size than on structure; compare bdm_rarefied and the ratios to the null instead"
        )
    return notes


def _notes_of_settings(settings: Settings) -> list[str]:
    """Return the notes about the preset and the reference."""
    from wcx.tasks.analyze.reference import reference_note

    return preset_notes(settings) + ([] if settings.reference is None else [reference_note(settings.reference)])


def _warnings(layers: Sequence[LayerReport]) -> list[str]:
    if not layers:
        return ["no layer was analyzed: see skipped for the reasons"]
    return []
