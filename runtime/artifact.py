"""An artifact folder: open it, look at it, verify it, start a session on a variant."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from distilroberta.runtime import layout, processor
from distilroberta.runtime.checks import shown
from distilroberta.runtime.errors import ArtifactError, InputError, ProviderError
from distilroberta.runtime.execution.provider import candidates, options_of
from distilroberta.runtime.execution.provider_options import ProviderOptions
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.manifest import Manifest, Variant

_LOG = logging.getLogger(__name__)
_OF_OTHERS = frozenset({".cache", ".git", ".gitattributes"})

# What `auto` stands for, the first that the artifact holds.
_ON_CPU = ("int8", "fp32", "int8-static", "int4", "fp16")
_ON_GPU = ("fp16", "fp32", "int8-static", "int8", "int4")


class Artifact:
    """A folder made by `distilroberta build`.

    Opening it reads the manifest and checks that every file it lists is there, is a plain file
    inside the folder, and has the size it should have. `verify` also reads every byte.

    It can be pickled: what travels are its path and the digest of its manifest, and the other side
    opens the folder at that path if it has the same manifest.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the artifact in the folder `path`.

        Raises:
            ArtifactError: it is not an artifact, or a file is missing, of another size, or outside.
        """
        # isdir is False, too, for a string that can't be a path.
        if not isinstance(path, (str, os.PathLike)) or not os.path.isdir(path):
            raise ArtifactError(
                f"{path} is not a folder: give the folder that `distilroberta build` wrote"
            )
        self.path = Path(path).resolve()
        self.manifest = Manifest.read(self.path / layout.MANIFEST)
        for name, entry in self.manifest.files.items():
            self._check_size(name, entry.bytes)

    def __repr__(self) -> str:
        return f"Artifact({str(self.path)!r}, task={self.task!r}, variants={self.variants!r})"

    def __reduce__(self) -> tuple[Callable[..., Artifact], tuple[str, str]]:
        return _reopened, (str(self.path), self._manifest_digest())

    def _manifest_digest(self) -> str:
        import hashlib  # where it is needed: it is slow to import

        return hashlib.sha256(self.manifest.to_json().encode()).hexdigest()

    @property
    def task(self) -> str:
        """The task the checkpoint was trained for."""
        return self.manifest.task

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the variants, as the manifest lists them."""
        return tuple(self.manifest.variants)

    def bytes_of(self, variant: str) -> int:
        """Return the size of the files a variant runs from, in bytes.

        Raises:
            InputError: the artifact has no such variant.
        """
        return self.manifest.bytes_of(self.variant(variant))

    def variant(self, name: str) -> Variant:
        """Return what the manifest says of a variant.

        Raises:
            InputError: the artifact has no such variant.
        """
        try:
            return self.manifest.variants[name]
        except (KeyError, TypeError):
            raise InputError(
                f"variant {shown(name)} is not in {self.path} (it has "
                f"{', '.join(self.variants)}); choose one of these, or auto"
            ) from None

    def choose(self, provider: str) -> str:
        """Return the variant that `auto` stands for on a provider.

        INT8 on a CPU and FP16 on a GPU; where the artifact lacks it, FP32, then what is left, the
        best suited first.

        Raises:
            ProviderError: there is no provider of this name.
        """
        for name in _ON_CPU if options_of(provider).name == "cpu" else _ON_GPU:
            if name in self.manifest.variants:
                return name
        return self.variants[0]

    def file(self, name: str) -> Path:
        """Return the path of a file the manifest lists.

        Raises:
            ArtifactError: the manifest does not list it.
        """
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.path}: the manifest lists no {name}; build it again")
        return self.path / name

    def session(
        self,
        variant: str = "auto",
        *,
        provider: str | ProviderOptions = "auto",
        threads: int | None = None,
    ) -> Session:
        """Load a variant's graph. See `pipeline` for what the arguments mean.

        Warns in the log where the variant was made for another processor, and of FP16 on a CPU.

        Args:
            variant: its name, or `auto`.
            provider: `cpu`, `cuda`, `tensorrt`, or the options of one: `CpuOptions`,
                `CudaOptions`, `TensorRTOptions`; or `auto`, which goes on to the CPU where CUDA
                does not start.
            threads: how many compute one call; None, as many as this process may use CPUs.

        Raises:
            InputError: the variant is not there, or `threads` is no whole number from 1 to 1024.
            ArtifactError: the graph can't be loaded or is not what the manifest says.
            ProviderError: the provider is unknown or can't start.
        """
        tried = candidates(provider)
        for options in tried:
            name = options.name
            is_auto = isinstance(variant, str) and variant == "auto"
            chosen = self.choose(name) if is_auto else variant
            spec = self.variant(chosen)
            graph = self.file(spec.graph)
            try:
                session = Session(chosen, graph, spec, options, threads, artifact=self)
            except ProviderError as error:
                if options is tried[-1]:
                    raise
                _LOG.warning("provider auto: trying the next one, for %s", error)
                continue
            if isinstance(provider, str) and provider == "auto":
                _LOG.info("provider auto: chose %s", name)
            _warn_of(chosen, spec, name)
            return session
        raise ProviderError("this onnxruntime has no provider that can run here")

    def verify(self) -> None:
        """Read every file and compare its SHA-256 with the manifest's.

        Raises:
            ArtifactError: a file is missing, changed or of another size, or one lies in the
                folder that the manifest does not list.
        """
        self._check_digests(self.manifest.files)
        unlisted = self._files() - set(self.manifest.files) - {layout.MANIFEST}
        if unlisted:
            raise ArtifactError(
                f"{self.path} holds files the manifest does not list: "
                f"{', '.join(sorted(unlisted))}; remove them, or build it again"
            )

    def verify_variant(self, name: str) -> None:
        """Read the files that a variant answers with and compare their SHA-256 with the manifest's.

        They are its graph, what that takes weights from, and the files that all variants share.

        Raises:
            InputError: the artifact has no such variant.
            ArtifactError: a file is missing, changed or of another size.
        """
        variant = self.variant(name)
        own = {variant.graph, *variant.reads}
        others = {
            path
            for one in self.manifest.variants.values()
            for path in (one.graph, one.standard, *one.reads)
        }
        self._check_digests(path for path in self.manifest.files if path not in others - own)

    def _check_digests(self, names: Iterable[str]) -> None:
        from distilroberta.runtime.digest import sha256_of

        for name in names:
            entry = self.manifest.files[name]
            path = self._check_size(name, entry.bytes)
            found = sha256_of(path)
            if found != entry.sha256:
                raise ArtifactError(
                    f"{path} was changed: its SHA-256 is {found}, the manifest says "
                    f"{entry.sha256}; build or copy the artifact again"
                )

    def _files(self) -> set[str]:
        # A hub download or git checkout keeps its own files beside these.
        return {
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if (path.is_symlink() or not path.is_dir())
            and path.relative_to(self.path).parts[0] not in _OF_OTHERS
        }

    def _check_size(self, name: str, size: int) -> Path:
        path = self.path / name
        try:
            found = path.stat()
            if not path.resolve(strict=True).is_relative_to(self.path):
                raise ArtifactError(
                    f"{path} is reached through a link that leaves the artifact: copy the folder "
                    "with its links followed (cp -rL), or fetch it to a folder of its own"
                )
        except OSError as error:
            raise ArtifactError(
                f"{path} is listed in the manifest but can't be read ({error.strerror}); build or "
                "copy the artifact again"
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise ArtifactError(f"{path} is not a plain file: build or copy the artifact again")
        if found.st_size != size:
            raise ArtifactError(
                f"{path} has {found.st_size} bytes, the manifest says {size}; build or copy the "
                "artifact again"
            )
        return path


def _warn_of(variant: str, spec: Variant, provider: str) -> None:
    objection = processor.objection(spec.target)
    if objection is not None:
        _LOG.warning("variant %s was %s", variant, objection)
    if spec.precision == "fp16" and provider == "cpu":
        _LOG.warning("variant %s is for GPUs; on a CPU fp32 or int8 answer faster", variant)


def _reopened(path: str, manifest_digest: str) -> Artifact:
    """Open an artifact that was pickled, in another process or on another machine.

    Raises:
        ArtifactError: there is none at its path, or one with another manifest.
    """
    artifact = Artifact(path)
    if artifact._manifest_digest() != manifest_digest:
        raise ArtifactError(
            f"{path} is not the artifact that was pickled: its manifest is another one; copy the "
            "same artifact to this path on every machine"
        )
    return artifact


def reopened_session(
    artifact: Artifact, variant: str, options: ProviderOptions, threads: int | None
) -> Session:
    """Load a session that was pickled, once the files it reads have been verified.

    Raises:
        ArtifactError: a file was changed, or the graph can't be loaded.
        ProviderError: the provider can't start here.
    """
    artifact.verify_variant(variant)
    return artifact.session(variant, provider=options, threads=threads)
