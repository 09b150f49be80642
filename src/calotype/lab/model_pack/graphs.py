"""The ONNX graphs of a published system's pack; their inputs and outputs are those of calotype.codec.pack."""

from __future__ import annotations

import copy
import io
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.bounds import lower_bound
from calotype.lab.layers.gdn import GDN, PEDESTAL
from calotype.lab.model_pack.side import Side

OPSET = 17


class Analysis(nn.Module):
    """uint8 pixels ``[1, H, W, 3]`` to latents."""

    def __init__(self, g_a: nn.Module) -> None:
        super().__init__()
        self.net = plain(g_a)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(pixels.permute(0, 3, 1, 2).float() / 255.0)


class Synthesis(nn.Module):
    """Latents to uint8 pixels ``[1, 16h, 16w, 3]``."""

    def __init__(self, g_s: nn.Module) -> None:
        super().__init__()
        self.net = plain(g_s)

    def forward(self, y_hat: Tensor) -> Tensor:
        x = self.net(y_hat).clamp(0.0, 1.0) * 255.0 + 0.5
        return x.permute(0, 2, 3, 1).to(torch.uint8)


class HyperEncoder(nn.Module):
    """Latents to integer hyper-latents; without any, to zeros, of which the decoder knows."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.side, self.net = side, side.h_a

    def forward(self, y: Tensor) -> Tensor:
        if self.net is None:
            return y[:, :1, ::4, ::4] * 0.0
        z = self.net(y.abs() if self.side.absolute else y) - column(self.side.z_median)
        limit = float(self.side.z_limit)
        return torch.round(z).clamp(-limit, limit)


class LatentEncoder(nn.Module):
    """Latents to residuals.  Without a mean the graph does not ask for z."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.mean = Mean(side)

    def forward(self, y: Tensor, keep: Tensor, z: Tensor | None = None) -> Tensor:
        return torch.round((y - self.mean(z)) * keep)


class LatentDecoder(nn.Module):
    """Residuals to latents."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.mean = Mean(side)

    def forward(self, r: Tensor, z: Tensor | None = None) -> Tensor:
        return r + self.mean(z)


class Mean(nn.Module):
    """Hyper-latents to means of the latents; or the medians of a factorized prior; or zero."""

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.side, self.net = side, side.h_s if side.mean else None

    def forward(self, z: Tensor | None) -> Tensor:
        if self.net is None or z is None:
            return column(self.side.y_median)
        return self.net(z + column(self.side.z_median))[:, self.side.latents :]


class Constant(nn.Module):
    """The class of each latent where there is no side information: one per channel."""

    def __init__(self, classes: Tensor) -> None:
        super().__init__()
        self.register_buffer("classes", classes.float())

    def forward(self, z: Tensor) -> Tensor:
        grid = F.interpolate(z[:, :1] * 0.0, scale_factor=4.0, mode="nearest")
        return (grid + column(self.classes)).to(torch.uint8)


def column(v: Tensor) -> Tensor:
    return v.float()[None, :, None, None]


class _Gdn(nn.Module):
    """`GDN` with its parameters worked out."""

    def __init__(self, layer: GDN) -> None:
        super().__init__()
        self.inverse = layer.inverse
        with torch.no_grad():
            beta = lower_bound(layer.beta, layer.beta_bound).square() - PEDESTAL
            gamma = lower_bound(layer.gamma, layer.gamma_bound).square() - PEDESTAL
        self.register_buffer("beta", beta)
        self.register_buffer("gamma", gamma[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.sqrt(F.conv2d(x * x, self.gamma, self.beta))
        return x * norm if self.inverse else x / norm


def plain(net: nn.Module) -> nn.Module:
    """A copy whose layers all have a form in ONNX."""
    net = copy.deepcopy(net)
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, GDN):
                setattr(module, name, _Gdn(child))
    return net


def graphs(g_a: nn.Module, g_s: nn.Module, side: Side, scales: nn.Module) -> dict[str, bytes]:
    """All graphs, serialised; modules on the CPU, float32, in ``eval()``."""
    m, k = side.latents, side.hyper_latents
    y, z = torch.zeros(1, m, 8, 12), torch.zeros(1, k, 2, 3)
    pixels = torch.zeros(1, 128, 192, 3, dtype=torch.uint8)
    hw, ab, size = {2: "h", 3: "w"}, {2: "a", 3: "b"}, {1: "H", 2: "W"}
    names = {"y": hw, "keep": hw, "r": hw, "y_hat": hw, "index": hw, "z": ab, "pixels": size}
    known = {"z": z} if side.mean else {}
    return {
        "analysis": onnx(Analysis(g_a), {"pixels": pixels}, "y", names),
        "hyper_encoder": onnx(HyperEncoder(side), {"y": y}, "z", names),
        "latent_encoder": onnx(LatentEncoder(side), {"y": y, "keep": y, **known}, "r", names),
        "scales": onnx(scales, {"z": z}, "index", names),
        "latent_decoder": onnx(LatentDecoder(side), {"r": y, **known}, "y_hat", names),
        "synthesis": onnx(Synthesis(g_s), {"y_hat": y}, "pixels", names),
    }


def onnx(
    module: nn.Module, inputs: dict[str, Tensor], output: str, dynamic: dict[str, dict[int, str]]
) -> bytes:
    """A module as an ONNX file."""
    buffer = io.BytesIO()
    axes = {name: dynamic[name] for name in (*inputs, output)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), buffer, input_names=list(inputs), output_names=[output],
            dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return buffer.getvalue()
