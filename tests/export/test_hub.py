"""Building from a model hub: a local server that answers what huggingface_hub asks for."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from distilroberta.runtime import Artifact

# Runs command lines one after another: importing PyTorch takes longer than a build.
BUILD_ALL = """\
import contextlib, io, json, sys
from distilroberta.runtime.command_line import run
ended = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    ended.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(ended))
"""


class Hub:
    """A model hub over HTTP: `repositories[name][revision]` is a commit, `folders[commit]` files.

    `asked` lists the requests, such as ("GET", "file", "acme/mini", "config.json").
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, str]] = {}
        self.folders: dict[str, Path] = {}
        self.asked: list[tuple[str, str, str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, folder: Path, *revisions: str) -> str:
        """Serve a folder as a repository at some branches or tags; return the commit."""
        commit = hashlib.sha1(f"{name}{revisions}".encode()).hexdigest()  # noqa: S324
        known = dict.fromkeys((*revisions, commit), commit)
        self.repositories.setdefault(name, {}).update(known)
        self.folders[commit] = folder
        return commit

    def fetched(self, name: str) -> set[str]:
        """The files of a repository whose content was asked for."""
        return {file for *what, file in self.asked if what == ["GET", "file", name]}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = unquote(request.path.partition("?")[0]).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            # api/models/<owner>/<name>/revision/<revision>
            name, revision = "/".join(parts[2:4]), "/".join(parts[5:]) or "main"
            self.asked.append((request.command, "info", name, revision))
            commit = self._commit(request, name, revision)
            if commit is not None:
                files = [
                    {"rfilename": path.name} for path in sorted(self.folders[commit].iterdir())
                ]
                self._send(request, json.dumps({"id": name, "sha": commit, "siblings": files}))
        else:
            # <owner>/<name>/resolve/<revision>/<file>
            name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            self.asked.append((request.command, "file", name, file))
            commit = self._commit(request, name, revision)
            if commit is not None:
                self._send_file(request, commit, self.folders[commit] / file)

    def _commit(self, request: BaseHTTPRequestHandler, name: str, revision: str) -> str | None:
        if name not in self.repositories:
            self._refuse(request, 401, "RepoNotFound")
        elif revision not in self.repositories[name]:
            self._refuse(request, 404, "RevisionNotFound")
        else:
            return self.repositories[name][revision]
        return None

    def _send_file(self, request: BaseHTTPRequestHandler, commit: str, path: Path) -> None:
        if not path.is_file():
            self._refuse(request, 404, "EntryNotFound")
            return
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        self._send(request, content, {"ETag": f'"{etag}"', "X-Repo-Commit": commit})

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self._send(request, "{}", {"X-Error-Code": code, "X-Error-Message": code}, status)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        content: str | bytes,
        headers: dict[str, str] | None = None,
        status: int = 200,
    ) -> None:
        body = content.encode() if isinstance(content, str) else content
        request.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@dataclass(frozen=True)
class Done:
    """How a build ended, what it printed, and where its artifact would be."""

    code: int
    out: str
    err: str
    artifact: Path


def build_all(url: str, folder: Path, sources: Sequence[str]) -> dict[str, Done]:
    """Build several sources in one process, with the model hub at `url`."""
    without = ("hf_", "huggingface_", "http_proxy", "https_proxy", "all_proxy")
    kept = {key: value for key, value in os.environ.items() if not key.lower().startswith(without)}
    settings = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(folder / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    outputs = [folder / f"artifact{number}" for number in range(len(sources))]
    builds = [
        ["build", source, str(output), "--variants", "fp32"]
        for source, output in zip(sources, outputs, strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL, json.dumps(builds)],
        env=kept | settings,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    ended = json.loads(done.stdout)
    return {
        source: Done(*result, output)
        for source, result, output in zip(sources, ended, outputs, strict=True)
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(labeller: Path, work: Path) -> Iterator[Hub]:
    """A hub with acme/mini, acme/tagged (two commits) and acme/pickles (no safetensors)."""
    folder = Path(shutil.copytree(labeller, work / "repository"))
    for name in ("pytorch_model.bin", "tf_model.h5", "training_args.bin", "model.onnx", "x.py"):
        (folder / name).write_bytes(pickle.dumps({}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Mini\n", "utf-8")
    pickles = Path(shutil.copytree(folder, work / "pickles"))
    (pickles / "model.safetensors").unlink()
    server = Hub()
    server.add("acme/mini", folder, "main")
    server.add("acme/tagged", labeller, "main")
    server.add("acme/tagged", folder, "refs/pr/1", "v1")
    server.add("acme/pickles", pickles, "main")
    yield server
    server.close()


@pytest.fixture(scope="module")
def built(hub: Hub, work: Path) -> dict[str, Done]:
    """Every source that the tests speak of, built while the hub is up."""
    commit = hub.repositories["acme/tagged"]["v1"]
    sources = ["acme/mini", "acme/tagged@v1", f"acme/tagged@{commit}", "acme/tagged@refs/pr/1"]
    sources += ["acme/pickles", "acme/other", "acme/tagged@v9"]
    return build_all(hub.url, work, sources)


@pytest.fixture(scope="module")
def built_offline(built: dict[str, Done], work: Path) -> dict[str, Done]:
    """Two sources, one of them fetched before, with nobody at the hub's address."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    folder = work / "offline"
    folder.mkdir()
    (work / "cache").rename(folder / "cache")
    return build_all(f"http://127.0.0.1:{port}", folder, ["acme/mini", "acme/other"])


def check_built(done: Done) -> Artifact:
    assert (done.code, done.out, done.err) == (0, f"{done.artifact}\n", "")
    return Artifact(done.artifact)


def check_refused(done: Done, code: int, said: str) -> None:
    assert done.err.startswith(f"distilroberta: {said}")
    assert done.err.count("\n") == 1
    assert (done.code, done.out) == (code, "")
    assert not done.artifact.exists()


def test_manifest_holds_the_name_and_the_commit(hub: Hub, built: dict[str, Done]) -> None:
    manifest = check_built(built["acme/mini"]).manifest
    assert manifest.source.name == "acme/mini"
    assert manifest.source.revision == hub.repositories["acme/mini"]["main"]
    assert manifest.licence == "mit"


def test_model_card_names_the_repository_and_the_commit(hub: Hub, built: dict[str, Done]) -> None:
    card = (built["acme/mini"].artifact / "README.md").read_text("utf-8")
    assert "base_model: acme/mini" in card
    assert f"`acme/mini` at revision `{hub.repositories['acme/mini']['main']}`" in card


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", "commit"])
def test_revision_is_resolved_to_its_commit(
    hub: Hub, built: dict[str, Done], revision: str
) -> None:
    commit = hub.repositories["acme/tagged"]["v1"]
    asked = commit if revision == "commit" else revision
    manifest = check_built(built[f"acme/tagged@{asked}"]).manifest
    assert (manifest.source.name, manifest.source.revision) == ("acme/tagged", commit)
    assert manifest.licence == "mit", "the main branch has no card"


@pytest.mark.usefixtures("built")
def test_safetensors_and_tokenizer_alone_are_fetched(hub: Hub) -> None:
    wanted = {"README.md", "config.json", "model.safetensors", "vocab.json", "merges.txt"}
    wanted |= {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    wanted |= {"added_tokens.json"}
    there = {path.name for path in hub.folders[hub.repositories["acme/mini"]["main"]].iterdir()}
    assert hub.fetched("acme/mini") == wanted & there


@pytest.mark.usefixtures("built")
def test_nothing_else_is_asked_of_the_hub(hub: Hub) -> None:
    names = {name for _, _, name, _ in hub.asked}
    assert names == {"acme/mini", "acme/tagged", "acme/pickles", "acme/other"}
    assert {kind for _, kind, _, _ in hub.asked} == {"info", "file"}


def test_repository_of_pickles_is_refused_and_none_is_fetched(
    hub: Hub, built: dict[str, Done]
) -> None:
    check_refused(built["acme/pickles"], 2, "acme/pickles has no model.safetensors")
    assert "config.json" in hub.fetched("acme/pickles")
    assert not [name for name in hub.fetched("acme/pickles") if name.endswith((".bin", ".h5"))]


def test_unknown_repository_is_one_line(built: dict[str, Done]) -> None:
    said = "acme/other is not a folder here, and the hub has no such model (or it is private)"
    check_refused(built["acme/other"], 1, said)


def test_unknown_revision_is_one_line(built: dict[str, Done]) -> None:
    check_refused(built["acme/tagged@v9"], 1, "acme/tagged has no revision v9 on the hub")


def test_hub_that_is_down_is_one_line(built_offline: dict[str, Done]) -> None:
    said = "acme/other is not a folder here, and it could not be fetched from the hub: "
    check_refused(built_offline["acme/other"], 1, said)


def test_what_was_fetched_before_is_built_when_the_hub_is_down(
    built: dict[str, Done], built_offline: dict[str, Done]
) -> None:
    before, after = check_built(built["acme/mini"]), check_built(built_offline["acme/mini"])
    assert before.manifest == after.manifest
