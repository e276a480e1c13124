"""Bounded weights give the exact sums on processors whose 8-bit products saturate.

The reference is the sum in 64 bits. What such a processor does is emulated in numpy, and tried:
VNNI is hidden from onnxruntime, which then takes the code path of an older x86, in single products
and in whole graphs.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import graph_edit, nbits, recipe
from distilroberta.quantize.columns import quantize_columns
from distilroberta.quantize.nbits import Blocks
from distilroberta.quantize.options import Options
from distilroberta.quantize.recipes import RECIPES
from distilroberta.quantize.saturation import bound, quantize_bounded_columns, saturates

Codes = NDArray[np.int8]
Activations = NDArray[np.uint8]
Sums = NDArray[np.int64]
Run = Callable[[onnx.ModelProto, dict[str, NDArray[Any]]], Any]
RunOlder = Callable[[str, onnx.ModelProto, dict[str, NDArray[Any]]], Any]

HERE = Path(__file__).parent
CAN_NOT_HIDE = 77  # as in run_on_older_cpu.py
LEVELS = ["avx2", "avx512"]
TEXTS = 12
TOLERANCE = 1e-5

shapes = strategies.tuples(strategies.integers(1, 9), strategies.integers(1, 4))
any_codes = arrays.arrays(np.int8, shapes)
weights = arrays.arrays(
    np.float32,
    shapes,
    elements=strategies.floats(-1e3, 1e3, width=32, allow_subnormal=False)
    | strategies.sampled_from([0.0, 1e3, -1e3]),
)


def exact(activations: Activations, codes: Codes) -> Sums:
    return activations.astype(np.int64) @ codes.astype(np.int64)


def saturating(activations: Activations, codes: Codes) -> Sums:
    """VPMADDUBSW, which saturates sums of two products to 16 bits, and VPMADDWD, which adds up."""
    odd = len(codes) % 2
    a = np.pad(activations.astype(np.int64), [(0, 0), (0, odd)])
    b = np.pad(codes.astype(np.int64), [(0, odd), (0, 0)])
    products = a[:, :, None] * b  # (rows, in, out)
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1)


def worst(codes: Codes) -> Activations:
    """Make activations that reach the largest and the smallest sum of every column's pairs."""
    columns = codes.T
    rows = [columns > 0, columns < 0, np.ones_like(columns, dtype=bool)]
    return np.concatenate(rows).astype(np.uint8) * np.uint8(255)


def heavy(rows: int, columns: int) -> NDArray[np.float32]:
    """Make a weight whose larger half is all about as large, so that most pairs saturate."""
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.5, 1, size=(rows, columns)) * rng.choice([1, 0.01], (rows, columns))
    return (sizes * rng.choice([-1, 1], (rows, columns))).astype(np.float32)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(codes=any_codes)
def test_saturates_where_the_emulation_does(codes: Codes) -> None:
    differ = saturating(worst(codes), codes) != exact(worst(codes), codes)
    # A row of `worst` for each column and direction, in that order.
    columns = np.arange(codes.shape[1])
    wrong = differ.reshape(3, -1, codes.shape[1])[:, columns, columns].any(axis=0)
    assert np.array_equal(saturates(codes).any(axis=0), wrong)
    assert saturates(codes).shape == ((len(codes) + 1) // 2, codes.shape[1])


@pytest.mark.parametrize(
    ("pair", "wrong"),
    [
        ((127, 1), False),
        ((100, 28), False),
        ((64, 64), False),
        ((-64, -64), False),
        ((-127, -1), False),
        ((-128, 0), False),
        ((127, -128), False),
        ((127, 2), True),
        ((65, 64), True),
        ((-128, -1), True),
        ((-65, -64), True),
    ],
)
def test_bound_is_where_onnxruntime_was_seen_to_saturate(
    pair: tuple[int, int], wrong: bool
) -> None:
    codes = np.array(pair, dtype=np.int8)[:, None]
    assert saturates(codes).tolist() == [[wrong]]


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(weight=weights, activations=arrays.arrays(np.uint8, strategies.just((3, 9))))
def test_bounded_weights_are_exact_for_every_activation(
    weight: NDArray[np.float32], activations: Activations
) -> None:
    codes, scales = quantize_bounded_columns(weight)
    assert (codes.dtype, scales.dtype) == (np.int8, np.float32)
    assert (codes.shape, scales.shape) == (weight.shape, weight.shape[1:])
    assert not saturates(codes).any()
    assert np.abs(codes.astype(int)).max() <= 127
    for given in (worst(codes), activations[:, : len(codes)]):
        assert np.array_equal(saturating(given, codes), exact(given, codes))


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_value_is_at_most_a_scale_of_its_column_away(weight: NDArray[np.float32]) -> None:
    codes, scales = quantize_bounded_columns(weight)
    _, unbounded = quantize_columns(weight)
    # A pair that rounds to 129 gives one more half.
    assert (np.abs(codes * scales.astype(np.float64) - weight) <= scales * 1.001).all()
    assert (unbounded <= scales).all()
    assert (scales <= unbounded * (2 * 127 / 128 + 1e-6)).all()


def test_weights_that_fit_are_left_as_they_are() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    weight[1::2] *= 0.001
    found, expected = quantize_bounded_columns(weight), quantize_columns(weight)
    assert not saturates(expected[0]).any()
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(
    pair=strategies.tuples(*[strategies.floats(-127, 127, width=32)] * 2),
)
def test_bound_takes_the_nearest_pair_of_codes(pair: tuple[float, float]) -> None:
    codes = bound(np.array(pair, dtype=np.float32)[:, None])[:, 0].astype(float)
    every = np.arange(-127, 128)
    squares = (every[:, None] - pair[0]) ** 2 + (every[None, :] - pair[1]) ** 2
    least = squares[np.abs(every[:, None] + every[None, :]) <= 128].min()
    assert ((codes - pair) ** 2).sum() == pytest.approx(least, rel=1e-6, abs=1e-9)


def test_unbounded_weights_are_wrong_in_the_emulation() -> None:
    weight = heavy(96, 32)
    unbounded, _ = quantize_columns(weight)
    bounded, _ = quantize_bounded_columns(weight)
    rng = np.random.default_rng(1)
    for activations in (worst(unbounded), rng.integers(0, 256, (50, 96), dtype=np.uint8)):
        off = saturating(activations, unbounded) - exact(activations, unbounded)
        assert (off != 0).mean() > 0.5
        assert np.array_equal(saturating(activations, bounded), exact(activations, bounded))


def product_of(codes: Codes) -> onnx.ModelProto:
    """Make a graph of one `MatMulInteger` by constant codes."""
    node = helper.make_node("MatMulInteger", ["activations", "codes"], ["sums"])
    return model_of(
        node,
        [helper.make_tensor_value_info("activations", TensorProto.UINT8, ["rows", len(codes)])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["rows", codes.shape[1]])],
        [numpy_helper.from_array(codes, "codes")],
    )


def to_float_of(codes: Codes, scales: NDArray[np.float32]) -> onnx.ModelProto:
    """Make a graph of one `MatMulIntegerToFloat` by the same codes, a scale for each column."""
    node = helper.make_node(
        "MatMulIntegerToFloat",
        ["activations", "codes", "one", "scales"],
        ["sums"],
        domain="com.microsoft",
    )
    stored = {"codes": codes, "one": np.float32(1), "scales": scales}
    return model_of(
        node,
        [helper.make_tensor_value_info("activations", TensorProto.UINT8, ["rows", len(codes)])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["rows", codes.shape[1]])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )


def blocks_of(blocks: Blocks) -> onnx.ModelProto:
    """Make a graph of one `MatMulNBits`."""
    graph = onnx.GraphProto()
    graph_edit.add_weight(graph, "codes", nbits.pack(blocks.codes, blocks.bits))
    parameters = nbits.add_parameters(graph, "codes", blocks)
    node = nbits.product(["activations", "codes", *parameters], "sums", blocks, "product")
    rows, columns = blocks.columns, len(blocks.codes)
    return model_of(
        node,
        [helper.make_tensor_value_info("activations", TensorProto.FLOAT, ["rows", rows])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["rows", columns])],
        graph.initializer,
    )


def model_of(node: onnx.NodeProto, inputs: Any, outputs: Any, weights: Any) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "product", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("rows", [64, 97])
def test_bounded_weights_are_exact_on_this_machine(run: Run, rows: int) -> None:
    codes, _ = quantize_bounded_columns(heavy(rows, 48))
    activations = worst(codes)
    for given in (activations, activations[:1]):
        sums = run(product_of(codes), {"activations": given})
        assert np.array_equal(sums, exact(given, codes))


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(weight=weights, activations=arrays.arrays(np.uint8, strategies.just((3, 9))))
def test_any_bounded_weights_are_exact_on_this_machine(
    run: Run, weight: NDArray[np.float32], activations: Activations
) -> None:
    codes, _ = quantize_bounded_columns(weight)
    given = activations[:, : len(codes)]
    assert np.array_equal(run(product_of(codes), {"activations": given}), exact(given, codes))


@pytest.fixture(scope="session")
def hide_vnni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that hides VNNI, compiled."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("instructions can be hidden on Linux on x86-64 alone")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to make the library that hides VNNI")
    library = tmp_path_factory.mktemp("hide") / "hide_vnni.so"
    source = HERE / "hide_vnni.c"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
    return library


@pytest.fixture
def run_older(hide_vnni: Path, tmp_path: Path) -> RunOlder:
    """Run a graph on the code path of an older x86: `run_older("avx2", model, feeds)`."""

    def run(level: str, model: onnx.ModelProto, feeds: dict[str, NDArray[Any]]) -> Any:
        graph, inputs, outputs = (tmp_path / n for n in ("graph.onnx", "in.npz", "out.npz"))
        onnx.save(model, graph)
        np.savez(inputs, **feeds)
        script = HERE / "run_on_older_cpu.py"
        words = [script, hide_vnni, level, graph, inputs, outputs]
        done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
        if done.returncode == CAN_NOT_HIDE:
            pytest.skip("this kernel or processor can't hide instructions (no CPUID faulting)")
        assert done.returncode == 0, done.stderr
        with np.load(outputs) as values:
            return values[values.files[0]]

    return run


@pytest.mark.parametrize("level", LEVELS)
def test_unbounded_weights_saturate_on_an_older_x86_and_bounded_ones_do_not(
    run_older: RunOlder, run: Run, level: str
) -> None:
    weight = heavy(96, 64)
    unbounded, _ = quantize_columns(weight)
    bounded, _ = quantize_bounded_columns(weight)
    activations = worst(unbounded)
    sums = run_older(level, product_of(unbounded), {"activations": activations})
    assert np.array_equal(sums, saturating(activations, unbounded))
    assert (sums != exact(activations, unbounded)).mean() > 0.5
    for given in (activations, worst(bounded), worst(bounded)[:1]):
        sums = run_older(level, product_of(bounded), {"activations": given})
        assert np.array_equal(sums, exact(given, bounded))
        assert np.array_equal(sums, run(product_of(bounded), {"activations": given}))


@pytest.mark.parametrize("level", LEVELS)
def test_scaled_sums_are_exact_on_an_older_x86(run_older: RunOlder, run: Run, level: str) -> None:
    """`MatMulIntegerToFloat`: of bounded weights, with scales that leave the sums as they are."""
    unbounded, _ = quantize_columns(heavy(96, 64))
    bounded, _ = quantize_bounded_columns(heavy(96, 64))
    scales = np.exp2(np.arange(-32, 32)).astype(np.float32)
    sums = run_older(level, to_float_of(unbounded, scales), {"activations": worst(unbounded)})
    assert (sums != exact(worst(unbounded), unbounded) * scales).mean() > 0.5
    for given in (worst(bounded), worst(bounded)[:1]):
        sums = run_older(level, to_float_of(bounded, scales), {"activations": given})
        assert np.array_equal(sums, exact(given, bounded) * scales)
        assert np.array_equal(sums, run(to_float_of(bounded, scales), {"activations": given}))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("block", [16, 32, 128])
@pytest.mark.parametrize("bits", [4, 8])
def test_products_in_blocks_are_exact_on_an_older_x86(
    run_older: RunOlder, level: str, block: int, bits: int
) -> None:
    """They need no bound: `MatMulNBits` does not saturate."""
    codes, _ = quantize_columns(heavy(256, 48))
    assert saturates(codes).any()
    columns = codes.T.reshape(48, -1, block)
    zero_points = None
    stored = (columns.astype(np.int16) + 128).astype(np.uint8)
    if bits == 4:
        # The zero points at both ends, so that differences are as large as they get.
        stored //= 16
        zero_points = np.tile(np.uint8([0, 15]), (48, 256 // block // 2))
    scales = np.ones(columns.shape[:2], dtype=np.float32)
    blocks = Blocks(stored, scales, zero_points, bits)
    # Integers with 127 in every block, which the operator's own quantization leaves as they are;
    # the sums stay below 2^24, so that FP32 holds them.
    activations = np.sign(codes.T.astype(np.float32)) * 127
    sums = run_older(level, blocks_of(blocks), {"activations": activations})
    wanted = activations.astype(np.int64) @ blocks.values().T.astype(np.int64)
    assert np.array_equal(sums, wanted)


@pytest.fixture(scope="module")
def served_graph(
    wide_fill_mask: Any, calibration: Callable[..., Any]
) -> Callable[..., onnx.ModelProto]:
    """Make the served graph of a variant, once each. Read only."""

    @cache
    def served_graph_(variant: str, target: str = "portable") -> onnx.ModelProto:
        graphs = wide_fill_mask.graphs
        feeds = calibration(wide_fill_mask, TEXTS)
        prepared = RECIPES[variant].prepare(graphs.standard, feeds, Options(target=target))
        return recipe.apply(prepared, graphs.served, "two")

    return served_graph_


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("variant", ["int8", "int8-static"])
def test_int8_graph_has_the_same_answers_on_an_older_x86(
    run_older: RunOlder,
    run: Run,
    served_graph: Callable[..., onnx.ModelProto],
    many: dict[str, NDArray[Any]],
    variant: str,
    level: str,
) -> None:
    model = served_graph(variant)
    found, wanted = run_older(level, model, many), run(model, many)
    assert np.ptp(wanted) > 1
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


def test_graph_for_newer_processors_has_others_on_an_older_x86(
    run_older: RunOlder,
    run: Run,
    served_graph: Callable[..., onnx.ModelProto],
    many: dict[str, NDArray[Any]],
) -> None:
    """Without the bound: what the test before this one would see."""
    model = served_graph("int8", "avx512_vnni")
    off = np.abs(run_older("avx2", model, many) - run(model, many)).max()
    assert off > 1000 * TOLERANCE


@pytest.mark.parametrize("level", LEVELS)
def test_int4_graph_answers_alike_on_an_older_x86(
    run_older: RunOlder,
    run: Run,
    served_graph: Callable[..., onnx.ModelProto],
    many: dict[str, NDArray[Any]],
    level: str,
) -> None:
    """Its kernels add up blocks in FP32, in orders of their own.

    Here and there the next product quantizes that into a step, which is small beside what all
    steps do to the answer.
    """
    model = served_graph("int4")
    found, wanted = run_older(level, model, many), run(model, many)
    lost = np.abs(wanted - run(served_graph("fp32"), many)).mean()
    assert np.abs(found - wanted).mean() < 0.05 * lost
