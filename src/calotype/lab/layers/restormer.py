"""Transformer blocks that attend over channels (Zamir et al., Restormer, CVPR 2022, arXiv 2111.09881) and the
attention modules that JPEG AI builds from them.

Attention over channels compares whole maps with each other: its matrix is (C / heads)^2 whatever the
picture's size, and time and memory grow with the number of pixels, not with its square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv, deconv


class PositionNorm(nn.Module):
    """Layer normalisation over the channels of each position, never over positions: ``[B, C, H, W]``,
    affine.
    """

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        t = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return t.permute(0, 3, 1, 2)


def depthwise(width: int) -> nn.Conv2d:
    """3x3 convolution of each channel by itself, no bias."""
    return nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)


class MDTA(nn.Module):
    """Multi-head attention between channels: ``[B, C, H, W]`` to the same shape, C a multiple of ``heads``.

    ``q, k, v = depthwise3(conv1(x))``; q and k have unit length along the *pixels*; ``softmax(q k^T t) v``
    with one learned factor t per head; conv1.  No biases.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{width} channels do not split into {heads} heads")
        self.heads = heads
        self.expand = conv(width, 3 * width, 1, 1, bias=False)
        self.local = depthwise(3 * width)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.out = conv(width, width, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        maps = self.local(self.expand(x)).chunk(3, 1)
        q, k, v = (t.reshape(b, self.heads, -1, h * w) for t in maps)  # [B, heads, C / heads, pixels]
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        attention = torch.softmax(q @ k.transpose(-2, -1) * self.temperature, -1)
        return self.out((attention @ v).reshape(b, -1, h, w))


class GDFN(nn.Module):
    """Gated feed-forward: ``conv1(act(a) * b)`` with ``a, b = depthwise3(conv1(x))``, ``int(gamma C)``
    channels each.

    ``[B, C, H, W]`` to the same shape, no biases.  Restormer gates with GELU, JPEG AI with ELU.
    """

    def __init__(self, width: int, gamma: float, act: str = "gelu") -> None:
        super().__init__()
        inner = int(width * gamma)
        self.act = {"gelu": nn.GELU(), "elu": nn.ELU()}[act]
        self.expand = conv(width, 2 * inner, 1, 1, bias=False)
        self.local = depthwise(2 * inner)
        self.out = conv(inner, width, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.local(self.expand(x)).chunk(2, 1)
        return self.out(self.act(a) * b)


class TransformerBlock(nn.Module):
    """``x + MDTA(norm(x))``, then ``x + GDFN(norm(x))``.  Restormer: gamma 2.66, GELU; JPEG AI: 4 heads,
    gamma 4, ELU.
    """

    def __init__(self, width: int, heads: int = 4, gamma: float = 2.66, act: str = "gelu") -> None:
        super().__init__()
        self.norm1, self.attention = PositionNorm(width), MDTA(width, heads)
        self.norm2, self.feed = PositionNorm(width), GDFN(width, gamma, act)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.feed(self.norm2(x))


class TAM(nn.Module):
    """JPEG AI's transformer attention module: two blocks.  ``[B, C, H, W]`` to the same shape, any H, W.

    ``memory`` says how the maps are made smaller where the resolution is high:

        "plain"  they are not
        "ds"     conv3/2 before and a transposed conv3/2 after: a quarter of the positions (final standard; no
                 bypass)
        "cs"     only the first half of the channels goes through, the other half passes by (our reading of
                 the channel split of the VCIP 2023 paper)
    """

    def __init__(self, width: int, memory: str = "plain") -> None:
        super().__init__()
        if memory not in ("plain", "ds", "cs"):
            raise ValueError(f"memory must be 'plain', 'ds' or 'cs', got {memory!r}")
        self.memory = memory
        self.inner = width // 2 if memory == "cs" else width
        self.blocks = nn.Sequential(*(TransformerBlock(self.inner, 4, 4, "elu") for _ in range(2)))
        if memory == "ds":
            self.down, self.up = conv(width, width, 3, 2), deconv(width, width, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.memory == "ds":
            return self.up(self.blocks(self.down(x)))[:, :, : x.shape[2], : x.shape[3]]
        if self.memory == "cs":
            return torch.cat((self.blocks(x[:, : self.inner]), x[:, self.inner :]), 1)
        return self.blocks(x)
