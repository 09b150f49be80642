"""JPEG AI, the transforms of the final reference software (ISO/IEC 6048; Esenlik et al., IEEE TCSVT 36(2),
2026, arXiv 2510.13867): high, base and simple operating point.

::

    HOP  luma    RB, up, act, up, CAB, act, conv1 + shuffle 2, TAM at half resolution, act, up       3,341,769
         chroma  combine, up, CAB, act, conv1 + shuffle 2, TAM, act, up, shuffle 2                     647,912
    BOP  luma    LightRB, up4, act, up4, act, conv3, act, conv1, shuffle 4                             566,656
         chroma  combine, up4, act, conv3, act, conv1, shuffle 8                                       257,112
    SOP  luma    LightRB, up2, act, up2, act, conv3, act, conv1, shuffle 4                             461,504
         chroma  combine, up2, act, conv3, act, conv1, shuffle 8                                       106,424

    up: transposed conv3/2      up4: transposed conv4/2      up2: conv2 + shuffle 2
    act: x (1 + conv1(grouped conv3(relu6(x))))              combine: luma latents join the chroma latents

    encoder 1 (HOP)  conv3/2, act, TAM, conv3/2, act, CAB, conv3/2, act, (luma: conv3/2,) conv1
    encoder 0 (BOP)  the same without TAM and CAB

    parameters: encoder 1 2,987,944 + 2,501,512; encoder 0 666,272 + 475,008; decoders at the right

One bitstream serves all three decoders in the standard; here each model has its own.  SOP has no encoder of
its own and takes the small one.  The chroma branch works on the full grid: 2x2 luma and chroma samples are
its input channels (4:2:0 chroma is repeated), and of its output 4:2:0 keeps every second sample.

Coding order and entropy model: `jpegai_entropy`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers import colour
from calotype.lab.layers.conv import conv, deconv, subpixel
from calotype.lab.layers.jpegai import CAB, RB, Combine, LightRB, ResAU, Shuffle2, deconv4
from calotype.lab.layers.restormer import TAM
from calotype.lab.models.base import Entry
from calotype.lab.models.jpegai_entropy import TwoBranches

POINTS = ("hop", "bop", "sop")


def _narrow(width: int) -> ResAU:
    """The activation of BOP and SOP: 16 channels to a group."""
    return ResAU(width, max(1, width // 16))


def luma_synthesis(point: str, latents: int = 160, divide: int = 1) -> nn.Sequential:
    """``[B, latents, h, w]`` to ``[B, 1, 16h, 16w]``; ``divide`` makes the hidden widths that many times
    smaller.
    """
    if point == "hop":
        c = 128 // divide
        return nn.Sequential(
            RB(latents), deconv(latents, c, 3), ResAU(c),
            deconv(c, c, 3), CAB(c), ResAU(c),
            subpixel(c, c, 2, 1), TAM(c, "ds"), ResAU(c),
            deconv(c, 1, 3),
        )  # fmt: skip
    if point == "bop":
        a, b = 64 // divide, 96 // divide
        ups = [deconv4(latents, a), _narrow(a), deconv4(a, a), _narrow(a)]
    else:
        a, b = 64 // divide, 32 // divide
        ups = [Shuffle2(latents, a), _narrow(a), Shuffle2(a, b), _narrow(b)]
        a = b
    tail = (conv(a, b, 3, 1), _narrow(b), conv(b, 16, 1, 1, bias=False), nn.PixelShuffle(4))
    return nn.Sequential(LightRB(latents), *ups, *tail)


def chroma_synthesis(point: str, luma: int = 160, chroma: int = 48, divide: int = 1) -> nn.Sequential:
    """``[B, luma + chroma, h, w]`` to ``[B, 2, 16h, 16w]``."""
    joined = chroma // 2 + chroma
    if point == "hop":
        c = 64 // divide
        return nn.Sequential(
            Combine(luma, chroma), deconv(joined, c, 3), CAB(c), ResAU(c),
            subpixel(c, c, 2, 1), TAM(c), ResAU(c),
            deconv(c, 8, 3), nn.PixelShuffle(2),
        )  # fmt: skip
    a, b = (64 // divide, 128 // divide) if point == "bop" else (32 // divide, 32 // divide)
    up = deconv4(joined, a) if point == "bop" else Shuffle2(joined, a)
    tail = (conv(a, b, 3, 1), _narrow(b), conv(b, 128, 1, 1, bias=False), nn.PixelShuffle(8))
    return nn.Sequential(Combine(luma, chroma), up, _narrow(a), *tail)


def luma_analysis(point: str, latents: int = 160, divide: int = 1) -> nn.Sequential:
    """``[B, 1, H, W]`` to ``[B, latents, H/16, W/16]``; ``point`` is hop or bop."""
    c = 128 // divide
    tam, cab = ([TAM(c, "ds")], [CAB(c)]) if point == "hop" else ([], [])
    return nn.Sequential(
        conv(1, c, 3, 2), ResAU(c), *tam, conv(c, c, 3, 2), ResAU(c), *cab, conv(c, c, 3, 2), ResAU(c),
        conv(c, latents, 3, 2), conv(latents, latents, 1, 1, bias=False),
    )  # fmt: skip


def chroma_analysis(point: str, latents: int = 48, divide: int = 1) -> nn.Sequential:
    """2x2 samples of Y, Cb, Cr as channels ``[B, 12, H/2, W/2]`` to ``[B, latents, H/16, W/16]``."""
    c = 128 // divide
    tam, cab = ([TAM(c)], [CAB(c)]) if point == "hop" else ([], [])
    return nn.Sequential(
        conv(12, c, 3, 2), ResAU(c), *tam, conv(c, c, 3, 2), ResAU(c), *cab, conv(c, c, 3, 2), ResAU(c),
        conv(c, latents, 1, 1, bias=False),
    )  # fmt: skip


class JpegAIAnalysis(nn.Module):
    """Pixels ``[B, 3, H, W]`` in 0..1 (multiples of 16) to latents ``[B, luma + chroma, H/16, W/16]``."""

    def __init__(self, point: str, luma: int, chroma: int, subsampled: bool, divide: int) -> None:
        super().__init__()
        self.subsampled = subsampled
        self.luma, self.chroma = luma_analysis(point, luma, divide), chroma_analysis(point, chroma, divide)

    def forward(self, x: Tensor) -> Tensor:
        y, c = colour.to_ycbcr(x)
        y, c = 2 * y - 1, 2 * c
        samples = colour.halve(c).repeat_interleave(4, 1) if self.subsampled else F.pixel_unshuffle(c, 2)
        return torch.cat((self.luma(y), self.chroma(torch.cat((F.pixel_unshuffle(y, 2), samples), 1))), 1)


class JpegAISynthesis(nn.Module):
    """Latents ``[B, luma + chroma, h, w]`` to pixels ``[B, 3, 16h, 16w]`` (0..1, not clipped)."""

    def __init__(self, point: str, luma: int, chroma: int, subsampled: bool, divide: int) -> None:
        super().__init__()
        self.latents, self.subsampled = luma, subsampled
        self.luma = luma_synthesis(point, luma, divide)
        self.chroma = chroma_synthesis(point, luma, chroma, divide)

    def planes(self, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Luma ``[B, 1, H, W]`` and chroma ``[B, 2, H, W]``, both in -1..1: what the decoder's transform
        makes.
        """
        return self.luma(y_hat[:, : self.latents]), self.chroma(y_hat)

    def forward(self, y_hat: Tensor) -> Tensor:
        y, c = self.planes(y_hat)
        if self.subsampled:
            c = colour.double(c[:, :, ::2, ::2])
        return colour.to_rgb((y + 1) / 2, c / 2)


class JpegAI(TwoBranches):
    """``point``: hop, bop or sop; ``encoder``: hop or bop (by default the point's own, or bop).

    ``subsampled``: chroma 4:2:0 (else 4:4:4, at the same cost).  ``divide`` makes all widths that many times
    smaller.
    """

    def __init__(
        self,
        point: str = "bop",
        encoder: str | None = None,
        *,
        luma: int = 160,
        chroma: int = 48,
        subsampled: bool = True,
        divide: int = 1,
    ) -> None:
        super().__init__()
        encoder = encoder or ("hop" if point == "hop" else "bop")
        if point not in POINTS or encoder not in POINTS[:2]:
            raise ValueError(
                f"point must be hop, bop or sop and encoder hop or bop, got {point!r} and {encoder!r}"
            )
        if divide not in (1, 2, 4, 8):
            raise ValueError(f"divide must be 1, 2, 4 or 8, got {divide}")
        self.config = {
            "point": point, "encoder": encoder, "luma": luma, "chroma": chroma,
            "subsampled": subsampled, "divide": divide,
        }  # fmt: skip
        self.g_a = JpegAIAnalysis(encoder, luma // divide, chroma // divide, subsampled, divide)
        self.g_s = JpegAISynthesis(point, luma // divide, chroma // divide, subsampled, divide)
        self.entropy_parts(luma // divide, chroma // divide)


_PAPER = "ISO/IEC 6048, JPEG AI; Esenlik et al., IEEE TCSVT 36(2), 2026, arXiv 2510.13867"

SYSTEMS = {
    "jpegai-hop": Entry(
        JpegAI, "JPEG AI, high operating point", _PAPER, {"point": "hop"}, {}, {"point": "hop", "divide": 8}
    ),
    "jpegai-bop": Entry(
        JpegAI, "JPEG AI, base operating point", _PAPER, {"point": "bop"}, {}, {"point": "bop", "divide": 8}
    ),
    "jpegai-sop": Entry(
        JpegAI, "JPEG AI, simple operating point", _PAPER, {"point": "sop"}, {}, {"point": "sop", "divide": 8}
    ),
}
