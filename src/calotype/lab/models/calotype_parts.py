"""The networks of the product's model (`calotype.lab.models.calotype`): two transforms and three latent
networks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.integer import IntConv, exact_arithmetic, requantise
from calotype.lab.layers.shuffle import pixel_shuffle

if TYPE_CHECKING:
    from calotype.lab.models.calotype import Config

SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
"""Standard deviations that the sigma indices stand for: 64 from 0.11 to 256 quantisation steps, even in the
logarithm.
"""
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
Z_PEAK = 127
"""Largest magnitude of a dequantised hyper-latent, in 1/16 of a natural-log unit."""
Z_UNIT = 16
BANDS = 4
"""Channel bands whose mean log magnitudes the hyper-latents carry."""
HYPER = BANDS * 16
"""Hyper-latent channels: one per band for each of the 4x4 latents under a hyper-latent."""
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column offsets of the 2x2 grid, in coding order."""


class Pointwise(nn.Conv2d):
    """1x1 convolution; in training a matrix product over channels-last memory, which is faster on CPUs."""

    bias: Tensor

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 1)

    def silence(self) -> None:
        """Set weights and biases to zero."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class Bottleneck(nn.Module):
    """``x + W3 relu(W2 relu(W1 x))`` with 1x1, 3x3, 1x1 kernels; starts as the identity.

    The branch reads the stream in units of ``given`` and adds in units of ``added``, ``[width]`` each
    (`fit`): without them a step of the optimiser would be the same for a channel that spans the picture's
    range as for one of a thousandth of it.  With ``bf16`` set it runs in bfloat16; the stream stays float32.
    """

    bf16 = False
    folded = False
    given: Tensor
    added: Tensor

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.reduce = Pointwise(width, narrow)
        self.conv = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.expand = Pointwise(narrow, width)
        for layer in (self.reduce, self.conv):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.expand.silence()
        self.register_buffer("given", torch.ones(width))
        self.register_buffer("added", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            if self.folded:
                return x + self.expand(F.relu(self.conv(F.relu(self.reduce(x)))))
            branch = F.relu(self.conv(F.relu(self.reduce(x / self.given[:, None, None]))))
            return x + self.expand(branch) * self.added[:, None, None]

    @torch.no_grad()
    def fit(self, spread: Tensor) -> None:
        """Choose the units for a stream whose channels have standard deviations ``spread`` ``[width]``.

        A channel of the stream is a coefficient of an orthonormal basis divided by the root of its standard
        deviation (`calotype_start`), so that deviation is ``spread`` squared.  What is read is whitened, but
        for coefficients below a grey level or two, which are noise.  What is added is in units of a
        quantisation step of the middle qualities: there is little to correct beyond that.
        """
        deviation = spread.clamp_min(1e-4) ** 2
        self.given.copy_(deviation.clamp_min(2 / 255) / spread.clamp_min(1e-4))
        self.added.copy_(deviation.clamp_max(8 / 255) / spread.clamp_min(1e-4))

    @torch.no_grad()
    def fold(self) -> None:
        """Move the units into the weights: the same function, nothing to multiply by."""
        self.reduce.weight /= self.given[:, None, None]
        self.expand.weight *= self.added[:, None, None, None]
        self.expand.bias *= self.added
        self.given.fill_(1.0)
        self.added.fill_(1.0)
        self.folded = True


Part = TypeVar("Part", bound=nn.Module)


def folded(part: Part) -> Part:
    """A copy of a transform whose bottlenecks are plain convolutions."""
    part = copy.deepcopy(part)
    for module in part.modules():
        if isinstance(module, Bottleneck):
            module.fold()
    return part


def bottlenecks(count: int, width: int, narrow: int) -> nn.Sequential:
    """A row of bottlenecks; ``[B, width, h, w]`` keeps its shape."""
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
        y: Tensor = self.blocks16(self.merge(self.blocks8(self.patch(x - 0.5))))
        return y


class Synthesis(nn.Module):
    """Latents ``[B, M, h, w]`` and level vector ``[B, M, 1, 1]`` to pixels ``[B, 3, 16h, 16w]`` (0..1, not
    clipped).
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.blocks16 = bottlenecks(c.synthesis_blocks[0], c.latents, c.narrow16)
        self.split = Pointwise(c.latents, 4 * c.width)
        self.blocks8 = bottlenecks(c.synthesis_blocks[1], c.width, c.narrow)
        self.patch = Pointwise(c.width, 192)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        t = self.blocks8(pixel_shuffle(self.split(self.blocks16(y_hat + level)), 2))
        return pixel_shuffle(self.patch(t), 8) + 0.5


class HyperAnalysis(nn.Module):
    """Gained latents ``[B, M, 4a, 4b]`` to hyper-latents ``[B, 64, a, b]`` in natural-log units, before
    rounding.
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.bands = Pointwise(c.latents, BANDS)
        self.reduce = Pointwise(2 * c.latents, 64)
        self.conv = nn.Conv2d(64, 64, 3, padding=1)
        self.out = Pointwise(16 * 64, HYPER)
        self.out.silence()

    def forward(self, y: Tensor, gain: Tensor) -> Tensor:
        energy = torch.log((y * gain).abs() + 0.2)
        t = F.relu(self.reduce(torch.cat((energy, y), 1)))
        learned: Tensor = self.out(F.pixel_unshuffle(F.relu(self.conv(t)), 4))
        return F.pixel_unshuffle(self.bands(energy), 4) + learned


class Scales(nn.Module):
    """Hyper-latents and level bias to sigma indices, in integers throughout.

    ``z`` ``[B, 64, a, b]`` integers, ``mul`` ``[B, 64, 1, 1]`` integers (1/256 of 1/16 log unit per step),
    ``bias`` ``[B, M, 1, 1]`` integers in units of ``2**-8`` index steps.  Returns ``[B, M, 4a, 4b]``,
    integers 0..63.
    """

    HIDDEN, OUT = 7, 8  # shifts

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.wide = IntConv(HYPER, 128, 3, shift=self.HIDDEN, limit=127)
        self.up = IntConv(128, 16 * 24, 1, shift=self.HIDDEN, limit=127)
        self.near = IntConv(24 + BANDS, 64, 3, shift=self.HIDDEN, limit=127)
        self.out = IntConv(64 + BANDS, c.latents, 1, shift=self.OUT, limit=511)
        self.out.bias.requires_grad_(False)  # the level bias takes its place
        with torch.no_grad():
            self.out.weight[:, :64].zero_()

    @staticmethod
    def dequantise(z: Tensor, mul: Tensor) -> Tensor:
        """Integers in 1/16 log units, clipped to +-127."""
        return requantise(z * mul, 8, -Z_PEAK, Z_PEAK)

    def forward(self, z: Tensor, mul: Tensor, bias: Tensor) -> Tensor:
        with exact_arithmetic(z.is_cuda):
            d = self.dequantise(z, mul)
            t = requantise(self.wide(d), self.HIDDEN, 0, 255)
            t = requantise(self.up(t), self.HIDDEN, 0, 255)
            near = torch.cat((F.pixel_shuffle(t, 4), F.pixel_shuffle(d, 4)), 1)
            t = requantise(self.near(near), self.HIDDEN, 0, 255)
            acc = self.out(torch.cat((t, F.pixel_shuffle(d, 4)), 1)) + bias
            return requantise(acc, self.OUT, 0, SCALES - 1)


class Mean(nn.Module):
    """Means of the latents in units of y, phase by phase on the 2x2 grid."""

    REDUCED, HIDDEN = 64, 128

    def __init__(self, c: Config) -> None:
        super().__init__()
        r, h = self.REDUCED, self.HIDDEN
        self.wide = nn.Conv2d(HYPER, 128, 3, padding=1)
        self.up = Pointwise(128, 4 * r)
        self.reduce = nn.ModuleList(Pointwise(c.latents, r) for _ in range(3))
        self.conv = nn.ModuleList(nn.Conv2d(r * (1 + p), h, 3, padding=1) for p in range(4))
        self.out = nn.ModuleList(Pointwise(2 * h, c.latents) for _ in range(4))
        for layer in self.out:
            layer.silence()  # type: ignore[operator]

    def features(self, z: Tensor) -> Tensor:
        """Dequantised hyper-latents ``[B, 64, a, b]`` (natural-log units) to features ``[B, 64, 2a, 2b]``."""
        return pixel_shuffle(self.up(F.relu(self.wide(z))), 2)

    def phase(self, p: int, context: list[Tensor]) -> Tensor:
        """Mean of phase p, ``[B, M, 2a, 2b]``; context: the features, then the reduced earlier phases."""
        t = self.conv[p](torch.cat(context, 1))
        mean: Tensor = self.out[p](torch.cat((t, F.relu(t)), 1))
        return mean

    def walk(self, z: Tensor, code: Callable[[int, Tensor], Tensor]) -> Tensor:
        """The four phases in coding order; ``code(p, mean) -> y_hat`` of that phase.  Returns ``y_hat``
        whole.

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
    return pixel_shuffle(torch.stack(order, 2).reshape(b, 4 * c, h, w), 2)
