"""The two transforms of the product's model (`calotype.lab.models.calotype`).

Both have a linear path, which begins as the best linear codec (`calotype_start`), and branches beside it that
begin at zero: bottlenecks at 1/8 and 1/16, and in the synthesis a renderer at 1/4.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.shuffle import pixel_shuffle, pixel_unshuffle
from calotype.lab.models.calotype_config import Config
from calotype.lab.models.calotype_rounding import as_bytes, in_seven_bits


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
        return self.within(x) if self.training else super().forward(x)

    def within(
        self,
        x: Tensor,
        given: Tensor | None = None,
        added: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The same for inputs in units of ``given`` and outputs in units of ``added``, one for each channel.
        They multiply the weights, which are fewer than the values of a map.  ``weight``: instead of its own.
        """
        weight, bias = (self.weight if weight is None else weight).flatten(1), self.bias
        if given is not None:
            weight = weight / given
        if added is not None:
            weight, bias = weight * added[:, None], bias * added
        return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class Patches(nn.Conv2d):
    """Convolution whose kernel is as large as its stride; in training a matrix product, as `Pointwise`."""

    bias: Tensor

    def __init__(self, cin: int, cout: int, side: int) -> None:
        super().__init__(cin, cout, side, stride=side)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        rows = pixel_unshuffle(x, self.kernel_size[0]).permute(0, 2, 3, 1)
        return F.linear(rows, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class Branch(nn.Module):
    """What bottlenecks and renderer share: units, precision, and ReLUs that may leak.

    A branch reads the stream in units of ``given`` and adds in units of ``added`` (`fit`): without them a
    step of the optimiser would be the same for a channel that spans the picture's range as for one of a
    thousandth of it.  With ``bf16`` set it runs in bfloat16; what it is added to stays float32.

    leak: slope of the ReLUs below zero, or None.  A ReLU that is below zero everywhere has no slope to come
        back by, and while the last layer is noise, whatever makes its inputs smaller lowers the loss.  So
        training begins with a leak and closes it (`TrainConfig.leak`).
    units: what 1 stands for in the bytes of each hidden layer, where training computes as decoders do
        (`calotype_rounding`), or None.
    """

    bf16 = False
    folded = False
    leak: Tensor | None
    units: list[Tensor] | None = None
    given: Tensor
    added: Tensor

    def __init__(self, given: int, added: int) -> None:
        super().__init__()
        self.register_buffer("given", torch.ones(given))
        self.register_buffer("added", torch.ones(added))
        self.register_buffer("leak", None, persistent=False)

    def precision(self, device: str) -> contextlib.AbstractContextManager[object]:
        """The context to compute in."""
        return torch.autocast(device, torch.bfloat16) if self.bf16 else contextlib.nullcontext()

    def relu(self, x: Tensor) -> Tensor:
        """The activation of hidden layers."""
        return F.relu(x) if self.leak is None else F.prelu(x, self.leak.to(x.dtype))

    def hidden(self, k: int, x: Tensor) -> Tensor:
        """What the k-th hidden layer holds, of its sums ``x``."""
        return self.relu(x) if self.units is None else as_bytes(x, self.units[k])

    def weight_on(self, k: int, layer: nn.Conv2d) -> Tensor | None:
        """The rounded weights of the layer that reads the k-th hidden one; None: its own."""
        return None if self.units is None else in_seven_bits(layer.weight, self.units[k])

    def behind(self, k: int, layer: nn.Conv2d, t: Tensor) -> Tensor:
        """The hidden layer that a 3x3 kernel makes of the k-th, ``t``."""
        weight = self.weight_on(k, layer)
        sums = layer(t) if weight is None else F.conv2d(t, weight, layer.bias, padding=1)
        return self.hidden(k + 1, sums)

    def readers(self) -> list[nn.Conv2d]:
        """The layers that read the hidden ones, in their order."""
        raise NotImplementedError

    @torch.no_grad()
    def settle(self) -> None:
        """Leave the weights as they are rounded to, where they are."""
        for k, layer in enumerate(self.readers()):
            if (weight := self.weight_on(k, layer)) is not None:
                layer.weight.copy_(weight)

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
        if len(self.added) == len(spread):
            self.added.copy_(deviation.clamp_max(8 / 255) / spread.clamp_min(1e-4))

    @torch.no_grad()
    def _fold(self, first: nn.Conv2d, last: nn.Conv2d) -> None:
        """Move the units into the weights: the same function, nothing to multiply by."""
        assert last.bias is not None
        first.weight /= self.given[:, None, None]
        last.weight *= self.added[:, None, None, None]
        last.bias *= self.added
        self.given.fill_(1.0)
        self.added.fill_(1.0)
        self.leak, self.units, self.folded = None, None, True


class Bottleneck(Branch):
    """``x + W3 relu(W2 relu(W1 x))`` with 1x1, 3x3, 1x1 kernels; starts as the identity."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__(width, width)
        self.reduce = Pointwise(width, narrow)
        self.conv = nn.Conv2d(narrow, narrow, 3, padding=1)
        self.expand = Pointwise(narrow, width)
        for layer in (self.reduce, self.conv):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.expand.silence()

    def forward(self, x: Tensor) -> Tensor:
        with self.precision(x.device.type):
            if self.folded:
                return x + self.expand(F.relu(self.conv(F.relu(self.reduce(x)))))
            t = self.hidden(0, self.reduce.within(x, given=self.given))
            t = self.behind(0, self.conv, t)
            return x + self.expand.within(t, added=self.added, weight=self.weight_on(1, self.expand))

    def readers(self) -> list[nn.Conv2d]:
        """The second and the third layer."""
        return [self.conv, self.expand]

    def fold(self) -> None:
        """Move the units into the weights."""
        self._fold(self.reduce, self.expand)


class Renderer(Branch):
    """Features ``[B, width, h, w]`` at 1/8 to what is added to the pixels, ``[B, 3, 8h, 8w]``.

    Starts as zero.  A 1x1 kernel and a shuffle to 1/4, 3x3 kernels there, a 1x1 kernel to patches of 4x4
    pixels.
    """

    UNIT = 4 / 255
    """What it adds is in units of so much of the pixels' range."""

    def __init__(self, width: int, channels: int, layers: int) -> None:
        super().__init__(width, 48)
        self.up = Pointwise(width, 4 * channels)
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers))
        self.out = Pointwise(channels, 48)
        for layer in (self.up, *self.convs):
            assert isinstance(layer, nn.Conv2d)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.out.silence()
        self.added.fill_(self.UNIT)

    def forward(self, x: Tensor) -> Tensor:
        with self.precision(x.device.type):
            t = self.hidden(0, pixel_shuffle(self.up.within(x, given=self.given), 2))
            for k, conv in enumerate(self.layers()):
                t = self.behind(k, conv, t)
            weight = self.weight_on(len(self.convs), self.out)
            return pixel_shuffle(self.out.within(t, added=self.added, weight=weight), 4)

    def layers(self) -> list[nn.Conv2d]:
        """The 3x3 layers."""
        return [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]

    def readers(self) -> list[nn.Conv2d]:
        """All layers but the first."""
        return [*self.layers(), self.out]

    def fold(self) -> None:
        """Move the units into the weights."""
        self._fold(self.up, self.out)


Part = TypeVar("Part", bound=nn.Module)


def folded(part: Part) -> Part:
    """A copy of a transform whose branches are plain convolutions."""
    part = copy.deepcopy(part)
    for module in part.modules():
        if isinstance(module, Bottleneck | Renderer):
            module.fold()
    return part


def bottlenecks(count: int, width: int, narrow: int) -> nn.Sequential:
    """A row of bottlenecks; ``[B, width, h, w]`` keeps its shape."""
    return nn.Sequential(*(Bottleneck(width, narrow) for _ in range(count)))


class AnalysisTransform(nn.Module):
    """Pixels ``[B, 3, H, W]`` in 0..1 (H, W multiples of 16) to latents ``[B, M, H/16, W/16]``."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.patch = Patches(3, c.width, 8)
        self.blocks8 = bottlenecks(c.analysis_blocks[0], c.width, c.narrow)
        self.merge = Patches(c.width, c.latents, 2)
        self.blocks16 = bottlenecks(c.analysis_blocks[1], c.latents, c.wide16)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.blocks16(self.merge(self.blocks8(self.patch(x - 0.5))))
        return y


class SynthesisTransform(nn.Module):
    """Latents ``[B, M, h, w]`` and level vector ``[B, M, 1, 1]`` to pixels ``[B, 3, 16h, 16w]`` (0..1, not
    clipped).
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.blocks16 = bottlenecks(c.synthesis_blocks[0], c.latents, c.narrow16)
        self.split = Pointwise(c.latents, 4 * c.width)
        self.blocks8 = bottlenecks(c.synthesis_blocks[1], c.width, c.narrow)
        self.patch = Pointwise(c.width, 192)
        self.render = Renderer(c.width, c.render, c.render_layers)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        t = self.blocks8(pixel_shuffle(self.split(self.blocks16(y_hat + level)), 2))
        return pixel_shuffle(self.patch(t), 8) + self.render(t) + 0.5
