"""The kinds of processor an INT8 variant can be made for.

onnxruntime multiplies U8 activations by S8 weights. x86 without VNNI has one instruction for it,
VPMADDUBSW, which adds two neighbouring products along the inner dimension in 16 bits and saturates:
255 * 127 + 255 * 127 does not fit. So an answer can depend on the machine
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). `portable` weights
are bounded so that no pair can saturate, see `saturation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from distilroberta.runtime import layout


@dataclass(frozen=True)
class Target:
    """What a target asks of the weights.

    `signed` weights are S8, the others U8 around 128, which x86 multiplies in 16 bits, exactly and
    half as fast. `bounded` weights can't saturate VPMADDUBSW.
    """

    signed: bool
    bounded: bool


TARGETS = {
    "portable": Target(signed=True, bounded=True),
    "avx2": Target(signed=False, bounded=False),
    "avx512": Target(signed=True, bounded=True),
    "avx512_vnni": Target(signed=True, bounded=False),
    "arm64": Target(signed=True, bounded=False),
}
assert set(TARGETS) == set(layout.TARGETS)
