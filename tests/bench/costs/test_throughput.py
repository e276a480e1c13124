from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from distilroberta.bench.costs import throughput
from distilroberta.bench.costs.throughput import Measured, Rival, workloads
from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.runtime import Artifact, InputError

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

ORDERS = ("as in the file", "sorted by length")
TEXTS = workloads([f"{'long ' * number}text" for number in range(10)])
PLAN = Plan(rounds=2, warmup=0, calls=1)


def spec(name: str, engine: str = "Labels", **arguments: float) -> EngineSpec:
    return EngineSpec(name, f"fake_text_engines:{engine}", arguments, 0)


def measure(*specs: EngineSpec, exact: tuple[str, ...] = (), least: float = 0.9) -> Measured:
    return throughput.measure(
        specs, exact, TEXTS, PLAN, reference=specs[0].name, least_agreement=least
    )


def rounds(**milliseconds: tuple[float, float]) -> Measured:
    """Two rounds, the second at half the speed: milliseconds in the file's order and sorted."""
    samples = {
        (engine, order): [taken, 2 * taken]
        for engine, both in milliseconds.items()
        for order, taken in zip(ORDERS, both, strict=True)
    }
    return Measured(TEXTS, {}, {}, samples)


def test_the_second_order_is_that_of_lengths() -> None:
    first, second = workloads(["a", "ccc", "bb"])
    assert first.texts == ("a", "ccc", "bb")
    assert second.texts == ("ccc", "bb", "a")


@pytest.mark.usefixtures("_fake_engines")
def test_engines_of_known_speed() -> None:
    measured = measure(spec("slow", seconds=0.2), spec("fast", seconds=0.01))
    for order in TEXTS:
        assert len(measured.rates("slow", order)) == 2
        assert all(0 < rate <= 50 for rate in measured.rates("slow", order))  # 10 in 0.2 s
        assert all(0 < rate <= 1000 for rate in measured.rates("fast", order))
    best = measured.best([spec("slow")])
    assert best is not None
    faster = measured.speed("fast", best)
    assert faster is not None
    assert faster.median > 1


@pytest.mark.usefixtures("_fake_engines")
def test_labels_that_differ_are_refused() -> None:
    measured = measure(
        spec("right"),
        spec("one wrong", others=1),
        spec("two wrong", others=2),
        spec("must be exact", others=1),
        exact=("must be exact",),
    )
    assert measured.agreement == {
        "right": 1.0,
        "one wrong": 0.9,
        "two wrong": 0.8,
        "must be exact": 0.9,
    }
    assert measured.refused == {
        "two wrong": "80.0 % of its labels are those of right, must be 90 % or more",
        "must be exact": "90.0 % of its labels are those of right, must be 100 % or more",
    }
    assert {engine for engine, _ in measured.samples} == {"right", "one wrong"}
    assert measured.rates("two wrong", TEXTS[0]) == []


@pytest.mark.usefixtures("_fake_engines")
def test_an_engine_that_dies_leaves_the_others_their_rounds() -> None:
    measured = measure(spec("right"), spec("mortal", "Dies"))
    assert [len(measured.rates("right", order)) for order in TEXTS] == [2, 2]
    assert [measured.rates("mortal", order) for order in TEXTS] == [[], []]
    reason = "its process ended with code 4 while asked to 'time'"
    assert measured.failed == {("mortal", order): reason for order in ORDERS}
    engine = throughput.to_json(measured, [])["engines"]["mortal"]
    assert engine["failed"] == dict.fromkeys(ORDERS, reason)


@pytest.mark.usefixtures("_fake_engines")
def test_what_is_known_is_kept_after_every_round() -> None:
    kept: list[Measured] = []

    def keep(measured: Measured) -> None:
        kept.append(measured)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        throughput.measure(
            [spec("right")],
            [],
            TEXTS,
            PLAN,
            reference="right",
            least_agreement=1,
            keep=keep,
        )
    assert {key: len(rounds) for key, rounds in kept[0].samples.items()} == {
        ("right", order): 1 for order in ORDERS
    }


def test_another_shape_agrees_nowhere() -> None:
    assert throughput.agreement(np.ones((2, 3)), np.ones((2, 2))) == 0


def test_ours_is_compared_with_the_best_of_another_library() -> None:
    measured = rounds(**{"ours INT8": (10, 5), "one": (90, 80), "two": (70, 60), "other": (1, 1)})
    rival = Rival("library", (spec("one"), spec("two")), 4.5)
    assert measured.best(rival.engines) == ("two", "sorted by length")
    assert measured.speed("ours INT8", ("two", "sorted by length")) == Spread(6.0, 6.0, 6.0)
    assert throughput.verdict(measured, rival) == (
        "ours INT8 is 7.00 (quartiles 7.00-7.00) times as fast as two, as in the file: within the "
        "bound of 4.5 times; 6.00 (quartiles 6.00-6.00) times as two, sorted by length"
    )
    rival = Rival("library", (spec("two"),), 7.5)
    assert "below the bound of 7.5 times" in throughput.verdict(measured, rival)


@pytest.mark.parametrize("timed", ["ours INT8", "one"])
def test_nothing_is_said_of_what_was_not_timed(timed: str) -> None:
    said = throughput.verdict(rounds(**{timed: (1, 1)}), Rival("library", (spec("one"),), 2))
    assert said == "ours INT8 against library: one of them was not timed, no verdict"


def test_texts_come_from_a_file_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text("one long string of cliches\t0\nbrilliant\t1\n", "utf-8")
    assert throughput.read_texts(path) == ["one long string of cliches", "brilliant"]
    path.write_text("text\ttext_pair\tlabel\nIs it?\tIt is.\t0\n", "utf-8")
    with pytest.raises(InputError, match="holds pairs of texts"):
        throughput.read_texts(path)


def test_without_a_file_there_are_texts_of_many_lengths() -> None:
    texts = throughput.read_texts(None)
    assert len(texts) > 100
    assert len({len(text) for text in texts}) > 50


def test_one_run_of_the_command(
    tmp_path: Path,
    classifier: Path,
    classifier_artifact: Artifact,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ours as it is; transformers and optimum, which take long to import, in name alone."""
    engine = "distilroberta.bench.engines.text_engines:ArtifactTexts"
    arguments = {"artifact": str(classifier_artifact.path), "variant": "fp32", "threads": 1}
    rivals = [
        Rival("transformers", (EngineSpec("transformers, 1 at once", engine, arguments, 0),), 4.5),
        Rival("optimum INT8", (EngineSpec("optimum INT8, 1 at once", engine, arguments, 0),), 2),
    ]
    monkeypatch.setattr(throughput, "LEAST_AGREEMENT", 0.5)  # 20 texts tell little
    monkeypatch.setattr(throughput.optimum_export, "export", lambda *_: None)
    monkeypatch.setattr(throughput, "rivals", lambda *_: rivals)
    data, written = tmp_path / "texts.tsv", tmp_path / "measured.json"
    data.write_text("".join(f"number {row} of some\t0\n" for row in range(20)), "utf-8")
    words = ["--checkpoint", str(classifier), "--artifact", str(classifier_artifact.path)]
    words += ["--texts", str(data), "--rounds", "2", "--threads", "1"]
    code, printed, _ = bench("throughput", *words, "--json", str(written))
    assert code == 0
    assert "20 texts, texts per second: median of 2 rounds" in printed
    assert "times as fast as transformers, 1 at once, " in printed
    assert "the bound of 2 times" in printed
    document = json.loads(written.read_text("utf-8"))
    assert list(document["engines"]) == [
        "ours INT8",
        "ours INT8, one by one",
        "ours FP32",
        "transformers, 1 at once",
        "optimum INT8, 1 at once",
    ]
    for one in document["engines"].values():
        assert all(len(rates) == 2 for rates in one["texts_per_second"].values())
    assert set(document["times_as_fast_as"]) == {"transformers", "optimum INT8"}


def test_the_rivals_are_those_of_every_batch_size(
    tmp_path: Path, classifier: Path, classifier_artifact: Artifact
) -> None:
    subject = throughput.Subject(classifier, classifier_artifact)
    exported = throughput.optimum_export.Exported(tmp_path, None)
    pytorch, optimum = throughput.rivals(subject, exported, [1, 8], 2)
    assert [engine.name for engine in pytorch.engines] == [
        "transformers, 1 at once",
        "transformers, 8 at once",
    ]
    assert pytorch.engines[1].arguments == {
        "checkpoint": str(classifier),
        "threads": 2,
        "batch_size": 8,
    }
    assert optimum.engines[0].arguments == {
        "folder": str(tmp_path),
        "file": "model_quantized.onnx",
        "threads": 2,
        "batch_size": 1,
    }
