"""A build makes the whole artifact, the same each time, or nothing."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from optimum.onnxruntime import ORTModelForMaskedLM
from transformers import AutoTokenizer, RobertaConfig

from distilroberta.export import build
from distilroberta.quantize import onnx_file
from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.errors import QuantizationError, StagingError
from distilroberta.quantize.options import Options
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.staging import staged
from distilroberta.runtime import Artifact, pipeline
from distilroberta.runtime.errors import CheckpointError, InputError
from distilroberta.runtime.layout import DEFAULT_VARIANTS, VARIANTS, served_graph, standard_graph

Edit = Callable[[Path, str, Callable[[dict[str, Any]], Any]], None]

STANDARD = {standard_graph(name) for name in DEFAULT_VARIANTS}
SERVED = {served_graph(name) for name in DEFAULT_VARIANTS}
BESIDE_GRAPHS = {
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("manifest.json", "README.md"),
}


def names(folder: Path) -> set[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in sorted(names(folder))}


class StopAt:
    """A progress callback that raises when the build says `line`."""

    def __init__(self, line: str, error: BaseException) -> None:
        self.line, self.error = line, error

    def __call__(self, line: str) -> None:
        if line.startswith(self.line):
            raise self.error


@pytest.fixture(scope="module")
def in_two_places(masker: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same checkpoint with a card, built from two folders into two others."""
    built = []
    for number in range(2):
        root = tmp_path_factory.mktemp(f"place{number}")
        source = Path(shutil.copytree(masker, root / "mini"))
        (source / "README.md").write_text("---\nlicense: mit\n---\n\n# Mini\n\nSmall.\n", "utf-8")
        built.append(build(source, root / f"artifact{number}").path)
    return built


def test_layout_for_fill_mask(in_two_places: list[Path]) -> None:
    assert names(in_two_places[0]) == BESIDE_GRAPHS | STANDARD | SERVED


def test_layout_for_text_classification(classifier_artifact: Artifact) -> None:
    assert names(classifier_artifact.path) == BESIDE_GRAPHS | STANDARD


def test_same_checkpoint_gives_the_same_bytes(in_two_places: list[Path]) -> None:
    first, second = map(contents, in_two_places)
    assert list(first) == list(second)
    for name, content in first.items():
        assert content == second[name], name


def test_no_file_holds_a_path_of_the_machine(in_two_places: list[Path]) -> None:
    root = in_two_places[0].parent
    paths = [str(place).encode() for place in (root, root.parent, Path(__file__).parents[2])]
    paths.append(b"site-packages")
    for name, content in contents(in_two_places[0]).items():
        assert not [path for path in paths if path in content], name


def test_graphs_hold_no_traces_of_the_export(in_two_places: list[Path]) -> None:
    for name in sorted(STANDARD | SERVED):
        model = onnx.load(in_two_places[0] / name, load_external_data=False)
        assert model.producer_name in ("distilroberta-onnx", "onnxruntime.transformers"), name
        assert not any(node.doc_string or node.metadata_props for node in model.graph.node), name


def test_manifest_says_where_the_weights_came_from(in_two_places: list[Path]) -> None:
    manifest = Artifact(in_two_places[0]).manifest
    assert (manifest.source.name, manifest.source.revision) == ("mini", None)
    assert manifest.task == "fill-mask"
    assert manifest.licence == "mit"
    assert set(manifest.files) == names(in_two_places[0]) - {"manifest.json"}


def test_served_graph_is_small_and_reads_the_standard_one(in_two_places: list[Path]) -> None:
    artifact = Artifact(in_two_places[0])
    for name, variant in artifact.manifest.variants.items():
        assert (variant.graph, variant.reads) == (served_graph(name), (standard_graph(name),))
        sizes = [artifact.manifest.files[file].bytes for file in (variant.graph, variant.standard)]
        assert sizes[0] < sizes[1] / 4, name


@pytest.mark.parametrize(
    "wanted",
    [["fp32"], ["int8"], ["fp16"], ["int8", "fp32"], ["int8", "fp16", "int8"], "fp16"],
    ids=["fp32", "int8", "fp16", "other order", "twice", "string"],
)
def test_variants_that_were_asked_for_in_the_usual_order(
    labeller: Path, tmp_path: Path, wanted: Any
) -> None:
    artifact = build(labeller, tmp_path / "artifact", variants=wanted)
    expected = [name for name in VARIANTS if name in wanted]
    assert artifact.variants == tuple(expected)
    assert names(artifact.path) == BESIDE_GRAPHS | {standard_graph(name) for name in expected}


def test_int8_alone_leaves_no_fp32_file(masker: Path, tmp_path: Path) -> None:
    artifact = build(masker, tmp_path / "artifact", variants=["int8"])
    graphs = {standard_graph("int8"), served_graph("int8")}
    assert names(artifact.path) == BESIDE_GRAPHS | graphs
    assert len(pipeline(None, artifact)("Paris is <mask>.", top_k=3)) == 3


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["fp8"], "unknown variant 'fp8': choose from fp32, fp16, int8"),
        (["fp32", "INT8"], "unknown variant 'INT8'"),
        ("fp64", "unknown variant 'fp64'"),
        ([], "no variant: choose from"),
    ],
)
def test_unknown_variant_is_refused(
    labeller: Path, tmp_path: Path, wanted: Any, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        build(labeller, tmp_path / "artifact", variants=wanted)
    assert list(tmp_path.iterdir()) == []


def test_output_that_exists_is_refused(labeller: Path, tmp_path: Path) -> None:
    output = build(labeller, tmp_path / "artifact", variants=["fp32"]).path
    before = contents(output)
    with pytest.raises(InputError, match=r"artifact exists: choose another folder, or .* --force"):
        build(labeller, output, variants=["fp32"])
    assert contents(output) == before


def test_force_replaces_an_artifact(labeller: Path, masker: Path, tmp_path: Path) -> None:
    output = build(labeller, tmp_path / "artifact", variants=["fp32", "int8"]).path
    artifact = build(masker, output, variants=["fp32"], force=True)
    assert (artifact.task, artifact.variants) == ("fill-mask", ("fp32",))
    artifact.verify()
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_force_replaces_the_current_folder(
    labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(labeller, tmp_path / "artifact", variants=["fp32"])
    monkeypatch.chdir(tmp_path / "artifact")
    build(labeller, ".", variants=["fp16"], force=True)
    assert Artifact(tmp_path / "artifact").variants == ("fp16",)


def test_force_takes_an_empty_folder(labeller: Path, tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    build(labeller, tmp_path / "artifact", variants=["fp32"], force=True).verify()


def test_force_does_not_replace_what_is_no_artifact(labeller_copy: Path) -> None:
    """Above all not the checkpoint it would build from."""
    before = contents(labeller_copy)
    with pytest.raises(
        InputError, match=r"is not an artifact \(it has no manifest\.json of ours\)"
    ):
        build(labeller_copy, labeller_copy, force=True)
    assert contents(labeller_copy) == before


@pytest.mark.parametrize("force", [False, True], ids=["plain", "force"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_output_that_is_no_folder_is_refused(
    labeller: Path, tmp_path: Path, kind: str, force: bool
) -> None:
    if kind == "file":
        (tmp_path / "artifact").write_text("mine", "utf-8")
    else:
        (tmp_path / "artifact").symlink_to("nowhere")
    with pytest.raises(InputError, match="artifact exists: it is not a folder"):
        build(labeller, tmp_path / "artifact", force=force)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("file/artifact", "can't be made: .*file is not a folder"),
        ("file/deep/artifact", "can't be made: .*file is not a folder"),
        ("x" * 300, "can't be made: .*File name too long"),
        ("a\0b", "can't be made: embedded null byte"),
    ],
    ids=["inside a file", "deep inside a file", "long name", "NUL"],
)
def test_output_that_can_not_be_made_is_refused(
    labeller: Path, tmp_path: Path, output: str, message: str
) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    with pytest.raises(InputError, match=message):
        build(labeller, tmp_path / output)
    assert names(tmp_path) == {"file"}


def test_folders_above_the_output_are_made(labeller: Path, tmp_path: Path) -> None:
    build(labeller, tmp_path / "a" / "b" / "artifact", variants=["fp32"]).verify()


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("line", ["loading", "exporting", "making int8", "writing the manifest"])
def test_failure_leaves_nothing(
    labeller: Path, tmp_path: Path, line: str, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        build(labeller, tmp_path / "artifact", progress=StopAt(line, error))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_failure_leaves_the_old_artifact(
    labeller: Path, tmp_path: Path, error: BaseException
) -> None:
    output = build(labeller, tmp_path / "artifact", variants=["fp32"]).path
    before = contents(output)
    with pytest.raises(type(error)):
        build(labeller, output, force=True, progress=StopAt("writing the manifest", error))
    assert contents(output) == before
    assert list(tmp_path.iterdir()) == [output]


def test_failed_rename_puts_the_old_artifact_back(
    labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = build(labeller, tmp_path / "artifact", variants=["fp32"]).path
    before = contents(output)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StagingError, match=r"artifact could not be written: .*Input/output error"):
        build(labeller, output, variants=["fp16"], force=True)
    assert contents(output) == before
    assert list(tmp_path.iterdir()) == [output]


def test_full_disk_leaves_nothing(
    labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(model: onnx.ModelProto, path: Path) -> onnx_file.Ranges:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(onnx_file, "write", write)
    with pytest.raises(
        StagingError, match=r"artifact could not be written: .*No space left"
    ) as raised:
        build(labeller, tmp_path / "artifact")
    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_output_that_appears_during_the_build_is_not_overwritten(
    labeller: Path, tmp_path: Path
) -> None:
    output = tmp_path / "artifact"

    def progress(line: str) -> None:
        if line.startswith("writing the manifest"):
            output.mkdir()
            (output / "mine").write_text("mine", "utf-8")

    with pytest.raises(InputError, match="artifact exists"):
        build(labeller, output, progress=progress)
    assert names(tmp_path) == {"artifact/mine"}


def test_width_that_int8_can_not_take_is_refused_and_the_others_are_not(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    narrow = make_checkpoint("text-classification", hidden_size=36, num_hidden_layers=1)
    with pytest.raises(QuantizationError, match=r"rows of 36.*leave out the variants int8 and"):
        build(narrow, tmp_path / "artifact")
    assert list(tmp_path.iterdir()) == []
    assert build(narrow, tmp_path / "artifact", variants=["fp32", "fp16"]).task


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_model_of_few_positions_is_built(
    make_checkpoint: Callable[..., Path], tmp_path: Path, task: str
) -> None:
    """Shorter than the probe texts and than the lengths of the parity check."""
    short = make_checkpoint(task, max_position_embeddings=14, num_hidden_layers=1)
    artifact = build(short, tmp_path / "artifact", variants=["fp32"])
    assert artifact.manifest.variants["fp32"].agreement.rows >= 16


def test_config_that_leaves_the_padding_id_to_its_default_is_completed(
    labeller_copy: Path, tmp_path: Path, edit_json: Edit
) -> None:
    edit_json(labeller_copy, "config.json", lambda config: config.pop("pad_token_id"))
    artifact = build(labeller_copy, tmp_path / "artifact", variants=["fp32"])
    assert json.loads((artifact.path / "config.json").read_text("utf-8"))["pad_token_id"] == 1
    assert pipeline(None, artifact)("It rained.")[0]["label"] in ("LABEL_0", "LABEL_1")


def test_config_is_carried_over(in_two_places: list[Path]) -> None:
    source = in_two_places[0].parent / "mini" / "config.json"
    found = json.loads((in_two_places[0] / "config.json").read_text("utf-8"))
    assert found == json.loads(source.read_text("utf-8"))


def test_output_is_checked_before_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "artifact").mkdir()
    with pytest.raises(InputError, match="artifact exists"):
        build(tmp_path / "no checkpoint", tmp_path / "artifact")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(method="mean"), "unknown method 'mean': choose from minmax, entropy, percentile"),
        (Options(target="x86"), "unknown target 'x86': choose from portable, avx2"),
        (Options(ranges=Path("no.json")), r"--ranges: no\.json is not a file"),
        (Options(save_ranges=Path("no/r.json")), "ranges can't be saved"),
    ],
)
def test_options_are_checked_before_any_work(
    labeller: Path, tmp_path: Path, options: Options, message: str
) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=message):
        build(
            labeller,
            tmp_path / "artifact",
            variants=["int8-static", "int8"],
            options=options,
            progress=said.append,
        )
    assert said == []


def test_calibration_file_that_is_missing_is_refused_before_any_work(
    labeller: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=r"no\.txt is not a file"):
        build(labeller, tmp_path / "artifact", calibration=Path("no.txt"), progress=said.append)
    assert said == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentence\tlabel\nGood.\tno such label\n", "no such label"),
        ("sentence\nGood.\n", "label"),
        ("", "data.tsv"),
        (None, "data.tsv can't be read"),
    ],
    ids=["wrong label", "no label", "empty", "missing"],
)
def test_labelled_data_is_checked_before_the_export(
    labeller: Path, tmp_path: Path, content: str | None, message: str
) -> None:
    data = tmp_path / "data.tsv"
    if content is not None:
        data.write_text(content, "utf-8")
    before = names(tmp_path)
    with pytest.raises(DataError, match=message):
        build(
            labeller,
            tmp_path / "artifact",
            data=data,
            progress=StopAt("exporting", AssertionError("exported")),
        )
    assert names(tmp_path) == before


def test_masks_without_words_are_refused_before_the_export(masker: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "It <mask>."}\n', "utf-8")
    with pytest.raises(DataError, match=r"data\.jsonl has no labels, which a score needs"):
        build(
            masker,
            tmp_path / "artifact",
            data=data,
            progress=StopAt("running PyTorch", AssertionError("too late")),
        )
    assert names(tmp_path) == {"data.jsonl"}


def test_progress_is_told_of_each_calibration_text_and_each_scored_row(
    labeller: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\nGood.\t1\nBad.\t0\nWell.\t1\n", "utf-8")
    told: list[tuple[int, int]] = []
    build(
        labeller,
        tmp_path / "artifact",
        variants=["int8-static"],
        data=data,
        advance=lambda done, total: told.append((done, total)),
    )
    texts = Texts().count()
    assert told == [*((done, texts) for done in range(1, texts + 1)), (3, 3)]


def test_paths_may_be_strings(labeller: Path, tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("sentence\tlabel\nGood.\t1\nBad.\t0\n", "utf-8")
    (tmp_path / "texts.txt").write_text("\n".join(map(str, Texts())) + "\nOne more.\n", "utf-8")
    made = build(
        str(labeller),
        str(tmp_path / "artifact"),
        variants=["int8-static"],
        calibration=str(tmp_path / "texts.txt"),
        data=str(tmp_path / "data.tsv"),
    ).variant("int8-static")
    assert f"minmax of {Texts().count() + 1} texts" in made.scheme
    assert made.evaluation is not None


def test_calibration_texts_that_nothing_reads_are_refused(labeller: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("One text.\n", "utf-8")
    with pytest.raises(InputError, match=r"^--calibration is about variants that are made"):
        build(labeller, tmp_path / "a", variants=["fp32"], calibration=tmp_path / "texts.txt")
    assert names(tmp_path) == {"texts.txt"}


def test_checkpoint_that_is_refused_leaves_nothing(masker: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no usable weights for text-classification"):
        build(masker, tmp_path / "artifact", task="sentiment-analysis")
    assert list(tmp_path.iterdir()) == []


def test_force_does_not_replace_another_programs_manifest(labeller: Path, tmp_path: Path) -> None:
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / "manifest.json").write_text('{"manifest_version": 3}')
    with pytest.raises(InputError, match=r"is not an artifact .*: choose another folder"):
        build(labeller, tmp_path / "extension", force=True)
    assert names(tmp_path / "extension") == {"manifest.json"}


def test_old_artifact_is_kept_and_named_when_it_cannot_be_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "artifact"
    output.mkdir()
    (output / "manifest.json").write_text('{"schema_version": 1, "task": "fill-mask"}')
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == output:
            raise OSError(errno.EACCES, "held by another program")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StagingError, match="could not be replaced; it is now in"):  # noqa: SIM117
        with staged(output, force=True):
            pass
    assert [path.read_text() for path in tmp_path.rglob("manifest.json")] != []


def test_failed_build_removes_the_parents_it_made(labeller: Path, tmp_path: Path) -> None:
    deep = tmp_path / "x" / "y" / "z"
    with pytest.raises(RuntimeError, match="stop"):
        build(labeller, deep, progress=StopAt("exporting", RuntimeError("stop")))
    assert list(tmp_path.iterdir()) == []


def test_output_of_an_unknown_user_is_refused(labeller: Path) -> None:
    with pytest.raises(InputError, match="there is no such user"):
        build(labeller, "~nobody-of-this-name/artifact")


def test_standard_graphs_answer_as_other_tools_run_them(mini_artifact: Artifact) -> None:
    config = RobertaConfig.from_pretrained(mini_artifact.path)
    tokenizer = AutoTokenizer.from_pretrained(mini_artifact.path)
    encoded = tokenizer("Paris is the <mask> of France.", return_tensors="pt")
    place = encoded["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    answers = pipeline(None, mini_artifact, variant="fp32", provider="cpu")
    best = answers("Paris is the <mask> of France.", top_k=1)[0]["token"]
    for variant in mini_artifact.variants:
        path = mini_artifact.path / mini_artifact.variant(variant).standard
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        model = ORTModelForMaskedLM(config=config, session=session)
        logits = model(**encoded).logits
        assert logits.shape == (1, encoded["input_ids"].shape[1], config.vocab_size)
        assert int(logits[0, place].argmax()) == best, variant
