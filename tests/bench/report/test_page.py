# ruff: noqa: RUF001 - the page has a dash and the sign for times
"""The page: whole in itself, well-formed, readable, and with the numbers of the results."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.report.contents import make
from distilroberta.bench.report.page import html
from distilroberta.bench.report.results import read_all

VOID = {"meta", "source", "img", "br", "link", "input", "hr"}
SMALL = {"batches": (1, 8), "lengths": (16, 128)}


class Page(HTMLParser):
    """A page as a list of elements with their attributes and text; refuses what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words: list[str] = []
        self.elements.append((tag, dict(attrs), words))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append((tag, words))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for _, words in self.open:
            words.append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, " ".join("".join(words).split()))
            for found, attributes, words in self.elements
            if found == tag
        ]

    def texts(self, tag: str) -> list[str]:
        return [text for _, text in self.all(tag)]


def rendered(paths: list[Path]) -> str:
    return html(make(read_all(paths)))


@pytest.fixture(scope="module")
def made(all_results: list[Path]) -> str:
    """The page of all kinds of results."""
    return rendered(all_results)


@pytest.fixture(scope="module")
def page(made: str) -> Page:
    return Page(made)


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    tags = {tag for tag, _, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for tag, attributes, _ in page.elements:
        for name in ("src", "srcset", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/svg+xml;base64,")), tag
        assert not any(name.startswith("on") for name in attributes)
    (style,) = page.texts("style")
    assert "url(" not in style
    assert "@import" not in style


def test_the_verdict_is_the_first_heading(page: Page) -> None:
    first = next(text for tag, _, text in page.elements if tag in {"h1", "h2", "h3"})
    (heading,) = page.texts("h1")
    assert "".join(first) == heading
    assert heading.startswith("DistilRoBERTa is twice as fast as RoBERTa-base as an encoder, 1.96")


def test_sections_have_their_own_verdicts(page: Page, documents: dict[str, Any]) -> None:
    said = [text for found, text in page.all("p") if found.get("class") == "verdict"]
    assert [one.rstrip(".") for one in said] == [
        documents[name]["verdict"].rstrip(".") for name in ("peers", "latency", "gpu", "cold-start")
    ]


def test_links_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", str(name)) for name in ids)
    links = [attributes["href"] for attributes, _ in page.all("a")]
    assert links
    for link in links:
        assert str(link).removeprefix("#") in ids
    labelled = [found["aria-labelledby"] for found, _ in page.all("section")]
    assert set(labelled) <= set(ids)


def test_every_figure_says_in_words_what_it_shows(page: Page) -> None:
    images = page.all("img")
    assert len(images) >= 10
    for attributes, _ in images:
        assert len(str(attributes["alt"])) > 40
    peers = next(str(found["alt"]) for found, _ in images if "OpenVINO INT8" in str(found["alt"]))
    assert "torch eager: " in peers


def test_figures_are_pictures_for_light_and_dark(page: Page) -> None:
    light = [str(found["src"]) for found, _ in page.all("img")]
    dark = [str(found["srcset"]) for found, _ in page.all("source")]
    assert len(light) == len(dark)
    for one, other in zip(light, dark, strict=True):
        assert one != other
        for source in (one, other):
            root = ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))  # noqa: S314
            assert root.tag.endswith("svg")


def test_every_table_has_a_caption_and_headings(page: Page, made: str) -> None:
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(found["scope"] in {"row", "col", "colgroup"} for found, _ in page.all("th"))
    assert all(page.texts("caption"))
    assert made.count("<table>") == made.count("</table>")


def test_the_page_fits_a_phone_and_both_grounds(page: Page) -> None:
    metas = {found.get("name"): found.get("content") for found, _ in page.all("meta")}
    assert metas["viewport"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"] == "light dark"
    (style,) = page.texts("style")
    assert style.count("prefers-color-scheme: dark") == 2


def rows(page: Page, caption: str) -> dict[str, list[str]]:
    """Return the cells of a table by the name of their row."""
    found: dict[str, list[str]] = {}
    inside, current = False, ""
    for tag, attributes, words in page.elements:
        text = " ".join("".join(words).split())
        if tag == "caption":
            inside = caption in text
        elif inside and tag == "th" and attributes["scope"] == "row":
            current = text
            found[current] = []
        elif inside and tag == "td":
            found[current].append(text)
    assert found, caption
    return found


def three_digits(value: float) -> str:
    whole = len(str(int(value)))
    return f"{value:.{max(0, 3 - whole)}f}"


def test_claim_tables_hold_the_numbers(page: Page, documents: dict[str, Any]) -> None:
    usual = documents["claim"]["comparisons"][1]
    table = rows(page, "Fill-mask, usual export, fp32: milliseconds")
    assert len(table) == len(usual["cells"])
    for cell in usual["cells"]:
        shown = table[cell["workload"]]
        for engine, text in zip(usual["engines"], shown, strict=False):
            assert text.startswith(
                three_digits(engine["workloads"][cell["workload"]]["ms"]["median"]) + " ("
            )
        found = cell["ratio"]
        assert shown[2] == f"{found['estimate']:.2f}× ({found['low']:.2f}–{found['high']:.2f})"
        assert shown[4] == cell["verdict"]
    overall = rows(page, "Overall")
    assert overall["fill-mask, usual export, fp32"][0] == "1.50× (1.49–1.51)"
    assert overall["fill-mask, ours, fp32"][0] == "1.91× (1.90–1.92)"
    assert overall["encoder (feature-extraction), ours, fp32"][2] == "twice as fast"


def test_ratio_maps_hold_the_numbers(page: Page, documents: dict[str, Any]) -> None:
    table = rows(page, "Classification, ours, fp32: times as fast by length")
    cells = documents["claim"]["comparisons"][0]["cells"]
    for cell in cells:
        column = [1, 8].index(cell["rows"])
        found = cell["ratio"]
        assert table[str(cell["tokens"])][column] == (
            f"{found['estimate']:.2f}×{found['low']:.2f}–{found['high']:.2f}{cell['verdict']}"
        )


def test_peer_tables_hold_the_numbers(page: Page, documents: dict[str, Any]) -> None:
    peers = documents["peers"]["comparisons"][0]
    times = rows(page, "Classification, the model alone: milliseconds")
    for engine in peers["engines"]:
        if engine["refused"]:
            assert engine["name"] not in times
            continue
        for workload, text in zip(peers["workloads"], times[engine["name"]], strict=True):
            timing = engine["workloads"].get(workload["name"])
            if timing is None:
                assert text == "–"
            else:
                assert text.startswith(f"{three_digits(timing['ms']['median'])} (")
    ratios = rows(page, "Classification, the model alone: times as fast")
    assert ratios["ours int8 to OpenVINO INT8"][0] == "1.02× (0.99–1.05) no difference"
    sizes = rows(page, "Classification, the model alone: size")
    assert sizes["optimum INT8"] == ["83.0", "0.9961", "0.310", "316", "449"]


def test_variant_tables_hold_the_numbers(page: Page, documents: dict[str, Any]) -> None:
    table = rows(page, "sst2, classification, whole pipelines: size, quality")
    assert table["int8 on cpu"] == [
        *("85.0", "97.8 %", "0.00083", "0.9996", "0.285"),
        *("0.406 (0.396–0.436)", "280", "435"),
    ]
    percentiles = rows(page, "sst2, classification, whole pipelines: milliseconds of single calls")
    variant = documents["latency"]["variants"][0]
    found = variant["workloads"]["128 tokens"]
    assert percentiles["fp32 on cpu, 128 tokens"] == [
        *(three_digits(found[name]) for name in ("p50_ms", "p90_ms", "p99_ms")),
        "240",
        three_digits(found["texts_per_second"]),
    ]
    assert percentiles["int4 on cpu, 128 tokens"][2] == "–"
    ratios = rows(page, "sst2, classification, whole pipelines: times as fast")
    assert ratios["int8 on cpu to fp32 on cpu"] == ["3.20× (3.18–3.22) faster"] * 4
    starts = rows(page, "Cold start: seconds")
    assert starts["transformers"] == ["4.52 (4.38–4.75)", "cold-start.json"]
    stages = rows(page, "Stages of a cold start")
    assert stages["transformers"] == ["0.020", "1.36", "2.26", "0.904"]


def test_what_was_not_timed_is_told_with_the_reason(page: Page) -> None:
    table = rows(page, "Refused, failed or left out")
    assert table["OpenVINO BF16"][1].startswith("128 tokens: the cosine of its logits is 0.9313")
    assert table["torch.compile"][0].endswith("8 x 128 tokens")
    assert table["torch.compile"][1] == "its process ended with code -9"
    assert table["OpenVINO FP16"][0] == "everywhere"
    assert table["fp16 on cuda"][1] == "no CUDA device"
    assert table["tensorrt fp16"][0] == "Imaginary GPU, compute capability 9.0"
    assert table["tensorrt fp16"][1] == "libnvinfer.so.10 is not there"
    left_out = ["everywhere", "the export ended with an error", "claim.json"]
    assert table["feature-extraction, usual export"] == left_out


def test_gpu_tables_hold_the_numbers(page: Page, documents: dict[str, Any]) -> None:
    assert "On a GPU: Imaginary GPU, compute capability 9.0" in page.texts("h2")
    times = rows(page, "Imaginary GPU, compute capability 9.0: milliseconds")
    engines = documents["gpu"]["comparison"]["engines"]
    assert list(times) == [one["name"] for one in engines if not one["refused"]]
    median = engines[2]["workloads"]["16 tokens"]["ms"]["median"]
    assert times["cuda fp16"][0].startswith(f"{median:.3f} (")
    ratios = rows(page, "Imaginary GPU, compute capability 9.0: times as fast")
    assert ratios["cuda fp16 to cpu int8"] == ["9.00× (8.98–9.02) faster"] * 4


def leads(paths: list[Path]) -> list[str]:
    page = Page(rendered(paths))
    return [text for found, text in page.all("p") if found.get("class") == "lead"]


def test_what_was_compared_before_timing_is_told(
    document: Callable[..., Any], write: Callable[..., Path]
) -> None:
    found = document("peers", **SMALL)
    told = "Before anything was timed, answers were compared with the reference"
    assert f"{told}: on all inputs." in leads([write(found)])[0]
    found["comparisons"][1]["checked"] = ["16 tokens", "8 x 16 tokens"]
    assert leads([write(found)])[0].endswith(
        f"{told}. Classification, the model alone: on all inputs; Fill-mask, whole pipelines: on "
        "16 tokens and 8 x 16 tokens."
    )
    for comparison in found["comparisons"]:
        del comparison["checked"]
    assert f"{told}: this file does not say on which inputs." in leads([write(found)])[0]
    claim = document("claim", **SMALL)
    assert f"{told}: on all inputs." in leads([write(claim)])[0]


def test_ratios_with_a_warning_are_marked(
    document: Callable[..., Any], write: Callable[..., Path]
) -> None:
    found = document("peers", batches=(1,), lengths=(16, 128))
    first, second, *_ = found["comparisons"][0]["ratios"]
    first["warning"] = "the interval is 9 wide, the difference it is to show 3"
    second.update(verdict="unclear", warning="3 rounds are too few")
    page = Page(rendered([write(found)]))
    caption = "of the same rounds; ?: a difference of too few rounds, or one that the"
    table = rows(page, caption)
    assert table["ours int8 to torch eager"] == [
        "4.40× (4.37–4.43) faster ?",
        "4.40× (4.37–4.43) unclear ?",
    ]


def test_cells_that_were_not_measured_have_their_reason(
    document: Callable[..., Any], write: Callable[..., Path]
) -> None:
    found = document("claim", **SMALL)
    usual = found["comparisons"][1]
    usual["cells"][3].update(ratio=None, verdict="not measured", reason=None)
    usual["engines"][1]["failed"] = {"8 x 128 tokens": "it would take 21 GB, there are 8"}
    page = Page(rendered([write(found)]))
    table = rows(page, "Fill-mask, usual export, fp32: times as fast by length")
    assert table["128"][1] == "–not measured"
    overall = rows(page, "Overall")
    assert overall["fill-mask, usual export, fp32"][2] == "faster, not twice, of 3 of 4 cells"
    said = "8 x 128 tokens: roberta-base: it would take 21 GB, there are 8"
    assert said in page.texts("li")


def test_the_gpu_of_a_latency_run_is_named(
    document: Callable[..., Any], write: Callable[..., Path]
) -> None:
    found = document("latency", batches=(1,), lengths=(16,))
    assert "GPU" not in leads([write(found)])[0]
    found["gpu"] = {"name": "Imaginary GPU", "capability": "9.0"}
    assert leads([write(found)])[0].endswith("GPU: Imaginary GPU, compute capability 9.0.")


def test_how_it_was_measured_is_there(page: Page) -> None:
    (text,) = page.texts("body")
    assert "distilroberta bench peers --rounds 7" in page.texts("code")
    for said in ("Imaginary(R) Processor, 2 CPUs", "onnxruntime 1.31.1", "5b3c6b2", "13.5 min"):
        assert said in text


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, by WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_cells_of_ratio_maps_can_be_read(page: Page) -> None:
    (style,) = page.texts("style")
    light, dark = re.findall(r"--ink: (#[0-9a-f]{6})", style)
    cells = [str(found["style"]) for found, _ in page.all("td") if "style" in found]
    assert len(cells) == 16
    for cell in cells:
        on_light, on_dark = re.findall(r"--on-\w+:(#[0-9a-f]{6})", cell)
        assert contrast(light, on_light) >= 4.5
        assert contrast(dark, on_dark) >= 4.5


def test_names_are_data(document: Callable[..., Any], write: Callable[..., Path]) -> None:
    evil = "<script>alert('$x_1$')</script>\"&"
    found = document("peers", **SMALL)
    for comparison in found["comparisons"]:
        comparison["task"] = evil
        comparison["engines"][0]["name"] = evil
        comparison["workloads"][0]["name"] = evil
        for engine in comparison["engines"]:
            engine["failed"] = {evil: evil}
            if "16 tokens" in engine["workloads"]:
                engine["workloads"][evil] = engine["workloads"].pop("16 tokens")
    found["warnings"] = [evil]
    found["command"] = evil
    found["machine"]["cpu"] = evil
    text = rendered([write(found, "<b>.json")])
    page = Page(text)
    assert "<script" not in text
    assert not page.all("b")
    assert evil in page.texts("code")
    assert any(evil in caption for caption in page.texts("caption"))
    assert any(evil in str(found["alt"]) for found, _ in page.all("img"))
