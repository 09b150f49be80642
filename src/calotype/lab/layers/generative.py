"""Parts of Mentzer et al. 2020 (HiFiC), whose transforms Agustsson et al. 2019 have too: encoder, decoder,
discriminator.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from calotype.lab.layers.conv import conv, deconv


class ChannelNorm(nn.Module):
    """Each position's channels to mean 0 and variance 1, then scaled and shifted by channel.

    ``[B, C, H, W]`` to the same shape; the variance is the unbiased one.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 1, keepdim=True)
        x = (x - mean) * torch.rsqrt(variance + self.eps)
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


def generative_analysis(width: int, m: int) -> nn.Sequential:
    """``[B, 3, H, W]`` to ``[B, m, H/16, W/16]``: conv7, four conv3/2 of twice the width each, conv3."""
    layers: list[nn.Module] = [conv(3, width, 7, 1), ChannelNorm(width), nn.ReLU()]
    for _ in range(4):
        layers += [conv(width, 2 * width, 3, 2), ChannelNorm(2 * width), nn.ReLU()]
        width *= 2
    return nn.Sequential(*layers, conv(width, m, 3, 1))


class _Block(nn.Module):
    """``x + norm(conv3(relu(norm(conv3(x)))))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(width, width, 3, 1),
            ChannelNorm(width),
            nn.ReLU(),
            conv(width, width, 3, 1),
            ChannelNorm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.net(x)


class GenerativeSynthesis(nn.Module):
    """``[B, m, h, w]`` to ``[B, 3, 16 h, 16 w]``: residual blocks at the latents' resolution, with a skip
    around them all, then four transposed conv3 of half the width each, conv7.
    """

    def __init__(self, width: int, m: int, blocks: int) -> None:
        super().__init__()
        wide = 16 * width
        self.head = nn.Sequential(ChannelNorm(m), conv(m, wide, 3, 1), ChannelNorm(wide))
        self.blocks = nn.Sequential(*(_Block(wide) for _ in range(blocks)))
        tail: list[nn.Module] = []
        for _ in range(4):
            tail += [deconv(wide, wide // 2, 3), ChannelNorm(wide // 2), nn.ReLU()]
            wide //= 2
        self.tail = nn.Sequential(*tail, conv(wide, 3, 7, 1))

    def forward(self, y_hat: Tensor) -> Tensor:
        t = self.head(y_hat)
        return self.tail(t + self.blocks(t))


def _spectral(layer: nn.Conv2d) -> nn.Module:
    """Its largest gain kept at 1 (Miyato et al. 2018)."""
    found: nn.Module = parametrizations.spectral_norm(layer)
    return found


class PatchDiscriminator(nn.Module):
    """Logits ``[B, 1, ..]`` of patches of pictures ``[B, 3, H, W]`` being real.

    width:  channels of the first layer, doubled three times, to 512 at most.
    latent: channels of latents ``[B, latent, h, w]`` that it is told about; 0: none.
    """

    def __init__(self, width: int = 64, latent: int = 0) -> None:
        super().__init__()
        self.of_latent = _spectral(conv(latent, 12, 3, 1)) if latent else None
        layers: list[nn.Module] = []
        cin = 3 + (12 if latent else 0)
        for stride in (2, 2, 2, 1):
            layers += [_spectral(nn.Conv2d(cin, width, 4, stride, 1)), nn.LeakyReLU(0.2)]
            cin, width = width, min(2 * width, 512)
        self.net = nn.Sequential(*layers, _spectral(nn.Conv2d(cin, 1, 4, 1, 2)))

    def forward(self, x: Tensor, y_hat: Tensor | None = None) -> Tensor:
        if self.of_latent is not None:
            assert y_hat is not None
            told = F.leaky_relu(self.of_latent(y_hat), 0.2)
            x = torch.cat((x, F.interpolate(told, size=x.shape[2:], mode="nearest")), 1)
        return self.net(x)
