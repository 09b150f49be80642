"""PSNR over RGB and over luma, in dB."""

from __future__ import annotations

from calotype.bench.metrics._planes import Picture, luma601
from calotype.codec.metrics import psnr


def psnr_rgb(reference: Picture, decoded: Picture) -> float:
    """PSNR with the squared error averaged over all samples of R, G and B, peak 255; ``inf`` for equal
    pictures.
    """
    return psnr(reference, decoded)


def psnr_y(reference: Picture, decoded: Picture) -> float:
    """PSNR of the BT.601 luma of the 8-bit RGB (not rounded), peak 255; ``inf`` for equal luma."""
    return psnr(luma601(reference), luma601(decoded))
