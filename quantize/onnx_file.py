"""Writing ONNX files whose weights can be read by a second graph.

A fill-mask artifact holds two graphs over the same weights, the standard one and the served one.
Stored twice, DistilRoBERTa's would be 1.15 GB in three variants; here the served graph's large
weights are external data (ONNX, "External Data") whose location is the standard graph's own file.
Both graphs load in place, the standard one is a single file as other tools want it, and
onnxruntime maps the range instead of copying it.

That needs the place of every weight in the file, so the outer messages are written here, in the
protobuf wire format (https://protobuf.dev/programming-guides/encoding/). The same model gives the
same bytes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import numpy_helper

from distilroberta.quantize.errors import QuantizationError

# A weight smaller than this stays in its graph: it costs less than its reference would.
SHARED_FROM_BYTES = 1024
# Where mapped weights begin, for kernels that load whole cache lines.
_ALIGNMENT = 64
_PROTOBUF_LIMIT = 2**31 - 1

# Field numbers of onnx.proto, with the wire type for length-delimited fields.
_GRAPH_OF_MODEL = bytes([7 << 3 | 2])
_INITIALIZER_OF_GRAPH = bytes([5 << 3 | 2])
_DOC_STRING_OF_GRAPH = bytes([10 << 3 | 2])
_RAW_DATA_OF_TENSOR = bytes([9 << 3 | 2])


@dataclass(frozen=True)
class Range:
    """Where a weight's bytes stand in a file."""

    offset: int
    length: int


# The ranges of a file, by the SHA-256 of the bytes they hold.
Ranges = dict[bytes, Range]


def write(model: onnx.ModelProto, path: Path) -> Ranges:
    """Write a model as one file, its large weights aligned, and flush it to the disk.

    Returns:
        The range of each weight of at least `SHARED_FROM_BYTES`.

    Raises:
        QuantizationError: the model does not fit into the 2 GB of a protobuf message.
    """
    tensors = [_with_raw_data(tensor) for tensor in model.graph.initializer]
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    del graph.initializer[:]
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    head = rest.SerializeToString(deterministic=True) + _GRAPH_OF_MODEL
    body = graph.SerializeToString(deterministic=True)

    # The graph's length stands before it, in a number of bytes that depends on it, and moves all
    # that follows. The padding may shrink as that number grows: then the length is written in one
    # byte more than it needs, which is allowed.
    width = len(_varint(len(body) + sum(len(tensor.raw_data) for tensor in tensors)))
    while True:
        start = len(head) + width
        pieces, end = _lay_out(tensors, start + len(body))
        size = _varint(end - start, width)
        if len(size) == width:
            break
        width = len(size)
    if end > _PROTOBUF_LIMIT:
        raise QuantizationError(
            f"{path.name} would take {end} bytes, more than the 2 GB of one ONNX file: leave this "
            "variant out"
        )

    ranges: Ranges = {}
    with path.open("wb") as file:
        file.write(head + size + body)
        for piece, tensor in zip(pieces, tensors, strict=True):
            file.write(piece)
            if len(tensor.raw_data) >= SHARED_FROM_BYTES:
                ranges[_key(tensor)] = Range(file.tell(), len(tensor.raw_data))
            file.write(tensor.raw_data)
        file.flush()
        os.fsync(file.fileno())
    return ranges


def read(path: Path) -> onnx.ModelProto:
    """Read a model that `write` wrote, with the weights that lie in another file.

    Raises:
        QuantizationError: it can't be read.
    """
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf and onnx raise many kinds
        raise QuantizationError(f"{path} can't be read: {error}") from error
    model.graph.ClearField("doc_string")  # the padding between its weights
    return model


def read_from(model: onnx.ModelProto, ranges: Ranges, location: str) -> None:
    """Take a model's weights out of it where a file beside it holds the same bytes.

    Args:
        model: changed in place.
        ranges: what `write` returned for that file.
        location: that file's name, relative to the folder the model will be written to.
    """
    for tensor in model.graph.initializer:
        tensor.CopyFrom(_with_raw_data(tensor))
        found = ranges.get(_key(tensor))
        if found is None:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        fields = {"location": location, "offset": found.offset, "length": found.length}
        for name, value in fields.items():
            tensor.external_data.add(key=name, value=str(value))


def _lay_out(tensors: list[onnx.TensorProto], position: int) -> tuple[list[bytes], int]:
    # -> what stands before each tensor's raw data, and where the file ends.
    pieces = []
    for tensor in tensors:
        fields = onnx.TensorProto()
        fields.CopyFrom(tensor)
        fields.ClearField("raw_data")
        length = _varint(len(tensor.raw_data))
        inner = fields.SerializeToString(deterministic=True)
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            inner += _RAW_DATA_OF_TENSOR + length
        piece = _INITIALIZER_OF_GRAPH + _varint(len(inner) + len(tensor.raw_data)) + inner
        if len(tensor.raw_data) >= SHARED_FROM_BYTES:
            piece = _padding(-(position + len(piece)) % _ALIGNMENT) + piece
        pieces.append(piece)
        position += len(piece) + len(tensor.raw_data)
    return pieces, position


def _padding(count: int) -> bytes:
    # A field that may stand anywhere, any number of times, and means nothing: the doc string. It
    # takes two bytes at least, so one byte of padding is a whole cache line more.
    if count == 0:
        return b""
    count += _ALIGNMENT if count == 1 else 0
    return _DOC_STRING_OF_GRAPH + _varint(count - 2) + b" " * (count - 2)


def _varint(number: int, width: int = 1) -> bytes:
    # In at least `width` bytes.
    encoded = bytearray()
    while number >= 128 or len(encoded) + 1 < width:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _with_raw_data(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)


def _key(tensor: onnx.TensorProto) -> bytes:
    return hashlib.sha256(tensor.raw_data).digest()
