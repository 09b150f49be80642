"""MS-SSIM over RGB (the learned-codec literature) and over luma (JPEG AI). The computation:
`calotype.codec.metrics`.
"""

from __future__ import annotations

import numpy as np

from calotype.bench.metrics._planes import Picture, luma709
from calotype.codec.metrics import ms_ssim, to_db


def ms_ssim_rgb(reference: Picture, decoded: Picture) -> float:
    """MS-SSIM, mean of R, G and B, 0 to 1, as pytorch-msssim 1.0.0 with ``data_range=255``."""
    return ms_ssim(reference, decoded)


def ms_ssim_db(reference: Picture, decoded: Picture) -> float:
    """``-10 log10(1 - MS-SSIM)`` of RGB, in dB; ``inf`` for equal pictures.

    The mean of this over pictures is not the dB value of the mean MS-SSIM: published curves use the latter.
    """
    return to_db(ms_ssim(reference, decoded))


def ms_ssim_y(reference: Picture, decoded: Picture) -> float:
    """MS-SSIM of the 10-bit BT.709 luma, 0 to 1, as pytorch-msssim 1.0.0 with ``data_range=1023``."""
    a, b = (np.round(luma709(x) * 1023.0) for x in (reference, decoded))
    return ms_ssim(a, b, peak=1023.0)
