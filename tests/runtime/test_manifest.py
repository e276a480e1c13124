"""A manifest survives the round trip, and nothing else passes for one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distilroberta.runtime import Artifact, ArtifactError, Manifest, layout
from distilroberta.runtime.manifest import MAX_BYTES

VARIANT = "variants/fp32/"
DIGEST = "0" * 64


@pytest.fixture
def tree(mini_artifact: Artifact) -> dict[str, Any]:
    """The manifest of the mini artifact as JSON, to be changed."""
    tree: dict[str, Any] = json.loads(mini_artifact.manifest.to_json())
    return tree


def parse(tree: Any) -> Manifest:
    content = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return Manifest.parse(content, "manifest.json")


def put(tree: Any, path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for name in parents:
        tree = tree[0] if name == "0" else tree[name]
    tree[last] = value


def test_round_trip(mini_artifact: Artifact) -> None:
    manifest = mini_artifact.manifest
    again = Manifest.parse(manifest.to_json().encode(), "manifest.json")
    assert again == manifest
    assert again.to_json() == manifest.to_json()
    assert (mini_artifact.path / "manifest.json").read_bytes() == manifest.to_json().encode()


@pytest.mark.parametrize("target", layout.TARGETS)
def test_target_survives_the_round_trip(tree: dict[str, Any], target: str) -> None:
    put(tree, VARIANT + "target", target)
    manifest = parse(tree)
    assert manifest.variants["fp32"].target == target
    assert json.loads(manifest.to_json())["variants"]["fp32"]["target"] == target
    assert parse(manifest.to_json().encode()) == manifest


def test_agreement_of_hidden_states_survives_the_round_trip(embedder_artifact: Artifact) -> None:
    manifest = embedder_artifact.manifest
    assert parse(manifest.to_json().encode()) == manifest
    for variant in manifest.variants.values():
        assert variant.agreement.same_top is variant.agreement.kl is None
        assert variant.agreement.worst_cosine is not None
        assert variant.agreement.relative_error is not None


def test_older_manifest_has_no_agreement_of_hidden_states(tree: dict[str, Any]) -> None:
    for variant in tree["variants"].values():
        del variant["agreement"]["worst_cosine"], variant["agreement"]["relative_error"]
    for variant in parse(tree).variants.values():
        assert variant.agreement.worst_cosine is variant.agreement.relative_error is None
        assert variant.agreement.kl is not None


def test_manifest_without_targets_is_portable(tree: dict[str, Any]) -> None:
    for variant in tree["variants"].values():
        variant.pop("target")
    assert {variant.target for variant in parse(tree).variants.values()} == {"portable"}


def test_who_made_and_scored_a_variant_survives_the_round_trip(tree: dict[str, Any]) -> None:
    scores = {"data": "dev.tsv", "data_sha256": DIGEST, "metric": "f1", "value": 0.5}
    put(tree, VARIANT + "evaluation", {**scores, "reference": 0.75, "reference_name": "fp32"})
    put(tree, VARIANT + "made_with", "onnx 1.2")
    found = parse(tree)
    assert parse(found.to_json().encode()) == found
    assert found.variants["fp32"].made_with == "onnx 1.2"
    assert found.variants["fp32"].evaluation is not None
    assert found.variants["fp32"].evaluation.reference_name == "fp32"


def test_manifest_of_before_variants_were_added_names_pytorch(tree: dict[str, Any]) -> None:
    scores = {"data": "dev.tsv", "data_sha256": DIGEST, "metric": "f1", "value": 0.5}
    put(tree, VARIANT + "evaluation", {**scores, "reference": 0.75})
    tree["variants"]["fp32"].pop("made_with")
    fp32 = parse(tree).variants["fp32"]
    assert fp32.made_with is None
    assert fp32.evaluation is not None
    assert fp32.evaluation.reference_name == "PyTorch FP32"


@pytest.mark.parametrize("target", ["", "avx", "AVX2", "avx10", "portable "])
def test_unknown_target_is_refused(tree: dict[str, Any], target: str) -> None:
    put(tree, VARIANT + "target", target)
    message = "variants: fp32: 'target' must be one of portable, avx2, avx512, avx512_vnni, arm64"
    with pytest.raises(ArtifactError, match=message):
        parse(tree)


def test_manifest_can_not_be_changed(mini_artifact: Artifact) -> None:
    with pytest.raises(TypeError, match="item assignment"):
        mini_artifact.manifest.files["new"] = mini_artifact.manifest.files["config.json"]  # type: ignore[index]


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is not an artifact: it has no manifest\.json"):
        Manifest.read(tmp_path / "manifest.json")


def test_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ArtifactError, match="can't be read"):
        Manifest.read(tmp_path / "manifest.json")


def test_too_large(tmp_path: Path, mini_artifact: Artifact) -> None:
    path = tmp_path / "manifest.json"
    text = mini_artifact.manifest.to_json()
    path.write_text(text + " " * (MAX_BYTES - len(text.encode())), "utf-8")
    assert Manifest.read(path) == mini_artifact.manifest  # at the limit
    path.write_text(text + " " * (MAX_BYTES - len(text.encode()) + 1), "utf-8")
    with pytest.raises(ArtifactError, match=f"larger than {MAX_BYTES} bytes"):
        Manifest.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is not a manifest", id="empty"),
        pytest.param(b"<html>", "is not a manifest", id="HTML"),
        pytest.param(b'{"task": "\xff"}', "is not a manifest: .*utf-8", id="not UTF-8"),
        pytest.param('{"task": 1}'.encode("utf-16"), "is not a manifest", id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf{}", "is not a manifest", id="byte order mark"),
        pytest.param(b'{"task": 1, "task": 1}', "a name occurs twice", id="twice"),
        pytest.param(b'{"a": {"b": 1, "b": 2}}', "a name occurs twice", id="twice inside"),
        pytest.param(b'{"a": NaN}', "NaN is not JSON", id="NaN"),
        pytest.param(b'{"a": -Infinity}', "-Infinity is not JSON", id="infinity"),
        pytest.param(b'{"a": 1e999}', "is not a manifest", id="infinity in digits"),
        pytest.param(b'{"a": "\\ud800"}', "is not a manifest: .*surrogate", id="half a surrogate"),
        pytest.param(b"[" * 200_000, "is not a manifest: .*recursion", id="deep"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "is not a manifest", id="long number"),
        pytest.param(b"[]", "is not an object but list", id="list"),
        pytest.param(b'"text"', "is not an object but str", id="string"),
        pytest.param(b"null", "is not an object but NoneType", id="null"),
        pytest.param(b"{}", "'schema_version' must be int, found None", id="empty object"),
    ],
)
def test_content_that_is_no_manifest(content: bytes, message: str) -> None:
    with pytest.raises(ArtifactError, match=rf"^manifest\.json.*{message}"):
        parse(content)


@pytest.mark.parametrize("version", [0, 2, 99])
def test_unknown_schema_version(tree: dict[str, Any], version: int) -> None:
    tree["schema_version"] = version
    with pytest.raises(ArtifactError, match=rf"schema version {version}.*Update distilroberta"):
        parse(tree)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", "1"),
        ("schema_version", 1.0),
        ("schema_version", True),
        ("task", 5),
        ("task", "translation"),
        ("licence", 5),
        ("source", "hub"),
        ("source/name", None),
        ("source/revision", 5),
        ("source/sha256", "abc"),
        ("source/sha256", DIGEST[:-1] + "G"),
        ("source/sha256", DIGEST[:-1] + "A"),
        ("files", []),
        ("files/config.json", 5),
        ("files/config.json/bytes", "5"),
        ("files/config.json/bytes", 5.0),
        ("files/config.json/bytes", -1),
        ("files/config.json/bytes", True),
        ("files/config.json/sha256", 5),
        ("files/config.json/sha256", DIGEST + "0"),
        ("tools", []),
        ("tools/onnx", 5),
        ("variants", []),
        ("variants", {}),
        ("variants/fp32", None),
        (VARIANT + "graph", 5),
        (VARIANT + "reads", "onnx/model.onnx"),
        (VARIANT + "reads", [5]),
        (VARIANT + "standard", None),
        (VARIANT + "precision", 32),
        (VARIANT + "scheme", None),
        (VARIANT + "opset", "17"),
        (VARIANT + "onnxruntime", 1.23),
        (VARIANT + "inputs", {}),
        (VARIANT + "inputs", ["input_ids"]),
        (VARIANT + "inputs/0/name", 5),
        (VARIANT + "inputs/0/dtype", None),
        (VARIANT + "inputs/0/shape", "batch"),
        (VARIANT + "inputs/0/shape", [None]),
        (VARIANT + "inputs/0/shape", [True]),
        (VARIANT + "outputs/0/shape", [1.5]),
        (VARIANT + "agreement", None),
        (VARIANT + "agreement/rows", 1.5),
        (VARIANT + "agreement/largest_difference", "0"),
        (VARIANT + "agreement/cosine", None),
        (VARIANT + "agreement/same_top", True),
        (VARIANT + "agreement/kl", []),
        (VARIANT + "agreement/worst_cosine", "1"),
        (VARIANT + "agreement/relative_error", True),
        (VARIANT + "target", None),
        (VARIANT + "target", 5),
        (VARIANT + "target", ["avx2"]),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_field_of_a_wrong_type_is_named(tree: dict[str, Any], path: str, value: Any) -> None:
    put(tree, path, value)
    with pytest.raises(ArtifactError, match=re.escape(path.split("/")[-1])):
        parse(tree)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../config.json",
        "onnx/../../config.json",
        "/etc/passwd",
        "//server/share",
        "onnx\\model.onnx",
        "C:model.onnx",
        "C:/model.onnx",
        "onnx/model.onnx\0",
        "./config.json",
        "onnx//model.onnx",
        "onnx/",
    ],
    ids=repr,
)
@pytest.mark.parametrize("field", ["files", "graph", "standard", "reads"])
def test_path_that_may_leave_the_folder(tree: dict[str, Any], field: str, name: str) -> None:
    if field == "files":
        tree["files"][name] = tree["files"]["config.json"]
    else:
        tree["variants"]["fp32"][field] = [name] if field == "reads" else name
    with pytest.raises(ArtifactError, match="is not a plain path inside the artifact"):
        parse(tree)


@pytest.mark.parametrize("field", ["graph", "standard", "reads"])
def test_variant_that_names_an_unlisted_file(tree: dict[str, Any], field: str) -> None:
    tree["variants"]["fp32"][field] = ["other"] if field == "reads" else "other"
    with pytest.raises(ArtifactError, match="variant fp32 names other, which `files` does not"):
        parse(tree)
