"""`quantize` adds variants to an artifact: all of it, or nothing."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from distilroberta.export import build
from distilroberta.export.evaluate import evaluate
from distilroberta.quantize import onnx_file
from distilroberta.quantize.add import quantize
from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.errors import QuantizationError, StagingError
from distilroberta.quantize.options import Options
from distilroberta.quantize.quality.errors import QualityError
from distilroberta.quantize.quality.result import Result
from distilroberta.quantize.recipe import Prepared
from distilroberta.runtime import Artifact, pipeline
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.layout import standard_graph

TEXT = "Paris is the <mask> of France."


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def fp32(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(mini, tmp_path_factory.mktemp("add") / "mini", variants=["fp32"]).path


@pytest.fixture
def artifact(fp32: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fp32, tmp_path / "place" / "mini"))


@pytest.mark.parametrize("variant", ["fp16", "int8", "int8-static", "int4"])
def test_a_variant_is_the_one_that_build_makes(
    mini: Path, artifact: Path, tmp_path: Path, variant: str
) -> None:
    added = quantize(artifact, [variant])
    built = build(mini, tmp_path / "built", variants=["fp32", variant])
    added.verify()
    assert added.variants == built.variants == ("fp32", variant)
    ours, theirs = added.manifest, built.manifest
    for name in (ours.variants[variant].graph, ours.variants[variant].standard):
        assert ours.files[name] == theirs.files[name], name
    # Measured against the FP32 graph here, and against PyTorch there.
    assert ours.variants[variant].agreement.kl == pytest.approx(
        theirs.variants[variant].agreement.kl, abs=1e-5
    )
    assert len(pipeline(None, added, variant=variant)(TEXT, top_k=3)) == 3


def test_the_model_card_lists_what_is_there_now(artifact: Path) -> None:
    before = (artifact / "README.md").read_text("utf-8")
    quantize(artifact, ["int8"])
    after = (artifact / "README.md").read_text("utf-8")
    assert "| int8 |" in after
    assert "| int8 |" not in before
    assert "| fp32 |" in after
    outside = before.partition("## Intended use")
    assert after.endswith("".join(outside[1:]))


def test_nothing_is_left_beside_the_artifact(artifact: Path) -> None:
    quantize(artifact, ["int8"])
    assert list(artifact.parent.iterdir()) == [artifact]


def test_files_of_others_stay(artifact: Path) -> None:
    (artifact / ".git").mkdir()
    (artifact / ".git" / "HEAD").write_text("ref: refs/heads/main")
    quantize(artifact, ["int8"])
    assert (artifact / ".git" / "HEAD").read_text() == "ref: refs/heads/main"


def test_another_target_replaces_the_variant_and_its_file(artifact: Path) -> None:
    quantize(artifact, ["int8"])
    with pytest.raises(InputError, match="has int8 already: replace with --force"):
        quantize(artifact, ["int8"], options=Options(target="avx2"))
    replaced = quantize(artifact, ["int8"], options=Options(target="avx2"), force=True)
    assert replaced.variant("int8").target == "avx2"
    assert replaced.variant("int8").standard == "onnx/model_quint8_avx2.onnx"
    assert not (artifact / standard_graph("int8")).exists()
    replaced.verify()


@pytest.mark.parametrize(("method", "passes"), [("minmax", 1), ("percentile", 2)])
def test_progress_is_told_of_each_calibration_text(
    artifact: Path, method: str, passes: int
) -> None:
    told: list[tuple[int, int]] = []
    quantize(
        artifact,
        ["int8-static"],
        options=Options(method=method),
        advance=lambda done, total: told.append((done, total)),
    )
    texts = Texts().count()
    assert told == [(done, texts) for done in range(1, texts + 1)] * passes


@pytest.mark.parametrize(
    ("variant", "options", "message"),
    [
        ("int8-static", Options(method="mean"), "unknown method 'mean': choose from minmax"),
        ("int8", Options(target="x86"), "unknown target 'x86': choose from portable"),
        ("int8-static", Options(ranges=Path("no.json")), r"--ranges: no\.json is not a file"),
        ("int8-static", Options(save_ranges=Path("no/r.json")), "ranges can't be saved"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    artifact: Path, variant: str, options: Options, message: str
) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=message):
        quantize(artifact, [variant], options=options, progress=said.append)
    assert said == []


def test_paths_may_be_strings(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(map(str, Texts())) + "\nOne more.\n", "utf-8")
    texts, ranges = str(tmp_path / "texts.txt"), str(tmp_path / "ranges.json")
    options = Options(save_ranges=ranges)
    made = quantize(str(artifact), ["int8-static"], options=options, calibration=texts)
    assert f"minmax of {Texts().count() + 1} texts" in made.variant("int8-static").scheme
    options = Options(ranges=ranges)
    again = quantize(str(artifact), ["int8-static"], options=options, force=True)
    assert again.variant("int8-static").scheme == made.variant("int8-static").scheme


def test_calibration_texts_that_nothing_reads_are_refused(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("One text.\n", "utf-8")
    (tmp_path / "ranges.json").write_text("{}", "utf-8")
    said: list[str] = []
    with pytest.raises(InputError, match="int8-static reads no texts of --calibration"):
        quantize(
            artifact,
            ["int8-static"],
            options=Options(ranges=tmp_path / "ranges.json"),
            calibration=tmp_path / "texts.txt",
            progress=said.append,
        )
    assert said == []


def test_calibration_file_that_is_missing_is_refused_before_any_work(artifact: Path) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"no\.txt is not a file"):
        quantize(artifact, ["int8"], calibration=Path("no.txt"), progress=said.append)
    assert said == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("stop")], ids=["ctrl-c", "bug"])
@pytest.mark.parametrize("line", ["verifying", "running", "making int8", "moving"])
def test_an_interrupted_run_changes_nothing(artifact: Path, line: str, stop: BaseException) -> None:
    before = contents(artifact)

    def progress(said: str) -> None:
        if said.startswith(line):
            raise stop

    with pytest.raises(type(stop)):
        quantize(artifact, ["int8"], progress=progress)
    assert contents(artifact) == before
    assert list(artifact.parent.iterdir()) == [artifact]


def test_a_full_disk_changes_nothing(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(artifact)

    def write(*_: object) -> onnx_file.Ranges:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_file, "write", write)
    with pytest.raises(StagingError, match="No space left on device"):
        quantize(artifact, ["int8"])
    assert contents(artifact) == before


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Masked texts and their words."""
    path = tmp_path / "masked.jsonl"
    rows = [("Paris is the <mask> of France.", "city"), ("She <mask> home.", "went")]
    rows += [("It was a <mask> day.", "good"), ("The <mask> is open.", "door")]
    path.write_text(
        "".join(json.dumps({"text": text, "word": word}) + "\n" for text, word in rows), "utf-8"
    )
    return path


def test_what_a_variant_scores_is_in_the_manifest_and_the_card(artifact: Path, data: Path) -> None:
    made = quantize(artifact, ["int8"], data=data, max_drop=100)
    scores = {one.name: one for one in evaluate(made, data, with_pytorch=False).scores}
    found = Artifact(artifact).variant("int8").evaluation
    assert found is not None
    assert (found.data, found.data_sha256) == ("masked.jsonl", sha256_of(data))
    assert (found.metric, found.reference_name) == ("top_1", "fp32")
    assert found.value == scores["int8"].metrics["top_1"]
    assert found.reference == scores["fp32"].metrics["top_1"]
    assert scores["int8"].agreement is not None
    assert found.kl == pytest.approx(scores["int8"].agreement.kl)
    assert found.same_top == scores["int8"].agreement.same_top
    card = (artifact / "README.md").read_text("utf-8")
    assert "| variant | score | fp32 | same top answer | KL (nats) |" in card
    assert f"| int8 | {found.value:.4f} | {found.reference:.4f} |" in card


def test_what_a_variant_scored_stays_until_it_is_replaced(artifact: Path, data: Path) -> None:
    scored = quantize(artifact, ["int8"], data=data).variant("int8").evaluation
    assert scored is not None
    assert quantize(artifact, ["int8-static"]).variant("int8").evaluation == scored
    replaced = quantize(artifact, ["int8"], force=True)
    assert replaced.variant("int8").evaluation is None
    assert "masked.jsonl" not in (artifact / "README.md").read_text("utf-8")


def test_a_variant_that_loses_too_much_is_not_added(
    artifact: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(artifact)

    def lost(self: Result, name: str) -> float:
        return 3.0

    monkeypatch.setattr(Result, "lost", lost)
    with pytest.raises(QualityError, match=r"int8 loses 3\.00 points of top_1 on masked\.jsonl"):
        quantize(artifact, ["int8"], data=data, max_drop=2.5)
    assert contents(artifact) == before
    assert set(artifact.parent.iterdir()) == {artifact}


@pytest.mark.parametrize(
    ("content", "max_drop", "message"),
    [
        (None, 1.0, "max_drop is about labelled data"),
        ("", -1.0, "max_drop must be a number of points from 0 up"),
        ("", None, r"data\.jsonl"),
        ('{"text": "It <mask>."}\n', 1.0, r"data\.jsonl has no labels, which a score needs"),
    ],
    ids=["no data", "no bound", "empty", "no labels"],
)
def test_data_and_bound_are_checked_before_the_work(
    artifact: Path, tmp_path: Path, content: str | None, max_drop: float | None, message: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content or "", "utf-8")
    said: list[str] = []
    with pytest.raises(InputError, match=message):
        quantize(
            artifact,
            ["int8"],
            data=path if content is not None else None,
            max_drop=max_drop,
            progress=said.append,
        )
    assert [line for line in said if not line.startswith("reading")] == []


def test_the_tools_of_the_build_stay_and_those_of_the_variant_are_named(artifact: Path) -> None:
    path = artifact / "manifest.json"
    tree = json.loads(path.read_text("utf-8"))
    tree["tools"] = {**tree["tools"], "onnxruntime": "1.16.0", "torch": "2.0"}
    path.write_text(json.dumps(tree), "utf-8")
    manifest = quantize(artifact, ["int8"]).manifest
    assert manifest.tools == tree["tools"]
    assert manifest.variants["fp32"].made_with is None
    assert f"onnxruntime {version('onnxruntime')}" in (manifest.variants["int8"].made_with or "")


def test_a_damaged_artifact_is_refused(artifact: Path) -> None:
    path = artifact / standard_graph("fp32")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="was changed"):
        quantize(artifact, ["int8"])


def test_without_fp32_there_is_nothing_to_make_variants_from(mini: Path, tmp_path: Path) -> None:
    built = build(mini, tmp_path / "mini", variants=["int8"])
    with pytest.raises(InputError, match="holds no fp32 to make variants from"):
        quantize(built.path, ["int4"])


def test_fp32_is_not_made_here(artifact: Path) -> None:
    with pytest.raises(InputError, match="`distilroberta build` makes it"):
        quantize(artifact, ["fp32"])


def test_weights_that_are_kept_are_named(artifact: Path) -> None:
    def choose(prepared: Prepared, *_: object) -> frozenset[str]:
        return frozenset(prepared.weights[:2])

    made = quantize(artifact, ["int8"], choose=choose)
    scheme = made.variant("int8").scheme
    assert scheme.endswith(
        "; in a higher precision: encoder.layer.0.attention.key.weight, "
        "encoder.layer.0.attention.query.weight"
    )


def test_a_variant_too_far_from_fp32_is_not_added(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from distilroberta.quantize import recipes

    strict = replace(recipes.RECIPES["int8"], lowest_cosine=1.0)
    monkeypatch.setitem(recipes.RECIPES, "int8", strict)
    before = contents(artifact)
    with pytest.raises(QuantizationError, match="does not answer as FP32 does"):
        quantize(artifact, ["int8"])
    assert contents(artifact) == before
