"""The product's own model: patch transform, split hyper-decoder, continuous quality.

::

    x --8x8 patches--> 1/8 --B*4--> --2x2 merge--> 1/16 --B*2--> y                      analysis
    y * gain --bands of log|y|--> z (1/64, integers)                                    hyper-analysis
    z --integer network--> sigma index per latent            (the only part that must be exact)   scales
    z, y_hat of earlier phases --> f (mean, in units of y)   (four phases of a 2x2 grid)          mean
    r = round((y - f) * gain)         y_hat = f + r * inv_gain
    y_hat + level vector --B*2--> --1x1, shuffle 2--> 1/8 --B*4--> --1x1, shuffle 8--> x_hat      synthesis

    B: residual bottleneck 1x1 -> 3x3 -> 1x1 with ReLU, on a wide stream.

The probability of ``r`` depends on ``z`` alone, so a decoder reads all symbols before any mean is computed (DESIGN
section 3; Minnen et al. 2018 for the mean-scale hyperprior, JPEG AI for the split and the four-phase mean context,
Cui et al. 2021 for gain pairs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.integer import IntConv, requantise, round_through

SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
Z_PEAK = 127  # dequantised hyper-latents, in 1/16 of a natural-log unit
Z_UNIT = 16
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))  # rows and columns of the 2x2 grid, in coding order


@dataclass
class Config:
    """Sizes of the model."""

    latents: int = 256
    """Channels of y (M), at 1/16 of the picture."""
    hyper: int = 64
    """Channels of z, at 1/64 of the picture; must be 4 bands x 16 positions."""
    width: int = 192
    """Channels of the residual stream at 1/8: one per coefficient of an 8x8 RGB patch."""
    narrow: int = 96
    """Inner channels of a bottleneck at 1/8."""
    narrow16: int = 128
    """Inner channels of a bottleneck at 1/16."""
    analysis_blocks: tuple[int, int] = (4, 2)
    """Bottlenecks of the analysis transform at 1/8 and 1/16."""
    synthesis_blocks: tuple[int, int] = (2, 4)
    """Bottlenecks of the synthesis transform at 1/16 and 1/8."""
    lambdas: tuple[float, ...] = (0.0007, 0.0017, 0.00413, 0.01, 0.0243, 0.0593, 0.144, 0.35)
    """Rate-distortion multipliers of the trained levels (bpp + lambda * MSE on a 0..255 scale)."""


class Pointwise(nn.Conv2d):
    """1x1 convolution; in training a matrix product over channels-last memory, which is faster on CPUs."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        return F.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)


class Bottleneck(nn.Module):
    """``x + W3 relu(W2 relu(W1 x))`` with 1x1, 3x3, 1x1 kernels; starts as the identity.

    With ``bf16`` set the branch runs in bfloat16; the stream itself stays float32.
    """

    bf16 = False

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.reduce = Pointwise(width, narrow)
        self.conv = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.expand = Pointwise(narrow, width)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return x + self.expand(F.relu(self.conv(F.relu(self.reduce(x)))))


def bottlenecks(count: int, width: int, narrow: int) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(width, narrow) for _ in range(count)))


class Analysis(nn.Module):
    """Pixels ``[B, 3, H, W]`` in 0..1 (H, W multiples of 16) to latents ``[B, M, H/16, W/16]``."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, c.width, 8, stride=8)
        self.blocks8 = bottlenecks(c.analysis_blocks[0], c.width, c.narrow)
        self.merge = nn.Conv2d(c.width, c.latents, 2, stride=2)
        self.blocks16 = bottlenecks(c.analysis_blocks[1], c.latents, c.narrow16)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks16(self.merge(self.blocks8(self.patch(x - 0.5))))


class Synthesis(nn.Module):
    """Latents ``[B, M, h, w]`` and level vector ``[B, M, 1, 1]`` to pixels ``[B, 3, 16h, 16w]`` (0..1, not clipped)."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.blocks16 = bottlenecks(c.synthesis_blocks[0], c.latents, c.narrow16)
        self.split = Pointwise(c.latents, 4 * c.width)
        self.blocks8 = bottlenecks(c.synthesis_blocks[1], c.width, c.narrow)
        self.patch = Pointwise(c.width, 192)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        t = self.blocks8(F.pixel_shuffle(self.split(self.blocks16(y_hat + level)), 2))
        return F.pixel_shuffle(self.patch(t), 8) + 0.5


class HyperAnalysis(nn.Module):
    """Gained latents ``[B, M, 4a, 4b]`` to hyper-latents ``[B, 64, a, b]`` in natural-log units, before quantisation."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.bands = Pointwise(c.latents, c.hyper // 16)
        self.reduce = Pointwise(2 * c.latents, 64)
        self.conv = nn.Conv2d(64, 64, 3, padding=1)
        self.out = Pointwise(16 * 64, c.hyper)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, y: Tensor, gain: Tensor) -> Tensor:
        energy = torch.log((y * gain).abs() + 0.2)
        t = F.relu(self.reduce(torch.cat((energy, y), 1)))
        learned = self.out(F.pixel_unshuffle(F.relu(self.conv(t)), 4))
        return F.pixel_unshuffle(self.bands(energy), 4) + learned


class Scales(nn.Module):
    """Dequantised hyper-latents (integers) and level bias to sigma indices; integers throughout (DESIGN section 3).

    ``z`` ``[B, 64, a, b]`` integers, ``mul`` ``[B, 64, 1, 1]`` integers (1/256 of 1/16 log unit per step), ``bias``
    ``[B, M, 1, 1]`` integers in units of ``2**-8`` index steps.  Returns ``[B, M, 4a, 4b]``, integers 0..63.
    """

    HIDDEN, OUT = 7, 8  # shifts

    def __init__(self, c: Config) -> None:
        super().__init__()
        bands = c.hyper // 16
        self.wide = IntConv(c.hyper, 128, 3, shift=self.HIDDEN, limit=127)
        self.up = IntConv(128, 16 * 24, 1, shift=self.HIDDEN, limit=127)
        self.near = IntConv(24 + bands, 64, 3, shift=self.HIDDEN, limit=127)
        self.out = IntConv(64 + bands, c.latents, 1, shift=self.OUT, limit=511)
        self.out.bias.requires_grad_(False)  # the level bias takes its place
        with torch.no_grad():
            self.out.weight[:, :64].zero_()

    @staticmethod
    def dequantise(z: Tensor, mul: Tensor) -> Tensor:
        """Integers in 1/16 log units, clipped to +-127."""
        return requantise(z * mul, 8, -Z_PEAK, Z_PEAK)

    def forward(self, z: Tensor, mul: Tensor, bias: Tensor) -> Tensor:
        d = self.dequantise(z, mul)
        t = requantise(self.wide(d), self.HIDDEN, 0, 255)
        t = requantise(self.up(t), self.HIDDEN, 0, 255)
        near = torch.cat((F.pixel_shuffle(t, 4), F.pixel_shuffle(d, 4)), 1)
        t = requantise(self.near(near), self.HIDDEN, 0, 255)
        acc = self.out(torch.cat((t, F.pixel_shuffle(d, 4)), 1)) + bias
        return requantise(acc, self.OUT, 0, SCALES - 1)


class Mean(nn.Module):
    """Means of the latents in units of y, phase by phase on the 2x2 grid (SYSTEMS 3.7)."""

    REDUCED, HIDDEN = 64, 128

    def __init__(self, c: Config) -> None:
        super().__init__()
        r, h = self.REDUCED, self.HIDDEN
        self.wide = nn.Conv2d(c.hyper, 128, 3, padding=1)
        self.up = Pointwise(128, 4 * r)
        self.reduce = nn.ModuleList(Pointwise(c.latents, r) for _ in range(3))
        self.conv = nn.ModuleList(nn.Conv2d(r * (1 + p), h, 3, padding=1) for p in range(4))
        self.out = nn.ModuleList(Pointwise(2 * h, c.latents) for _ in range(4))
        for layer in self.out:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def features(self, z: Tensor) -> Tensor:
        """Dequantised hyper-latents (natural-log units) to features ``[B, 64, 2a, 2b]``."""
        return F.pixel_shuffle(self.up(F.relu(self.wide(z))), 2)

    def phase(self, p: int, context: list[Tensor]) -> Tensor:
        """Mean of phase p, ``[B, M, 2a, 2b]``; context: the features, then the reduced earlier phases."""
        t = self.conv[p](torch.cat(context, 1))
        return self.out[p](torch.cat((t, F.relu(t)), 1))

    def walk(self, z: Tensor, code) -> Tensor:
        """The four phases in coding order; ``code(p, mean) -> y_hat`` of that phase.  Returns ``y_hat`` whole.

        Encoder, decoder and training differ only in what ``code`` does.
        """
        context, maps = [self.features(z)], []
        for p in range(4):
            y_hat = code(p, self.phase(p, context))
            maps.append(y_hat)
            if p < 3:
                context.append(self.reduce[p](y_hat))
        return join_phases(maps)


def split_phases(t: Tensor) -> list[Tensor]:
    """``[B, C, 2a, 2b]`` to four maps ``[B, C, a, b]`` in coding order."""
    return [t[:, :, i::2, j::2] for i, j in PHASES]


def join_phases(maps: list[Tensor]) -> Tensor:
    """Inverse of `split_phases`."""
    order = [maps[PHASES.index((i, j))] for i in (0, 1) for j in (0, 1)]
    b, c, h, w = maps[0].shape
    return F.pixel_shuffle(torch.stack(order, 2).reshape(b, 4 * c, h, w), 2)


@dataclass
class Knobs:
    """Everything that the quality level sets, for a batch of levels."""

    gain: Tensor  # [B, M, 1, 1], positive
    inv_gain: Tensor  # [B, M, 1, 1], positive
    z_mul: Tensor  # [B, 64, 1, 1], integers
    bias: Tensor  # [B, M, 1, 1], integers
    vector: Tensor  # [B, M, 1, 1]
    z_loc: Tensor  # [B, 64, 1, 1], hyper-latent prior: location ...
    z_scale: Tensor  # ... and scale, in quantisation steps


class Levels(nn.Module):
    """Per-level parameters at the trained anchors; between them gains are interpolated in log, the rest linearly."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        n = len(c.lambdas)
        self.log_gain = nn.Parameter(torch.zeros(n, c.latents))
        self.log_inv_gain = nn.Parameter(torch.zeros(n, c.latents))
        self.log_z_step = nn.Parameter(torch.linspace(-0.2, -1.1, n)[:, None].repeat(1, c.hyper))
        self.bias = nn.Parameter(torch.zeros(n, c.latents))  # in sigma index steps
        self.vector = nn.Parameter(torch.zeros(n, c.latents))
        self.z_loc = nn.Parameter(torch.zeros(n, c.hyper))
        self.z_log_scale = nn.Parameter(torch.zeros(n, c.hyper))

    def forward(self, level: Tensor) -> Knobs:
        """``level`` ``[B]``, 0 .. anchors-1."""
        low = level.floor().clamp(max=self.log_gain.shape[0] - 2).long()
        f = (level - low)[:, None]

        def mix(t: Tensor) -> Tensor:
            return (t[low] * (1 - f) + t[low + 1] * f)[:, :, None, None]

        return Knobs(
            gain=mix(self.log_gain).exp(),
            inv_gain=mix(self.log_inv_gain).exp(),
            z_mul=mix(round_through(self.log_z_step.exp() * (256 * Z_UNIT))),
            bias=mix(round_through(self.bias * 2.0**Scales.OUT)),
            vector=mix(self.vector),
            z_loc=mix(self.z_loc),
            z_scale=mix(self.z_log_scale).exp(),
        )


def gaussian_bits(v: Tensor, sigma: Tensor) -> Tensor:
    """Bits of a zero-mean Gaussian of scale sigma integrated over a unit interval around v."""
    v = v.abs()
    scale = 2**-0.5 / sigma
    p = 0.5 * (torch.erfc((v - 0.5) * scale) - torch.erfc((v + 0.5) * scale))
    return -torch.log2(p.clamp_min(1e-9))


def logistic_bits(v: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Bits of a logistic distribution integrated over a unit interval around v."""
    v = (v - loc).abs()
    p = torch.sigmoid((0.5 - v) / scale) - torch.sigmoid((-0.5 - v) / scale)
    return -torch.log2(p.clamp_min(1e-9))


@dataclass
class Coded:
    """What one pass through the model gives.  Bits are estimates, summed per picture of the batch."""

    x_hat: Tensor
    r_bits: Tensor  # [B]
    z_bits: Tensor  # [B]
    z: Tensor  # integers
    r: Tensor  # integers
    index: Tensor  # sigma indices
    y: Tensor
    residual: Tensor  # (y - f) * gain, before rounding


class Calotype(nn.Module):
    """Training-time model.  The shipped codec runs the same parts as ONNX graphs (`calotype.lab.export`)."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = c = config or Config()
        self.analysis, self.synthesis = Analysis(c), Synthesis(c)
        self.hyper, self.scales, self.mean = HyperAnalysis(c), Scales(c), Mean(c)
        self.levels = Levels(c)
        self.register_buffer("log_lambda", torch.tensor(c.lambdas).log())

    @staticmethod
    def learning_rate_factors() -> dict[str, float]:
        """The linear path starts at its closed-form optimum and moves slowly; sigma biases are in index steps (~0.1)."""
        linear = ("analysis.patch", "analysis.merge", "synthesis.split", "synthesis.patch")
        return {**dict.fromkeys(linear, 0.1), "levels.bias": 30.0, "levels.": 3.0}

    def mixed_precision(self, enabled: bool) -> None:
        """Run the bottlenecks of both transforms in bfloat16."""
        for part in self.modules():
            if isinstance(part, Bottleneck):
                part.bf16 = enabled

    def lam(self, level: Tensor) -> Tensor:
        """Multiplier of a continuous level, log-interpolated."""
        low = level.floor().clamp(max=len(self.config.lambdas) - 2).long()
        f = level - low
        return (self.log_lambda[low] * (1 - f) + self.log_lambda[low + 1] * f).exp()

    def forward(self, x: Tensor, level: Tensor, *, hard: bool = False) -> Coded:
        """``x`` ``[B, 3, H, W]`` in 0..1 with H, W multiples of 64; ``level`` ``[B]``.

        ``hard=False``: rate on noisy residuals, reconstruction on rounded ones (mixed quantisation, SYSTEMS 0.2).
        ``hard=True``: both on rounded residuals with the skip class forced to zero: exactly what a file holds.
        """
        k, y = self.levels(level), self.analysis(x)
        v = self.hyper(y, k.gain) * (256 * Z_UNIT / k.z_mul)
        z = round_through(v)
        index = self.scales(z, k.z_mul, k.bias)
        sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
        coded = index > 0.5
        residuals: list[Tensor] = []
        rounded: list[Tensor] = []
        gates, parts = split_phases(coded), split_phases(y)

        def code(p: int, mean: Tensor) -> Tensor:
            residual = (parts[p] - mean) * k.gain
            r = round_through(residual)
            if hard:
                r = r * gates[p]
            residuals.append(residual)
            rounded.append(r)
            return mean + r * k.inv_gain

        y_hat = self.mean.walk(self.scales.dequantise(z, k.z_mul) / Z_UNIT, code)
        residual, r = join_phases(residuals), join_phases(rounded)
        if hard:
            r_bits = gaussian_bits(r, sigma) * coded
            z_bits = logistic_bits(z, k.z_loc, k.z_scale)
        else:
            r_bits = gaussian_bits(residual + torch.rand_like(residual) - 0.5, sigma)
            z_bits = logistic_bits(v + torch.rand_like(v) - 0.5, k.z_loc, k.z_scale)
        x_hat = self.synthesis(y_hat, k.vector)
        return Coded(x_hat, r_bits.sum((1, 2, 3)), z_bits.sum((1, 2, 3)), z, r, index, y, residual)

    bf16 = False

    def rate_distortion(self, x: Tensor, level: Tensor, *, hard: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Estimated bits per pixel ``[B]``, MSE on a 0..255 scale ``[B]``, and the share of z in the rate ``[B]``."""
        out = self(x, level, hard=hard)
        pixels = x.shape[2] * x.shape[3]
        x_hat = out.x_hat if self.training else (out.x_hat.clamp(0, 1) * 255).round() / 255
        mse = (x_hat - x).square().mean((1, 2, 3)) * 255.0**2
        return (out.r_bits + out.z_bits) / pixels, mse, out.z_bits / pixels

    def training_loss(self, x: Tensor, generator: torch.Generator, hard: bool) -> tuple[Tensor, dict[str, float]]:
        """Mean over the batch of ``(bpp + lambda * MSE) / sqrt(lambda)``, so that every level weighs alike.

        ``x`` is uint8 ``[B, 3, H, W]``; levels are drawn evenly over the trained range, one for each crop.
        """
        n = len(x)
        shift = torch.rand(1, generator=generator, device=x.device)
        level = ((torch.arange(n, device=x.device) / n + shift) % 1.0) * (len(self.config.lambdas) - 1)
        bpp, mse, z = self.rate_distortion(_unit(x), level, hard=hard)
        lam = self.lam(level)
        loss = ((bpp + lam * mse) / lam.sqrt()).mean()
        return loss, {"bpp": float(bpp.detach().mean()), "z": float(z.detach().mean())}

    def validate(self, x: Tensor) -> dict[str, list[float]]:
        """Curve over the trained levels on uint8 pictures ``[n, 3, H, W]``: estimated bpp, PSNR, loss per level."""
        curve: dict[str, list[float]] = {"bpp": [], "psnr": [], "z_bpp": [], "loss": []}
        for anchor in range(len(self.config.lambdas)):
            parts = []
            for chunk in x.split(8):
                level = torch.full((len(chunk),), float(anchor), device=x.device)
                parts.append(torch.stack(self.rate_distortion(_unit(chunk), level, hard=True)))
            bpp, mse, z = torch.cat(parts, 1)
            lam = self.config.lambdas[anchor]
            values = (bpp.mean(), (10 * torch.log10(255.0**2 / mse)).mean(), z.mean(), ((bpp + lam * mse) / lam**0.5).mean())
            for name, value in zip(curve, values, strict=True):
                curve[name].append(round(float(value), 4))
        curve["mean_loss"] = [round(sum(curve["loss"]) / len(curve["loss"]), 4)]
        return curve


def _unit(x: Tensor) -> Tensor:
    return (x.float() / 255.0).contiguous(memory_format=torch.channels_last)
