"""Proofs: how like the original the picture is that a file gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Limits
from calotype.codec import metrics, rate
from calotype.codec.decoder import decode
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2


def likeness(
    kind: rate.Kind, pixels: NDArray[np.uint8], data: bytes, pack: Pack, threads: int, limits: Limits | None
) -> float:
    """PSNR in dB, MS-SSIM or SSIMULACRA2 of what a file decodes to; its alpha counts for nothing.

    pixels: the original, uint8 [H, W, 3]
    """
    shown = np.asarray(decode(data, pack=pack, threads=threads, limits=limits).pixels)
    colours = shown[..., :1] if shown.shape[2] < 3 else shown[..., :3]
    measure = {"psnr": metrics.psnr, "ms_ssim": metrics.ms_ssim}.get(kind, ssimulacra2)
    return measure(pixels, np.ascontiguousarray(np.broadcast_to(colours, pixels.shape)))
