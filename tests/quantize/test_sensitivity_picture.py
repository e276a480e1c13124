"""The picture of a sensitivity: its bars, its curve, and the file."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from distilroberta.quantize import sensitivity_picture
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.sensitivity import Choice, Effect, Point, Sensitivity
from distilroberta.quantize.sensitivity_picture import check_picture, draw, picture
from distilroberta.runtime.errors import InputError

NAMES = (
    "encoder.layer.0.attention.key.weight",
    "encoder.layer.0.block.attention_output.weight",
    "encoder.last.block.output.weight",
    "lm_head.dense.weight",
)
DIVERGENCES = (1e-3, 5e-4, 4e-3, -1e-5)
KEPT = NAMES[2]


@pytest.fixture
def found() -> Sensitivity:
    effects = (Effect(name, kl, -0.01, 10**6) for name, kl in zip(NAMES, DIVERGENCES, strict=True))
    return Sensitivity(8, 20, Point(4, 1e-4, 0.99, 9 * 10**6), tuple(effects))


@pytest.fixture
def choice(found: Sensitivity) -> Choice:
    curve = (Point(0, 6e-3, 0.9, 5 * 10**6), Point(1, 1.5e-3, 0.95, 6 * 10**6), found.baseline)
    return Choice(2e-3, frozenset({KEPT}), curve)


def bars(figure: Figure) -> dict[str, tuple[float, str]]:
    """Return the length and the colour of each bar, by the label beside it."""
    axes = figure.axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return {
        labels[round(bar.get_y() + bar.get_height() / 2)]: (
            bar.get_width(),
            to_hex(bar.get_facecolor()),
        )
        for bar in axes.patches
        if bar.get_width()
    }


def test_bar_for_each_product_stands_in_its_layer(found: Sensitivity, choice: Choice) -> None:
    figure = draw(found, choice)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [
        *("layer 0", "key", "attention output"),
        *("last layer", "output"),
        *("after the encoder", "lm_head.dense"),
    ]
    lengths = {name: length for name, (length, _) in bars(figure).items()}
    names = ("key", "attention output", "output", "lm_head.dense")
    assert lengths == pytest.approx(dict(zip(names, DIVERGENCES, strict=True)))
    assert figure.axes[0].yaxis_inverted()  # layer 0 on top


def test_kept_products_have_a_colour_of_their_own(found: Sensitivity, choice: Choice) -> None:
    colours = {name: colour for name, (_, colour) in bars(draw(found, choice)).items()}
    kept = colours.pop("output")
    assert len(set(colours.values())) == 1
    assert kept not in colours.values()


def test_curve_shows_the_graphs_that_were_measured_and_the_bound(
    found: Sensitivity, choice: Choice
) -> None:
    axes = draw(found, choice).axes[1]
    tried, chosen, bound, floor = axes.lines
    assert list(zip(*tried.get_data(), strict=True)) == [(0, 6e-3), (1, 1.5e-3)]
    assert list(zip(*chosen.get_data(), strict=True)) == [(1, 1.5e-3)]
    assert set(bound.get_ydata()) == {2e-3}
    assert set(floor.get_ydata()) == {1e-4}


def test_picture_without_a_choice_is_the_bars(found: Sensitivity) -> None:
    figure = draw(found)
    assert len(figure.axes) == 1
    assert len({colour for _, colour in bars(figure).values()}) == 1


def test_file_is_a_picture_of_some_size(found: Sensitivity, choice: Choice, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("older")
    picture(found, path, choice)
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    assert min(width, height) > 400
    assert list(tmp_path.iterdir()) == [path]
    picture(found, tmp_path / "picture.svg", choice)
    assert "</svg>" in (tmp_path / "picture.svg").read_text("utf-8")


def test_failure_leaves_the_older_picture(
    found: Sensitivity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(_: Figure, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "picture.png"
    path.write_text("older")
    monkeypatch.setattr(Figure, "savefig", save)
    with pytest.raises(QuantizationError, match=r"picture\.png could not be written: No space"):
        picture(found, path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["picture.txt", "picture", "missing/picture.png", "folder.png"])
def test_path_that_can_be_no_picture_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=name):
        check_picture(tmp_path / name)


def test_missing_matplotlib_is_said_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found_spec: Callable[[str], object] = importlib.util.find_spec
    monkeypatch.setattr(
        sensitivity_picture,
        "find_spec",
        lambda name: None if name == "matplotlib" else found_spec(name),
    )
    with pytest.raises(InputError, match=r"distilroberta-onnx\[evaluate\]"):
        check_picture(tmp_path / "picture.png")


def test_matplotlib_is_imported_for_a_picture_only() -> None:
    code = (
        "import sys, distilroberta.quantize.sensitivity_picture; "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
