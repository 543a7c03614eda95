"""The picture of a comparison: of the size and kind asked for, the same bytes twice, nothing of a file as markup."""

from __future__ import annotations

import builtins
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from children import run_python
from comparisons import COMPARISONS, checkpoint, comparison, hostile, layer, runs, training, transformer, two
from depth import EXHAUSTIVE, one_of

from wcx.core.errors import MissingDependencyError, UsageError
from wcx.outputs.compare.picture import curves, heat_maps, make_axis, metrics
from wcx.outputs.compare.plot import check_plot, plot, render

# ------------------------------------------------------------------------------------------------ without the library


def test_positions_are_steps_unless_most_would_stand_in_a_corner() -> None:
    axis = make_axis(training())
    assert (axis.label, axis.to_scale, axis.positions[:3]) == ("epoch", True, (0.0, 1.0, 2.0))
    assert 7.0 not in axis.positions  # which can't be read
    spaced = make_axis(transformer())
    assert (spaced.label, spaced.to_scale, spaced.ticks[-1]) == ("step", False, "128")
    assert spaced.positions == tuple(map(float, range(9)))
    unnamed = make_axis(two())
    assert (unnamed.label, unnamed.ticks) == ("checkpoint", ("base", "tuned"))


def test_curves_are_changes_since_the_first_in_per_cent() -> None:
    drawn = {one.name: one for one in curves(two(), make_axis(two()))}
    assert list(drawn) == ["bdm", "block_entropy", "mean_ctm", "gzip.nbytes"]
    bdm = two().model.planes[0].pooled["bdm"]
    assert drawn["bdm"].values == (0.0, pytest.approx(100 * (bdm[1] / bdm[0] - 1)))  # type: ignore[operator]


def test_the_losses_are_drawn_and_without_one_the_first_column() -> None:
    assert {one.name for one in metrics(training(), make_axis(training()))} == {"train_loss"}
    odd = replace(training(), checkpoints=tuple(checkpoint(at, log={"reward": 1.0, "speed": 2.0}) for at in range(31)))
    assert {one.name for one in metrics(odd, make_axis(odd))} == {"reward"}


def test_runs_of_equal_steps_are_averaged_in_heat_maps() -> None:
    shown = next(heat_maps(runs()))
    first = runs().layers[0].series["null.bdm_rarefied.ratio"]
    assert shown.label.endswith("(mean of runs)")
    assert shown.values[0][0] == pytest.approx((first[0] + first[11] + first[22]) / 3)  # type: ignore[operator]
    uneven = replace(runs(), checkpoints=(*runs().checkpoints[:-1], replace(runs().checkpoints[-1], step=99)))
    assert next(heat_maps(uneven)).label.endswith("(seed_0)")


def test_a_heat_map_is_of_the_null_ratio_or_over_the_first_value() -> None:
    ratio, flips = heat_maps(training())
    assert (ratio.label, ratio.centre, len(ratio.rows)) == ("bdm_rarefied / expectation under shuffle", 1.0, 6)
    assert (flips.centre, flips.values[0][0], len(flips.values[0])) == (None, None, 30)
    bare = replace(two(), layers=(replace(layer("fc", (64, 64), count=2), series={"bdm": (100.0, 90.0)}),))
    bare = replace(bare, model=replace(bare.model, planes=()))
    assert next(heat_maps(bare)).values == ((1.0, 0.9),)


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "png", "picture.html"])
def test_another_suffix_is_refused_before_anything_is_drawn(name: str) -> None:
    with pytest.raises(UsageError, match=r"end in one of \.png, \.svg, \.pdf"):
        check_plot(name)


def test_without_matplotlib_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **others: Any) -> Any:  # noqa: ANN401
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r'pip install "wcx-cli\[plot\]"') as caught:
        check_plot("a.png")
    assert caught.value.exit_code == 4


def test_the_library_is_loaded_only_to_draw() -> None:
    program = "import sys, wcx.outputs.compare.plot; print('matplotlib' in sys.modules)"
    assert run_python(program).stdout == "False\n"


# --------------------------------------------------------------------------------------------------- with the library


@pytest.fixture
def library() -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that matplotlib uses
        return pytest.importorskip("matplotlib")


@one_of(4)
@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_is_drawn_without_a_warning(name: str, library: Any, tmp_path: Path) -> None:  # noqa: ANN401
    path = tmp_path / "picture.png"
    plot(COMPARISONS[name](), path)
    assert path.read_bytes().startswith(b"\x89PNG")


@one_of(3)
@pytest.mark.parametrize(("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_same_comparison_gives_the_same_bytes_without_a_date(kind: str, head: bytes, library: Any) -> None:  # noqa: ANN401
    drawn = render(training(), kind)
    assert drawn.startswith(head)
    assert drawn == render(training(), kind)
    assert not re.search(rb"CreationDate|<dc:date>|tEXtSoftware", drawn)


@one_of(2)
@pytest.mark.parametrize(("columns", "pixels"), [(1, 1050), (2, 2160)])
def test_pictures_are_as_wide_as_columns_of_a_page(columns: int, pixels: int, library: Any) -> None:  # noqa: ANN401
    drawn = render(training(), "png", columns)
    assert int.from_bytes(drawn[16:20]) == pixels


def test_no_third_column(library: Any) -> None:  # noqa: ANN401
    with pytest.raises(UsageError, match="1 or 2"):
        render(training(), "png", 3)


def test_the_settings_of_the_user_are_left_and_have_no_say(library: Any) -> None:  # noqa: ANN401
    usual = render(two(), "svg")
    with library.rc_context({"font.size": 30, "axes.edgecolor": "red", "text.parse_math": True}):
        assert render(two(), "svg") == usual
        assert library.rcParams["font.size"] == 30


def test_nothing_opens_a_window_or_keeps_a_figure(library: Any) -> None:  # noqa: ANN401
    render(two(), "png")
    assert "matplotlib.pyplot" not in sys.modules


def test_a_name_is_no_mathematics(library: Any) -> None:  # noqa: ANN401
    odd = replace(two(), layers=(layer(r"$\frac{1}{$", (64, 64), count=2), layer("漢\x1b[31m", (64, 64), count=2)))
    assert render(odd, "png")


def test_a_loss_over_more_than_a_decade_has_a_logarithmic_axis(library: Any) -> None:  # noqa: ANN401
    from wcx.outputs.compare.plot import _draw, _own_settings

    def scale(*losses: float) -> str:
        checkpoints = tuple(checkpoint(at, log={"loss": loss}) for at, loss in enumerate(losses))
        made = replace(two(), checkpoints=checkpoints)
        with _own_settings():
            return next(axes.get_yscale() for axes in _draw(made, 2).axes if axes.get_ylabel() == "loss")

    assert [scale(2.0, 0.1), scale(2.0, 1.0), scale(2.0, 0.0), scale(2.0, -0.1)] == [
        "log",
        "linear",
        "linear",
        "linear",
    ]


@EXHAUSTIVE
def test_many_checkpoints_and_layers_are_drawn_in_seconds(library: Any) -> None:  # noqa: ANN401
    layers = tuple(layer(f"block.{at}.weight", (64, 64), count=500) for at in range(100))
    large = comparison(checkpoints=tuple(checkpoint(at) for at in range(500)), layers=layers)
    assert len(render(large, "svg")) < 3_000_000


def test_a_place_where_nothing_can_be_written_is_said(library: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with pytest.raises(UsageError, match=r"--plot .*can't be written"):
        plot(two(), tmp_path / "none" / "a.png")


def test_hostile_names_are_drawn_in_an_svg_that_is_xml(library: Any) -> None:  # noqa: ANN401
    from xml.etree import ElementTree

    assert ElementTree.fromstring(render(hostile(), "svg")).tag.endswith("svg")
