"""Networks as ONNX graphs that run backwards, too: every operation says how a slope goes back through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.effort.onnx_writer import Node, model

Array = NDArray[Any]
Floats = NDArray[np.float32]


class Tape:
    """Operations on maps [1, channels, height, width] in the order of computation. Maps go by their names."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Floats] = {}
        self.steps: list[tuple[str, str, Callable[[str], str]]] = []

    def file(self, inputs: Mapping[str, int], outputs: Mapping[str, str], ranks: Mapping[str, int]) -> bytes:
        """An ONNX file.

        inputs:  name -> number of dimensions
        outputs: name -> the map that it is
        ranks:   numbers of dimensions of outputs that have not four
        """
        return self._file(self.nodes, inputs, outputs, ranks)

    def halves(
        self, cut: int, inputs: Mapping[str, int], outputs: tuple[Mapping[str, str], Mapping[str, str]]
    ) -> tuple[bytes, bytes]:
        """Two ONNX files, of the operations before the cut and of those from it on. What the second needs of
        the first's maps is an output of that and an input of its own, under the map's name.

        inputs: of either; name -> number of dimensions
        """
        first, second = self.nodes[:cut], self.nodes[cut:]
        made = {name for node in first for name in node.outputs}
        kept = {name: 4 for node in second for name in node.inputs if name in made}
        return (
            self._file(first, inputs, {**outputs[0], **{name: name for name in kept}}, {}),
            self._file(second, {**inputs, **kept}, outputs[1], {}),
        )

    def _file(
        self,
        nodes: list[Node],
        inputs: Mapping[str, int],
        outputs: Mapping[str, str],
        ranks: Mapping[str, int],
    ) -> bytes:
        named = [Node("Identity", [found], [name]) for name, found in outputs.items() if found != name]
        read = {name for node in nodes for name in node.inputs}
        return model(
            [*nodes, *named],
            {name: array for name, array in self.constants.items() if name in read},
            inputs={name: rank for name, rank in inputs.items() if name in read},
            outputs={name: ranks.get(name, 4) for name in outputs},
        )

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(value, np.float32)
        return name

    def apply(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operation without a way back."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(Node(kind, list(inputs), [name], attributes))
        return name

    def scaled(self, x: str, by: Any) -> str:
        factor = self.constant(by)
        return self._kept(self.apply("Mul", x, factor), x, lambda slope: self.apply("Mul", slope, factor))

    def raised(self, x: str, by: Any) -> str:
        """A constant more."""
        return self._kept(self.apply("Add", x, self.constant(by)), x, lambda slope: slope)

    def conv(self, x: str, weight: Array, bias: Array) -> str:
        shape = {"kernel_shape": list(weight.shape[2:]), "pads": [weight.shape[2] // 2] * 4}
        turned = self.constant(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        out = self.apply("Conv", x, self.constant(weight), self.constant(bias), **shape)
        return self._kept(out, x, lambda slope: self.apply("Conv", slope, turned, **shape))

    def blur(self, x: str, channels: int, taps: Floats) -> str:
        """Every channel along rows and columns with the same taps, which read the same both ways; 0 beyond
        the borders.
        """
        count, half = len(taps), len(taps) // 2
        ways = [self.constant(np.broadcast_to(taps.reshape(1, 1, *way), (channels, 1, *way)))
                for way in ((count, 1), (1, count))]  # fmt: skip

        def blurred(x: str) -> str:
            x = self.apply(
                "Conv", x, ways[0], kernel_shape=[count, 1], pads=[half, 0, half, 0], group=channels
            )
            return self.apply(
                "Conv", x, ways[1], kernel_shape=[1, count], pads=[0, half, 0, half], group=channels
            )

        return self._kept(blurred(x), x, blurred)

    def relu(self, x: str) -> str:
        out = self.apply("Relu", x)  # not negative, so its sign is 0 or 1
        return self._kept(out, x, lambda slope: self.apply("Mul", slope, self.apply("Sign", out)))

    def clipped(self, x: str, low: float, high: float) -> str:
        """Slopes go through it as if it were not there: outside, errors may still lead back."""
        return self._kept(
            self.apply("Clip", x, self.constant(low), self.constant(high)), x, lambda slope: slope
        )

    def abs(self, x: str) -> str:
        out = self.apply("Abs", x)
        return self._kept(out, x, lambda slope: self.apply("Mul", slope, self.apply("Sign", x)))

    def square(self, x: str) -> str:
        twice = self.constant(2)
        out = self.apply("Mul", x, x)
        return self._kept(out, x, lambda slope: self.apply("Mul", slope, self.apply("Mul", x, twice)))

    def power(self, x: str, exponent: float) -> str:
        """Of maps above 0; this way takes half the time of Pow."""
        factor = self.constant(exponent)
        out = self.apply("Exp", self.apply("Mul", self.apply("Log", x), factor))
        return self._kept(
            out,
            x,
            lambda slope: self.apply("Mul", slope, self.apply("Mul", self.apply("Div", out, x), factor)),
        )

    def finer(self, x: str, times: int = 2) -> str:
        """Outputs (row, column, channel) to a grid so many times as fine."""
        out = self.apply("DepthToSpace", x, blocksize=times)
        return self._kept(out, x, lambda slope: self.apply("SpaceToDepth", slope, blocksize=times))

    def coarser(self, x: str, times: int = 2) -> str:
        """The other way."""
        out = self.apply("SpaceToDepth", x, blocksize=times)
        return self._kept(out, x, lambda slope: self.apply("DepthToSpace", slope, blocksize=times))

    def add(self, a: str, b: str) -> str:
        out = self._kept(self.apply("Add", a, b), a, lambda slope: slope)
        return self._kept(out, b, lambda slope: slope)

    def sub(self, a: str, b: str) -> str:
        out = self._kept(self.apply("Sub", a, b), a, lambda slope: slope)
        return self._kept(out, b, lambda slope: self.apply("Neg", slope))

    def mul(self, a: str, b: str) -> str:
        out = self._kept(self.apply("Mul", a, b), a, lambda slope: self.apply("Mul", slope, b))
        return self._kept(out, b, lambda slope: self.apply("Mul", slope, a))

    def div(self, a: str, b: str) -> str:
        out = self._kept(self.apply("Div", a, b), a, lambda slope: self.apply("Div", slope, b))
        return self._kept(
            out,
            b,
            lambda slope: self.apply("Neg", self.apply("Mul", slope, self.apply("Div", out, b))),
        )

    def total(self, maps: Iterable[str]) -> str:
        """Their sum, without a way back."""
        first, *rest = maps
        for one in rest:
            first = self.apply("Add", first, one)
        return first

    def back(self, slopes: Mapping[str, str], first: str) -> str:
        """The slope at the map `first`, from those at maps that follow from it."""
        found = dict(slopes)
        for out, x, turn in reversed(self.steps):
            if out in found:
                more = turn(found[out])
                found[x] = self.apply("Add", found[x], more) if x in found else more
        return found[first]

    def _kept(self, out: str, x: str, turn: Callable[[str], str]) -> str:
        self.steps.append((out, x, turn))
        return out
