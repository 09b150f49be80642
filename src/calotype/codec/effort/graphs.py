"""Reading ONNX files: as much of the format as packs use, without the onnx package.

An ONNX file is a protocol buffer: fields of (number, wire type, value), nested. The field numbers below are
those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TYPES: dict[int, type[np.generic]] = {
    1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
    11: np.float64,
}  # fmt: skip
"""NumPy's types by the numbers of TensorProto.DataType."""


@dataclass
class Node:
    """One operation: its type, inputs ("" where one is left out), outputs and attributes."""

    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Graph:
    """Nodes in the order of computation, constants by name, names of the outputs and inputs."""

    nodes: list[Node]
    constants: dict[str, Array]
    outputs: list[str]
    inputs: list[str]


def read(data: bytes) -> Graph:
    """The graph in an ONNX file. Raises ValueError or IndexError for what is not one."""
    graph = Graph([], {}, [], [])
    for number, value in _fields(_only(data, 7)):
        if number == 1:
            graph.nodes.append(_node(value))
        elif number == 5:
            name, array = _tensor(value)
            graph.constants[name] = array
        elif number == 11:
            graph.inputs.append(_text(_only(value, 1)))
        elif number == 12:
            graph.outputs.append(_text(_only(value, 1)))
    return graph


def _fields(data: memoryview | bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a message: an integer, or a memoryview of bytes."""
    data = memoryview(data)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            yield number, data[at : at + size]
            at += size
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than its file")
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire} is unknown")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _only(data: memoryview | bytes, wanted: int) -> memoryview:
    for number, value in _fields(data):
        if number == wanted:
            return memoryview(value)
    raise ValueError(f"field {wanted} is missing")


def _text(value: memoryview) -> str:
    return bytes(value).decode()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _integers(value: int | memoryview) -> list[int]:
    """A repeated integer field: one value, or several packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, at = [], 0
    while at < len(value):
        one, at = _varint(value, at)
        found.append(_signed(one))
    return found


def _node(data: memoryview) -> Node:
    node = Node()
    for number, value in _fields(data):
        if number == 1:
            node.inputs.append(_text(value))
        elif number == 2:
            node.outputs.append(_text(value))
        elif number == 4:
            node.kind = _text(value)
        elif number == 5:
            name, found = _attribute(value)
            node.attributes[name] = found
    return node


def _attribute(data: memoryview) -> tuple[str, Any]:
    name, found = "", None
    numbers: list[int] = []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            found = struct.unpack("<f", value)[0]
        elif number == 3:
            found = _signed(value)
        elif number == 4:
            found = _text(value)
        elif number == 5:
            found = _tensor(value)[1]
        elif number == 8:
            numbers += _integers(value)
    return name, numbers if found is None else found


def _tensor(data: memoryview) -> tuple[str, Array]:
    name, kind, shape, raw = "", 1, list[int](), b""
    floats, small, large = b"", list[int](), list[int]()
    for number, value in _fields(data):
        if number == 1:
            shape += _integers(value)
        elif number == 2:
            kind = value
        elif number == 4:
            floats += bytes(value)
        elif number == 5:
            small += _integers(value)
        elif number == 7:
            large += _integers(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = bytes(value)
    if kind not in TYPES:
        raise ValueError(f"tensor {name}: data type {kind} is not used in packs")
    dtype = np.dtype(TYPES[kind]).newbyteorder("<")
    if raw:
        array = np.frombuffer(raw, dtype)
    elif floats:
        array = np.frombuffer(floats, "<f4")
    else:
        array = np.array(small or large, dtype)
    return name, array.reshape(shape)
