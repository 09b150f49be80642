"""Low-complexity transform network architecture for JPEG AI image codec.  VCIP 2023.

The paper makes the *decoder's transform* of the JPEG AI verification model cheaper in three ways.  Neither
its text nor its tables could be had: this is a reconstruction, see docs/lab-jpegai.md for what is known and
what is not.

::

    luma    y 160 --2 RB--up--act--up--RNAB--act--up--RNAB--act--up--> Y              1/16 .. 1
    chroma  y 96, luma y --conv3--2 RB--up--RNAB--act--up--RNAB--act--up--> Cb, Cr    1/16 .. 1/2 (4:2:0)

      variant       at the higher resolution     up                               act
      baseline      RNAB                         transposed conv3/2               x + x tanh(conv1(lrelu(x)))
      attention-cs  TAM on half of the channels  ''                               ''
      attention-ds  TAM at half the resolution   ''                               ''
      shuffle       RNAB                         conv1 + pixel shuffle before it  ''
      activation    RNAB                         transposed conv3/2               x + conv1(lrelu(x))
      combination   TAM on half of the channels  conv1 + pixel shuffle before it  x + conv1(lrelu(x))

The encoder mirrors the baseline in every variant: only the decoder changes.

Colour: BT.709 YCbCr, chroma 4:2:0.  Coding order and entropy model: `jpegai_entropy`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers import colour
from calotype.lab.layers.conv import conv, deconv, subpixel
from calotype.lab.layers.jpegai import CAB, RB, RNAB, ResA, ResAUTanh
from calotype.lab.layers.restormer import TAM
from calotype.lab.models.base import Entry
from calotype.lab.models.jpegai_entropy import TwoBranches


@dataclass(frozen=True)
class Design:
    """What a decoder branch is made of."""

    low: str = "rnab"
    """Attention at the lower of its two resolutions (luma 1/4, chroma 1/8): rnab, cab, tam, tam-cs or
    tam-ds.
    """
    high: str = "rnab"
    """Attention at the higher one (luma 1/2, chroma 1/4)."""
    up: str = "deconv"
    """``deconv`` everywhere; ``shuffle``: conv1 and pixel shuffle into the higher resolution, where the final
    standard has it; ``shuffle-all``: everywhere.
    """
    act: str = "resau"
    """``resau`` or ``resa``."""

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, got {getattr(self, field)!r}")


_ATTENTION = ("rnab", "cab", "tam", "tam-cs", "tam-ds")
CHOICES = {
    "low": _ATTENTION,
    "high": _ATTENTION,
    "up": ("deconv", "shuffle", "shuffle-all"),
    "act": ("resau", "resa"),
}

VARIANTS: dict[str, Design] = {
    "baseline": Design(),
    "attention-cs": Design(high="tam-cs"),
    "attention-ds": Design(high="tam-ds"),
    "shuffle": Design(up="shuffle"),
    "activation": Design(act="resa"),
    "combination": Design(high="tam-cs", up="shuffle", act="resa"),
}


def attention(kind: str, width: int) -> nn.Module:
    """An attention module by its name in a `Design`."""
    if kind in ("rnab", "cab"):
        return (RNAB if kind == "rnab" else CAB)(width)
    return TAM(width, "plain" if kind == "tam" else kind.removeprefix("tam-"))


def activation(kind: str, width: int) -> nn.Module:
    """An activation by its name in a `Design`."""
    return ResAUTanh(width) if kind == "resau" else ResA(width)


def upsampling(cin: int, cout: int, shuffle: bool) -> nn.Module:
    """``[B, cin, h, w]`` to ``[B, cout, 2h, 2w]``."""
    return subpixel(cin, cout, 2, 1) if shuffle else deconv(cin, cout, 3)


def synthesis(latents: int, hidden: int, out: int, ups: int, design: Design) -> nn.Sequential:
    """One branch: ``[B, latents, h, w]`` to ``[B, out, 2**ups h, 2**ups w]``; attention after the last two
    but one.
    """
    layers: list[nn.Module] = [RB(latents), RB(latents)]
    for i in range(ups):
        last, high, low = (i == ups - k for k in (1, 2, 3))
        shuffle = design.up == "shuffle-all" or (design.up == "shuffle" and high)
        layers.append(upsampling(hidden if i else latents, out if last else hidden, shuffle))
        if high or low:
            layers.append(attention(design.high if high else design.low, hidden))
        if not last:
            layers.append(activation(design.act, hidden))
    return nn.Sequential(*layers)


def analysis(cin: int, hidden: int, latents: int, downs: int) -> nn.Sequential:
    """One branch of the encoder, the baseline's mirror: ``[B, cin, H, W]`` to ``[B, latents, H/2**downs,
    W/2**downs]``.
    """
    layers: list[nn.Module] = []
    for i in range(downs - 1):
        layers.append(conv(hidden if i else cin, hidden, 3, 2))
        layers += [RNAB(hidden)] if i < 2 else []
        layers.append(ResAUTanh(hidden))
    return nn.Sequential(*layers, conv(hidden, latents, 3, 2), RB(latents), RB(latents))


class JpegAI2023Analysis(nn.Module):
    """Pixels ``[B, 3, H, W]`` in 0..1 (multiples of 16) to latents ``[B, luma + chroma, H/16, W/16]``."""

    def __init__(self, luma: int, chroma: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.luma = analysis(1, hidden[0], luma, 4)
        self.chroma = analysis(4 + 2, hidden[1], chroma, 3)  # sees the luma too, as 4 maps of half the size

    def forward(self, x: Tensor) -> Tensor:
        y, c = colour.to_ycbcr(x)
        y, c = 2 * y - 1, 2 * colour.halve(c)
        return torch.cat((self.luma(y), self.chroma(torch.cat((F.pixel_unshuffle(y, 2), c), 1))), 1)


class JpegAI2023Synthesis(nn.Module):
    """Latents ``[B, luma + chroma, h, w]`` to pixels ``[B, 3, 16h, 16w]`` (0..1, not clipped)."""

    def __init__(self, luma: int, chroma: int, hidden: tuple[int, int], design: Design) -> None:
        super().__init__()
        self.latents = luma
        self.luma = synthesis(luma, hidden[0], 1, 4, design)
        self.combine = conv(luma + chroma, chroma, 3, 1)
        self.chroma = synthesis(chroma, hidden[1], 2, 3, design)

    def planes(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Luma ``[B, 1, H, W]`` and chroma ``[B, 2, H/2, W/2]``, both in -1..1: what the decoder's transform
        makes.
        """
        return self.luma(y_hat[:, : self.latents]), self.chroma(self.combine(y_hat))

    def forward(self, y_hat: Tensor) -> Tensor:
        y, c = self.planes(y_hat)
        return colour.to_rgb((y + 1) / 2, colour.double(c / 2))


class JpegAI2023(TwoBranches):
    """The baseline and the paper's variants of it.

    ``low``, ``high``, ``up``, ``act`` override one part of the named variant (`Design`).
    """

    def __init__(
        self,
        variant: str = "baseline",
        *,
        luma: int = 160,
        chroma: int = 96,
        hidden: tuple[int, int] = (128, 64),
        **changes: str,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        unknown = sorted(set(changes) - set(CHOICES))
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}")
        self.design = replace(VARIANTS[variant], **changes)
        hidden = (int(hidden[0]), int(hidden[1]))
        self.config = {"variant": variant, "luma": luma, "chroma": chroma, "hidden": list(hidden), **changes}
        self.g_a = JpegAI2023Analysis(luma, chroma, hidden)
        self.g_s = JpegAI2023Synthesis(luma, chroma, hidden, self.design)
        self.entropy_parts(luma, chroma)

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in asdict(self.design).items())


_PAPER = "Low-complexity transform network architecture for JPEG AI image codec, VCIP 2023 (reconstruction)"

_THIN = {"luma": 16, "chroma": 8, "hidden": [16, 16]}
_SUMMARIES = {
    "baseline": "two mask attentions per branch",
    "attention-cs": "attention over half of the channels",
    "attention-ds": "attention at half the resolution",
    "shuffle": "1x1 convolution and pixel shuffle for upsampling",
    "activation": "activation without tanh and product",
    "combination": "all three simplifications",
}

SYSTEMS = {
    f"jpegai2023-{variant}": Entry(
        JpegAI2023,
        f"JPEG AI's transform in 2023, {summary}",
        _PAPER,
        {"variant": variant},
        thin={"variant": variant, **_THIN},
    )
    for variant, summary in _SUMMARIES.items()
}
