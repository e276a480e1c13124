"""The wheel alone, in an empty environment, is enough to answer texts, and small."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.export import build
from distilroberta.runtime import Artifact, pipeline

PROJECT = Path(__file__).parents[1]
CONSTRAINTS = PROJECT / "constraints.txt"
EDGE = PROJECT / "requirements-edge.txt"
WITHOUT_NETWORK = Path(__file__).with_name("without_network.py")
# Of all that lies in site-packages, bytecode included.
MOST_BYTES = 165_000_000
OFFLINE = "DISTILROBERTA_OFFLINE"
UNWANTED = ("torch", "transformers", "onnx", "optimum", "typer", "rich", "pytest")
TEXT = "Paris is the <mask> of France."

PREDICT = f"""\
import importlib.util, json, sys
from distilroberta.runtime import pipeline
answer = pipeline("fill-mask", sys.argv[1], variant="int8", provider="cpu")({TEXT!r})
found = [name for name in {UNWANTED!r} if importlib.util.find_spec(name)]
loaded = [name for name in {UNWANTED!r} if name in sys.modules]
import distilroberta.runtime
print(json.dumps([answer, found, loaded, distilroberta.runtime.__file__]))
"""

# Answers what a list of [task, artifact, arguments, parameters] asks. The threads that numpy starts
# as it is imported are not counted.
PREDICT_ALL = """\
import json, os, sys
import numpy
before = len(os.listdir("/proc/self/task"))
from distilroberta.runtime import pipeline
started = len(os.listdir("/proc/self/task")) - before
answers = [
    pipeline(task, artifact, variant="fp32", provider="cpu")(*arguments, **parameters)
    for task, artifact, arguments, parameters in json.loads(sys.argv[1])
]
print(json.dumps([started, answers]))
"""

pytestmark = pytest.mark.skipif(
    os.environ.get(OFFLINE) == "1", reason=f"{OFFLINE}=1: no package index to install from"
)


def pip(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (
        f"pip {' '.join(words)} failed; without a package index set {OFFLINE}=1\n{done.stderr}"
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders beside its source."""
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(PROJECT, source, ignore=ignored, dirs_exist_ok=True)
    output = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", str(output), str(source))
    (built,) = output.iterdir()
    return built


def empty(folder: Path) -> Path:
    """Make an environment with nothing in it, not even pip; return its interpreter."""
    venv.create(folder)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def install(python: Path, *words: str) -> None:
    pip("--python", str(python), "install", "--only-binary=:all:", *words)


@pytest.fixture(scope="module")
def usual(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and what pip says that it needs."""
    python = empty(tmp_path_factory.mktemp("environment"))
    install(python, "-c", str(CONSTRAINTS), str(wheel))
    return python


@pytest.fixture(scope="module")
def edge(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and what it can't do without."""
    python = empty(tmp_path_factory.mktemp("environment"))
    install(python, "--no-deps", "-r", str(EDGE), str(wheel))
    return python


@pytest.fixture(params=["usual", "edge"])
def python(request: pytest.FixtureRequest) -> Any:
    """Each of the two."""
    return request.getfixturevalue(request.param)


def test_wheel_holds_the_four_parts_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("/METADATA")))
    parts = {f"distilroberta/{part}" for part in ("runtime", "quantize", "export", "bench")}
    assert {f"{part}/py.typed" for part in parts} <= names
    assert {f"{part}/__init__.py" for part in parts} <= names
    assert "distilroberta/quantize/calibration.txt" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "distilroberta",
        wheel.name.rsplit("-", 3)[0] + ".dist-info",
    }
    assert "distilroberta/__init__.py" not in names, "it is a namespace package"
    needed = {
        line.split(":")[1].strip()
        for line in metadata.decode().splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    }
    assert {name.split(">")[0] for name in needed} == {"numpy", "onnxruntime", "tokenizers"}


def test_runtime_answers_without_the_rest(python: Path, mini_artifact: Artifact) -> None:
    done = subprocess.run(
        [str(python), "-c", PREDICT, str(mini_artifact.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=python.parent,
    )
    assert done.returncode == 0, done.stderr
    answer, found, loaded, where = json.loads(done.stdout)
    assert Path(where).is_relative_to(python.parents[1])
    assert (found, loaded) == ([], [])
    expected = pipeline("fill-mask", mini_artifact, variant="int8", provider="cpu")(TEXT)
    assert [row["token"] for row in answer] == [row["token"] for row in expected]
    # The newest onnxruntime need not be the one installed here, nor its kernels the same.
    assert [row["score"] for row in answer] == pytest.approx(
        [row["score"] for row in expected], abs=1e-2
    )


def test_edge_install_is_small(edge: Path) -> None:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([str(edge), "-c", where], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(edge.parents[1])
    assert not list(folder.glob("huggingface_hub*"))
    assert not list(folder.glob("pip*")), "the environment's own"
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) <= MOST_BYTES


def alike(found: Any, expected: Any) -> bool:
    """Compare answers, scores to what another build of the kernels may change them by."""
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(
            alike(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(alike, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=0, abs=1e-4))
    return bool(found == expected)


@pytest.mark.skipif(sys.platform != "linux", reason="the Linux kernel does the check")
def test_edge_install_answers_every_task_without_network(
    edge: Path,
    make_checkpoint: Callable[..., Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = {0: "contradiction", 1: "neutral", 2: "entailment"}
    of_entailment = build(
        make_checkpoint("text-classification", id2label=labels), tmp_path / "nli", variants=["fp32"]
    )
    asked: list[tuple[str, Artifact, list[Any], dict[str, Any]]] = [
        (task, request.getfixturevalue(f"{name}_artifact"), arguments, parameters)
        for task, name, arguments, parameters in (
            ("fill-mask", "mini", [TEXT], {}),
            ("text-classification", "classifier", [["It is good.", "No."]], {"top_k": None}),
            ("token-classification", "tagger", [TEXT], {"aggregation_strategy": "simple"}),
            ("question-answering", "answerer", [], {"question": "Where?", "context": "In Paris."}),
            ("feature-extraction", "embedder", ["It is good."], {}),
        )
    ]
    candidates = {"candidate_labels": ["good", "bad"]}
    asked.append(("zero-shot-classification", of_entailment, ["It is good."], candidates))
    words = json.dumps([(task, str(one.path), *rest) for task, one, *rest in asked])
    # The package is to turn it off by itself.
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    done = subprocess.run(
        [sys.executable, str(WITHOUT_NETWORK), str(edge), "-c", PREDICT_ALL, words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=edge.parent,
    )
    assert done.returncode == 0, done.stderr or "it was killed: it tried the network"
    started, answers = json.loads(done.stdout)
    assert started == 0, "onnxruntime's telemetry has a thread"
    assert len(answers) == len(asked)
    for found, (task, artifact, arguments, parameters) in zip(answers, asked, strict=True):
        pipe = pipeline(task, artifact, variant="fp32", provider="cpu")
        assert alike(found, pipe(*arguments, **parameters)), task


def test_quantize_extra_is_enough_to_quantize(
    wheel: Path, mini_artifact: Artifact, tmp_path: Path
) -> None:
    python = empty(tmp_path / "environment")
    install(python, "-c", str(CONSTRAINTS), f"{wheel}[quantize]")
    artifact = Path(shutil.copytree(mini_artifact.path, tmp_path / "artifact"))
    words = ["quantize", str(artifact), "--variants", "int8-static"]
    command = [str(python.with_name("distilroberta" + python.suffix)), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"{artifact}\n"), done.stderr
    assert "int8-static" in Artifact(artifact).variants
    for name in ("torch", "transformers"):
        there = subprocess.run([str(python), "-c", f"import {name}"], capture_output=True)
        assert there.returncode != 0, f"{name} is there too"


def test_command_says_how_to_get_the_command_line(python: Path) -> None:
    command = python.with_name("distilroberta" + python.suffix)
    done = subprocess.run(
        [str(command), "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'distilroberta-onnx[cli]'" in done.stderr
