"""Blocks of JPEG AI: of the verification model that the VCIP 2023 paper ("Low-complexity transform network
architecture for JPEG AI image codec") starts from, of that paper, and of the final reference software.  All
map ``[B, C, H, W]`` to the same shape unless they say otherwise.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv, deconv
from calotype.lab.layers.residual import PlainResidual as RB

__all__ = [
    "CAB",
    "RB",
    "RNAB",
    "Combine",
    "LightRB",
    "ResA",
    "ResAU",
    "ResAUTanh",
    "Shuffle2",
    "SlimmedRNAB",
    "deconv4",
]


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """Products in the input's own precision inside: gates and masks do not survive bfloat16 (the reference
    does so too).
    """
    if x.device.type == "meta":  # where costs are counted
        return contextlib.nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def widened(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# -- residual blocks


class LightRB(nn.Module):
    """``x + relu(conv3(x))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.conv(x))


class Combine(nn.Module):
    """Chroma latents that have seen the luma latents, in half as many channels, and themselves.

    ``[B, luma + c, h, w]`` (luma first) to ``[B, c // 2 + c, h, w]``.
    """

    def __init__(self, luma: int, chroma: int) -> None:
        super().__init__()
        self.chroma = chroma
        self.conv = conv(luma + chroma, chroma // 2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.conv(x), x[:, -self.chroma :]), 1)


# -- activations


class ResAUTanh(nn.Module):
    """The activation of 2023's baseline: ``x + x tanh(conv1(lrelu(x)))``, no bias (reconstruction)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            x = widened(x)
            return x + x * torch.tanh(self.conv(F.leaky_relu(x)))


class ResA(nn.Module):
    """The simplified activation of the VCIP 2023 paper, without tanh and product: ``x + conv1(lrelu(x))``, no
    bias.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.leaky_relu(x))


class ResAU(nn.Module):
    """The activation of the final standard: ``x (1 + conv1(grouped conv3(relu6(x))))``, no bias.

    ``groups``: 4 in the high operating point, C / 16 in the others.
    """

    def __init__(self, width: int, groups: int = 4) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False)
        self.mix = conv(width, width, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x):
            x = widened(x)
            return x * (1 + self.mix(self.grouped(F.relu6(x))))


# -- attention by a spatial mask


def _row(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(RB(width) for _ in range(count)))


class RNAB(nn.Module):
    """Residual non-local attention block: ``x + gain trunk(x) sigmoid(mask(x))``.  Any H, W.

    trunk: 3 RB.  mask: 2 RB, conv3/2, 2 RB, transposed conv3/2, 2 RB, conv3.  Exactly 16.5 x 9 C^2
    multiply-accumulates per position.  (There is nothing non-local in it but the name.)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk, self.mask1, self.mask2, self.mask3 = (_row(width, n) for n in (3, 2, 2, 2))
        self.down, self.up = conv(width, width, 3, 2), deconv(width, width, 3, 2)
        self.out = conv(width, width, 3, 1)

    def gated(self, x: Tensor) -> Tensor:
        """``trunk(x) sigmoid(mask(x))``."""
        mask = self.up(self.mask2(self.down(self.mask1(x))))[:, :, : x.shape[2], : x.shape[3]]
        trunk = self.trunk(x)
        with full_precision(x):
            return widened(trunk) * torch.sigmoid(self.out(self.mask3(widened(mask))))

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        return x + gain * self.gated(x)


class SlimmedRNAB(nn.Module):
    """RNAB at half the resolution in 3/2 of the channels: conv3/2, RNAB, transposed conv3/2.  Any H, W; no
    bypass.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width * 3 // 2
        self.down, self.block, self.up = conv(width, inner, 3, 2), RNAB(inner), deconv(inner, width, 3, 2)

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        return self.up(self.block(self.down(x), gain))[:, :, : x.shape[2], : x.shape[3]]


class CAB(nn.Module):
    """Attention of the final standard, ``x + gain trunk(x) sigmoid(mask(x))`` with a lighter mask.  Any H, W.

    trunk: 2 RB.  mask: conv3/2, 2 RB, transposed conv3/2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk, self.mask = _row(width, 2), _row(width, 2)
        self.down, self.up = conv(width, width, 3, 2), deconv(width, width, 3, 2)

    def gated(self, x: Tensor) -> Tensor:
        """``trunk(x) sigmoid(mask(x))``."""
        mask = self.mask[0](self.down(x))
        trunk = self.trunk(x)
        with full_precision(x):
            mask = self.up(self.mask[1](widened(mask)))[:, :, : x.shape[2], : x.shape[3]]
            return widened(trunk) * torch.sigmoid(mask)

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        return x + gain * self.gated(x)


# -- upsampling by 2: [B, cin, h, w] to [B, cout, 2h, 2w].  The plain transposed conv3/2 is
#    `conv.deconv(cin, cout, 3)`, the simplified conv1 and pixel shuffle is `conv.subpixel(cin, cout, 2, 1)`


def deconv4(cin: int, cout: int) -> nn.ConvTranspose2d:
    """Transposed conv4/2, every output sees 2 x 2 inputs: no checkerboard (base operating point)."""
    return nn.ConvTranspose2d(cin, cout, 4, 2, 1)


class Shuffle2(nn.Module):
    """conv2 on a map with a zero row and column added below and to the right, then pixel shuffle; no bias."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, 4 * cout, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(F.pad(x, (0, 1, 0, 1))), 2)
