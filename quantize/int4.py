"""The INT4 variant: weights of 4 bits, rounded so that the products of real text stay the same.

* The encoder's weights have blocks of 32 with a zero point, rounded by GPTQ (see `gptq`) for what
  flows through them; the mean of what is left goes into the bias (see `bias_correction`).
* So has the word embedding, in larger blocks, rounded for the vocabulary projection that it is tied
  to and for the lookup alike.
* The products after the encoder and the position table have 8 bits: they are small, and much of the
  loss would come from them.

Activations have 8 bits, a scale for each block of a row: no answer depends on its batch mates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize import (
    attention,
    gptq,
    graph_edit,
    nbits,
    observe,
    products,
    tied_embedding,
)
from distilroberta.quantize import blocks as blocks_of_8_bits
from distilroberta.quantize.bias_correction import corrected_bias
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.moments import Moments
from distilroberta.quantize.nbits import Blocks
from distilroberta.quantize.products import Product
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Recipe, Views
from distilroberta.quantize.tied_embedding import Embedding

# Of the encoder's weights. onnxruntime's kernels sum larger blocks in another order for an odd row
# than for an even one, and the next product quantizes that into a step.
_BLOCKS = (32, 16)
# Of the embedding: nothing is quantized after it. Of the two sizes between which 50 MB fall for
# DistilRoBERTa the larger.
_EMBEDDING_BLOCKS = (128, 64, 32, 16)
# Chosen on the trained models this was developed with; half or twice of either changes little.
_DAMPING = 0.1
_LOOKUP = 0.5


@dataclass(frozen=True)
class _Rounded:
    # A weight, transposed for a product, and the bias that makes up for the mean of its error.
    weight: Blocks
    bias: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Plan:
    products: dict[str, _Rounded]  # by the name of the weight
    embedding: _Rounded


def prepare(model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
    """See `recipe.Prepare`."""
    graph = model.graph
    found = products.find(graph)
    encoder = [one for one in found if one.in_encoder]
    embedding = tied_embedding.find(graph)
    names = [one.values for one in encoder]
    if embedding.projection is not None:
        names.append(embedding.projection.input[0])
    for one in encoder:  # known before the long work
        _block(products.matrix(graph, one.weight).shape[0], _BLOCKS, 1, one.weight)
    _block(embedding.table.shape[1], _EMBEDDING_BLOCKS, 2, embedding.name)
    seen = _observe(model, names, feeds)
    plan = _Plan(
        products={one.weight: _product(graph, one, seen[one.values]) for one in encoder},
        embedding=_embedding(graph, embedding, seen),
    )
    scheme = (
        f"4-bit weights rounded by GPTQ, blocks with a zero point: of {_sizes(plan)} in the "
        f"encoder, of {plan.embedding.weight.block} in the tied word embedding; 8-bit blocks in "
        "the head and "
        "the position table; INT8 activations with a scale for each block"
    )
    return Prepared(partial(_rewrite, plan), scheme, tuple(one.weight for one in found))


RECIPE = Recipe(prepare, onnxruntime=attention.ONNXRUNTIME, lowest_cosine=0.9)


def _sizes(plan: _Plan) -> str:
    return " or ".join(map(str, sorted({one.weight.block for one in plan.products.values()})))


def _observe(model: onnx.ModelProto, names: list[str], feeds: Iterable[Feed]) -> dict[str, Moments]:
    seen: dict[str, Moments] = {}
    for values in observe.observe(model, names, feeds):
        for name, array in values.items():
            seen.setdefault(name, Moments(array.shape[-1])).add(array)
    for name in names:
        if name not in seen or not np.isfinite(seen[name].mean()).all():
            raise QuantizationError(
                f"the calibration texts say nothing of {name}: there are none, or the model's "
                "values are not finite; give other texts"
            )
    return seen


def _product(graph: onnx.GraphProto, product: Product, seen: Moments) -> _Rounded:
    weight = products.matrix(graph, product.weight)
    block = _block(weight.shape[0], _BLOCKS, 1, product.weight)
    hessian = gptq.damped(seen.covariance(), _DAMPING)
    rounded = gptq.quantize(weight.T, hessian, block)
    if product.bias is None:
        return _Rounded(rounded, None)
    bias = np.asarray(graph_edit.weight(graph, product.bias_name()), dtype=np.float32)
    mean = seen.mean()
    return _Rounded(rounded, corrected_bias(bias, mean, weight, mean, rounded.values().T))


def _embedding(graph: onnx.GraphProto, embedding: Embedding, seen: dict[str, Moments]) -> _Rounded:
    table, projection = embedding.table, embedding.projection
    # An even number of blocks, because the lookup of onnxruntime up to 1.26 reads zero points as if
    # those of a row, where their number is odd, did not end with a whole byte. 1.27 reads them
    # right.
    block = _block(table.shape[1], _EMBEDDING_BLOCKS, 2, embedding.name)
    if projection is None:
        return _Rounded(gptq.quantize(table, np.eye(table.shape[1]), block), None)
    values = seen[projection.input[0]]
    rounded = gptq.quantize(table, gptq.damped(values.covariance(), _LOOKUP), block)
    bias = np.asarray(graph_edit.weight(graph, projection.input[2]), dtype=np.float32)
    mean = values.mean()
    return _Rounded(rounded, corrected_bias(bias, mean, table.T, mean, rounded.values().T))


def _block(columns: int, sizes: tuple[int, ...], multiple: int, name: str) -> int:
    for size in sizes:
        if columns % (size * multiple) == 0:
            return size
    raise QuantizationError(
        f"{name} is {columns} wide: INT4 needs a multiple of {sizes[-1] * multiple}; leave out the "
        "int4 variant"
    )


def _rewrite(plan: _Plan, model: onnx.ModelProto, views: Views, kept: Kept) -> None:
    graph = model.graph
    attention.fuse(model)
    for product in products.find(graph):
        rounded = plan.products.get(product.weight)
        if rounded is None or product.weight in kept:
            blocks_of_8_bits.replace_product(graph, product)
        else:
            _replace_product(graph, product, rounded)
    projection = tied_embedding.find(graph).projection
    if projection is not None and plan.embedding.bias is not None:
        name = f"{projection.input[2]}_corrected"
        projection.input[2] = graph_edit.add_weight(graph, name, plan.embedding.bias)
    tied_embedding.quantize_embedding(model, views, plan.embedding.weight)
    _replace_positions(graph)
    graph_edit.drop_unused_weights(graph)


def _replace_product(graph: onnx.GraphProto, product: Product, rounded: _Rounded) -> None:
    nbits.replace_product(graph, product, rounded.weight)
    if product.bias is not None and rounded.bias is not None:
        # Named after the weight: a bias that several products share is corrected for each.
        corrected = graph_edit.add_weight(graph, f"{product.weight}_bias", rounded.bias)
        product.bias.input[:] = [product.output, corrected]


def _replace_positions(graph: onnx.GraphProto) -> None:
    # What is left of the lookups in weights.
    for node in [node for node in graph.node if node.op_type == "Gather"]:
        name = node.input[0]
        values = graph_edit.weight(graph, name)
        if values is None or values.ndim != 2:
            continue
        table = np.asarray(values, dtype=np.float32)
        block = tied_embedding.block_size_for(table.shape[1], name)
        rounded = Blocks(*tied_embedding.quantize_blocks(table, block), None, 8)
        codes = graph_edit.add_weight(
            graph, f"{name}_quantized", rounded.codes.reshape(table.shape)
        )
        inputs = [codes, node.input[1], *nbits.add_parameters(graph, name, rounded)]
        graph_edit.replace_node(
            graph, node, [nbits.lookup(inputs, node.output[0], rounded, node.name)]
        )
