"""The wheel alone, in an empty environment, is enough to answer texts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from distilroberta.runtime import Artifact, pipeline

PROJECT = Path(__file__).parents[1]
CONSTRAINTS = PROJECT / "constraints.txt"
EDGE = PROJECT / "requirements-edge.txt"
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

pytestmark = pytest.mark.skipif(
    os.environ.get(OFFLINE) == "1", reason=f"{OFFLINE}=1: no package index to install from"
)


def pip(python: Path | str, *words: str) -> None:
    done = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", *words],
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
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(output), str(source))
    (built,) = output.iterdir()
    return built


@pytest.fixture(scope="module", params=["as usual", "for the edge"])
def python(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """The interpreter of an environment with the wheel, installed in each of the README's ways."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    found = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if request.param == "as usual":
        pip(found, "install", "--only-binary=:all:", "-c", str(CONSTRAINTS), str(wheel))
    else:
        pip(found, "install", "--only-binary=:all:", "--no-deps", "-r", str(EDGE), str(wheel))
        unwanted = "import importlib.util as u; print(u.find_spec('huggingface_hub'))"
        there = subprocess.run([str(found), "-c", unwanted], capture_output=True, check=True)
        assert there.stdout.strip() == b"None"
    return found


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


def test_quantize_extra_is_enough_to_quantize(
    wheel: Path, mini_artifact: Artifact, tmp_path: Path
) -> None:
    venv.create(tmp_path / "environment", with_pip=True)
    folder = tmp_path / "environment" / ("Scripts" if os.name == "nt" else "bin")
    python = folder / "python"
    wanted = f"{wheel}[quantize]"
    pip(python, "install", "--only-binary=:all:", "-c", str(CONSTRAINTS), wanted)
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
