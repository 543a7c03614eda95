"""The join of a training log with checkpoints: the nearest step, what is missing, and what is said of both."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wcx.core.comparison import Joined
from wcx.core.errors import UsageError
from wcx.tasks.compare.logs.columns import read_log
from wcx.tasks.compare.logs.logs import JoinedLog, join
from wcx.tasks.compare.series.discover import Located

Line = tuple[float | None, float | None]


def named(label: str, step: int | None, unit: str | None = "step", epoch: int | None = None) -> Located:
    """A checkpoint as its name gives it."""
    return Located(label, label, step, unit, epoch, None)


def steps(*numbers: int | None) -> list[Located]:
    return [named(f"step_{number}", number) for number in numbers]


def epochs(*numbers: int) -> list[Located]:
    return [named(f"epoch_{number}", number, "epoch") for number in numbers]


def joined(folder: Path, text: str, checkpoints: list[Located], step_column: str | None = None) -> JoinedLog:
    path = folder / "log"
    path.write_text(text)
    return join(read_log(str(path), step_column=step_column, metrics=()), checkpoints)


def loss(found: JoinedLog, name: str = "loss") -> list[float | None]:
    return [values[name] for values in found.values]


def table(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


# ------------------------------------------------------------------------------------------------------------ the rule


def test_equal_steps(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "0,3", "10,2", "20,1"), steps(0, 10, 20))
    assert loss(found) == [3, 2, 1]
    assert found.joined == Joined(rows=3, used=3, unused=0, duplicates=0)
    assert found.step_column == "step"
    assert found.notes == found.warnings == ()


def test_the_nearest_row(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "8,3", "11,2", "19,1"), steps(0, 10, 20))
    assert loss(found) == [None, 2, 1]
    assert found.notes[0].endswith(
        "0 of 3 checkpoints have all values at exactly their step, the farthest row is 1 away (step_10)"
    )
    assert found.warnings == ("no logged row is near enough to 1 of 3 checkpoints: step_0 (8 away)",)


def test_of_two_equally_near_rows_the_earlier(tmp_path: Path) -> None:
    assert loss(joined(tmp_path, table("step,loss", "9,3", "11,2"), steps(0, 10, 20))) == [None, 3, None]


def test_a_row_midway_belongs_to_the_later_checkpoint(tmp_path: Path) -> None:
    assert loss(joined(tmp_path, table("step,loss", "5,3", "15,2"), steps(0, 10, 20))) == [None, 3, 2]


def test_the_ends_reach_half_the_distance_to_their_neighbour(tmp_path: Path) -> None:
    checkpoints = steps(100, 110, 130)
    assert loss(joined(tmp_path, table("step,loss", "95,3", "140,2"), checkpoints)) == [3, None, 2]
    assert loss(joined(tmp_path, table("step,loss", "94.9,3", "140.1,2", "111,1"), checkpoints)) == [None, 1, None]


def test_a_log_that_ends_early_lends_its_last_value_to_no_one(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "0,3", "10,2"), steps(0, 10, 20, 30))
    assert loss(found) == [3, 2, None, None]
    assert found.notes == ()
    assert found.warnings == (
        "no logged row is near enough to 2 of 4 checkpoints: step_20 (10 away), step_30 (20 away)",
    )


def test_a_single_checkpoint_reaches_everything(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "0,3", "700,2"), steps(500))
    assert loss(found) == [2]
    assert found.notes[0].endswith("the farthest row is 200 away (step_500)")


def test_checkpoints_of_one_step_take_the_same_row(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "0,3", "11,2"), [*steps(10, 0), named("best", 10)])
    assert loss(found) == [2, 3, 2]
    assert found.joined.used == 2


def test_each_column_has_its_own_nearest_row(tmp_path: Path) -> None:
    text = table("step,loss,eval_loss", "9,1,", "10,2,", "12,,5", "20,3,", "30,4,nan")
    found = joined(tmp_path, text, steps(10, 20, 30))
    assert loss(found) == [2, 3, 4]
    assert loss(found, "eval_loss") == [5, None, None]
    assert found.joined == Joined(rows=5, used=4, unused=1, duplicates=0)
    assert (
        "'eval_loss': no row is near enough to 2 of 3 checkpoints: step_20 (8 away), step_30 (18 away)" in found.notes
    )


def test_rows_without_a_step_are_unused(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "10,2", ",1", "nan,3", "x,4", "20,5"), steps(10, 20))
    assert loss(found) == [2, 5]
    assert found.joined == Joined(rows=5, used=2, unused=3, duplicates=0)


def test_rows_that_were_left_out_are_unused(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "10,2", "11,2,3", "20,5"), steps(10, 20))
    assert found.joined == Joined(rows=3, used=2, unused=1, duplicates=0)


def test_a_checkpoint_without_a_number_gets_nothing(tmp_path: Path) -> None:
    found = joined(
        tmp_path, table("step,loss", "10,2", "20,5"), [*steps(10), named("fi\x1bnal", None, None), *steps(20)]
    )
    assert loss(found) == [2, None, 5]
    assert found.warnings == (r"1 of 3 checkpoints have no number in the name to join by: fi\x1bnal",)


def test_order_does_not_matter(tmp_path: Path) -> None:
    forward = joined(tmp_path, table("step,loss", "0,3", "10,2", "20,1"), steps(20, 0, 10))
    backward = joined(tmp_path, table("step,loss", "20,1", "0,3", "10,2"), steps(20, 0, 10))
    assert loss(forward) == loss(backward) == [1, 3, 2]


def test_huge_steps(tmp_path: Path) -> None:
    found = joined(
        tmp_path, table("step,loss", f"{10**12},1", f"{10**12 + 1},2", f"{10**300},3"), steps(10**12, 10**12 + 1)
    )
    assert loss(found) == [1, 2]
    assert loss(joined(tmp_path, table("step,loss", "1,1"), steps(1, 2**53))) == [1, None]


# --------------------------------------------------------------------------------------------------- the rule, naively


def by_the_rule(lines: list[Line], numbers: list[int]) -> list[float | None]:
    """The rule in its own words, over fractions."""
    places = sorted(set(numbers))
    last: dict[Fraction, float] = {}
    for step, value in lines:
        if step is not None and value is not None:
            last[Fraction(step)] = value

    def owner(step: Fraction) -> int | None:
        nearest = min(abs(step - place) for place in places)
        one = max(place for place in places if abs(step - place) == nearest)
        if len(places) > 1 and step < places[0] - Fraction(places[1] - places[0], 2):
            return None
        if len(places) > 1 and step > places[-1] + Fraction(places[-1] - places[-2], 2):
            return None
        return one

    found: list[float | None] = []
    for number in numbers:
        own = [step for step in last if owner(step) == number]
        nearest = min(own, key=lambda step: (abs(step - number), step), default=None)
        found.append(None if nearest is None else last[nearest])
    return found


step_values = st.one_of(st.none(), st.integers(-2, 24), st.integers(-4, 48).map(lambda half: half / 2))
lines = st.lists(st.tuples(step_values, st.one_of(st.none(), st.integers(0, 99).map(float))), min_size=1, max_size=25)


@given(lines, st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_the_join_is_the_rule(tmp_path_factory: pytest.TempPathFactory, lines: list[Line], numbers: list[int]) -> None:
    path = tmp_path_factory.getbasetemp() / "rule.jsonl"
    rows = [{"step": step, "loss": value} for step, value in [*lines, (1000, 1.0)]]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = join(read_log(str(path)), steps(*numbers))
    assert loss(found) == by_the_rule([*lines, (1000, 1.0)], numbers)
    assert found.joined.rows == len(lines) + 1
    assert found.joined.used + found.joined.unused == found.joined.rows
    assert found.joined.used <= len(set(numbers))


# -------------------------------------------------------------------------------------------------- the same step again


def test_the_last_written_counts_after_a_resume(tmp_path: Path) -> None:
    text = table("step,loss", "500,5", "600,6", "700,7", "600,60", "700,70", "800,80")
    found = joined(tmp_path, text, steps(500, 600, 700, 800))
    assert loss(found) == [5, 60, 70, 80]
    assert found.joined == Joined(rows=6, used=4, unused=2, duplicates=2)
    assert found.warnings == (
        "'step' decreases (first from 700 to 600), as after a resume: kept the last row of each repeated step "
        "(2 rows dropped)",
    )
    assert found.notes == ()


def test_the_last_of_many_rows_of_one_step_counts(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", *(f"{row % 7},{row}" for row in range(7000))), steps(0, 3, 6))
    assert loss(found) == [6993, 6996, 6999]
    assert found.joined.duplicates == 6993


def test_a_resumed_run_that_ended_earlier_leaves_the_rest(tmp_path: Path) -> None:
    text = table("step,loss", "500,5", "600,6", "700,7", "600,60")
    assert loss(joined(tmp_path, text, steps(500, 600, 700))) == [5, 60, 7]


def test_rows_of_before_a_resume_that_logged_at_other_steps_are_said(tmp_path: Path) -> None:
    text = table("step,loss", "500,5", "600,6", "700,7", "550,55", "650,65", "750,75")
    found = joined(tmp_path, text, steps(500, 600, 700))
    assert loss(found) == [5, 6, 7]
    assert found.warnings[1] == (
        "values of 2 checkpoints may be from before the resume, since their rows are between steps that were logged "
        "again later: step_600, step_700"
    )


def test_training_and_evaluation_of_one_step_are_no_duplicates(tmp_path: Path) -> None:
    history = [{"step": 5, "loss": 2.0}, {"step": 5, "eval_loss": 3.0}, {"step": 10, "loss": 1.0}]
    found = joined(tmp_path, json.dumps({"log_history": history}), steps(5, 10))
    assert found.values == ({"loss": 2.0, "eval_loss": 3.0}, {"loss": 1.0, "eval_loss": None})
    assert found.joined == Joined(rows=3, used=3, unused=0, duplicates=0)
    assert found.warnings == ()


def test_nan_does_not_take_the_place_of_a_value(tmp_path: Path) -> None:
    text = table("step,loss,eval_loss", "5,2,nan", "5,nan,3", "10,1,nan")
    found = joined(tmp_path, text, steps(5, 10))
    assert (loss(found), loss(found, "eval_loss")) == ([2, 1], [3, None])
    assert found.joined.duplicates == 0


def test_rows_of_one_epoch(tmp_path: Path) -> None:
    text = table("epoch,step,loss", "0,10,5", "0,20,4", "1,30,3", "1,40,2")
    found = joined(tmp_path, text, epochs(0, 1))
    assert loss(found) == [4, 2]
    assert found.step_column == "epoch"
    assert found.joined.duplicates == 2
    assert found.warnings == ()
    assert found.notes == ("kept the last row of each repeated epoch (2 rows dropped)",)


def test_steps_that_only_go_down_are_no_stale_rows(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "20,1", "10,2", "0,3"), steps(0, 10, 20))
    assert loss(found) == [3, 2, 1]
    assert len(found.warnings) == 1  # that they go back


def test_a_log_that_goes_on_is_said(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "0,3", "10,2", "20,1"), steps(0, 10))
    assert found.notes == ("the log continues to step 20, the last checkpoint is at step 10",)


# ------------------------------------------------------------------------------------------------------- which column

BOTH = table("step,epoch,loss", "100,1,3", "200,2,2", "300,3,1")


@pytest.mark.parametrize(
    ("checkpoints", "column"),
    [
        (epochs(1, 2, 3), "epoch"),
        (steps(100, 200, 300), "step"),
        ([named(f"{at}", at * 100, "step", at) for at in (1, 2, 3)], "step"),
        ([named(f"{at}", at * 100, None) for at in (1, 2, 3)], "step"),
        ([named(f"{at}", at, None) for at in (1, 2, 3)], "epoch"),
        (steps(1, 2, 3), "epoch"),  # checkpoint-1 of an epoch
        (epochs(100, 200, 300), "step"),
        ([named(f"{at}", at * 7000, "step", at) for at in (1, 2, 3)], "epoch"),
        ([named("1", 1, None), named("epoch_2", 2, "epoch"), named("3", 3, None)], "epoch"),
    ],
)
def test_the_column_that_counts_what_the_names_count(tmp_path: Path, checkpoints: list[Located], column: str) -> None:
    found = joined(tmp_path, BOTH, checkpoints)
    assert found.step_column == column
    assert loss(found) == [3, 2, 1]


def test_the_unit_that_most_names_have_goes_first(tmp_path: Path) -> None:
    checkpoints = [named("1", 1, None), named("epoch_2", 2, "epoch"), named("3", 3, None)]
    found = joined(tmp_path, table("step,epoch,loss", "1,3,5", "2,2,6", "3,1,7"), checkpoints)
    assert (found.step_column, loss(found)) == ("epoch", [7, 6, 5])


def test_another_column_is_said(tmp_path: Path) -> None:
    found = joined(tmp_path, BOTH, steps(1, 2, 3))
    assert found.notes == (
        "joined by 'epoch', which contains the number of every checkpoint; "
        "by 'step' only 0 of 3 have a row near enough",
    )


def test_the_column_of_the_names_stays_where_it_serves(tmp_path: Path) -> None:
    """Several checkpoints of one epoch: only their steps tell them apart."""
    text = table("step,epoch,loss", "99,0,4", "199,0,3", "299,1,2", "399,1,1")
    found = joined(
        tmp_path, text, [named(f"e{at // 200}-s{at}", at, "step", (at - 1) // 200) for at in (100, 200, 300, 400)]
    )
    assert found.step_column == "step"
    assert loss(found) == [4, 3, 2, 1]


def test_a_column_that_tells_checkpoints_apart_is_not_given_up_for_one_that_does_not(tmp_path: Path) -> None:
    text = table("step,epoch,loss", "9100,0,4", "9200,1,3")
    found = joined(tmp_path, text, [named(f"e{at}-s{at}", at, "step", at // 200) for at in (100, 150, 200)])
    assert found.step_column == "step"
    assert loss(found) == [None, None, None]


def test_epochs_of_a_log_that_calls_them_steps(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "1,3", "2,2", "3,1"), epochs(1, 2, 3))
    assert loss(found) == [3, 2, 1]
    assert found.notes == ("the names count epochs, the column 'step' counts steps: treated as the same unit",)


@pytest.mark.parametrize("last", [45, 10_000])
def test_steps_are_not_taken_for_epochs(tmp_path: Path, last: int) -> None:
    text = table("step,loss", *(f"{step},1" for step in range(0, last + 1, 45 if last == 45 else 1)))
    with pytest.raises(UsageError, match=r"names of the checkpoints count epochs, the column 'step' counts steps"):
        joined(tmp_path, text, epochs(1, 2, 3))


def test_the_column_asked_for_is_taken(tmp_path: Path) -> None:
    text = table("step,loss", *(f"{step},{step}" for step in range(1000)))
    found = joined(tmp_path, text, epochs(1, 2, 3), "step")
    assert loss(found) == [1, 2, 3]
    assert found.notes[0] == "the names count epochs, the column 'step' counts steps: treated as the same unit"
    found = joined(tmp_path, table("step,seen,loss", "1,64,3", "2,128,2"), steps(64, 128), "seen")
    assert (found.step_column, loss(found)) == ("seen", [3, 2])


def test_names_without_numbers_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint has a step or epoch in its name"):
        joined(tmp_path, BOTH, [named("a", None, None), named("b", None, None)])


@pytest.mark.parametrize(("first", "numbers", "said"), [(0, (1, 2, 3), "-1"), (1, (0, 1, 2), r"\+1")])
def test_epochs_counted_from_another_number_are_said(
    tmp_path: Path, first: int, numbers: tuple[int, ...], said: str
) -> None:
    text = table("epoch,loss", *(f"{epoch},{epoch}" for epoch in range(first, first + 3)))
    found = joined(tmp_path, text, epochs(*numbers))
    assert any(f"every epoch {said.strip(chr(92))} is" in warning for warning in found.warnings)


def test_steps_one_off_are_not_said_to_be_shifted(tmp_path: Path) -> None:
    found = joined(tmp_path, table("step,loss", "99,3", "199,2", "299,1"), steps(100, 200, 300))
    assert loss(found) == [3, 2, 1]
    assert found.warnings == ()


def test_epochs_with_fractions(tmp_path: Path) -> None:
    text = table("epoch,loss", "0.5,4", "1.0,3", "1.5,2", "2.0,1")
    assert loss(joined(tmp_path, text, epochs(1, 2))) == [3, 1]


def test_what_is_said_steers_no_terminal(tmp_path: Path) -> None:
    text = '{"st\\u001bep": 1, "lo\\u202ess": 2}\n'
    found = joined(tmp_path, text, [named("a\x1b", 5), named("b\u202e", 50)], "st\x1bep")
    assert found.warnings
    assert all(said.isprintable() for said in (*found.notes, *found.warnings))


def test_the_shipped_logs() -> None:
    folder = Path(__file__).parents[4] / "sample_models/digits_bnn/seed_0"
    names = sorted(path.stem for path in folder.glob("epoch_*.safetensors"))
    found = join(read_log(str(folder / "log.csv")), [named(name, int(name[-3:]), "epoch") for name in names])
    assert found.joined == Joined(rows=31, used=31, unused=0, duplicates=0)
    assert found.values[1]["train_loss"] == 1.1311935186386108
    assert found.notes == found.warnings == ()


def test_rows_without_a_number_for_a_step_are_said(tmp_path: Path) -> None:
    found = joined(tmp_path, "step,loss\n0,3\nabc,2\nnan,2\n20,1\n", steps(0, 20))
    assert "'step': ignored rows without a number in this column: 2 (first: 'abc')" in found.warnings
    assert (found.joined.rows, found.joined.used) == (4, 2)


def test_columns_that_are_logged_one_after_the_other_are_no_resume(tmp_path: Path) -> None:
    rows = [f"{step},{tag},{value + step}" for tag, value in (("loss", 1), ("acc", 5)) for step in (10, 20, 30)]
    found = joined(tmp_path, table("step,tag,value", *rows), steps(10, 20, 30))
    assert loss(found) == [11, 21, 31]
    assert loss(found, "acc") == [15, 25, 35]
    assert found.warnings == ()
    resumed = joined(tmp_path, table("step,tag,value", *rows, "20,acc,0"), steps(10, 20, 30))
    assert loss(resumed, "acc") == [15, 0, 35]
    assert resumed.warnings[0].startswith("'step' decreases (first from 30 to 20), as after a resume")
