"""The ONNX graphs of a pack.  Their inputs and outputs are those of calotype.codec.pack."""

from __future__ import annotations

import copy
import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import SCALES, Z_PEAK, Scales, folded
from calotype.lab.pack.int8 import Observed
from calotype.lab.pack.int8_synthesis import IntSynthesisGraph
from calotype.lab.pack.int8_transforms import IntAnalysisGraph
from calotype.lab.pack.latent_graphs import (
    HyperEncoderGraph,
    LatentDecoderGraph,
    LatentEncoderGraph,
    MeanMaps,
)

OPSET = 17
HALF_SIZE = 8192
"""Weights of at least so many numbers are stored in less space than float32 takes."""


def _column(v: Tensor) -> Tensor:
    return v[None, :, None, None]


class AnalysisGraph(nn.Module):
    """uint8 pixels to latents; the scaling to 0..1 and the offset are folded into the first layer."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = folded(model.analysis)
        patch = self.net.patch
        assert patch.bias is not None
        with torch.no_grad():
            patch.bias -= 0.5 * patch.weight.sum((1, 2, 3))
            patch.weight /= 255.0

    def forward(self, pixels: Tensor) -> Tensor:
        net = self.net
        t = net.patch(pixels.permute(0, 3, 1, 2).float())
        y: Tensor = net.blocks16(net.merge(net.blocks8(t)))
        return y


class SynthesisGraph(nn.Module):
    """Latents to uint8 pixels, rounded and clipped; offset and scale are folded into the last layer."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = folded(model.synthesis)
        patch = self.net.patch
        assert patch.bias is not None
        with torch.no_grad():
            patch.weight *= 255.0
            patch.bias.mul_(255.0).add_(127.5 + 0.5)  # the half turns truncation into rounding

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        net = self.net
        t = nn.functional.pixel_shuffle(net.split(net.blocks16(y_hat + _column(level))), 2)
        t = net.patch(net.blocks8(t)).clamp(0.0, 255.0).to(torch.uint8)
        h, w = t.shape[2], t.shape[3]
        return t.reshape(1, 3, 8, 8, h, w).permute(0, 4, 2, 5, 3, 1).reshape(1, 8 * h, 8 * w, 3)


class ScalesGraph(nn.Module):
    """Hyper-latents to sigma indices: `frozen_scales` with fewer passes over its maps.

    The shift of a requantisation and the half that rounds it are in the weights and biases of the layer
    before: powers of two, which change no digit.  What is left to do is to cut off the fraction.
    """

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        net = frozen_scales(model)
        hidden, out = 2.0**-Scales.HIDDEN, 2.0**-Scales.OUT
        self.layers = nn.ModuleList(part.conv for part in (net.wide, net.up, net.near))
        with torch.no_grad():
            for layer in self.layers:
                layer.weight *= hidden
                layer.bias.mul_(hidden).add_(0.5)
        last = net.out.conv
        self.last = nn.Parameter(last.weight.detach()[:, :, 0, 0] * out)
        self.start = nn.Parameter(last.bias.detach() * out + 0.5)
        self.unit = out

    def forward(self, z: Tensor, z_mul: Tensor, bias: Tensor) -> Tensor:
        wide, up, near = self.layers
        d = torch.floor(z * (_column(z_mul) * 2.0**-8) + 0.5).clamp(-Z_PEAK, Z_PEAK)
        t = _cut(up(_cut(wide(d))))
        fine = nn.functional.pixel_shuffle(d, 4)
        t = _cut(near(torch.cat((nn.functional.pixel_shuffle(t, 4), fine), 1)))
        t = torch.cat((t, fine), 1)
        # A product from the left, because its result is in the order in which latents are coded.
        acc = (self.last @ t.flatten(2)).unflatten(2, t.shape[2:]) + _column(bias * self.unit + self.start)
        return acc.clamp(0, SCALES - 0.5).to(torch.uint8)


def _cut(x: Tensor) -> Tensor:
    return torch.floor(x).clamp(0, 255)


class _Frozen(nn.Module):
    """An integer layer whose weights are the integers themselves."""

    def __init__(self, layer: IntConv) -> None:
        super().__init__()
        weight, bias = layer.integers()
        self.conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=layer.padding)
        self.conv.weight.data, self.conv.bias.data = weight.detach().clone(), bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


def frozen_scales(model: Calotype) -> Scales:
    """The scales network with its weights replaced by the integers they stand for."""
    scales = copy.deepcopy(model.scales)
    for name in ("wide", "up", "near", "out"):
        setattr(scales, name, _Frozen(getattr(scales, name)))
    return scales


def graphs(model: Calotype, z_limit: int, seen: Observed | None = None) -> dict[str, bytes]:
    """The graphs of a pack, serialised.  ``model`` on the CPU, in ``eval()``.

    With what `observe` saw, those on latents compute in 8-bit integers where that is inexact anyway, and
    there are
    ``analysis.int8`` and ``synthesis.int8``.
    """
    m, k = model.config.latents, model.config.hyper
    y, z = torch.zeros(1, m, 8, 12), torch.zeros(1, k, 2, 3)
    vector, z_vector, pixels = torch.ones(m), torch.ones(k), torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    hw, ab, size = {2: "h", 3: "w"}, {2: "a", 3: "b"}, {1: "H", 2: "W"}
    mean = MeanMaps(model.mean, seen)
    coding = {"y": y, "z": z, "keep": y, "gain": vector, "inv_gain": vector, "z_mul": z_vector}

    def analysis(net: nn.Module) -> bytes:
        return _onnx(net, {"pixels": pixels}, ["y"], {"pixels": size, "y": hw})

    def synthesis(net: nn.Module) -> bytes:
        return _onnx(net, {"y_hat": y, "level": vector}, ["pixels"], {"y_hat": hw, "pixels": size})

    made = {
        "analysis": analysis(AnalysisGraph(model)),
        "hyper_encoder": _onnx(
            HyperEncoderGraph(model, z_limit, seen), {"y": y, "gain": vector, "z_gain": z_vector}, ["z"],
            {"y": hw, "z": ab},
        ),
        "latent_encoder": _onnx(
            LatentEncoderGraph(mean), coding, ["r"], {"y": hw, "z": ab, "keep": hw, "r": hw}
        ),
        "scales": _onnx(
            ScalesGraph(model), {"z": z, "z_mul": z_vector, "bias": vector}, ["index"], {"z": ab, "index": hw}
        ),
        "latent_decoder": _onnx(
            LatentDecoderGraph(mean), {"z": z, "z_mul": z_vector, "r": y, "inv_gain": vector}, ["y_hat"],
            {"z": ab, "r": hw, "y_hat": hw},
        ),
        "synthesis": synthesis(SynthesisGraph(model)),
    }  # fmt: skip
    if seen is not None:
        made["analysis.int8"] = analysis(IntAnalysisGraph(model, seen))
        made["synthesis.int8"] = synthesis(IntSynthesisGraph(model, seen))
    return made


def _onnx(
    module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], dynamic: dict[str, dict[int, str]]
) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer, input_names=list(inputs), output_names=outputs,
            dynamic_axes=dynamic, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return compact(buffer.getvalue())


def compact(data: bytes) -> bytes:
    """Store large float32 weights in less space, behind nodes that a runtime folds away when it loads the
    graph.

    Those of bottlenecks as 8-bit integers with a scale per output channel (0.02 % of rate), the others as
    float16;
    integers below 2048 are exact in it, so the scales graph does not change.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(data)
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        array, name = numpy_helper.to_array(tensor), tensor.name
        peak = float(np.abs(array).max(initial=0.0))
        if array.dtype != np.float32 or array.size < HALF_SIZE or not 1e-2 < peak < 2048:
            continue
        if ".blocks" in name:
            scale = np.maximum(np.abs(array).max((1, 2, 3), keepdims=True), 1e-12) / 127
            tensor.CopyFrom(
                numpy_helper.from_array(np.rint(array / scale).astype(np.int8), name + ".integers")
            )
            graph.initializer.append(numpy_helper.from_array(scale, name + ".scale"))
            nodes.append(helper.make_node("Cast", [tensor.name], [name + ".floats"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [name + ".floats", name + ".scale"], [name]))
        else:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + ".half"))
            nodes.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
