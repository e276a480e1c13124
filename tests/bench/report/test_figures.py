"""Figures show the numbers of the results, in both palettes."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.report import canvas, latency_plot, row_plot, trade_off_plot
from distilroberta.bench.report.contents import make
from distilroberta.bench.report.latency_plot import Line
from distilroberta.bench.report.palette import DARK, LIGHT, Palette
from distilroberta.bench.report.results import read_all
from distilroberta.bench.report.row_plot import Bar, Dot
from distilroberta.bench.report.trade_off_plot import Option

PALETTES = pytest.mark.parametrize("palette", [LIGHT, DARK])


def line(name: str, *medians: float) -> Line:
    lengths = (16, 128, 512)
    points = zip(lengths, medians, strict=False)
    return Line(name, tuple((tokens, Spread(ms, 0.9 * ms, 1.2 * ms)) for tokens, ms in points))


@PALETTES
def test_a_line_for_each_engine(palette: Palette) -> None:
    drawn = [line("ours int8", 2, 20, 90), line("a $x$ rival", 3, 30)]
    (axes,) = latency_plot.draw(drawn, palette).axes
    ours, rival = (container.lines for container in axes.containers)
    assert list(ours[0].get_xdata()) == [16, 128, 512]
    assert list(ours[0].get_ydata()) == [2, 20, 90]
    assert list(rival[0].get_ydata()) == [3, 30]
    (bars,) = rival[2]
    assert bars.get_segments()[0].ravel() == pytest.approx([16, 2.7, 16, 3.6])
    assert to_hex(ours[0].get_color()) == palette.ours
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    said = [text.get_text() for text in axes.texts]
    assert said == ["milliseconds", "ours int8", "a $x$ rival"]


@PALETTES
def test_ratios_stand_beside_what_was_claimed(palette: Palette) -> None:
    dots = [
        Dot("encoder", Ratio(2.03, 2.0, 2.05, 7), 2.07),
        Dot("head", Ratio(1.5, 1.4, 1.6, 7), None),
    ]
    (axes,) = row_plot.draw_ratios(dots, palette).axes
    points = [one for one in axes.lines if one.get_marker() == "o"]
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in points] == [(2.03, 0), (1.5, 1)]
    expected = [one.get_xdata()[0] for one in axes.lines if one.get_marker() == "^"]
    assert expected == [2.07]
    said = {text.get_text() for text in axes.texts}
    assert {"claimed", "encoder", "head", canvas.short("head")} <= said
    low, high = axes.get_xlim()
    assert low < 1 < 2.07 < high


@PALETTES
def test_bars_begin_at_zero(palette: Palette) -> None:
    bars = [Bar("ours", 2.0, "2 s", True, 1.5, 2.5), Bar("other", 4.0, "4 s", False, mark=6.0)]
    (axes,) = row_plot.draw_bars(bars, "seconds", palette).axes
    assert [patch.get_width() for patch in axes.patches] == [2, 4]
    colours = [to_hex(patch.get_facecolor()) for patch in axes.patches]
    assert colours == [palette.ours, palette.neutral]
    low, high = axes.get_xlim()
    assert low == 0
    assert high > 6


def options(*, share: bool) -> list[Option]:
    return [
        Option("fp32", 60, 328_000_000, 1.0, 1.0 if share else None, ours=True),
        Option("int8", 20, 82_000_000, 0.9996, 0.978 if share else None, ours=True),
    ]


def test_a_disc_has_the_size_of_the_files() -> None:
    (axes,) = trade_off_plot.draw(options(share=True), "milliseconds", LIGHT).axes
    first, second = axes.lines
    assert [(one.get_xdata()[0], one.get_ydata()[0]) for one in (first, second)] == [
        (60, 100.0),
        (20, pytest.approx(97.8)),
    ]
    areas = [one.get_markersize() ** 2 for one in (first, second)]
    assert areas[0] / areas[1] == pytest.approx(4)
    assert max(axes.get_yticks()) <= 100
    said = [text.get_text() for text in axes.texts]
    assert said[0] == "same top answer as FP32"
    assert {"fp32, 328 MB", "int8, 82 MB"} <= set(said)


def crowd() -> list[Option]:
    families = ("torch", "torch.compile", "optimum FP32", "optimum INT8", "optimum INT8 static")
    families += ("OpenVINO FP32", "OpenVINO BF16", "OpenVINO INT8", "CTranslate2 INT8")
    others = [
        Option(name, 30.0 - 2.5 * place, 83_000_000, 1 - 10.0 ** -(2 + place % 3), None, ours=False)
        for place, name in enumerate(families)
    ]
    ours = [
        Option("ours fp32", 31.0, 328_000_000, 0.9999999, None, ours=True),
        Option("ours int8", 9.0, 82_000_000, 0.9996, None, ours=True),
        Option("ours int8-static", 8.7, 82_000_000, 0.998, None, ours=True),
    ]
    return [*others, *ours]


def test_of_a_crowd_ours_and_the_best_of_each_family_are_named() -> None:
    (axes,) = trade_off_plot.draw(crowd(), "milliseconds", LIGHT).axes
    assert len(axes.lines) == len(crowd())
    said = [text.get_text().rpartition(",")[0] for text in axes.texts if "MB" in text.get_text()]
    assert said == [
        *("torch.compile", "optimum INT8 static", "OpenVINO INT8", "CTranslate2 INT8"),
        *("ours fp32", "ours int8", "ours int8-static"),
    ]


def close_crowd() -> list[Option]:
    ours = {"ours int8": (18.1, 0.9996), "ours int8-static": (17.6, 0.992)}
    others = {
        "ours int8-static in OpenVINO": (16.9, 0.9993),
        "optimum INT8 per tensor": (19.0, 0.9993),
        "optimum INT8 static": (19.9, 0.992),
        "optimum INT8": (21.7, 0.9961),
        "OpenVINO INT8": (18.6, 0.9978),
        "OpenVINO BF16": (29.0, 0.99993),
        "CTranslate2 INT8": (30.6, 0.9989),
        "torch": (79.0, 1.0),
        "torch.compile": (76.0, 1.0),
    }
    return [
        Option(name, ms, 84_000_000, cosine, None, ours=name in ours)
        for name, (ms, cosine) in {**ours, **others}.items()
    ]


@pytest.mark.parametrize("options", [crowd(), close_crowd()], ids=["spread", "close"])
def test_no_line_to_a_name_crosses_another_name(options: list[Option]) -> None:
    figure = trade_off_plot.draw(options, "milliseconds", LIGHT)
    figure.canvas.draw()
    (axes,) = figure.axes
    # Where the letters are; a line ends at the edge of its name.
    names = [text.get_window_extent() for text in axes.texts if "MB" in text.get_text()]
    arrows = [text.arrow_patch for text in axes.texts if not text.get_text()]
    lines = [arrow.get_path().transformed(arrow.get_transform()) for arrow in arrows]
    assert not any(
        line.intersects_bbox(name.padded(-1), filled=False) for line in lines for name in names
    )
    assert not any(
        one.overlaps(other) for place, one in enumerate(names) for other in names[:place]
    )


def test_better_is_above_by_cosine_too() -> None:
    (axes,) = trade_off_plot.draw(options(share=False), "milliseconds", LIGHT).axes
    assert axes.texts[0].get_text() == "cosine to the reference"
    places = {
        one.get_xdata()[0]: axes.transData.transform((one.get_xdata()[0], one.get_ydata()[0]))[1]
        for one in axes.lines
    }
    assert places[60] > places[20]
    format_tick = axes.yaxis.get_major_formatter()
    assert [format_tick(10.0**-decade, 0) for decade in (1, 4, 7)] == ["0.9", "0.9999", "1"]


def test_colours_of_ratios_part_at_two() -> None:
    for palette in (LIGHT, DARK):
        assert palette.of_ratio(2.0) == palette.claimed
        assert palette.of_ratio(0.5) == palette.of_ratio(1.0) == palette.below
        assert palette.of_ratio(8.0) == palette.above
        assert len({palette.of_ratio(value) for value in (1.5, 1.9, 2.0, 2.1, 2.5)}) == 5


def test_every_figure_is_drawn_as_png(all_results: list[Path]) -> None:
    report = make(read_all(all_results))
    names = [chart.name for chart in report.charts]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    for kind in ("claim-overall", "ratio-", "latency-", "trade-off-", "memory-", "cold-start"):
        chart = next(one for one in report.charts if one.name.startswith(kind))
        content = canvas.png(chart.draw)
        width, height = struct.unpack(">II", content[16:24])
        assert width == round(canvas.WIDTH_INCHES * 200)
        assert height > 200
        assert canvas.MADE_BY.encode() in content[:4096]
