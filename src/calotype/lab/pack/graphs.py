"""The ONNX graphs of a pack.  Their inputs and outputs are those of calotype.codec.pack."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER, SCALES
from calotype.lab.models.calotype_levels import LOW_STEPS
from calotype.lab.models.calotype_transforms import folded
from calotype.lab.models.calotype_walk import LOW, LOW_OCTAVES, PHASES, stages
from calotype.lab.pack.int8 import Observed
from calotype.lab.pack.int8_synthesis import IntSynthesisGraph
from calotype.lab.pack.int8_transforms import IntAnalysisGraph
from calotype.lab.pack.latent_graphs import (
    LatentDecoderGraph,
    LatentEncoderGraph,
    MeanMaps,
    PreviewGraph,
    preview_kernel,
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


def graphs(model: Calotype, z_limit: int, seen: Observed | None = None) -> dict[str, bytes]:
    """The graphs of a pack, serialised.  ``model`` on the CPU, in ``eval()``.

    With what `observe` saw, those on latents compute in 8-bit integers where that is inexact anyway, and
    there are ``preview``, ``analysis.int8`` and ``synthesis.int8``.
    """
    m, k = model.config.latents, HYPER
    y, z, inside = torch.zeros(1, m, 8, 16), torch.zeros(1, k, 4, 8), torch.ones(1, 1, 8, 16)
    vector, pixels = torch.ones(m), torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    hw, ab, size = {2: "h", 3: "w"}, {2: "a", 3: "b"}, {1: "H", 2: "W"}
    low, high = torch.ones(LOW_STEPS, LOW), torch.ones(len(PHASES), m - LOW)
    mean = MeanMaps(model.latents.mean, seen)
    coding = {
        "y": y, "inside": inside, "keep": torch.ones(SCALES), "low_gain": low, "low_inv_gain": low,
        "high_gain": high, "high_inv_gain": high, "low_bias": torch.zeros(len(stages(LOW_OCTAVES)), LOW),
        "high_bias": high, "z_mul": torch.ones(k),
    }  # fmt: skip
    restoring = {"z": z, "r": y, "inside": inside, "low_inv_gain": low, "high_inv_gain": high}

    def analysis(net: nn.Module) -> bytes:
        return _onnx(net, {"pixels": pixels}, ["y"], {"pixels": size, "y": hw})

    def synthesis(net: nn.Module) -> bytes:
        return _onnx(net, {"y_hat": y, "level": vector}, ["pixels"], {"y_hat": hw, "pixels": size})

    made = {
        "analysis": analysis(AnalysisGraph(model)),
        "latent_encoder": _onnx(
            LatentEncoderGraph(model.latents, mean, z_limit, seen), coding, ["z", "r"],
            {"y": hw, "inside": hw, "z": ab, "r": hw},
        ),
        "latent_decoder": _onnx(
            LatentDecoderGraph(mean), {**restoring, "z_mul": torch.ones(k)}, ["y_hat"],
            {"z": ab, "r": hw, "inside": hw, "y_hat": hw},
        ),
        "synthesis": synthesis(SynthesisGraph(model)),
    }  # fmt: skip
    if seen is not None:
        made["preview"] = _onnx(
            PreviewGraph(mean, preview_kernel(seen.low, seen.pixels)),
            {"r": y[:, :LOW], "inside": inside, "low_inv_gain": low}, ["pixels"],
            {"r": hw, "inside": hw, "pixels": size},
        )  # fmt: skip
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
