"""Run an ONNX graph as on an x86 without VNNI; a process of its own, see `hide_vnni.c`.

    python run_on_older_cpu.py LIBRARY avx2|avx512 GRAPH INPUTS.npz OUTPUTS.npz

Ends with 77 where the kernel or the processor can't hide instructions.
"""

from __future__ import annotations

import ctypes
import sys

CAN_NOT_HIDE = 77


def main(library: str, level: str, graph: str, inputs: str, outputs: str) -> int:
    if ctypes.CDLL(library).hide_vnni(int(level == "avx2")) != 0:
        return CAN_NOT_HIDE
    import numpy as np
    import onnxruntime  # looks at the processor when it is imported

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    with np.load(inputs) as feeds:
        values = session.run(names, dict(feeds))
    np.savez(outputs, **dict(zip(names, values, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
