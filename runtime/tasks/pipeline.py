"""What all pipelines share: taking in inputs, running them together, answering in order.

An input becomes a `Request`: the rows of token ids that the graph has to run for it, often one.
Requests are made for a window of inputs at a time, so that memory does not grow with their number;
the rows of a window go through the graph by length (`packing`), several batches side by side
(`side_by_side`); each row's output is reduced to what its answer needs as soon as it is there.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import tokenizers

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import whole
from distilroberta.runtime.errors import ArtifactError, InputError, OutOfMemoryError
from distilroberta.runtime.execution.finite import check_finite
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.packing import pack
from distilroberta.runtime.tasks.side_by_side import for_each
from distilroberta.runtime.tasks.tokenizer import Text, Tokenizer

# Iterable, and still one input (bytes: a wrong one).
_SINGLE = (str, bytes, Mapping, tuple)

# How many inputs are read before they are answered, at the most: enough for batches of about equal
# length. And of what size on average, in characters, so that long ones are fewer.
_WINDOW = 512
_CHARACTERS = 512


class Request(NamedTuple):
    """One input, ready to run.

    `rows` are the token ids of its rows, `source` is what the task makes its answer with.
    """

    rows: Sequence[Sequence[int]]
    source: Any


class Pipeline(ABC):
    """A task on a loaded artifact.

    It may be called from many threads at once, and after a `fork`. It can be pickled: its copy
    opens the same folder again and checks that it still holds the same files.
    """

    task: ClassVar[str]
    # What is cut of a text that is too long, see `Tokenizer`; None where the task cuts windows.
    truncation: ClassVar[str | None] = "longest_first"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str,
        provider: Any,
        threads: int | None,
        batch_size: int | None,
        **defaults: Any,
    ) -> None:
        """Load the tokenizer and a variant's graph. See `pipeline` for the arguments.

        `defaults` are the task's own parameters, kept for a pickled copy.

        Raises:
            ArtifactError: a file can't be loaded or does not fit the others.
            InputError: the variant is not there, or `threads` is not from 1 to 1024.
            ProviderError: the provider is unknown or can't start.
        """
        self._arguments = {
            "variant": variant,
            "provider": provider,
            "threads": threads,
            "batch_size": batch_size,
            **defaults,
        }
        self.artifact = artifact
        self.config = ModelConfig.read(artifact.file(layout.CONFIG))
        artifact.file(layout.TOKENIZER_CONFIG)
        folder = artifact.file(layout.TOKENIZER).parent
        self.tokenizer = Tokenizer(folder, self.config, truncation=self.truncation)
        self.session = artifact.session(variant, provider=provider, threads=threads)
        self._batch_size = None if batch_size is None else check_batch_size(batch_size)

    def _check_classes(self, field: str, count: int) -> None:
        if self.session.classes != count:
            raise ArtifactError(
                f"{self.artifact.path}: {field} in config.json is for {count} classes, the graph "
                f"has {self.session.classes}: they belong to different models"
            )

    def _labels(self) -> dict[int, str]:
        """Return the names of the classes, which there must be one of for each.

        Raises:
            ArtifactError: they do not name the classes of the graph.
        """
        labels = self.config.id2label
        if not labels or sorted(labels) != list(range(len(labels))):
            raise ArtifactError(
                f"{self.artifact.path}: id2label in config.json must name every label from 0 up, "
                f"found {sorted(labels)}"
            )
        self._check_classes("id2label", len(labels))
        return labels

    @property
    def provider(self) -> str:
        """The execution provider that runs the graph: `cpu`, `cuda` or `tensorrt`."""
        return self.session.provider

    @property
    def variant(self) -> str:
        """The variant that answers, such as `fp32` or `int8`."""
        return self.session.variant

    def __repr__(self) -> str:
        chosen = f"variant={self.variant!r}, provider={self.provider!r}"
        return f"{type(self).__name__}({self.artifact!r}, {chosen})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (type(self), self.artifact, self.variant, self._arguments)

    @abstractmethod
    def __call__(self, *args: Any, **parameters: Any) -> Any:
        """Answer one input, or many. Each task documents its own parameters."""

    async def acall(self, *args: Any, **parameters: Any) -> Any:
        """Answer as a call does, in another thread, so that the event loop goes on.

        What a call answers lazily comes as an asynchronous iterator; the iterable it reads is then
        read in other threads, one step at a time.

        Raises:
            As the call does.
        """
        import asyncio  # not before it is needed: it takes as long to import as the whole runtime

        answer = await asyncio.to_thread(self, *args, **parameters)
        return _in_threads(answer) if isinstance(answer, Iterator) else answer

    # What a task fills in.

    @abstractmethod
    def _texts(self, item: Any, call: Any) -> Sequence[Any]:
        """Return the texts that are to be tokenized for one input: strings, or pairs of them.

        Raises:
            InputError: it is no input of this task.
        """

    @abstractmethod
    def _request(
        self, texts: Sequence[Any], encodings: Sequence[tokenizers.Encoding], call: Any
    ) -> Request:
        """Return what has to be run for one input.

        Args:
            texts: what `_texts` gave.
            encodings: the tokenized texts, in the same order.
            call: the parameters of the call.

        Raises:
            InputError: the task can't answer it.
        """

    @abstractmethod
    def _reduce(self, request: Request, row: int, output: Any, call: Any) -> Any:
        """Return what the answer needs of one row's output, see `_split` for its shape.

        Called right after the run, possibly in another thread.
        """

    def _combine(self, request: Request, reduced: list[Any], call: Any) -> Any:
        """Return the answer of what was reduced, for each of the request's rows in order."""
        return reduced[0]

    def _split(self, outputs: Any, rows: Sequence[Sequence[int]]) -> Iterable[Any]:
        """Return the output of each row of a batch; by default that with its index."""
        return outputs  # type: ignore[no-any-return]

    # From inputs to answers.

    def _dispatch(self, inputs: Any, call: Any, batch_size: Any = None) -> Any:
        """Answer one input, a list of them at once, or any other iterable lazily."""
        size = self._batch_size if batch_size is None else check_batch_size(batch_size)
        if isinstance(inputs, list):
            return self._answer_all(inputs, call, size)
        if _is_many(inputs):
            return self._answer_lazily(iter(inputs), call, size)
        return self._answer_all([inputs], call, size)[0]

    def _answer_all(self, items: Sequence[Any], call: Any, size: int | None) -> list[Any]:
        # The kind of every input is checked before the first is run. What passes one check goes on
        # to the next, so that an error names every bad input.
        problems: dict[int, str] = {}
        texts = _passing(lambda item: self._texts(item, call), enumerate(items), problems)
        answers: list[Any] = []
        for window in _windows(texts.items(), itertools.repeat(_WINDOW)):
            requests = self._encode(window, call, problems)
            if not problems:
                answers += self._run([*requests.values()], call, size)
        _refuse(problems)
        return answers

    def _answer_lazily(self, items: Iterator[Any], call: Any, size: int | None) -> Iterator[Any]:
        source = _Source(items, lambda item: self._texts(item, call))
        # The first answers come soon, and the later ones fast.
        most = self._window(call)
        growing = itertools.chain(_doubling(most), itertools.repeat(most))
        for window in _windows(source, growing if size is None else itertools.repeat(size)):
            problems: dict[int, str] = {}
            requests = self._encode(window, call, problems)
            before = min(problems, default=source.read)
            ready = [request for index, request in requests.items() if index < before]
            yield from self._run(ready, call, size)
            _refuse(problems)
        source.finish()

    def _encode(
        self, window: Mapping[int, Sequence[Any]], call: Any, problems: dict[int, str]
    ) -> dict[int, Request]:
        texts = _passing(
            lambda of_one: [self._readable(text, call) for text in of_one], window.items(), problems
        )
        flat = [text for of_one in texts.values() for text in of_one]
        encodings = iter(self._tokenize(flat))
        encoded = ((index, [*itertools.islice(encodings, len(texts[index]))]) for index in texts)
        requests = {}
        for index, of_one in encoded:
            try:
                requests[index] = self._request(window[index], of_one, call)
            except InputError as error:
                problems[index] = str(error)
        return requests

    def _window(self, call: Any) -> int:
        """Return how many inputs of an iterable are read before they are answered, at the most."""
        return _WINDOW

    def _readable(self, text: Any, call: Any) -> Any:
        return self.tokenizer.readable(text)

    def _tokenize(self, texts: Sequence[Any]) -> Sequence[tokenizers.Encoding]:
        return self.tokenizer.encode(texts)

    def _run(self, requests: Sequence[Request], call: Any, size: int | None) -> list[Any]:
        places = [(request, row) for request in requests for row in range(len(request.rows))]
        reduced: list[Any] = [None] * len(places)

        def run(batch: list[int]) -> None:
            rows = [places[index][0].rows[places[index][1]] for index in batch]
            outputs = self.session.run(*self.tokenizer.pad(rows))
            check_finite(outputs, self.variant)
            for index, output in zip(batch, self._split(outputs, rows), strict=True):
                reduced[index] = self._reduce(*places[index], output, call)

        def run_in_memory(batch: list[int]) -> None:
            try:
                run(batch)
            except OutOfMemoryError:
                half = len(batch) // 2
                if not half:
                    raise
                run(batch[:half])
                run(batch[half:])

        batches = pack([len(request.rows[row]) for request, row in places], size)
        # A GPU runs one batch after the other; more of them at once only take more of its memory.
        for_each(batches, run_in_memory, self.session.threads if self.provider == "cpu" else 1)
        of_rows = iter(reduced)
        return [
            self._combine(request, [*itertools.islice(of_rows, len(request.rows))], call)
            for request in requests
        ]


def check_batch_size(size: Any) -> int:
    """Return a batch size that can be used.

    Raises:
        InputError: it is not a positive whole number.
    """
    return whole("batch_size", size, 1)


def _load(
    kind: Callable[..., Pipeline], artifact: Artifact, variant: str, arguments: dict[str, Any]
) -> Pipeline:
    # Of the manifest the artifact knows that it is the same; of the other files only their sizes.
    artifact.verify_variant(variant)
    return kind(artifact, **arguments)


async def _in_threads(answers: Iterator[Any]) -> Any:
    import asyncio

    end = object()
    while (answer := await asyncio.to_thread(next, answers, end)) is not end:
        yield answer


def _is_many(inputs: Any) -> bool:
    # Data sets such as transformers' `KeyDataset` have a length and items but no iterator; Python
    # makes one of these.
    is_data_set = hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__")
    return not isinstance(inputs, _SINGLE) and (isinstance(inputs, Iterable) or is_data_set)


def _doubling(most: int) -> Iterator[int]:
    count = 1
    while count < most:
        yield count
        count *= 2


class _Source:
    """Reads inputs one at a time. It ends at the first that is none, or that can't be read."""

    def __init__(self, items: Iterator[Any], texts: Callable[[Any], Sequence[Any]]) -> None:
        self._items, self._texts = items, texts
        self._error: Exception | None = None
        self.read = 0

    def __iter__(self) -> Iterator[tuple[int, Sequence[Any]]]:
        while self._error is None:
            try:
                texts = self._texts(next(self._items))
            except StopIteration:
                return
            except InputError as error:
                self._error = InputError(f"text {self.read}: {error}")
            except Exception as error:  # of whoever makes the inputs
                self._error = error
            else:
                self.read += 1
                yield self.read - 1, texts

    def finish(self) -> None:
        """Raise what ended the inputs early, now that those before are answered."""
        if self._error is not None:
            raise self._error


def _windows(
    texts: Iterable[tuple[int, Sequence[Any]]], most: Iterable[int]
) -> Iterator[dict[int, Sequence[Any]]]:
    # Each ends after as many inputs as `most` says, or when they are long.
    numbered = iter(texts)
    for count in most:
        window: dict[int, Sequence[Any]] = {}
        characters = 0
        for index, of_one in numbered:
            window[index] = of_one
            characters += sum(map(_size, of_one))
            if len(window) >= count or characters > _CHARACTERS * count:
                break
        if not window:
            return
        yield window


def _size(text: Text) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


_MOST_PROBLEMS_SHOWN = 10


def _passing(
    step: Callable[[Any], Any], numbered: Iterable[tuple[int, Any]], problems: dict[int, str]
) -> dict[int, Any]:
    results = {}
    for index, item in numbered:
        try:
            results[index] = step(item)
        except InputError as error:
            problems[index] = str(error)
    return results


def _refuse(problems: dict[int, str]) -> None:
    if problems:
        shown = [f"text {index}: {problems[index]}" for index in sorted(problems)]
        more = len(shown) - _MOST_PROBLEMS_SHOWN
        listed = "; ".join(shown[:_MOST_PROBLEMS_SHOWN])
        raise InputError(listed + (f"; and {more} more" if more > 0 else ""))
