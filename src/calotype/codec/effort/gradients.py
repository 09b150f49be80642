"""Running the graphs of a pack in NumPy, and their derivatives backwards.

Rounding and conversion to bytes are passed through: forwards they are left out, but for the quantised tensors
of int8 graphs, which are rounded; backwards they count as the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort.graphs import TYPES, Node, read

Array = NDArray[Any]
Back = Callable[[Array], list["Array | None"]]
"""From the gradient of a node's output to those of its inputs (None: not differentiable)."""


class Tape:
    """One graph, to be run forwards and then backwards.

    data:    the ONNX file
    through: the inputs that gradients are wanted for

    Raises ValueError for a graph with an operation that is not known here.
    """

    def __init__(self, data: bytes, through: tuple[str, ...]) -> None:
        graph = read(data)
        self.constants, self.output, self.through = graph.constants, graph.outputs[0], through
        self.inputs = [name for name in graph.inputs if name not in graph.constants]
        self.nodes: list[tuple[Node, bool]] = []
        live = set(through)
        for node in graph.nodes:
            if node.kind not in OPERATIONS and node.kind != "Constant":
                raise ValueError(f"no derivative of {node.kind} is known")
            if node.kind == "Constant":
                self.constants[node.outputs[0]] = node.attributes["value"]
            elif node.kind != "Shape" and all(name in self.constants or not name for name in node.inputs):
                self.constants[node.outputs[0]] = self._run(node, self.constants)[0]
            else:
                differentiable = not live.isdisjoint(node.inputs) and node.kind != "Shape"
                live |= set(node.outputs) if differentiable else set()
                self.nodes.append((node, differentiable))

    @staticmethod
    def _run(node: Node, values: Mapping[str, Array]) -> tuple[Array, Back]:
        return OPERATIONS[node.kind](node.attributes, *(values[n] if n else None for n in node.inputs))

    def __call__(self, **feeds: Array) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
        """The output, and a function from its gradient to those of ``through``."""
        values = {**self.constants, **feeds}
        steps: list[tuple[Node, Back]] = []
        for node, differentiable in self.nodes:
            values[node.outputs[0]], back = self._run(node, values)
            if differentiable:
                steps.append((node, back))

        def backwards(gradient: Array) -> dict[str, Array]:
            found: dict[str, Array] = {self.output: gradient}
            for node, back in reversed(steps):
                above = found.pop(node.outputs[0], None)
                if above is None:
                    continue
                for name, part in zip(node.inputs, back(above)):
                    if part is not None and name and name not in self.constants:
                        found[name] = found[name] + part if name in found else part
            return {name: found[name] for name in self.through}

        return values[self.output], backwards


def _fit(gradient: Array, like: Array) -> Array:
    """Undo broadcasting: the gradient summed to the shape of an input."""
    extra = gradient.ndim - like.ndim
    if extra:
        gradient = gradient.sum(tuple(range(extra)))
    spread = tuple(k for k, size in enumerate(like.shape) if size == 1 and gradient.shape[k] > 1)
    return gradient.sum(spread, keepdims=True) if spread else gradient


def _add(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a + b, lambda g: [_fit(g, a), _fit(g, b)]


def _subtract(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a - b, lambda g: [_fit(g, a), _fit(-g, b)]


def _multiply(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    return a * b, lambda g: [_fit(g * b, a), _fit(g * a, b)]


def _divide(_: Any, a: Array, b: Array) -> tuple[Array, Back]:
    if np.issubdtype(a.dtype, np.integer):
        return a // b, lambda g: [None, None]
    return a / b, lambda g: [_fit(g / b, a), None]


def _relu(_: Any, x: Array) -> tuple[Array, Back]:
    out = np.maximum(x, 0)
    return out, lambda g: [g * (out > 0)]


def _clip(_: Any, x: Array, low: Array | None = None, high: Array | None = None) -> tuple[Array, Back]:
    out = np.clip(x, low, high)
    return out, lambda g: [g * (out == x), None, None]


def _columns(x: Array, side: int) -> Array:
    """[C, h, w] to [C side side, h w]: the neighbourhood of every position, zero outside."""
    c, h, w = x.shape
    reach = side // 2
    padded = np.zeros((c, h + 2 * reach, w + 2 * reach), np.float32)
    padded[:, reach : reach + h, reach : reach + w] = x
    out = np.empty((c, side, side, h, w), np.float32)
    for i in range(side):
        for j in range(side):
            out[:, i, j] = padded[:, i : i + h, j : j + w]
    return out.reshape(c * side * side, h * w)


def _convolve(x: Array, weight: Array) -> Array:
    side = weight.shape[2]
    columns = x[0].reshape(x.shape[1], -1) if side == 1 else _columns(x[0], side)
    return np.asarray(weight.reshape(len(weight), -1) @ columns).reshape(1, len(weight), *x.shape[2:])


def _conv(attributes: Any, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Back]:
    side = weight.shape[2]
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    if list(pads) != [side // 2] * 4 or list(strides) != [1, 1] or side % 2 == 0 or len(x) != 1:
        raise ValueError("no derivative of such a convolution is known")
    out = _convolve(x, weight)
    if bias is not None:
        out += bias[:, None, None]
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
    return out, lambda g: [_convolve(g, turned), None, None]


def _gemm(attributes: Any, x: Array, weight: Array, bias: Array) -> tuple[Array, Back]:
    if attributes.get("transB"):
        weight = weight.T
    return x @ weight + bias, lambda g: [g @ weight.T, None, None]


def _matmul(_: Any, x: Array, weight: Array) -> tuple[Array, Back]:
    return x @ weight, lambda g: [g @ weight.T, None]


def _depth_to_space(attributes: Any, x: Array) -> tuple[Array, Back]:
    s, (_, c, h, w) = attributes["blocksize"], x.shape
    if attributes.get("mode") != "CRD":
        raise ValueError("no derivative of such a DepthToSpace is known")
    out = x.reshape(1, c // s**2, s, s, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(1, c // s**2, h * s, w * s)
    return out, lambda g: [
        g.reshape(1, c // s**2, h, s, w, s).transpose(0, 1, 3, 5, 2, 4).reshape(1, c, h, w)
    ]


def _transpose(attributes: Any, x: Array) -> tuple[Array, Back]:
    order = attributes["perm"]
    return x.transpose(order), lambda g: [g.transpose(np.argsort(order))]


def _reshape(_: Any, x: Array, shape: Array) -> tuple[Array, Back]:
    wanted = [x.shape[k] if size == 0 else int(size) for k, size in enumerate(shape)]
    return x.reshape(wanted), lambda g: [g.reshape(x.shape), None]


def _flatten(attributes: Any, x: Array) -> tuple[Array, Back]:
    rows = int(np.prod(x.shape[: attributes.get("axis", 1)]))
    return x.reshape(rows, -1), lambda g: [g.reshape(x.shape)]


def _unsqueeze(_: Any, x: Array, axes: Array) -> tuple[Array, Back]:
    return np.expand_dims(x, tuple(int(a) for a in axes.reshape(-1))), lambda g: [g.reshape(x.shape), None]


def _concat(attributes: Any, *parts: Array) -> tuple[Array, Back]:
    axis = attributes["axis"]
    cuts = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return np.concatenate(parts, axis), lambda g: list(np.split(g, cuts, axis))


def _slice(
    _: Any, x: Array, starts: Array, ends: Array, axes: Array, steps: Array | None = None
) -> tuple[Array, Back]:
    where: list[slice] = [slice(None)] * x.ndim
    for k, axis in enumerate(axes):
        where[int(axis)] = slice(int(starts[k]), int(ends[k]), 1 if steps is None else int(steps[k]))

    def back(g: Array) -> list[Array | None]:
        out = np.zeros(x.shape, g.dtype)
        out[tuple(where)] = g
        return [out]

    return x[tuple(where)], back


def _gather(attributes: Any, x: Array, at: Array) -> tuple[Array, Back]:
    return np.asarray(np.take(x, at, attributes.get("axis", 0))), lambda g: [None, None]


def _cast(attributes: Any, x: Array) -> tuple[Array, Back]:
    kind = TYPES[attributes["to"]]
    keep = kind == np.uint8  # the pixels, whose rounding is left out
    return x if keep else x.astype(kind), lambda g: [g]


def _quantise(_: Any, x: Array, scale: Array, zero: Array) -> tuple[Array, Back]:
    limits = np.iinfo(zero.dtype)
    out = np.rint(x / scale) + zero.astype(np.float32)
    inside = (out >= limits.min) & (out <= limits.max)
    return np.clip(out, limits.min, limits.max), lambda g: [g / scale * inside]


def _dequantise(attributes: Any, x: Array, scale: Array, zero: Array | None = None) -> tuple[Array, Back]:
    shape = [-1 if k == attributes.get("axis", 1) else 1 for k in range(x.ndim)]
    scale = scale.reshape(shape) if scale.ndim else scale
    offset = 0.0 if zero is None else zero.astype(np.float32)
    offset = offset.reshape(shape) if isinstance(offset, np.ndarray) and offset.ndim else offset
    return (x.astype(np.float32) - offset) * scale, lambda g: [g * scale]


def _floor(_: Any, x: Array) -> tuple[Array, Back]:
    return np.floor(x), lambda g: [g]


def _identity(_: Any, x: Array) -> tuple[Array, Back]:
    return x, lambda g: [g]


def _shape(_: Any, x: Array) -> tuple[Array, Back]:
    return np.array(x.shape), lambda g: [None]


OPERATIONS: dict[str, Callable[..., tuple[Array, Back]]] = {
    "Add": _add, "Sub": _subtract, "Mul": _multiply, "Div": _divide, "Relu": _relu, "Clip": _clip,
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "DepthToSpace": _depth_to_space,
    "Transpose": _transpose, "Reshape": _reshape, "Flatten": _flatten, "Unsqueeze": _unsqueeze,
    "Concat": _concat, "Slice": _slice, "Gather": _gather, "Cast": _cast, "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise, "Floor": _floor, "Identity": _identity, "Shape": _shape,
}  # fmt: skip
