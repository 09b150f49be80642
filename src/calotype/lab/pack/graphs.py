"""The five ONNX graphs of a pack.  Their inputs and outputs are those of calotype.codec.pack."""

from __future__ import annotations

import copy
import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_levels import frugal_round
from calotype.lab.models.calotype_parts import Z_UNIT, Scales, join_phases, split_phases

OPSET = 17
HALF_SIZE = 8192
"""Weights of at least so many numbers are stored as float16."""


def _column(v: Tensor) -> Tensor:
    return v[None, :, None, None]


class AnalysisGraph(nn.Module):
    """uint8 pixels to latents; the scaling to 0..1 and the offset are folded into the first layer."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = copy.deepcopy(model.analysis)
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
        self.net = copy.deepcopy(model.synthesis)
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
    """Hyper-latents to sigma indices."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.net = frozen_scales(model)

    def forward(self, z: Tensor, z_mul: Tensor, bias: Tensor) -> Tensor:
        return self.net(z, _column(z_mul), _column(bias)).to(torch.uint8)


class LatentDecoderGraph(nn.Module):
    """Hyper-latents and residuals to latents."""

    def __init__(self, model: Calotype) -> None:
        super().__init__()
        self.mean, self.dequantise = model.mean, model.scales.dequantise

    def forward(self, z: Tensor, z_mul: Tensor, r: Tensor, inv_gain: Tensor) -> Tensor:
        parts = split_phases(r * _column(inv_gain))
        side = self.dequantise(z, _column(z_mul)) / Z_UNIT
        return self.mean.walk(side, lambda p, mean: mean + parts[p])


class LatentEncoderGraph(nn.Module):
    """The encoder's side of the walk; what is not coded (skip class, padding) it takes as zero, as a decoder
    does.
    """

    def __init__(self, model: Calotype, z_limit: int) -> None:
        super().__init__()
        self.hyper, self.mean, self.scales = model.hyper, model.mean, frozen_scales(model)
        self.z_limit, self.shrink = z_limit, model.shrink

    def forward(
        self,
        y: Tensor,
        gain: Tensor,
        inv_gain: Tensor,
        z_gain: Tensor,
        z_mul: Tensor,
        bias: Tensor,
        valid: Tensor,
    ) -> tuple[Tensor, Tensor]:
        gain, inv_gain, mul = _column(gain), _column(inv_gain), _column(z_mul)
        z = torch.round(self.hyper(y, gain) * _column(z_gain)).clamp(-self.z_limit, self.z_limit)
        index = self.scales(z, mul, _column(bias))
        gates, parts = split_phases((index > 0.5).to(y.dtype) * valid), split_phases(y)
        shrink = split_phases(self.shrink[index.long()])
        rounded: list[Tensor] = []

        def code(p: int, mean: Tensor) -> Tensor:
            rounded.append(frugal_round((parts[p] - mean) * gain, shrink[p]) * gates[p])
            return mean + rounded[p] * inv_gain

        self.mean.walk(self.scales.dequantise(z, mul) / Z_UNIT, code)
        return z, join_phases(rounded)


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


def graphs(model: Calotype, z_limit: int) -> dict[str, bytes]:
    """The five graphs of a pack, serialised.  ``model`` on the CPU, in ``eval()``."""
    m, k = model.config.latents, model.config.hyper
    y, r, z = torch.zeros(1, m, 8, 12), torch.zeros(1, m, 8, 12), torch.zeros(1, k, 2, 3)
    vector, z_vector, pixels = torch.ones(m), torch.ones(k), torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    hw, ab, size = {2: "h", 3: "w"}, {2: "a", 3: "b"}, {1: "H", 2: "W"}
    valid = torch.ones(1, 1, 8, 12)
    encoder = {
        "y": y,
        "gain": vector,
        "inv_gain": vector,
        "z_gain": z_vector,
        "z_mul": z_vector,
        "bias": vector,
    }
    return {
        "analysis": _onnx(AnalysisGraph(model), {"pixels": pixels}, ["y"], {"pixels": size, "y": hw}),
        "latent_encoder": _onnx(
            LatentEncoderGraph(model, z_limit), {**encoder, "valid": valid}, ["z", "r"],
            {"y": hw, "valid": hw, "z": ab, "r": hw},
        ),
        "scales": _onnx(
            ScalesGraph(model), {"z": z, "z_mul": z_vector, "bias": vector}, ["index"], {"z": ab, "index": hw}
        ),
        "latent_decoder": _onnx(
            LatentDecoderGraph(model), {"z": z, "z_mul": z_vector, "r": r, "inv_gain": vector}, ["y_hat"],
            {"z": ab, "r": hw, "y_hat": hw},
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
    return half_stored(buffer.getvalue())


def half_stored(data: bytes) -> bytes:
    """Keep large weights as float16 behind a Cast, which a runtime folds away when it loads the graph: half
    the size.

    Integer weights below 2048 in magnitude are exact in float16, so the scales graph does not change.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(data)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        array = numpy_helper.to_array(tensor)
        peak = float(np.abs(array).max(initial=0.0))
        if array.size < HALF_SIZE or not 1e-2 < peak < 2048:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
