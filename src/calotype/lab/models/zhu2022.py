"""Zhu, Yang, Cohen: Transformer-based transform coding.  ICLR 2022, openreview IDwN6xjHnK8.

::

    x --2x2 patches--> 128 --> 192 --> 256 --> 320 = y      Swin blocks: 2, 2, 6, 2, window 8; merging between
    y --2x2 patches--> 192 --> 192 = z                      Swin blocks: 5, 1, window 4
    z_hat --> 192 --> 640 = means, scales                   Swin blocks: 1, 5, window 4; splitting between
    y_hat --> 256 --> 192 --> 128 --> x_hat                 Swin blocks: 2, 6, 2, 2, window 8

    SwinT-Hyperprior:  mu, sigma = means, scales
    SwinT-ChARM:       slice i:  means_i,  y_hat_0 .. y_hat_i-1 --mean_i-->  mu
                                 scales_i, y_hat_0 .. y_hat_i-1 --scale_i--> sigma    (no residual prediction)

Coding order of the hyperprior: z; then all of y at once.  Of ChARM: z; then the slices of y, 32 channels
each, 0 to 9; a slice sees its own part of the side information and all slices before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, channel_slices, given
from calotype.lab.layers.conv import slice_net
from calotype.lab.layers.window_attention import PatchMerging, PatchSplitting, SwinBlock, swin_blocks
from calotype.lab.models.base import Entry, LabModel

HEAD = 32  # channels of every attention head


def down(cin: int, widths: list[int], depths: list[int], window: int) -> nn.Sequential:
    """2x2 patches, then stages of Swin blocks with patch merging between: a factor of 2 per stage."""
    layers: list[nn.Module] = [nn.Conv2d(cin, widths[0], 2, 2)]
    for i, (width, depth) in enumerate(zip(widths, depths)):
        layers += [PatchMerging(widths[i - 1], width)] if i else []
        layers += swin_blocks(depth, width, HEAD, window)
    return nn.Sequential(*layers)


def up(widths: list[int], depths: list[int], cout: int, window: int) -> nn.Sequential:
    """Stages of Swin blocks, each followed by patch splitting: a factor of 2 per stage."""
    layers: list[nn.Module] = []
    for i, (width, depth) in enumerate(zip(widths, depths)):
        last = i == len(widths) - 1
        layers += swin_blocks(depth, width, HEAD, window)
        layers.append(PatchSplitting(width, cout if last else widths[i + 1], unpack=last))
    return nn.Sequential(*layers)


def start(model: SwinHyperprior) -> None:
    """First weights: Swin's own in the blocks (std 0.02, no biases), and a nearly grey picture.

    With torch's defaults the blocks add constants that drown what differs between positions, and the
    synthesis begins as noise; training then ends at the mean colour of all pictures, where hardly any
    gradient is left.
    """
    for block in model.modules():
        if isinstance(block, SwinBlock):
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
                    nn.init.zeros_(layer.bias)
    last = model.g_s[-1].linear
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.fill_(0.5)


class SwinHyperprior(LabModel):
    """y is ``[B, widths[3], H/16, W/16]``, z ``[B, hyper, H/64, W/64]``."""

    multiple = 64
    quantisation = "mixed"

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 192, 256, 320),
        depths: tuple[int, ...] = (2, 2, 6, 2),
        hyper: int = 192,
        hyper_depths: tuple[int, int] = (5, 1),
    ) -> None:
        super().__init__()
        if len(widths) != 4 or len(depths) != 4:
            raise ValueError("SwinT has four stages: give four widths and four depths")
        if len(hyper_depths) != 2:
            raise ValueError(
                f"the side information has two stages: give two hyper_depths, got {hyper_depths}"
            )
        w, d, h = list(widths), list(depths), list(hyper_depths)
        self.config = {"widths": w, "depths": d, "hyper": hyper, "hyper_depths": h}
        self.g_a, self.g_s = down(3, w, d, 8), up(w[::-1], d[::-1], 3, 8)
        self.h_a = down(w[-1], [hyper, hyper], h, 4)
        self.h_s = up([hyper, hyper], h[::-1], 2 * w[-1], 4)
        self.prior = FactorizedPrior(hyper)
        start(self)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        mu, sigma = self.h_s(z_hat).chunk(2, 1)
        return coder.code("y", y, Gaussian(mu, sigma))


class SwinChARM(SwinHyperprior):
    """The same transforms with y in ``slices``, each conditioned on those before it."""

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 192, 256, 320),
        depths: tuple[int, ...] = (2, 2, 6, 2),
        hyper: int = 192,
        hyper_depths: tuple[int, int] = (5, 1),
        slices: int = 10,
    ) -> None:
        super().__init__(widths, depths, hyper, hyper_depths)
        m = widths[-1]
        if m % slices:
            raise ValueError(f"{m} latents do not make {slices} slices of one width")
        self.config |= {"slices": slices}
        self.sizes = [m // slices] * slices
        width = m // slices

        def nets() -> nn.ModuleList:
            return nn.ModuleList(
                slice_net(width * (i + 1), width, slice_widths(i, width), (3, 3, 3)) for i in range(slices)
            )

        self.mean, self.scale = nets(), nets()

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        means, scales = (t.split(self.sizes, 1) for t in self.h_s(z_hat).chunk(2, 1))

        def support(i: int, done: list[Tensor]) -> tuple[Tensor, Tensor]:
            return torch.cat((means[i], *done), 1), torch.cat((scales[i], *done), 1)

        return channel_slices(coder, "y", y, self.sizes, support, self.mean, self.scale)


def slice_widths(i: int, width: int) -> tuple[int, int]:
    """Hidden widths of slice i: two thirds and one third of i + 2 slices, at least two slices and one.

    At 32 channels a slice these are the authors' numbers: (64, 32) twice, (85, 42), (106, 53), ... (234,
    117).
    """
    total = max(i + 2, 3) * width
    return 2 * total // 3, total // 3


_PAPER = "Zhu, Yang, Cohen, ICLR 2022, openreview IDwN6xjHnK8"

SYSTEMS = {
    "zhu2022-hyperprior": Entry(
        SwinHyperprior,
        "Swin transforms, mean-scale hyperprior",
        _PAPER,
        {},
        {},
        {"widths": [16, 16, 32, 32], "hyper": 16},
    ),
    "zhu2022-charm": Entry(
        SwinChARM,
        "Swin transforms, channel-wise autoregression",
        _PAPER,
        {},
        {},
        {"widths": [16, 16, 32, 32], "hyper": 16, "slices": 4},
    ),
}
