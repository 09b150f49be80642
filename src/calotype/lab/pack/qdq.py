"""Quantised layers over channels-last maps ``[1, h, w, C]``, which ONNX sees in QDQ form.

In QDQ form a quantised tensor is a QuantizeLinear, DequantizeLinear pair, and integer weights are a constant
behind a DequantizeLinear: any runtime computes it, torch does too, and ONNX Runtime turns every convolution
and
product between such pairs into one integer kernel.  Those are channels last, so nothing is transposed
between.

Weights have 7 bits and a scale per output channel, activations 8 bits and a scale per tensor: with more, the
16-bit sums of x86 CPUs without VNNI instructions could overflow (255 * 63 * 2 < 2^15).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Array = npt.NDArray[Any]
WEIGHT_PEAK = 63


@dataclass
class Range:
    """A quantised tensor holds ``scale * (q - zero)``, q from 0 to 255."""

    scale: float
    zero: int

    def __call__(self, x: Array) -> Array:
        return self.scale * (np.clip(np.rint(x / self.scale) + self.zero, 0, 255) - self.zero)


class _Bytes(torch.autograd.Function):
    """Floats as the bytes of a range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return torch.clamp(torch.round(x / scale) + zero, 0, 255).to(torch.uint8)

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, zero: Any) -> Any:
        return g.op("QuantizeLinear", x, scale, zero)


class _Values(torch.autograd.Function):
    """What the bytes of a range stand for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return (x.float() - zero) * scale

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, zero: Any) -> Any:
        return g.op("DequantizeLinear", x, scale, zero)


class _Dequantise(torch.autograd.Function):
    """Integers times one scale per index of ``axis``."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, zero: Tensor, axis: int) -> Tensor:
        return values.float() * scale.reshape([-1 if k == axis else 1 for k in range(values.ndim)])

    @staticmethod
    def symbolic(g: Any, values: Any, scale: Any, zero: Any, axis: int) -> Any:
        return g.op("DequantizeLinear", values, scale, zero, axis_i=axis)


class _Floats(torch.autograd.Function):
    """Bytes as floats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.float()

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        scale = g.op("Constant", value_t=torch.tensor(1.0))
        return g.op(
            "DequantizeLinear", x, scale, g.op("Constant", value_t=torch.tensor(0, dtype=torch.uint8))
        )


def floats(x: Tensor) -> Tensor:
    """Bytes as a quantised tensor of step 1 from 0."""
    out: Tensor = _Floats.apply(x)
    return out


class _ToBytes(torch.autograd.Function):
    """Floats rounded and clipped to bytes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.round(x).clamp(0, 255).to(torch.uint8)

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        scale = g.op("Constant", value_t=torch.tensor(1.0))
        return g.op("QuantizeLinear", x, scale, g.op("Constant", value_t=torch.tensor(0, dtype=torch.uint8)))


def to_bytes(x: Tensor) -> Tensor:
    """Floats rounded and clipped to 0..255, uint8."""
    out: Tensor = _ToBytes.apply(x)
    return out


class Quantise(nn.Module):
    """Rounds a map to the values of a range; nothing without one."""

    def __init__(self, steps: Range | None) -> None:
        super().__init__()
        self.scale: Tensor | None
        self.register_buffer(
            "scale", None if steps is None else torch.tensor(steps.scale, dtype=torch.float32)
        )
        self.register_buffer("zero", None if steps is None else torch.tensor(steps.zero, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        return x if self.scale is None else self.values(self.bytes(x))

    def bytes(self, x: Tensor) -> Tensor:
        """Floats as bytes."""
        out: Tensor = _Bytes.apply(x, self.scale, self.zero)
        return out

    def values(self, x: Tensor) -> Tensor:
        """Bytes as floats."""
        out: Tensor = _Values.apply(x, self.scale, self.zero)
        return out


class Integers(nn.Module):
    """Constants of 8 (or 32) bits with a scale for each index of ``axis``; called, it gives them as
    floats.
    """

    def __init__(self, values: Array, scale: Array, axis: int, dtype: torch.dtype = torch.int8) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("values", torch.from_numpy(np.ascontiguousarray(values)).to(dtype))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.register_buffer("zero", torch.zeros(len(scale), dtype=dtype))

    def forward(self) -> Tensor:
        out: Tensor = _Dequantise.apply(self.values, self.scale, self.zero, self.axis)
        return out


def rounded(weight: Array, x: Array | None = None, peak: int = WEIGHT_PEAK) -> tuple[Array, Array, Array]:
    """Weights ``[out, in, taps]`` as integers and scales ``[out]``, and the mean of what rounding takes
    away from
    the outputs for inputs ``x`` ``[positions, in]``, ``[out]``.
    """
    scale = np.maximum(np.abs(weight).max((1, 2)), 1e-12) / peak
    integers = np.rint(weight / scale[:, None, None])
    lost = (weight - integers * scale[:, None, None]).sum(2)
    return integers, scale, lost @ x.mean(0) if x is not None else np.zeros(len(weight))


class Conv(nn.Module):
    """3x3 or 1x1 convolution; in integers when given the range of its input and samples ``x`` of it."""

    def __init__(self, weight: Array, bias: Array, steps: Range | None, x: Array | None = None) -> None:
        super().__init__()
        self.side = round(weight.shape[2] ** 0.5)
        shape = (*weight.shape[:2], self.side, self.side)
        self.weight: Any
        self.bias: Any
        if steps is None:
            self.weight = nn.Parameter(torch.from_numpy(weight.reshape(shape)).float())
            self.bias = nn.Parameter(torch.from_numpy(bias).float())
        else:
            integers, scale, lost = rounded(weight, x)
            self.weight = Integers(integers.reshape(shape), scale, 0)
            unit = scale * steps.scale
            self.bias = Integers(np.rint((bias + lost) / unit), unit, 0, torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (p() if isinstance(p, Integers) else p for p in (self.weight, self.bias))
        return F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=self.side // 2).permute(0, 2, 3, 1)


class Product(nn.Module):
    """``weight`` ``[out, in]`` times each position, in integers, without a bias; ``lost``: see `rounded`."""

    def __init__(self, weight: Array, x: Array | None = None) -> None:
        super().__init__()
        integers, scale, self.lost = rounded(weight[:, :, None], x)
        self.weight = Integers(integers[:, :, 0].T, scale, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight()

    def integers(self) -> Array:
        """The weights that it stands for, ``[out, in]``."""
        return np.asarray(self.weight().double().numpy().T)


class Dense(nn.Module):
    """``weight`` ``[out, in]`` times each position plus ``bias``, in float32."""

    def __init__(self, weight: Array, bias: Array) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight.T)).float())
        self.bias = nn.Parameter(torch.from_numpy(bias).float())

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.addmm(self.bias, x.flatten(0, 2), self.weight)
        return rows.reshape(1, x.shape[1], x.shape[2], len(self.bias))


def blocks(x: Tensor, side: int) -> Tensor:
    """``[1, h*side, w*side, C]`` to ``[1, h, w, side*side*C]``, in the order (row, column, channel)."""
    if side == 1:
        return x
    _, h, w, c = x.shape
    x = x.reshape(h // side, side, w // side, side * c).permute(0, 2, 1, 3)
    return x.reshape(1, h // side, w // side, side * side * c)


def unshuffled(layer: nn.Conv2d, side: int) -> tuple[Array, Array]:
    """Weights and bias of a 1x1 convolution before a pixel shuffle, outputs in the order (row, column,
    channel).
    """

    def reorder(t: Tensor) -> Array:
        return np.array(
            t.detach().double().unflatten(0, (-1, side * side)).transpose(0, 1).flatten(0, 1).numpy()
        )

    assert layer.bias is not None
    return reorder(layer.weight[:, :, 0, 0]), reorder(layer.bias)
