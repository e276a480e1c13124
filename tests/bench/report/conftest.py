"""Results files with made-up numbers, of the shape that the benchmarks write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Document = dict[str, Any]
Writer = Callable[..., Path]

LENGTHS, BATCHES = (8, 32, 128, 512), (1, 8)
MEGABYTE = 1_000_000


def head(benchmark: str, **fields: Any) -> Document:
    return {
        "schema": 1,
        "benchmark": benchmark,
        "complete": True,
        "command": f"distilroberta bench {benchmark} --rounds 7",
        "started": "2026-11-22T03:00:00Z",
        "seconds": 812.3,
        "machine": {
            "cpu": "Imaginary(R) Processor",
            "cpus": 2,
            "system": "Linux x86_64",
            "python": "CPython 3.11.15",
            "load": 0.1,
            "packages": {"onnxruntime": "1.31.1", "numpy": "2.4.6"},
        },
        "revision": "5b3c6b2",
        "threads": 2,
        "weights": "random weights of DistilRoBERTa's shape",
        "warnings": [],
        **fields,
    }


def name(rows: int, tokens: int) -> str:
    return f"{tokens} tokens" if rows == 1 else f"{rows} x {tokens} tokens"


def workloads(batches: Sequence[int], lengths: Sequence[int]) -> list[Document]:
    return [
        {"name": name(rows, tokens), "rows": rows, "tokens": tokens}
        for rows in batches
        for tokens in lengths
    ]


def timing(median: float, noise: random.Random, spread: float = 0.01) -> Document:
    rounds = [median * (1 + noise.gauss(0, spread)) for _ in range(7)]
    low, middle, high = np.percentile(rounds, [25, 50, 75])
    return {"rounds_ms": rounds, "ms": {"median": middle, "low": low, "high": high}}


def engine(title: str, times: dict[str, Document], **fields: Any) -> Document:
    return {
        "name": title,
        "file_bytes": 330 * MEGABYTE,
        "load_seconds": 0.31,
        "resident_bytes_loaded": 420 * MEGABYTE,
        "resident_bytes_after": 460 * MEGABYTE,
        "peak_bytes": 700 * MEGABYTE,
        "cosine": 1.0,
        "refused": None,
        "failed": {},
        "workloads": times,
        **fields,
    }


def comparison(shapes: list[Document], engines: list[Document]) -> Document:
    plan = {"rounds": 7, "warmup": 2, "calls": 5, "seed": 0, "seconds": 0.3}
    checked = [shape["name"] for shape in shapes]
    return {"plan": plan, "workloads": shapes, "engines": engines, "checked": checked}


def ratio(estimate: float, half: float = 0.02) -> Document:
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half, "rounds": 7}


def milliseconds(rows: int, tokens: int) -> float:
    return 1.2 + rows * tokens * 0.4


def claim_comparison(
    task: str,
    by: str,
    precision: str,
    times: float,
    *,
    batches: Sequence[int] = BATCHES,
    lengths: Sequence[int] = LENGTHS,
    reason: str | None = None,
) -> Document:
    noise = random.Random(f"{task}{by}{precision}")  # noqa: S311 - no secret
    distilled, base, cells = {}, {}, []
    for rows in batches:
        for tokens in lengths:
            title = name(rows, tokens)
            took = milliseconds(rows, tokens)
            found = times * (1 + noise.uniform(-0.03, 0.03))
            distilled[title], base[title] = timing(took, noise), timing(took * found, noise)
            low = found - 0.02
            verdict = "twice as fast" if low >= 2 else "faster, not twice"
            if low < 2 < found + 0.02:
                verdict = "unclear"
            cells.append(
                {
                    "workload": title,
                    "rows": rows,
                    "tokens": tokens,
                    "ratio": ratio(found),
                    "verdict": verdict,
                    "expected": times * 1.02,
                    "reason": reason,
                    "warning": None,
                }
            )
    return {
        "task": task,
        "engine": by,
        "precision": precision,
        **comparison(
            workloads(batches, lengths),
            [engine("distilroberta", distilled), engine("roberta-base", base)],
        ),
        "cells": cells,
        "overall": {
            "ratio": ratio(times, 0.012),
            "verdict": "twice as fast" if times > 2 else "faster, not twice",
            "reason": reason,
        },
    }


HEAD = "the language-model head is the same size in both models"


def claim(precision: str = "fp32", **sizes: Any) -> Document:
    return head(
        "claim",
        verdict="DistilRoBERTa is twice as fast as RoBERTa-base as an encoder, 1.96 times "
        "(1.95-1.98) for classification, and 1.50 times (1.49-1.52) for fill-mask with the usual "
        "export",
        comparisons=[
            claim_comparison("text-classification", "ours", precision, 1.96, **sizes),
            claim_comparison("fill-mask", "usual export", precision, 1.5, reason=HEAD, **sizes),
            claim_comparison("fill-mask", "ours", precision, 1.91, **sizes),
            claim_comparison("feature-extraction", "ours", precision, 2.03, **sizes),
        ],
        left_out={"feature-extraction, usual export": "the export ended with an error"},
    )


# Milliseconds as a multiple of ours, megabytes of the files, cosine.
PEERS = {
    "torch eager": (4.4, 330, 1.0),
    "torch.compile": (4.2, 330, 1.0),
    "transformers pipeline": (4.7, 330, 0.9999999),
    "optimum FP32": (3.1, 328, 0.9999999),
    "optimum INT8": (1.2, 83, 0.9961),
    "OpenVINO FP32": (2.9, 327, 0.9999998),
    "OpenVINO INT8": (1.02, 84, 0.9978),
    "CTranslate2 INT8": (1.7, 84, 0.9989),
    "ours fp32": (2.9, 328, 0.9999999),
    "ours int8": (1.0, 85, 0.9996),
}


def peers_comparison(
    task: str, level: str, batches: Sequence[int] = BATCHES, lengths: Sequence[int] = LENGTHS
) -> Document:
    noise = random.Random(f"{task}{level}")  # noqa: S311 - no secret
    shapes = workloads(batches, lengths)
    engines = [
        engine(
            title,
            {
                shape["name"]: timing(
                    (0.5 if level == "pipeline" else 0.2)
                    + times * shape["rows"] * shape["tokens"] * 0.14,
                    noise,
                )
                for shape in shapes
            },
            file_bytes=megabytes * MEGABYTE,
            cosine=cosine,
            resident_bytes_after=(150 + 2 * megabytes) * MEGABYTE,
            peak_bytes=(200 + 3 * megabytes) * MEGABYTE,
        )
        for title, (times, megabytes, cosine) in PEERS.items()
    ]
    wrong = "128 tokens: the cosine of its logits is 0.9313, must be 0.99 or more"
    engines.append(engine("OpenVINO BF16", {}, refused=wrong, cosine=None))
    del engines[1]["workloads"][shapes[-1]["name"]]
    engines[1]["failed"][shapes[-1]["name"]] = "its process ended with code -9"
    ratios = [
        {
            "engine": "ours int8",
            "baseline": title,
            "workload": shape["name"],
            "ratio": ratio(times, 0.03),
            "verdict": "no difference" if times < 1.03 else "faster",
            "warning": None,
        }
        for title, (times, _, _) in PEERS.items()
        if not title.startswith("ours")
        for shape in shapes
        if title != "torch.compile" or shape != shapes[-1]
    ]
    return {"task": task, "level": level, **comparison(shapes, engines), "ratios": ratios}


def peers(**sizes: Any) -> Document:
    return head(
        "peers",
        verdict="On this machine, of ours int8: it is 1.02 to 4.70 times as fast as the others.",
        comparisons=[
            peers_comparison("text-classification", "model", **sizes),
            peers_comparison("fill-mask", "pipeline", **sizes),
        ],
        schemes={"optimum INT8": "dynamic, U8 activations, S8 weights per channel"},
        left_out={"OpenVINO FP16": "this processor has no FP16 products"},
    )


# Milliseconds as a multiple of int8, megabytes, share of same top answers, KL, cosine.
VARIANTS = {
    "fp32": (3.2, 328, 1.0, 0.0, 1.0),
    "int8": (1.0, 85, 0.978, 0.00083, 0.9996),
    "int8-static": (0.93, 84, 0.951, 0.0062, 0.9981),
    "int4": (1.6, 61, 0.902, 0.031, 0.9902),
}


def latency(batches: Sequence[int] = BATCHES, lengths: Sequence[int] = LENGTHS) -> Document:
    noise = random.Random(3)  # noqa: S311 - no secret
    shapes = workloads(batches, lengths)
    engines, variants = [], []
    for variant, (times, megabytes, same_top, kl, cosine) in VARIANTS.items():
        title = f"{variant} on cpu"
        timings = {
            shape["name"]: timing(0.3 + times * shape["rows"] * shape["tokens"] * 0.14, noise)
            for shape in shapes
        }
        sizes = {"file_bytes": megabytes * MEGABYTE, "peak_bytes": (180 + 3 * megabytes) * MEGABYTE}
        engines.append(engine(title, timings, cosine=cosine, **sizes))
        variants.append(
            {
                "engine": title,
                "variant": variant,
                "provider": "cpu",
                "quality": {"same_top": same_top, "kl": kl, "cosine": cosine},
                "load_seconds": 0.2 + megabytes / 1000,
                "cold_start_seconds": {
                    "median": 0.3 + megabytes / 800,
                    "low": 0.29 + megabytes / 800,
                    "high": 0.33 + megabytes / 800,
                },
                "resident_bytes": (110 + 2 * megabytes) * MEGABYTE,
                "workloads": {
                    shape["name"]: {
                        "p50_ms": (middle := timings[shape["name"]]["ms"]["median"]),
                        "p90_ms": middle * 1.04,
                        "p99_ms": middle * 1.21 if variant != "int4" else None,
                        "calls": 240,
                        "texts_per_second": 1000 * shape["rows"] / middle,
                        "joules_per_text": None,
                    }
                    for shape in shapes
                },
                **sizes,
            }
        )
    return head(
        "latency",
        verdict="int8 answers 3.2 times (3.1-3.3) as fast as fp32 at 128 tokens",
        level="pipeline",
        ratios=[
            {
                "engine": "int8 on cpu",
                "baseline": "fp32 on cpu",
                "workload": shape["name"],
                "ratio": ratio(3.2),
                "verdict": "faster",
                "warning": None,
            }
            for shape in shapes
        ],
        artifact={"name": "sst2", "digest": "ab" * 32, "task": "text-classification"},
        comparison=comparison(shapes, engines),
        variants=variants,
        left_out={"fp16 on cuda": "no CUDA device"},
        energy=None,
        gpu=None,
    )


def cold_start() -> Document:
    def started(total: float) -> Document:
        stages = {
            "interpreter": 0.02,
            "imports": total * 0.3,
            "load": total * 0.5,
            "first answer": total * 0.2,
        }
        return {
            "seconds": {"median": total, "low": total * 0.97, "high": total * 1.05},
            "rounds": [{"stages": stages, "parts": {"tokenizer": 0.05}}] * 3,
        }

    return head(
        "cold-start",
        verdict="ours INT8: 0.340 s, within the bound of 0.45 s",
        tokens=16,
        engines={
            "ours INT8": started(0.34),
            "bare onnxruntime": started(0.33),
            "transformers": started(4.52),
        },
        refused={},
        times_as_fast_as_transformers={"median": 13.3, "low": 13.1, "high": 13.6},
    )


# How many times as fast as INT8 on the CPU.
GPU = {"cpu int8": 1.0, "cuda fp32": 4.0, "cuda fp16": 9.0, "cuda fp16, graph": 11.0}


def gpu(batches: Sequence[int] = BATCHES, lengths: Sequence[int] = LENGTHS) -> Document:
    noise = random.Random(5)  # noqa: S311 - no secret
    shapes = workloads(batches, lengths)
    missing = {"tensorrt fp16": "libnvinfer.so.10 is not there"}
    engines = [
        engine(
            title,
            {
                shape["name"]: timing(milliseconds(shape["rows"], shape["tokens"]) / times, noise)
                for shape in shapes
            },
            cosine=None,
        )
        for title, times in GPU.items()
    ]
    engines += [engine(title, {}, refused=why, cosine=None) for title, why in missing.items()]
    return head(
        "gpu",
        verdict="on this GPU cuda fp16, graph is 11.0 times as fast as cpu int8",
        device="Imaginary GPU, compute capability 9.0",
        comparison=comparison(shapes, engines),
        ratios=[
            {
                "engine": title,
                "baseline": "cpu int8",
                "workload": shape["name"],
                "ratio": ratio(times),
                "verdict": "faster",
                "warning": None,
            }
            for title, times in GPU.items()
            if title != "cpu int8"
            for shape in shapes
        ],
        left_out=missing,
    )


MAKERS = {
    "claim": claim,
    "peers": peers,
    "latency": latency,
    "gpu": gpu,
    "cold-start": cold_start,
}


@pytest.fixture
def document() -> Callable[..., Document]:
    """Make the document of a benchmark: `document("claim")`."""
    return lambda benchmark, **options: MAKERS[benchmark](**options)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Write a document as a results file: `write(document)`, or `write(document, "other.json")`."""

    def written(content: Document, file: str | None = None) -> Path:
        path = tmp_path / (file or f"{content['benchmark']}.json")
        path.write_text(json.dumps(content), "utf-8")
        return path

    return written


@pytest.fixture(scope="session")
def documents() -> dict[str, Document]:
    """A small document of every kind that is drawn. Read only."""
    small = {"batches": (1, 8), "lengths": (16, 128)}
    return {
        benchmark: make() if benchmark == "cold-start" else make(**small)
        for benchmark, make in MAKERS.items()
    }


@pytest.fixture(scope="session")
def all_results(
    documents: dict[str, Document], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Their results files. Read only."""
    folder = tmp_path_factory.mktemp("results")
    paths = []
    for benchmark, content in documents.items():
        paths.append(folder / f"{benchmark}.json")
        paths[-1].write_text(json.dumps(content), "utf-8")
    return paths
