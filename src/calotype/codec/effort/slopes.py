"""The synthesis run forwards and backwards by ONNX Runtime: pixels' squared error and its slopes.

The decoder's layers (docs/FORMAT.md) in float32, nothing rounded and nothing clipped but the pixels. Behind
them come the squared error against a target and, in reverse order, the derivative of every operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort.onnx_writer import Node, model
from calotype.codec.effort.session import session

Array = NDArray[Any]
Floats = NDArray[np.float32]

PATCH = 4
"""Side of the patches of pixels that the synthesis ends with."""
FRACTION = 32
"""Parts of a grey level that it counts in."""


class Slopes:
    """``run`` for the synthesis of one pack.

    arrays:  of networks.safetensors
    unit:    what 1 in a latent stands for in y, [M]
    threads: how many threads one call uses
    """

    def __init__(self, arrays: Mapping[str, Array], unit: Floats, threads: int = 1) -> None:
        self._session: Any = session(_graph(arrays, unit), threads)

    def run(self, y_hat: Floats, vector: NDArray[np.int32], target: Floats) -> tuple[float, Floats]:
        """(sum of squared errors, its derivative by y_hat).

        y_hat:  latents [1, M, h, w] in units of y
        vector: the level's, [M], in units of latents
        target: as ``layout`` gives it
        """
        feeds = {"y_hat": y_hat, "vector": vector[None, :, None, None].astype(np.float32), "target": target}
        error, slope = self._session.run(None, feeds)
        return float(error), np.asarray(slope)


def layout(pixels: NDArray[np.uint8]) -> Floats:
    """Pixels [1, H, W, 3] as the synthesis has them, patches [1, (row column colour), H / 4, W / 4]."""
    _, height, width, _ = pixels.shape
    parts = pixels.reshape(1, height // PATCH, PATCH, width // PATCH, PATCH, 3)
    patches = parts.transpose(0, 2, 4, 5, 1, 3).reshape(1, -1, height // PATCH, width // PATCH)
    return np.ascontiguousarray(patches, np.float32)


class _Tape:
    """Operations on maps in the order of computation, and for each how a slope goes back through it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Floats] = {}
        self.steps: list[tuple[str, str, Callable[[str], str]]] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(value, np.float32)
        return name

    def apply(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operation without a way back."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(Node(kind, list(inputs), [name], attributes))
        return name

    def scaled(self, x: str, by: Array) -> str:
        factor = self.constant(by)
        return self._kept(self.apply("Mul", x, factor), x, lambda slope: self.apply("Mul", slope, factor))

    def conv(self, x: str, weight: Array, bias: Array) -> str:
        shape = {"kernel_shape": list(weight.shape[2:]), "pads": [weight.shape[2] // 2] * 4}
        turned = self.constant(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        out = self.apply("Conv", x, self.constant(weight), self.constant(bias), **shape)
        return self._kept(out, x, lambda slope: self.apply("Conv", slope, turned, **shape))

    def relu(self, x: str) -> str:
        out = self.apply("Relu", x)  # not negative, so its sign is 0 or 1
        return self._kept(out, x, lambda slope: self.apply("Mul", slope, self.apply("Sign", out)))

    def finer(self, x: str) -> str:
        """Outputs (row, column, channel) to a grid twice as fine."""
        out = self.apply("DepthToSpace", x, blocksize=2)
        return self._kept(out, x, lambda slope: self.apply("SpaceToDepth", slope, blocksize=2))

    def add(self, a: str, b: str) -> str:
        out = self._kept(self.apply("Add", a, b), a, lambda slope: slope)
        return self._kept(out, b, lambda slope: slope)

    def back(self, last: str, slope: str, first: str) -> str:
        """The slope at the map `first`, from that at `last`."""
        slopes = {last: slope}
        for out, x, turn in reversed(self.steps):
            if out in slopes:
                found = turn(slopes[out])
                slopes[x] = self.apply("Add", slopes[x], found) if x in slopes else found
        return slopes[first]

    def _kept(self, out: str, x: str, turn: Callable[[str], str]) -> str:
        self.steps.append((out, x, turn))
        return out


def _graph(arrays: Mapping[str, Array], unit: Floats) -> bytes:
    """Inputs y_hat, vector, target and outputs error, slope, as an ONNX file."""
    tape = _Tape()

    def layer(x: str, name: str, parts: int = 1) -> str:
        weight, bias, mul = (arrays[f"synthesis.{name}.{part}"] for part in ("weight", "bias", "mul"))
        factor = mul / (2.0**32 * parts)
        return tape.conv(x, weight * factor[:, None, None, None], bias * factor)

    def bottlenecks(x: str, name: str) -> str:
        k = 0
        while f"synthesis.{name}.{k}.reduce.weight" in arrays:
            t = tape.relu(layer(x, f"{name}.{k}.reduce"))
            t = tape.relu(layer(t, f"{name}.{k}.conv"))
            x = tape.add(x, layer(t, f"{name}.{k}.expand"))
            k += 1
        return x

    x = tape.add(tape.scaled("y_hat", 1 / unit[None, :, None, None]), "vector")
    t = bottlenecks(tape.finer(layer(bottlenecks(x, "blocks16"), "split")), "blocks8")
    u, k = tape.relu(tape.finer(layer(t, "up"))), 0
    while f"synthesis.convs.{k}.weight" in arrays:
        u, k = tape.relu(layer(u, f"convs.{k}")), k + 1
    p = tape.add(tape.finer(layer(t, "patch", FRACTION)), layer(u, "out", FRACTION))

    pixels = tape.apply("Clip", p, tape.constant(0), tape.constant(255))
    difference = tape.apply("Sub", pixels, "target")
    slope = tape.back(p, tape.apply("Mul", difference, tape.constant(2)), "y_hat")
    nodes = [
        *tape.nodes,
        Node("ReduceSumSquare", [difference], ["error"], {"keepdims": 0}),
        Node("Identity", [slope], ["slope"]),
    ]
    inputs = {"y_hat": 4, "vector": 4, "target": 4}
    return model(nodes, tape.constants, inputs=inputs, outputs={"error": 0, "slope": 4})
