"""Writing ONNX graphs node by node, channels last, with the quantised layers in QDQ form.

In QDQ form every quantised tensor is a QuantizeLinear, DequantizeLinear pair around operators on floats: any
runtime computes it, and ONNX Runtime turns each conv and product between such pairs into one integer kernel.
Channels last because those kernels are: it then finds no transposition left to do between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Writer:
    """A graph in the making.  Methods that add nodes return the name of the new tensor."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._count = 0

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Any operator with one output."""
        from onnx import helper

        output = self._name(op.lower())
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """An array or number."""
        name = self._name("c")
        self.constants[name] = np.asarray(value, dtype)
        return name

    def half(self, value: Array) -> str:
        """An array stored as float16 behind a Cast, which a runtime folds away when it loads the graph."""
        from onnx import TensorProto

        return self.node("Cast", self.constant(value, np.float16), to=TensorProto.FLOAT)

    def reshape(self, x: str, shape: str) -> str:
        return self.node("Reshape", x, shape)

    def transpose(self, x: str, *order: int) -> str:
        return self.node("Transpose", x, perm=list(order))

    def dense(self, x: str, weight: Array, bias: Array) -> str:
        """``x`` ``[1, h, w, in]`` times ``weight`` ``[out, in]`` plus ``bias``, in float32."""
        rows = self.reshape(x, self.constant([-1, weight.shape[1]], np.int64))
        return self._grid(self.node("Gemm", rows, self.half(weight.T), self.constant(bias)), x, len(weight))

    def bytes_dense(self, x: str, weight: Array, bias: Array) -> str:
        """The same for bytes ``x``: in integers, the weights as the sum of a coarse and a fine 8-bit part."""
        pair = self.constant(1.0), self.constant(0, np.uint8)
        x = self.node("DequantizeLinear", x, *pair)
        scale = np.maximum(np.abs(weight).max(1), 1e-12) / 127
        coarse = np.rint(weight / scale[:, None])
        fine = np.rint((weight / scale[:, None] - coarse) * 254)
        products = [
            self.node("MatMul", x, self.integers(part.T, unit, axis=1))
            for part, unit in ((coarse, scale), (fine, scale / 254))
        ]
        return self.node("Add", self.node("Add", *products), self.constant(bias))

    def blocks(self, x: str, side: int, channels: int) -> str:
        """``[1, h*side, w*side, C]`` to ``[1, h, w, side*side*C]``, in the order (row, column, channel)."""
        height, width = self._sizes(x, "Div", side)
        rows = self._concat(height, self._int(side), width, self._int(side * channels))
        x = self.transpose(self.reshape(x, rows), 0, 2, 1, 3)
        return self.reshape(x, self._concat(self._int(1), height, width, self._int(side * side * channels)))

    def unblocks(self, x: str, side: int, channels: int) -> str:
        """The inverse of ``blocks``."""
        height, width = self._sizes(x, "Mul", 1)
        rows = self._concat(height, width, self._int(side), self._int(side * channels))
        x = self.transpose(self.reshape(x, rows), 0, 2, 1, 3)
        height, width = (self.node("Mul", size, self._int(side)) for size in (height, width))
        return self.reshape(x, self._concat(self._int(1), height, width, self._int(channels)))

    def quantised(self, x: str, scale: float, zero: int) -> str:
        """``x`` rounded to ``scale * (0 .. 255 - zero)``."""
        pair = self.constant(scale), self.constant(zero, np.uint8)
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *pair), *pair)

    def integers(self, values: Array, scale: Array, axis: int, dtype: Any = np.int8) -> str:
        """``values * scale`` with one scale per index of ``axis``; the integers are what is stored."""
        names = self.constant(values, dtype), self.constant(scale), self.constant(np.zeros(len(scale)), dtype)
        return self.node("DequantizeLinear", *names, axis=axis)

    def save(self, inputs: dict[str, tuple[str, list[Any]]], outputs: dict[str, tuple[str, list[Any]]]) -> bytes:
        """The file.  ``inputs`` and ``outputs``: name to (type, shape); an output's name is that of a tensor."""
        from onnx import TensorProto, checker, helper, numpy_helper

        def infos(which: dict[str, tuple[str, list[Any]]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)
                for name, (kind, shape) in which.items()
            ]

        initializers = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "calotype", infos(inputs), infos(outputs), initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        checker.check_model(model)
        return bytes(model.SerializeToString())

    def rename(self, tensor: str, name: str) -> None:
        """Give the tensor that was made last its name as an output."""
        assert self.nodes[-1].output[0] == tensor
        self.nodes[-1].output[0] = name

    def _grid(self, rows: str, like: str, channels: int) -> str:
        """``[h*w, channels]`` as ``[1, h, w, channels]``, h and w those of ``like``."""
        height, width = self._sizes(like, "Mul", 1)
        return self.reshape(rows, self._concat(self._int(1), height, width, self._int(channels)))

    def _sizes(self, x: str, op: str, factor: int) -> tuple[str, str]:
        """Height and width of ``[1, h, w, C]`` times or over a factor, each an array of one number."""
        shape = self.node("Shape", x)
        sides = (self.node("Slice", shape, self._int(k), self._int(k + 1)) for k in (1, 2))
        height, width = (self.node(op, side, self._int(factor)) if factor > 1 else side for side in sides)
        return height, width

    def _concat(self, *parts: str) -> str:
        return self.node("Concat", *parts, axis=0)

    def _int(self, value: int) -> str:
        return self.constant([value], np.int64)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"
