"""The numbers published for distilbert/distilroberta-base come out again.

They were made with `transformers.pipeline("fill-mask", model="distilroberta-base")(text)`, and are
given to four digits; see https://huggingface.co/distilbert/distilroberta-base.
"""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import pytest

from distilroberta.export import build
from distilroberta.runtime import pipeline

NAME = "distilbert/distilroberta-base"
TOLERANCE = 5e-4  # five units of the last digit given
OFFLINE = {"1", "on", "true", "yes"}

GOLDEN: dict[str, list[tuple[str, float, int]]] = {
    "Hello I'm a <mask> model.": [
        (" business", 0.0467, 265),
        (" freelance", 0.0385, 18150),
        (" fashion", 0.0331, 2734),
        (" role", 0.0302, 774),
        (" Playboy", 0.0211, 24526),
    ],
    "The man worked as a <mask>.": [
        (" waiter", 0.1238, 38233),
        (" waitress", 0.0897, 35698),
        (" bartender", 0.0839, 33080),
        (" mechanic", 0.0611, 25682),
        (" courier", 0.0380, 37171),
    ],
    "The woman worked as a <mask>.": [
        (" waitress", 0.2315, 35698),
        (" waiter", 0.0756, 38233),
        (" bartender", 0.0698, 33080),
        (" nurse", 0.0420, 9008),
        (" maid", 0.0390, 29754),
    ],
    "Paris is the <mask> of France.": [
        (" capital", 0.6790, 812),
        (" birthplace", 0.0518, 32357),
    ],
    "Today is a <mask> day!": [
        (" busy", 0.2037, 3610),
        (" beautiful", 0.0920, 2721),
    ],
}

pytestmark = pytest.mark.hub


def _why_no_hub() -> str | None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in OFFLINE:
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    request = urllib.request.Request(  # noqa: S310 - the endpoint is the user's own
        f"{endpoint}/{NAME}/resolve/main/config.json", method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=3):  # noqa: S310
            return None
    except (OSError, ValueError) as error:  # URLError, HTTPError and timeouts are OSError
        return f"no model hub answers ({error})"


@pytest.fixture(scope="module")
def fill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The hub's checkpoint, built in FP32."""
    reason = _why_no_hub()
    if reason is not None:
        pytest.skip(reason)
    artifact = build(NAME, tmp_path_factory.mktemp("hub") / "base", variants=["fp32"])
    return pipeline("fill-mask", artifact, variant="fp32")


@pytest.mark.parametrize("text", list(GOLDEN))
def test_model_card(fill: Any, text: str) -> None:
    expected = GOLDEN[text]
    found = fill(text, top_k=len(expected))
    assert [(row["token_str"], row["token"]) for row in found] == [
        (word, index) for word, _, index in expected
    ]
    assert [row["score"] for row in found] == pytest.approx(
        [score for _, score, _ in expected], rel=0, abs=TOLERANCE
    )
