"""The ONNX graphs of a pack.  Their inputs and outputs are those of calotype.codec.pack."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER
from calotype.lab.models.calotype_levels import LOW_STEPS
from calotype.lab.models.calotype_transforms import folded
from calotype.lab.models.calotype_walk import LOW, PHASES
from calotype.lab.pack.int8 import Observed
from calotype.lab.pack.int8_transforms import IntAnalysisGraph
from calotype.lab.pack.latent_graphs import HyperEncoderGraph

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
    """Latents to uint8 pixels, rounded and clipped; offset and scale are folded into the last layers.

    Patches of 8x8 pixels are taken apart to the renderer's of 4x4, and added to them, while they are floats;
    the rest is copies of bytes.
    """

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = folded(model.synthesis)
        patch, out = self.net.patch, self.net.render.out
        # From (colour row column) to (colour row column of a patch, row column of four patches).
        order = torch.arange(192).reshape(3, 2, 4, 2, 4).permute(0, 2, 4, 1, 3).flatten()
        with torch.no_grad():
            patch.weight.copy_(255.0 * patch.weight[order])
            patch.bias.copy_(
                255.0 * patch.bias[order] + 127.5 + 0.5
            )  # the half turns truncation into rounding
            out.weight *= 255.0
            out.bias *= 255.0

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        net, shuffle = self.net, nn.functional.pixel_shuffle
        t = net.blocks8(shuffle(net.split(net.blocks16(y_hat + _column(level))), 2))
        r = nn.functional.relu(shuffle(net.render.up(t), 2))
        for conv in net.render.convs:
            r = nn.functional.relu(conv(r))
        x = (shuffle(net.patch(t), 2) + net.render.out(r)).clamp(0.0, 255.0).to(torch.uint8)
        h, w = x.shape[2], x.shape[3]
        return x.reshape(1, 3, 4, 4, h, w).permute(0, 4, 2, 5, 3, 1).reshape(1, 4 * h, 4 * w, 3)


def graphs(model: Calotype, z_limit: int, seen: Observed) -> dict[str, bytes]:
    """The graphs of a pack, serialised, for what `observe` saw.  ``model`` on the CPU, in ``eval()``."""
    m = model.config.latents
    y, inside = torch.zeros(1, m, 8, 16), torch.ones(1, 1, 8, 16)
    vector, pixels = torch.ones(m), torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    hw, size = {2: "h", 3: "w"}, {1: "H", 2: "W"}
    low, high = torch.ones(LOW_STEPS, LOW), torch.ones(len(PHASES), m - LOW)
    hyper = {
        "y": y, "inside": inside, "low_gain": low, "high_gain": high, "z_mul": torch.ones(HYPER),
    }  # fmt: skip

    def analysis(net: nn.Module) -> bytes:
        return _onnx(net, {"pixels": pixels}, ["y"], {"pixels": size, "y": hw})

    return {
        "analysis": analysis(AnalysisGraph(model)),
        "analysis.int8": analysis(IntAnalysisGraph(model, seen)),
        "hyper_encoder": _onnx(
            HyperEncoderGraph(model.latents.hyper, z_limit, seen), hyper, ["z"],
            {"y": hw, "inside": hw, "z": {2: "a", 3: "b"}},
        ),
        "synthesis": _onnx(
            SynthesisGraph(model), {"y_hat": y, "level": vector}, ["pixels"], {"y_hat": hw, "pixels": size}
        ),
    }  # fmt: skip


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

    Those of branches as 8-bit integers with a scale per output channel (0.02 % of rate), the others as
    float16; integers below 2048 are exact in it, so the scales graph does not change.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(data)
    graph, nodes = model.graph, []
    for tensor in list(graph.initializer):
        array, name = numpy_helper.to_array(tensor), tensor.name
        peak = float(np.abs(array).max(initial=0.0))
        if array.dtype != np.float32 or array.size < HALF_SIZE:
            continue
        if ".blocks" in name or ".render" in name:
            scale = np.maximum(np.abs(array).max((1, 2, 3), keepdims=True), 1e-12) / 127
            tensor.CopyFrom(
                numpy_helper.from_array(np.rint(array / scale).astype(np.int8), name + ".integers")
            )
            graph.initializer.append(numpy_helper.from_array(scale, name + ".scale"))
            nodes.append(helper.make_node("Cast", [tensor.name], [name + ".floats"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [name + ".floats", name + ".scale"], [name]))
        elif 1e-2 < peak < 2048:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + ".half"))
            nodes.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
