"""The recipe of each variant."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from distilroberta.quantize import half, int4, int8, int8_static
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Recipe, Views


def _as_it_is(model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
    def nothing(model: onnx.ModelProto, views: Views, kept: Kept) -> None:
        """Leave the graph as it was exported."""

    return Prepared(nothing, "FP32, as in the checkpoint")


# FP32 and FP16 ran on 1.16.0, the oldest release that was tried.
RECIPES = {
    "fp32": Recipe(_as_it_is, onnxruntime="1.16.0", lowest_cosine=0.99999),
    "fp16": half.RECIPE,
    "int8-static": int8_static.RECIPE,
    "int8": int8.RECIPE,
    "int4": int4.RECIPE,
}
