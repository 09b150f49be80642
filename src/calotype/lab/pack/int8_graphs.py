"""The int8 graphs of a pack: `int8` chooses the numbers, this writes them down (signatures: codec.pack).

Everything is channels last, ``[1, h, w, C]``: patches, merge and split are copies of rows and one matrix product,
and each bottleneck becomes three integer kernels and an addition.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from calotype.lab.models.calotype import Calotype
from calotype.lab.pack.int8 import Layer, Stage, transforms
from calotype.lab.pack.qdq import Array, Writer


def int8_graphs(model: Calotype, pixels: Tensor, levels: Tensor) -> dict[str, bytes]:
    """``analysis.int8`` and ``synthesis.int8``, calibrated on ``pixels`` ``[N, 3, H, W]`` (0..1, sides multiples
    of 64) at ``levels`` ``[N]``.  ``model`` on the CPU, in ``eval()``.
    """
    stages = transforms(model, pixels, levels)
    return {
        "analysis.int8": _analysis(model, *stages["analysis"]),
        "synthesis.int8": _synthesis(model, *stages["synthesis"]),
    }


def _analysis(model: Calotype, eighth: Stage, sixteenth: Stage) -> bytes:
    out, net = Writer(), model.analysis
    weight, bias = _linear(net.patch)  # [C, (dy dx c)]
    bias = bias - 0.5 * weight.sum(1)
    x = out.blocks("pixels", 8, 3)
    x = out.bytes_dense(x, weight / 255 / eighth.divisor[:, None], bias / eighth.divisor)
    x = _stage(out, x, eighth)
    weight, bias = _linear(net.merge)
    every = lambda v: np.tile(v, 4)  # noqa: E731
    bias = bias + weight @ every(eighth.offset)
    weight = weight * every(eighth.divisor)
    x = out.blocks(x, 2, len(eighth.divisor))
    x = out.dense(x, weight / sixteenth.divisor[:, None], bias / sixteenth.divisor)
    x = _stage(out, x, sixteenth)
    x = out.node("Mul", x, out.constant(sixteenth.divisor))
    x = out.node("Add", x, out.constant(sixteenth.offset))
    out.rename(out.transpose(x, 0, 3, 1, 2), "y")
    channels = model.config.latents
    return out.save({"pixels": ("UINT8", [1, "H", "W", 3])}, {"y": ("FLOAT", [1, channels, "h", "w"])})


def _synthesis(model: Calotype, sixteenth: Stage, eighth: Stage) -> bytes:
    out, net, channels = Writer(), model.synthesis, model.config.latents
    x = out.node("Add", out.transpose("y_hat", 0, 2, 3, 1), "level")
    x = _stage(out, out.node("Mul", x, out.constant(1 / sixteenth.divisor)), sixteenth)
    weight, bias = _unshuffled(net.split, 2)  # [(dy dx c), M]
    every = np.tile(eighth.divisor, 4)
    bias = (bias + weight @ sixteenth.offset) / every
    x = out.dense(x, weight * sixteenth.divisor / every[:, None], bias)
    x = _stage(out, out.unblocks(x, 2, len(eighth.divisor)), eighth)
    weight, bias = _unshuffled(net.patch, 8)
    bias = 255 * (bias + weight @ eighth.offset) + 127.5
    x = out.dense(x, 255 * weight * eighth.divisor, bias)
    x = out.node("QuantizeLinear", x, out.constant(1.0), out.constant(0, np.uint8))  # rounds and clips
    out.rename(out.unblocks(x, 8, 3), "pixels")
    return out.save(
        {"y_hat": ("FLOAT", [1, channels, "h", "w"]), "level": ("FLOAT", [channels])},
        {"pixels": ("UINT8", [1, "H", "W", 3])},
    )


def _stage(out: Writer, x: str, stage: Stage) -> str:
    for reduce, conv, expand in stage.blocks:
        t = out.transpose(out.quantised(x, reduce.input.scale, reduce.input.zero), 0, 3, 1, 2)
        t = _conv(out, t, reduce, conv.input.scale)
        t = _conv(out, t, conv, expand.input.scale)
        weight = out.integers(expand.weight[:, :, 0].T, expand.scale, axis=1)
        x = out.node("Add", x, out.node("MatMul", out.transpose(t, 0, 2, 3, 1), weight))
    return x


def _conv(out: Writer, x: str, layer: Layer, scale: float) -> str:
    """Convolution and ReLU; what leaves is quantised with step ``scale`` from 0."""
    side = round(layer.weight.shape[2] ** 0.5)
    weight = out.integers(layer.weight.reshape(*layer.weight.shape[:2], side, side), layer.scale, axis=0)
    unit = layer.scale * layer.input.scale
    bias = out.integers(np.rint(layer.bias / unit), unit, axis=0, dtype=np.int32)
    t = out.node("Conv", x, weight, bias, kernel_shape=[side, side], pads=[side // 2] * 4)
    return out.quantised(out.node("Relu", t), scale, 0)


def _linear(layer: nn.Conv2d) -> tuple[Array, Array]:
    """A strided convolution as a product with blocks of pixels: ``[out, (dy dx in)]`` and bias."""
    assert layer.bias is not None
    weight = layer.weight.detach().double().permute(0, 2, 3, 1).flatten(1)
    return np.asarray(weight.numpy()), np.asarray(layer.bias.detach().double().numpy())


def _unshuffled(layer: nn.Conv2d, side: int) -> tuple[Array, Array]:
    """A 1x1 convolution before a pixel shuffle, its outputs in the order ``(dy dx c)``."""
    assert layer.bias is not None

    def reorder(t: Tensor) -> Array:
        t = t.detach().double().flatten(1) if t.ndim > 1 else t.detach().double()[:, None]
        return np.asarray(t.unflatten(0, (-1, side * side)).transpose(0, 1).flatten(0, 1).numpy())

    return reorder(layer.weight), reorder(layer.bias)[:, 0]
