"""The two transforms of the product's model (`calotype.lab.models.calotype`)."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.shuffle import pixel_shuffle

if TYPE_CHECKING:
    from calotype.lab.models.calotype import Config


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
        with torch.autocast(x.device.type, torch.bfloat16) if self.bf16 else contextlib.nullcontext():
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
