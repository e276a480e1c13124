"""`distilroberta bench claim` on small checkpoints with half as many layers one as the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.claim import memory
from distilroberta.bench.claim import run as claim
from distilroberta.bench.claim.models import TASKS, Models
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime.errors import InputError

PLAN = ("--rounds", "2", "--calls", "2", "--warmup", "0", "--threads", "1")
CELLS = ("--lengths", "8,16", "--batches", "1,2")


@pytest.fixture(scope="module")
def weights(make_checkpoint: Callable[..., Path]) -> str:
    shape = {"hidden_size": 96, "intermediate_size": 192}
    pair = (make_checkpoint(num_hidden_layers=layers, **shape) for layers in (2, 4))
    return ",".join(map(str, pair))


def check_cells(comparison: dict[str, Any]) -> None:
    """Every cell is filled, and its ratio lies between those of its two rounds."""
    distil, base = comparison["engines"]
    assert (distil["name"], base["name"]) == ("distilroberta", "roberta-base")
    for cell in comparison["cells"]:
        times = [one["workloads"][cell["workload"]]["rounds_ms"] for one in (base, distil)]
        assert [len(rounds) for rounds in times] == [2, 2]
        ratios = sorted(above / below for above, below in zip(*times, strict=True))
        assert ratios[0] <= cell["ratio"]["low"] * 1.0001
        assert cell["ratio"]["high"] <= ratios[1] * 1.0001


def test_every_task_with_every_cell_filled(
    weights: str, tmp_path: Path, bench: Callable[..., Any]
) -> None:
    written = tmp_path / "claim.json"
    words = ("--weights", weights, "--engines", "ours", *CELLS, *PLAN)
    said = bench("claim", *words, "--json", str(written))
    assert said.code == 0, said.err
    document = json.loads(written.read_text("utf-8"))
    head = [document[name] for name in ("benchmark", "complete", "left_out")]
    assert head == ["claim", True, {}]
    tasks = [one["task"] for one in document["comparisons"]]
    assert tasks == ["text-classification", "fill-mask", "feature-extraction"]
    for comparison in document["comparisons"]:
        check_cells(comparison)
        assert len(comparison["cells"]) == 4
        # Each to PyTorch on its own checkpoint.
        assert min(one["cosine"] for one in comparison["engines"]) > 0.9999
        # All cells are small.
        compared = [one["name"] for one in comparison["workloads"]]
        assert comparison["checked"] == compared
    assert document["verdict"] in " ".join(said.out.split())
    # Two rounds show nothing, and that is said, once for each task.
    assert {one["overall"]["verdict"] for one in document["comparisons"]} == {"unclear"}
    assert len(document["warnings"]) >= len(tasks)
    assert said.out.count("2 rounds are too few") == len(tasks)


def test_the_usual_export_and_pytorch(
    weights: str, tmp_path: Path, bench: Callable[..., Any]
) -> None:
    written = tmp_path / "claim.json"
    words = ("--weights", weights, "--engines", "usual,torch,ours", "--tasks", "fill-mask")
    cells = ("--lengths", "16", "--batches", "2")
    assert bench("claim", *words, *cells, *PLAN, "--json", str(written)).code == 0
    document = json.loads(written.read_text("utf-8"))
    found = {one["engine"]: one for one in document["comparisons"]}
    assert list(found) == ["usual export", "torch", "ours"]
    for comparison in found.values():
        check_cells(comparison)
    expected = {engine: one["cells"][0]["expected"] for engine, one in found.items()}
    assert expected["torch"] is None
    # The usual export's head runs for every token, and is the same in both models.
    assert expected["usual export"] < expected["ours"] - 0.2


def test_without_engines_the_usual_export_runs_but_for_classification(tmp_path: Path) -> None:
    def pairs(precision: str, *engines: str) -> list[tuple[str, str]]:
        asked = claim.Settings([*TASKS], [*engines], precision, [], Plan(), 1)
        return claim.Claim(Models("random", tmp_path, 1), asked, tmp_path).pairs()

    ours = [(task, "ours") for task in TASKS]
    usual = [(task, "usual export") for task in ("fill-mask", "feature-extraction")]
    assert sorted(pairs("fp32")) == sorted([*ours, *usual])
    assert pairs("int4") == ours
    assert pairs("fp32", "torch") == [(task, "torch") for task in TASKS]


def test_int8(weights: str, tmp_path: Path, bench: Callable[..., Any]) -> None:
    written = tmp_path / "claim.json"
    words = ("--weights", weights, "--tasks", "text-classification", "--engines", "ours")
    cells = ("--precision", "int8", "--lengths", "16", "--batches", "2")
    assert bench("claim", *words, *cells, *PLAN, "--json", str(written)).code == 0
    (comparison,) = json.loads(written.read_text("utf-8"))["comparisons"]
    assert comparison["precision"] == "int8"
    assert all(0.95 <= one["cosine"] < 0.99999 for one in comparison["engines"])


def test_an_interrupt_keeps_the_rounds_that_were_done(
    weights: str, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = claim.compare

    def interrupted(*arguments: Any, keep: Callable[[Any], None], **more: Any) -> Any:
        def stop_after(found: Any) -> None:
            keep(found)
            raise KeyboardInterrupt

        return original(*arguments, keep=stop_after, **more)

    monkeypatch.setattr(claim, "compare", interrupted)
    written = tmp_path / "claim.json"
    what = ("--tasks", "text-classification", "--engines", "ours")
    plan = ("--rounds", "9", *PLAN[2:])
    said = bench("claim", "--weights", weights, *what, *CELLS, *plan, "--json", str(written))
    assert said.code == 130
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    (comparison,) = document["comparisons"]
    assert {len(one["workloads"]) for one in comparison["engines"]} == {4}
    # What was planned does not count, but what was done.
    assert {cell["verdict"] for cell in comparison["cells"]} == {"unclear"}
    assert any("too few" in warning for warning in document["warnings"])
    assert "not shown to be twice as fast" in document["verdict"]
    assert "stopped before the end" in said.out
    assert "16 tokens" in said.out


def test_an_engine_that_can_not_be_made_is_left_out_and_the_others_go_on(
    weights: str, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilroberta.bench.errors import BenchError
    from distilroberta.bench.models import optimum_export

    def broken(*_: Any, **__: Any) -> None:
        raise BenchError("optimum could not export it")

    monkeypatch.setattr(optimum_export, "export", broken)
    faked(monkeypatch)
    written = tmp_path / "claim.json"
    words = ("--weights", weights, "--tasks", "fill-mask", "--engines", "usual,torch")
    cells = ("--lengths", "8", "--batches", "1")
    said = bench("claim", *words, *cells, *PLAN, "--json", str(written))
    assert said.code == 0
    document = json.loads(written.read_text("utf-8"))
    assert document["left_out"] == {"fill-mask, usual export": "optimum could not export it"}
    assert [one["engine"] for one in document["comparisons"]] == ["torch"]
    assert "fill-mask, usual export was left out: optimum could not export it" in said.out


def faked(
    monkeypatch: pytest.MonkeyPatch, refused: str | None = None
) -> Callable[[], dict[str, str]]:
    """Time nothing: RoBERTa-base is refused, or else takes 2 ms where DistilRoBERTa takes 1."""
    seen: dict[str, str] = {}

    def compare(
        specs: list[EngineSpec],
        workloads: list[Workload],
        plan: Plan,
        *,
        skipped: dict[str, str],
        keep: Callable[[Comparison], None],
        **_: Any,
    ) -> Comparison:
        seen.update(skipped)
        names = [one.name for one in workloads if one.name not in skipped]
        results = [
            EngineResult(spec, None, None, 1.0, why, {n: [ms] * 5 for n in names}, failed=skipped)
            for spec, ms, why in zip(specs, (1.0, 2.0), (None, refused), strict=True)
        ]
        found = Comparison(tuple(workloads), plan, tuple(results))
        keep(found)
        return found

    monkeypatch.setattr(claim, "compare", compare)
    return lambda: seen


def test_a_cell_that_does_not_fit_into_the_memory_is_skipped_and_told(
    weights: str, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = faked(monkeypatch)
    files = [Path(one) / "model.safetensors" for one in weights.split(",")]
    words = json.loads((files[0].parent / "config.json").read_text("utf-8"))["vocab_size"]
    # Room for three times the logits of 16 tokens in both models, not for those of 32.
    free = sum(file.stat().st_size for file in files) + 2 * 3 * 4 * 16 * words
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    written = tmp_path / "claim.json"
    what = ("--weights", weights, "--tasks", "fill-mask", "--engines", "torch", *PLAN)
    cells = ("--batches", "1,2", "--lengths", "16")
    said = bench("claim", *what, *cells, "--json", str(written))
    assert said.code == 0, said.err
    assert list(skipped()) == ["2 x 16 tokens"]
    document = json.loads(written.read_text("utf-8"))
    (comparison,) = document["comparisons"]
    assert comparison["checked"] == ["16 tokens"]
    fits, large = comparison["cells"]
    assert (fits["verdict"], large["verdict"]) == ("twice as fast", "not measured")
    assert "needs about" in large["reason"]
    assert "1 of 2 cells were not measured" in comparison["overall"]["reason"]
    assert "over the one cell that was measured, 1 of 2" in document["verdict"]
    assert document["verdict"] in " ".join(said.out.split())


def test_where_nothing_fits_nothing_is_measured(
    weights: str, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    faked(monkeypatch)
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    written = tmp_path / "claim.json"
    what = ("--weights", weights, "--tasks", "fill-mask", "--engines", "torch", *PLAN)
    said = bench("claim", *what, "--lengths", "8", "--batches", "1", "--json", str(written))
    assert said.code == 1
    assert "nothing was measured: no cell fits into the memory: 8 tokens needs about" in said.err
    assert json.loads(written.read_text("utf-8"))["complete"] is False


def test_where_one_model_is_refused_the_other_is_left_out_too(
    weights: str, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    faked(monkeypatch, refused="8 tokens: the cosine of its logits is 0.1")
    written = tmp_path / "claim.json"
    what = ("--weights", weights, "--tasks", "fill-mask", "--engines", "torch", *PLAN)
    said = bench("claim", *what, "--lengths", "8", "--batches", "1", "--json", str(written))
    assert said.code == 1
    document = json.loads(written.read_text("utf-8"))
    why = "roberta-base: 8 tokens: the cosine of its logits is 0.1"
    assert document["left_out"] == {"fill-mask, torch": why}
    assert document["comparisons"] == []
    assert f"nothing was measured: {why}" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--lengths", "1024"), "a text of 1024 tokens is asked for, the model takes 64"),
        (("--lengths", "8,2"), "no text of 2 tokens can be made"),
    ],
)
def test_lengths_that_the_models_do_not_take(
    words: tuple[str, ...],
    says: str,
    weights: str,
    bench: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bench("claim", "--weights", weights, "--tasks", "fill-mask", *words)
    assert said.code == 2
    assert says in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--engines", "theirs"), "--engines must be of ours, usual, torch"),
        (("--tasks", "poetry"), "--tasks must be of"),
        (("--precision", "fp8"), "--precision must be one of fp32, fp16, int8, int4"),
        (("--engines", "usual", "--precision", "int4"), "usual export is measured in fp32, int8"),
        (("--weights", "one"), "--weights must be random, real or two checkpoints"),
        (("--lengths", "0"), "--lengths must be whole numbers"),
        (("--rounds", "0"), "rounds and calls must be 1 or more"),
        (("--seconds", "0"), "seconds of a round must be more than 0"),
        (("--json", "nowhere/x.json"), "is no folder"),
    ],
)
def test_wrong_words(
    words: tuple[str, ...],
    says: str,
    bench: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bench("claim", *words)
    assert said.code == 2
    assert says in said.err


def test_a_classifier_can_not_fill_masks(
    make_checkpoint: Callable[..., Path],
    weights: str,
    tmp_path: Path,
    bench: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = make_checkpoint("text-classification")
    mixed = f"{classifier},{weights.split(',')[1]}"
    models = Models(mixed, tmp_path, threads=1)
    assert models.checkpoint("distilroberta", "text-classification") == classifier
    with pytest.raises(InputError, match="can't fill masks"):
        models.checkpoint("distilroberta", "fill-mask")
    monkeypatch.chdir(tmp_path)
    # Of either model, and before the first task is measured.
    words = (f"{weights.split(',')[0]},{classifier}", "--tasks", "text-classification,fill-mask")
    said = bench("claim", "--weights", *words, "--lengths", "8", "--batches", "1")
    assert said.code == 2
    assert "can't fill masks" in said.err


def test_random_weights_have_both_models_shapes() -> None:
    from distilroberta.bench.claim.models import LAYERS
    from distilroberta.bench.models.checkpoints import DISTILROBERTA

    # https://huggingface.co/FacebookAI/roberta-base differs from DistilRoBERTa in its layers alone.
    assert LAYERS == {"distilroberta": 6, "roberta-base": 12}
    assert (DISTILROBERTA["hidden_size"], DISTILROBERTA["vocab_size"]) == (768, 50265)
