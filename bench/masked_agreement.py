"""How well each variant fills masks: against PyTorch in FP32, and against the word that was there.

    python -m distilroberta.bench.masked_agreement CHECKPOINT TSV [--variants fp32,fp16,int8]

TSV has a line for each sentence, `text with <mask><TAB>the word`, in UTF-8. Each sentence is run by
itself, since INT8 scales its activations by the batch. For every variant the table gives

* same top: the share of sentences whose most probable token is PyTorch's;
* KL: the Kullback-Leibler divergence of the softmax in nats, PyTorch's distribution first, mean
  over the sentences;
* largest difference: of any logit, absolute;
* word on top: the share of sentences whose most probable token is the word, less the space before
  it. A word of several tokens never is. PyTorch's own share stands in the first row.

The artifact is built from the checkpoint in a temporary folder, or given with `--artifact`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from distilroberta.bench import command_line, machine
from distilroberta.bench.errors import BenchError
from distilroberta.export import build
from distilroberta.export.checkpoint import Loaded, load
from distilroberta.export.probes import compare
from distilroberta.export.reference import Reference
from distilroberta.export.source import resolve
from distilroberta.runtime import Artifact, InputError, layout
from distilroberta.runtime.command_line import messages

MODULE = "distilroberta.bench.masked_agreement"
PYTORCH = "PyTorch FP32"


@dataclass(frozen=True)
class MaskedSentence:
    """A text with one mask, and the word that stood there."""

    text: str
    word: str


@dataclass(frozen=True)
class MaskedAgreement:
    """How a variant's answers to masked sentences compare with PyTorch's in FP32.

    `same_top` is the share of sentences with the same most probable token, `kl` the mean
    Kullback-Leibler divergence in nats, PyTorch first, `largest_difference` the largest absolute
    difference of a logit, `word_on_top` the share with the masked word as most probable token.
    """

    sentences: int
    same_top: float
    kl: float
    largest_difference: float
    word_on_top: float


@dataclass
class Tally:
    """Sentences compared so far; logits are not kept, 50,265 of them a sentence are many."""

    same_top: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    largest_difference: list[float] = field(default_factory=list)
    word_on_top: list[bool] = field(default_factory=list)

    def add(
        self, found: NDArray[np.float32], expected: NDArray[np.float32], word_on_top: bool
    ) -> None:
        """Add a sentence: a variant's logits and PyTorch's, both (vocabulary,)."""
        one = compare(found[None].astype(np.float64), expected[None].astype(np.float64))
        self.same_top.append(one.same_top)
        self.kl.append(one.kl)
        self.largest_difference.append(one.largest_difference)
        self.word_on_top.append(word_on_top)

    def result(self) -> MaskedAgreement:
        """Summarize the sentences, of which there is at least one."""
        return MaskedAgreement(
            sentences=len(self.kl),
            same_top=float(np.mean(self.same_top)),
            kl=float(np.mean(self.kl)),
            largest_difference=float(np.max(self.largest_difference)),
            word_on_top=float(np.mean(self.word_on_top)),
        )


def read(path: Path) -> list[MaskedSentence]:
    """Read a file of `text<TAB>word` lines.

    Raises:
        InputError: it can't be read, is empty, or a line is something else.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    sentences = []
    for number, line in enumerate(lines, 1):
        text, tab, word = line.partition("\t")
        if not tab or not word.strip():
            raise InputError(f"{path}, line {number}: must be a text, a tab and a word")
        sentences.append(MaskedSentence(text, word.strip()))
    if not sentences:
        raise InputError(f"{path} holds no sentence")
    return sentences


def agreement(
    checkpoint: Path,
    artifact: Artifact,
    sentences: Sequence[MaskedSentence],
    variants: Iterable[str],
) -> dict[str, MaskedAgreement]:
    """Compare an artifact's variants with the checkpoint it was built from.

    Args:
        checkpoint: the fill-mask checkpoint, run by PyTorch in FP32.
        artifact: what was built from it.
        sentences: at least one, each with exactly one mask.
        variants: names of the artifact's variants.

    Returns:
        One entry for `PYTORCH`, compared with itself, and one for each variant.

    Raises:
        InputError: a variant is not there, or a sentence has not exactly one mask.
        CheckpointError: the checkpoint can't be loaded.
        ArtifactError: a variant can't be loaded.
    """
    loaded = load(resolve(str(checkpoint)), "fill-mask")
    reference = Reference(loaded)
    # One thread each: several thread pools in one process would wait for work by spinning.
    sessions = {name: artifact.session(name, provider="cpu", threads=1) for name in variants}
    tallies = {name: Tally() for name in (PYTORCH, *sessions)}
    for number, sentence in enumerate(sentences, 1):
        ids = _ids(loaded, sentence, number)
        mask = np.ones_like(ids)
        expected = reference.served(ids, mask)[0]
        answers = {PYTORCH: expected}
        answers |= {name: session.run(ids, mask)[0] for name, session in sessions.items()}
        for name, logits in answers.items():
            top = loaded.tokenizer.decode([int(logits.argmax())]).strip()
            tallies[name].add(logits, expected, top == sentence.word)
    return {name: tally.result() for name, tally in tallies.items()}


def _ids(loaded: Loaded, sentence: MaskedSentence, number: int) -> NDArray[np.int64]:
    # -> (1, length)
    tokenizer = loaded.tokenizer
    encoded = tokenizer(sentence.text, truncation=True, max_length=loaded.max_length)
    ids = np.array([encoded["input_ids"]], dtype=np.int64)
    if int((ids == tokenizer.mask_token_id).sum()) != 1:
        raise InputError(
            f"sentence {number} must have exactly one {tokenizer.mask_token} within the model's "
            f"length: {sentence.text[:60]!r}"
        )
    return ids


def table(results: dict[str, MaskedAgreement]) -> Table:
    """Lay out one row for each entry."""
    count = next(iter(results.values())).sentences
    laid_out = Table("variant", title=f"{count} masked sentences, against {PYTORCH}")
    for name in ("same top", "KL, nats", "largest difference", "word on top"):
        laid_out.add_column(name, justify="right")
    for name, one in results.items():
        compared = (f"{one.same_top:.2%}", f"{one.kl:.3g}", f"{one.largest_difference:.3g}")
        shown = ("-",) * len(compared) if name == PYTORCH else compared
        laid_out.add_row(name, *shown, f"{one.word_on_top:.2%}")
    return laid_out


def main(
    checkpoint: Path = typer.Argument(help="A fill-mask checkpoint's folder."),
    tsv: Path = typer.Argument(help="Lines of a text with <mask>, a tab, and the word."),
    variants: str = typer.Option(
        ",".join(layout.VARIANTS), help="Which variants, with commas between."
    ),
    artifact: Path | None = typer.Option(
        None, help="An artifact built from the checkpoint; built here if it is not given."
    ),
) -> None:
    """Compare the variants of a fill-mask artifact with PyTorch on masked sentences."""
    sentences = read(tsv)
    names = [name.strip() for name in variants.split(",") if name.strip()]
    here = machine.describe(("torch", "transformers"))
    with tempfile.TemporaryDirectory() as folder, messages.status("starting") as status:
        opened = (
            build(checkpoint, Path(folder) / "artifact", variants=names, progress=status.update)
            if artifact is None
            else Artifact(artifact)
        )
        if opened.task != "fill-mask":
            raise BenchError(f"{opened.path} is for {opened.task}; only fill-mask has masks")
        status.update("filling masks")
        results = agreement(checkpoint, opened, sentences, names)
    console = command_line.output()
    console.print(f"{here}\n{command_line.exact(MODULE)}", markup=False)
    console.print(table(results))


if __name__ == "__main__":
    command_line.run(main)
