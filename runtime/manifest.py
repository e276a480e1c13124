"""`manifest.json`: what every file of an artifact is.

The manifest is read from a file that may have come over a network, so nothing in it is trusted:
every field has a type that is checked, every path stays in the folder, and sizes are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from distilroberta.runtime import layout
from distilroberta.runtime.errors import ArtifactError

SCHEMA_VERSION = 1
# What the variants of a build are scored beside.
PYTORCH = "PyTorch FP32"
MAX_BYTES = 1 << 20
_SHA256_DIGITS = 64


@dataclass(frozen=True)
class FileEntry:
    """The size in bytes and the SHA-256 of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph. A dimension is a number, or the name of a dynamic axis."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Agreement:
    """How close a variant's logits or hidden states are to FP32's, over the probe texts.

    FP32 is PyTorch where `build` measured it, and the artifact's own FP32 graph where `quantize`
    added the variant.

    `rows` is the number of rows compared (masks, texts, or tokens), `largest_difference` the
    largest absolute difference of a value, `cosine` the cosine similarity of all values taken as
    one vector.

    Of logits, `same_top` is the share of rows with the same highest one, `kl` the mean
    Kullback-Leibler divergence of the softmax in nats, FP32's distribution first. Both are None for
    feature-extraction, whose hidden states are no distribution over anything.

    Of hidden states, `worst_cosine` is the lowest cosine similarity of one row, and
    `relative_error` the Euclidean length of the error of all rows, divided by that of what sets the
    rows apart: FP32's rows less their mean, which a model may give every token alike. Both are None
    for the other tasks.
    """

    rows: int
    largest_difference: float
    cosine: float
    same_top: float | None
    kl: float | None
    worst_cosine: float | None = None
    relative_error: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a variant scored on labelled data when it was made, and what its reference did.

    `data` is the file's name and `data_sha256` the digest of its bytes. `metric` names the task's
    main metric, `value` is the variant's and `reference` that of `reference_name`: PyTorch where
    `build` made the variant, the artifact's `fp32` where `quantize` did. `same_top` and `kl` are
    as in `Agreement`, over the rows of this data; both are None for a regression.
    """

    data: str
    data_sha256: str
    metric: str
    value: float
    reference: float
    same_top: float | None
    kl: float | None
    reference_name: str = PYTORCH


@dataclass(frozen=True)
class Variant:
    """One precision of the model.

    `graph` is the graph the runtime runs. `reads` are the further files it takes weights from.
    `standard` is the graph with the inputs and outputs other tools expect; for tasks without a
    served graph of their own it is the same file. `opset` is that of the default domain, and
    `onnxruntime` the oldest release that runs the graph. `target` is the kind of processor it was
    made for, one of `layout.TARGETS`; manifests of before there were targets have none.
    `evaluation` is None where the variant was made without labelled data. `made_with` names the
    releases that made it, None where those are the manifest's `tools`.
    """

    graph: str
    reads: tuple[str, ...]
    standard: str
    precision: str
    scheme: str
    opset: int
    onnxruntime: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    agreement: Agreement
    target: str = layout.PORTABLE
    evaluation: Evaluation | None = None
    made_with: str | None = None


@dataclass(frozen=True)
class Source:
    """Where the weights came from: a name, a hub revision if any, and the files' digest."""

    name: str
    revision: str | None
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The whole of `manifest.json`."""

    task: str
    licence: str | None
    source: Source
    files: Mapping[str, FileEntry]
    variants: Mapping[str, Variant]
    tools: Mapping[str, str]
    schema_version: int = SCHEMA_VERSION

    def bytes_of(self, variant: Variant) -> int:
        """Return the size of the files a variant runs from, in bytes."""
        return sum(self.files[name].bytes for name in {variant.graph, *variant.reads})

    def to_json(self) -> str:
        """Return the text of `manifest.json`, the same for the same content."""
        fields = {
            "schema_version": self.schema_version,
            "task": self.task,
            "licence": self.licence,
            "source": asdict(self.source),
            "variants": {name: asdict(variant) for name, variant in self.variants.items()},
            "files": {name: asdict(self.files[name]) for name in sorted(self.files)},
            "tools": dict(sorted(self.tools.items())),
        }
        return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read `manifest.json`.

        Raises:
            ArtifactError: it is missing, too large, not JSON, or not a manifest this version knows.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise ArtifactError(
                f"{path.parent} is not an artifact: it has no {layout.MANIFEST}. "
                "Make one with: distilroberta build SOURCE OUTPUT"
            ) from None
        except OSError as error:
            raise ArtifactError(f"{path} can't be read: {error.strerror}") from error
        if len(content) > MAX_BYTES:
            raise ArtifactError(f"{path} is larger than {MAX_BYTES} bytes: it is not a manifest")
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest from the bytes of its JSON; `where` names it in errors.

        Raises:
            ArtifactError: it is not JSON, or not a manifest this version knows.
        """
        try:
            tree = json.loads(
                content.decode("utf-8"),
                object_pairs_hook=_without_duplicates,
                parse_constant=_no_constant,
            )
            # Half a surrogate pair (\ud800) and 1e999 can be read, but not written again.
            json.dumps(tree, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{where} is not a manifest: {error}") from error
        root = _Reader(tree, where)
        version = root.number("schema_version")
        if version != SCHEMA_VERSION:
            raise ArtifactError(
                f"{where} has schema version {version}; this release reads {SCHEMA_VERSION}. "
                "Update distilroberta-onnx, or build the artifact again"
            )
        return _manifest(root)


def _manifest(root: _Reader) -> Manifest:
    task = root.text("task")
    if task not in layout.TASKS:
        raise root.wrong("task", f"one of {', '.join(layout.TASKS)}")
    source, tools = root.inner("source"), root.inner("tools")
    files = {_safe_path(name, root.where): _file(entry) for name, entry in root.items("files")}
    variants = {name: _variant(entry) for name, entry in root.items("variants")}
    if not variants:
        raise root.wrong("variants", "at least one variant")
    for name, variant in variants.items():
        for path in (variant.graph, variant.standard, *variant.reads):
            if path not in files:
                raise ArtifactError(
                    f"{root.where}: variant {name} names {path}, which `files` does not list"
                )
    return Manifest(
        task=task,
        licence=root.optional_text("licence"),
        source=Source(
            source.text("name"), source.optional_text("revision"), source.sha256("sha256")
        ),
        files=MappingProxyType(files),
        variants=MappingProxyType(variants),
        tools=MappingProxyType({name: tools.text(name) for name in tools.tree}),
    )


def _file(entry: _Reader) -> FileEntry:
    return FileEntry(entry.number("bytes"), entry.sha256("sha256"))


def _variant(entry: _Reader) -> Variant:
    measured = entry.inner("agreement")
    return Variant(
        graph=_safe_path(entry.text("graph"), entry.where),
        reads=tuple(_safe_path(name, entry.where) for name in entry.texts("reads")),
        standard=_safe_path(entry.text("standard"), entry.where),
        precision=entry.text("precision"),
        scheme=entry.text("scheme"),
        opset=entry.number("opset"),
        onnxruntime=entry.text("onnxruntime"),
        inputs=tuple(_tensor(tensor) for tensor in entry.list_of("inputs")),
        outputs=tuple(_tensor(tensor) for tensor in entry.list_of("outputs")),
        agreement=Agreement(
            rows=measured.number("rows"),
            largest_difference=measured.real("largest_difference"),
            cosine=measured.real("cosine"),
            same_top=measured.optional_real("same_top"),
            kl=measured.optional_real("kl"),
            worst_cosine=measured.optional_real("worst_cosine"),
            relative_error=measured.optional_real("relative_error"),
        ),
        target=_target(entry),
        evaluation=_evaluation(entry),
        made_with=entry.optional_text("made_with"),
    )


def _evaluation(entry: _Reader) -> Evaluation | None:
    if entry.tree.get("evaluation") is None:
        return None
    found = entry.inner("evaluation")
    return Evaluation(
        data=found.text("data"),
        data_sha256=found.sha256("data_sha256"),
        metric=found.text("metric"),
        value=found.real("value"),
        reference=found.real("reference"),
        same_top=found.optional_real("same_top"),
        kl=found.optional_real("kl"),
        reference_name=found.text("reference_name") if "reference_name" in found.tree else PYTORCH,
    )


def _target(entry: _Reader) -> str:
    target = entry.text("target") if "target" in entry.tree else layout.PORTABLE
    if target not in layout.TARGETS:
        raise entry.wrong("target", f"one of {', '.join(layout.TARGETS)}")
    return target


def _tensor(entry: _Reader) -> TensorSpec:
    shape = entry.get("shape", list)
    if not all(isinstance(size, (int, str)) and not isinstance(size, bool) for size in shape):
        raise entry.wrong("shape", "a list of numbers and names")
    return TensorSpec(entry.text("name"), entry.text("dtype"), tuple(shape))


def _safe_path(name: str, where: str) -> str:
    path = PurePosixPath(name)
    unsafe = (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or str(path) != name
        or any(character in name for character in "\\:\0")
    )
    if unsafe:
        raise ArtifactError(f"{where}: {name!r} is not a plain path inside the artifact")
    return name


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class _Reader:
    """One JSON object, read field by field with the type each must have."""

    def __init__(self, tree: Any, where: str) -> None:
        if not isinstance(tree, dict):
            raise ArtifactError(f"{where} is not an object but {type(tree).__name__}")
        self.tree, self.where = tree, where

    def wrong(self, name: str, needed: str) -> ArtifactError:
        found = repr(self.tree.get(name))[:60]
        return ArtifactError(f"{self.where}: {name!r} must be {needed}, found {found}")

    def get(self, name: str, kind: type | tuple[type, ...]) -> Any:
        value = self.tree.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise self.wrong(name, " or ".join(one.__name__ for one in kinds))
        return value

    def text(self, name: str) -> str:
        return str(self.get(name, str))

    def optional_text(self, name: str) -> str | None:
        return None if self.tree.get(name) is None else self.text(name)

    def number(self, name: str) -> int:
        value = int(self.get(name, int))
        if value < 0:
            raise self.wrong(name, "0 or more")
        return value

    def real(self, name: str) -> float:
        try:
            return float(self.get(name, (int, float)))
        except OverflowError:  # a whole number with hundreds of digits
            raise self.wrong(name, "a number") from None

    def optional_real(self, name: str) -> float | None:
        return None if self.tree.get(name) is None else self.real(name)

    def sha256(self, name: str) -> str:
        value = self.text(name)
        if len(value) != _SHA256_DIGITS or not set(value) <= set("0123456789abcdef"):
            raise self.wrong(name, "a SHA-256 in lower-case hexadecimal")
        return value

    def texts(self, name: str) -> list[str]:
        values = self.get(name, list)
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(name, "a list of strings")
        return list(values)

    def inner(self, name: str) -> _Reader:
        return _Reader(self.get(name, dict), f"{self.where}: {name}")

    def members(self, name: str) -> list[tuple[str, Any]]:
        return list(self.get(name, dict).items())

    def items(self, name: str) -> list[tuple[str, _Reader]]:
        return [
            (key, _Reader(value, f"{self.where}: {name}: {key}"))
            for key, value in self.members(name)
        ]

    def list_of(self, name: str) -> list[_Reader]:
        return [
            _Reader(value, f"{self.where}: {name}[{index}]")
            for index, value in enumerate(self.get(name, list))
        ]
