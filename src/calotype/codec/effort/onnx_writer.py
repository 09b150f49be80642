"""Writing ONNX files: nodes, constants, float32 inputs and outputs.

An ONNX file is a protocol buffer: fields of (number, wire type, value), nested. The field numbers below are
those of onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET, IR_VERSION = 17, 8
_FLOAT32 = 1
"""Of TensorProto.DataType."""


@dataclass
class Node:
    """One operation: its type, inputs, outputs and attributes."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)


def model(
    nodes: Sequence[Node],
    constants: Mapping[str, NDArray[np.float32]],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
) -> bytes:
    """An ONNX file; inputs and outputs are of so many dimensions, all of any size."""
    graph = b"".join(_field(1, _node(node)) for node in nodes)
    graph += _field(2, b"effort")
    graph += b"".join(_field(5, _tensor(array, name)) for name, array in constants.items())
    graph += b"".join(_field(11, _value(name, rank)) for name, rank in inputs.items())
    graph += b"".join(_field(12, _value(name, rank)) for name, rank in outputs.items())
    return _number(1, IR_VERSION) + _field(7, graph) + _field(8, _field(1, b"") + _number(2, OPSET))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(array: NDArray[Any], name: str) -> bytes:
    head = b"".join(_number(1, size) for size in array.shape) + _number(2, _FLOAT32)
    return head + _field(8, name.encode()) + _field(9, np.ascontiguousarray(array).tobytes())


def _value(name: str, rank: int) -> bytes:
    shape = b"".join(_field(1, _field(2, f"{name}.{k}".encode())) for k in range(rank))
    tensor = _number(1, 1) + _field(2, shape)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _node(node: Node) -> bytes:
    data = b"".join(_field(1, name.encode()) for name in node.inputs)
    data += b"".join(_field(2, name.encode()) for name in node.outputs)
    data += _field(4, node.kind.encode())
    return data + b"".join(_field(5, _attribute(name, value)) for name, value in node.attributes.items())


def _attribute(name: str, value: Any) -> bytes:
    head = _field(1, name.encode())
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + b"".join(_number(8, one) for one in value) + _number(20, 7)
