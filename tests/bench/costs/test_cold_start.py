from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distilroberta.bench.costs import cold_start, first_answer
from distilroberta.bench.costs.cold_start import BARE, OURS, TRANSFORMERS, Measured, Start
from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.models.subject import Subject
from distilroberta.runtime import Artifact, pipeline

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

TEXT = "The <mask> fell."
SCORES = [0.1, 0.2, 0.3, 0.25, 0.05, 0.1]
VOCABULARY = len(SCORES)
SECONDS = {OURS: 0.5, BARE: 0.25, TRANSFORMERS: 4.0}


class Starts:
    """Starts engines of known speed. The first start for a few tokens takes 100 s more."""

    def __init__(self, wrong: str = "") -> None:
        self.asked: list[tuple[str, int]] = []
        self._wrong = wrong

    def __call__(self, engine: str, top_k: int) -> Start:
        slow = 100.0 if top_k != VOCABULARY and (engine, top_k) not in self.asked else 0.0
        self.asked.append((engine, top_k))
        stages = {"interpreter": 50.0, "imports": slow, "load": SECONDS[engine]}
        answer = list(enumerate(SCORES[::-1] if engine == self._wrong else SCORES))
        return Start({**stages, "first answer": 0.0}, {"session": 0.125}, answer)


def test_each_engine_starts_once_in_every_round_and_the_first_round_is_left_out() -> None:
    starts = Starts()
    measured = cold_start.measure(starts, VOCABULARY, 3)
    timed = [engine for engine, top_k in starts.asked if top_k != VOCABULARY]
    assert len(timed) == 4 * 3
    assert all(
        set(timed[first : first + 3]) == {OURS, BARE, TRANSFORMERS} for first in range(0, 12, 3)
    )
    assert measured.totals(OURS) == [0.5] * 3  # without the interpreter's start
    assert measured.speed() == Spread(8.0, 8.0, 8.0)
    assert cold_start.verdict(measured) == (
        "ours INT8: 0.500 s, above the bound of 0.45 s; 8.00 (quartiles 8.00-8.00) times as fast "
        "as transformers, below the bound of 10 times"
    )


def test_bounds_that_are_kept() -> None:
    def start(seconds: float) -> Start:
        return Start({"imports": seconds, "load": 0, "first answer": 0}, {}, [])

    measured = Measured({OURS: [start(0.4)], TRANSFORMERS: [start(4.0)]}, {})
    said = cold_start.verdict(measured)
    assert "0.400 s, within the bound" in said
    assert "10.0 (quartiles 10.0-10.0) times as fast as transformers, within the bound" in said


def test_an_engine_that_answers_differently_is_not_timed() -> None:
    measured = cold_start.measure(Starts(wrong=OURS), VOCABULARY, 1)
    assert list(measured.starts) == [BARE, TRANSFORMERS]
    assert measured.refused[OURS].startswith("the cosine of its logits is ")
    assert measured.speed() is None
    assert cold_start.verdict(measured) == "ours INT8 was not timed: no verdict"


def test_a_fresh_process_answers_as_this_one(mini: Path, mini_artifact: Artifact) -> None:
    start = cold_start.starter(Subject(mini, mini_artifact), TEXT, 1)
    here = pipeline("fill-mask", mini_artifact, variant="int8", provider="cpu", threads=1)
    expected = [(one["token"], pytest.approx(one["score"], abs=1e-4)) for one in here(TEXT)]
    for engine in (OURS, BARE):
        found = start(engine, 5)
        assert [tuple(pair) for pair in found.answer] == expected, engine
        assert list(found.seconds) == ["interpreter", "imports", "load", "first answer"]
        assert all(seconds > 0 for seconds in found.seconds.values())
        assert set(found.parts) == {"tokenizer", "session"}
        assert max(found.parts.values()) <= found.seconds["load"]


def test_transformers_answers_as_ours_in_fp32(
    mini: Path, mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # it sets this, and it is put back
    found = first_answer.transformers(first_answer.Stages(0.0), 1, 5, TEXT, str(mini))
    ours = pipeline("fill-mask", mini_artifact, variant="fp32", provider="cpu", threads=1)(TEXT)
    assert found == [(one["token"], pytest.approx(one["score"], abs=1e-4)) for one in ours]


def test_parts_add_up_and_what_they_time_is_unchanged() -> None:
    stages = first_answer.Stages(0.0)
    add = stages.time("adding", lambda one, *, other: one + other)
    assert add(1, other=2) == 3
    once = stages.parts["adding"]
    add(1, other=2)
    assert stages.parts["adding"] > once > 0


def test_a_process_that_fails_is_an_error(tmp_path: Path, mini_artifact: Artifact) -> None:
    # No mask: ours refuses the text.
    start = cold_start.starter(Subject(tmp_path, mini_artifact), "nothing here", 1)
    with pytest.raises(WorkerError, match=r"ours INT8: its process ended with code 1(?s:.*)<mask>"):
        start(OURS, 5)


def test_one_run_of_the_command(
    tmp_path: Path,
    mini: Path,
    mini_artifact: Artifact,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = tmp_path / "measured.json"
    monkeypatch.setattr(cold_start, "starter", lambda *_: Starts())
    words = ["--checkpoint", str(mini), "--artifact", str(mini_artifact.path), "--rounds", "2"]
    code, printed, _ = bench("cold-start", *words, "--json", str(written))
    assert code == 0
    assert "times as fast as transformers" in printed
    assert "transformers 4." in printed  # the version
    document = json.loads(written.read_text("utf-8"))
    assert (document["benchmark"], document["complete"]) == ("cold-start", True)
    assert (document["weights"], document["tokens"]) == (mini.name, 16)
    assert len(document["engines"][OURS]["rounds"]) == 2
    assert document["times_as_fast_as_transformers"]["median"] == 8.0


def test_an_interrupted_run_shows_and_keeps_its_rounds(
    tmp_path: Path,
    mini: Path,
    mini_artifact: Artifact,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(Starts):
        def __call__(self, engine: str, top_k: int) -> Start:
            if len(self.asked) == 3 + 3 * 3 + 1:  # the answers, rounds 0 to 2, one of the next
                raise KeyboardInterrupt
            return super().__call__(engine, top_k)

    written = tmp_path / "measured.json"
    monkeypatch.setattr(cold_start, "starter", lambda *_: Interrupted())
    words = ["--checkpoint", str(mini), "--artifact", str(mini_artifact.path), "--rounds", "9"]
    code, printed, _ = bench("cold-start", *words, "--json", str(written))
    assert code == 130
    assert "median of 2 (25 %-75 %)" in printed
    assert "stopped before the end" in printed
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    assert {len(one["rounds"]) for one in document["engines"].values()} == {2}
