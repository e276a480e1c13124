"""Many inputs: answered in order, in bounded memory, whatever they are packed with."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from distilroberta.runtime import Artifact, InputError, pipeline

# FP32 sums taken over another padding.
FP32_TOLERANCE = 1e-6
INT8_TOLERANCE = 1e-5
MIB = 1 << 20


def texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)  # noqa: S311 - texts, no secret
    words = ["the", "dog", "barked", "at", "a", "stranger", "who", "was", "glad", "to", "hear"]
    return [" ".join(draw.choices(words, k=draw.randint(0, 40))) for _ in range(count)]


def scores(answers: list[Any]) -> list[list[float]]:
    """The scores of each answer by label: near ties may stand in another order."""
    return [
        [row["score"] for row in sorted(answer, key=lambda row: row["label"])] for answer in answers
    ]


@pytest.fixture
def count_runs(classify: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Collect the shape of every batch that `classify` runs."""
    shapes: list[tuple[int, int]] = []
    real = classify.session.run

    def run(ids: Any, mask: Any) -> Any:
        shapes.append(ids.shape)
        return real(ids, mask)

    monkeypatch.setattr(classify.session, "run", run)
    return shapes


@pytest.mark.parametrize(
    ("variant", "tolerance"), [("fp32", FP32_TOLERANCE), ("int8", INT8_TOLERANCE)]
)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_packed_texts_are_answered_as_alone(
    classifier_artifact: Artifact, variant: str, tolerance: float, batch_size: int | None
) -> None:
    classify = pipeline(None, classifier_artifact, variant=variant, top_k=None)
    many = texts(200)
    alone = scores([classify(text, top_k=None) for text in many])
    packed = scores(classify(many, top_k=None, batch_size=batch_size))
    for one, other in zip(alone, packed, strict=True):
        assert other == pytest.approx(one, rel=0, abs=tolerance)


def test_permuted_texts_are_answered_in_their_order(classify: Any) -> None:
    many = texts(150)
    expected = dict(zip(many, scores(classify(many, top_k=None)), strict=True))
    shuffled = random.Random(1).sample(many, len(many))  # noqa: S311
    for text, found in zip(shuffled, scores(classify(shuffled, top_k=None)), strict=True):
        assert found == pytest.approx(expected[text], rel=0, abs=FP32_TOLERANCE)


def test_duplicated_texts_get_equal_answers(classify: Any) -> None:
    many = texts(20) * 3
    answers = scores(classify(many, top_k=None))
    for first, second in zip(answers[:20], answers[20:40], strict=True):
        assert first == pytest.approx(second, rel=0, abs=FP32_TOLERANCE)


def test_texts_are_packed_by_length(classify: Any, count_runs: list[tuple[int, int]]) -> None:
    many = texts(300)
    classify(many)
    padded = sum(rows * length for rows, length in count_runs)
    needed = sum(len(encoding.ids) for encoding in classify.tokenizer.encode(many))
    assert sum(rows for rows, _ in count_runs) == len(many)
    assert len(count_runs) < len(many) / 4
    assert padded < 1.1 * needed


def test_batch_size_of_one_pads_nothing(classify: Any, count_runs: list[tuple[int, int]]) -> None:
    classify(texts(30), batch_size=1)
    assert {rows for rows, _ in count_runs} == {1}


def test_given_batch_size_is_read_and_run_at_once(
    classify: Any, count_runs: list[tuple[int, int]]
) -> None:
    taken = itertools.count()
    answers = classify(((next(taken) and text) or text for text in texts(10)), batch_size=4)
    next(answers)
    assert next(taken) == 4
    assert [rows for rows, _ in count_runs] == [4]
    assert len([*answers]) == 9


def test_first_answer_needs_the_first_text_alone(classify: Any) -> None:
    taken: list[str] = []
    source = (taken.append(text) or text for text in texts(100))
    answers = classify(source)
    next(answers)
    assert len(taken) == 1
    next(answers)
    assert len(taken) == 3, "what is read ahead doubles"


def test_many_short_texts_do_not_add_up_in_memory(classify: Any) -> None:
    answers = classify(itertools.repeat("the dog barked", 3000))
    for _ in itertools.islice(answers, 1500):
        pass
    gc.collect()
    tracemalloc.start()
    for _ in answers:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MIB


def test_ten_thousand_empty_texts(classify: Any) -> None:
    answers = classify([""] * 10_000)
    assert len(answers) == 10_000
    found = {answer["label"] for answer in answers}
    assert found == {classify("")[0]["label"]}


def test_text_that_is_none_in_a_million(classify: Any) -> None:
    def source() -> Iterator[Any]:
        for index in range(1_000_000):
            yield None if index == 700 else "the dog"

    answers = classify(source())
    assert len([*itertools.islice(answers, 700)]) == 700
    with pytest.raises(InputError, match=r"text 700: must be a string, or a pair .* NoneType"):
        next(answers)


def test_data_set_without_an_iterator_is_answered_lazily(classify: Any) -> None:
    class DataSet:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> str:
            return texts(20)[index]

    answers = classify(DataSet())
    assert iter(answers) is answers
    assert list(answers) == list(classify(iter(texts(20))))


def test_error_of_the_source_comes_after_what_it_gave(classify: Any) -> None:
    def source() -> Iterator[str]:
        yield from texts(10)
        raise OSError("the disk is gone")

    answers = classify(source())
    assert len([*itertools.islice(answers, 10)]) == 10
    with pytest.raises(OSError, match="the disk is gone"):
        next(answers)


def test_source_without_an_end_is_answered(classify: Any) -> None:
    answers = classify("the dog" for _ in itertools.count())
    assert len([*itertools.islice(answers, 600)]) == 600


def test_lists_in_several_threads(classify: Any) -> None:
    many = texts(100)
    expected = scores(classify(many, top_k=None))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: scores(classify(many, top_k=None)), range(4)):
            for one, other in zip(expected, found, strict=True):
                assert other == pytest.approx(one, rel=0, abs=FP32_TOLERANCE)


def test_no_thread_outlives_a_call(classify: Any) -> None:
    classify(texts(50))
    before = threading.active_count()
    classify(texts(200))
    assert threading.active_count() == before


class TestAsynchronously:
    def test_call_is_awaited(self, classify: Any) -> None:
        assert asyncio.run(classify.acall("the dog")) == classify("the dog")
        assert asyncio.run(classify.acall(texts(5), top_k=2)) == classify(texts(5), top_k=2)

    def test_loop_goes_on(self, classify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        started, release = threading.Event(), threading.Event()
        real = classify.session.run

        def slow(*arrays: Any) -> Any:
            started.set()
            assert release.wait(20)
            return real(*arrays)

        monkeypatch.setattr(classify.session, "run", slow)

        async def both() -> Any:
            call = asyncio.create_task(classify.acall("the dog"))
            while not started.is_set():
                await asyncio.sleep(0.001)
            release.set()  # never reached by a loop that waits for the run
            return await call

        assert asyncio.run(both())[0]["label"]

    def test_several_at_once(self, classify: Any) -> None:
        many = texts(8)

        async def gather() -> list[Any]:
            return list(await asyncio.gather(*(classify.acall(text) for text in many)))

        assert asyncio.run(gather()) == [classify(text) for text in many]

    def test_iterable_is_answered_as_an_asynchronous_iterator(self, classify: Any) -> None:
        async def collect() -> list[Any]:
            answers = await classify.acall(iter(texts(20)))
            return [answer async for answer in answers]

        assert asyncio.run(collect()) == list(classify(iter(texts(20))))

    def test_error_is_that_of_the_call(self, classify: Any) -> None:
        with pytest.raises(InputError, match="text 0: must be a string"):
            asyncio.run(classify.acall(None))
