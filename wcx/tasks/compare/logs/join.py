"""Join a training log to the checkpoints of one run, with notes on what each of them takes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wcx.core.comparison import Joined
from wcx.tasks.compare.logs.candidates import choose
from wcx.tasks.compare.logs.columns import TrainingLog
from wcx.tasks.compare.logs.notes import join_notes, join_warnings
from wcx.tasks.compare.series.discover import Located


@dataclass(frozen=True, slots=True)
class JoinedLog:
    """The values that each checkpoint takes from the log, by column; None where no row is near enough.

    step_column: the column that was joined by.
    """

    values: tuple[Mapping[str, float | None], ...]
    joined: Joined
    step_column: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def join(log: TrainingLog, checkpoints: Sequence[Located]) -> JoinedLog:
    """Join the log to the checkpoints of one run; UsageError where its steps and theirs differ in unit."""
    best, notes = choose(log, checkpoints)
    return JoinedLog(
        best.values(),
        best.counts(),
        best.axis.name,
        (*notes, *join_notes(best, checkpoints)),
        tuple(join_warnings(best, checkpoints)),
    )
