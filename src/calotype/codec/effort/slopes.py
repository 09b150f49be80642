"""The synthesis run forwards and backwards by ONNX Runtime: pixels' squared error and its slopes.

The pack's own float32 graph is taken up to where its output is clipped. Behind it come the squared error
against a target and, in reverse order, the derivative of every node: a new ONNX file, written here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort.gradients import OPERATIONS
from calotype.codec.effort.graphs import Graph, Node, read
from calotype.codec.effort.onnx_writer import model
from calotype.codec.runtime import session

Array = NDArray[Any]


class Slopes:
    """``run`` for one synthesis graph.

    data:    synthesis.onnx, float32
    threads: how many threads one call uses

    Raises ValueError for a graph with an operation whose derivative is not known here.
    """

    def __init__(self, data: bytes, threads: int = 1) -> None:
        graph = read(data)
        cut = next((k for k, node in enumerate(graph.nodes) if node.kind == "Clip"), len(graph.nodes))
        if cut == len(graph.nodes):
            raise ValueError("the graph does not clip its output")
        self.tail, self.constants = graph.nodes[cut + 1 :], graph.constants
        self.entry, self.start = graph.nodes[cut].inputs[0], graph.nodes[cut].outputs[0]
        data, self.channels = _backwards(graph, cut)
        self._session: Any = session(data, threads)

    def run(self, y_hat: Array, level: Array, target: Array) -> tuple[float, Array]:
        """(sum of squared errors, its derivative by y_hat); target as ``layout`` gives it."""
        feeds = {"y_hat": y_hat, "level": level, "target": target}
        error, slope = self._session.run(None, feeds)
        return float(error), np.asarray(slope)

    def layout(self, pixels: Array) -> Array:
        """Pixels [1, H, W, 3] as the graph has them before it arranges them, float32.

        The last nodes only move numbers about, so that their derivative is their inverse.
        """
        side = math.isqrt(self.channels // 3)
        clipped = np.zeros((1, self.channels, pixels.shape[1] // side, pixels.shape[2] // side), np.float32)
        values: dict[str, Array] = {**self.constants, self.start: clipped}
        backs = []
        for node in self.tail:
            if node.kind == "Constant":
                values[node.outputs[0]] = node.attributes["value"]
                continue
            given = [values[name] for name in node.inputs]
            values[node.outputs[0]], back = OPERATIONS[node.kind](node.attributes, *given)
            if node.kind in ("Cast", "Reshape", "Transpose"):
                backs.append(back)
        out: Array = pixels.astype(np.float32)
        for back in reversed(backs):
            out = back(out)[0]  # type: ignore[assignment]
        return np.ascontiguousarray(out)


def _backwards(graph: Graph, cut: int) -> tuple[bytes, int]:
    """The new file: nodes before number `cut`, the error, and the derivatives; and the channels of the last
    convolution, which are the colours of a patch of pixels.
    """
    constants = dict(graph.constants)
    forward: list[Node] = []
    widths: dict[str, int] = {}  # channels of the convolutions' outputs
    for node in graph.nodes[:cut]:
        if node.kind == "Constant":
            constants[node.outputs[0]] = node.attributes["value"]
        elif all(name in constants for name in node.inputs):
            constants[node.outputs[0]] = OPERATIONS[node.kind](
                node.attributes, *(constants[name] for name in node.inputs)
            )[0]
        else:
            forward.append(node)
            if node.kind == "Conv":
                widths[node.outputs[0]] = len(constants[node.inputs[1]])
    out = graph.nodes[cut].inputs[0]
    low, high = np.float32(0), np.float32(255)
    extra = {"low": low, "high": high, "half": np.float32(0.5), "two": np.float32(2)}
    constants |= {f"slopes.{name}": np.asarray(value, np.float32) for name, value in extra.items()}
    nodes = [
        *forward,
        Node("Sub", [out, "slopes.half"], ["slopes.middle"]),  # truncation is rounding with a half added
        Node("Clip", ["slopes.middle", "slopes.low", "slopes.high"], ["slopes.pixels"]),
        Node("Sub", ["slopes.pixels", "target"], ["slopes.difference"]),
        Node("ReduceSumSquare", ["slopes.difference"], ["error"], {"keepdims": 0}),
        Node("Mul", ["slopes.difference", "slopes.two"], ["slopes.0"]),
    ]
    slopes: dict[str, str] = {out: "slopes.0"}
    for node in reversed(forward):
        above = slopes.pop(node.outputs[0], None)
        if above is None:
            continue
        for name, steps in _derivative(node, above, constants, widths):
            if name in constants or name == "level":
                continue
            end = steps[-1].outputs[0] if steps else above
            nodes += steps
            if name in slopes:
                both = f"slopes.{len(nodes)}.sum"
                nodes.append(Node("Add", [slopes[name], end], [both]))
                end = both
            slopes[name] = end
    nodes.append(Node("Identity", [slopes["y_hat"]], ["slope"]))
    used = {name for node in nodes for name in node.inputs}
    data = model(
        nodes,
        {name: array for name, array in constants.items() if name in used},
        inputs={"y_hat": 4, "level": 1, "target": 4},
        outputs={"error": 0, "slope": 4},
    )
    return data, next(reversed(widths.values()), 0)


def _derivative(
    node: Node, above: str, constants: dict[str, Array], widths: dict[str, int]
) -> list[tuple[str, list[Node]]]:
    """For each input that matters, the nodes from the output's slope to its own; new constants are added."""
    name = f"slopes.{node.outputs[0]}"
    first = node.inputs[0]
    if node.kind == "Add":
        return [(one, []) for one in node.inputs]
    if node.kind in ("Mul", "Div") and node.inputs[1] in constants:
        return [(first, [Node(node.kind, [above, node.inputs[1]], [f"{name}.scaled"])])]
    if node.kind == "Relu":  # what comes out is not negative, so its sign is 0 or 1
        sign = Node("Sign", [node.outputs[0]], [f"{name}.sign"])
        return [(first, [sign, Node("Mul", [above, f"{name}.sign"], [f"{name}.relu"])])]
    if node.kind == "Conv":
        weight = constants[node.inputs[1]]
        side = weight.shape[2]
        pads, strides = node.attributes.get("pads", [0] * 4), node.attributes.get("strides", [1, 1])
        if list(pads) != [side // 2] * 4 or list(strides) != [1, 1]:
            raise ValueError("the derivative of a convolution with strides is not known")
        constants[f"{name}.weight"] = np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        turned = {"kernel_shape": [side, side], "pads": list(pads)}
        return [(first, [Node("Conv", [above, f"{name}.weight"], [f"{name}.conv"], turned)])]
    if node.kind == "DepthToSpace" and node.attributes.get("mode") == "CRD":
        side = node.attributes["blocksize"]
        # SpaceToDepth counts (row, column, channel), this one (channel, row, column).
        steps = [Node("SpaceToDepth", [above], [f"{name}.depth"], {"blocksize": side})]
        order = np.arange(widths[first]).reshape(side * side, -1).T.reshape(-1)
        constants[f"{name}.order"] = order.astype(np.int64)
        steps.append(Node("Gather", [f"{name}.depth", f"{name}.order"], [f"{name}.moved"], {"axis": 1}))
        return [(first, steps)]
    if node.kind in ("Unsqueeze", "Identity"):
        return []
    raise ValueError(f"no derivative of {node.kind} is known")
