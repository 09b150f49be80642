"""Where errors are seen less: a busy place hides what a smooth one shows.

An encoder weighs bits against errors; what a squared error is worth falls with the energy of the place with
packs for eyes: less among leaves, more in a sky. Files differ in nothing else. This was found when
residuals were rounded, small ones more boldly where it is busy. Tried so on pack 4cd86b83 and three
pictures each of Kodak and `large`: BD-rate by SSIMULACRA2 -1.0 %, by ColorVideoVDP -1.0 %, by MS-SSIM -1.1
%, by Butteraugli -0.1 %. Stronger masking won nothing more. The middle counts for more: with 9 instead of
5, where nearly all errors are worth less, six pictures of Kodak needed 5.0 % less by SSIMULACRA2, 4.8 % by
ColorVideoVDP and 1.6 % by Butteraugli.

How much errors are worth by SSIMULACRA2 can be told better from the pixels, which gains another 1.3 to 1.6 %
by it; Butteraugli pays for that, most of all on larger photographs (studies/product/README.md).

At the right and lower border of a picture, where few of a latent's pixels are in it, errors are worth most
with every pack: those few pixels are seen no less than others, and there is little to gain by saving on
them. Tried, with rounding, on twelve crops of Kodak at quality 60: where 1 to 8 columns are left, the error
of the last four fell from up to 1.42 times the interior's to 1.23, and files of 350 x 350 pixels grew by
0.3 %.

The arithmetic is native (native/masking.hpp).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

Floats = NDArray[np.float32]

ZONES = 11
"""In each, errors are worth 2^-0.25 of what they are in the one before."""
PLAIN = ZONES // 2
"""The zone where nothing is masked."""
THIN = 8
"""Pixels of the last latents' 16 that are in the picture, at most, where these count as border."""


def plain(height: int, width: int) -> NDArray[np.uint8]:
    """Zones [height, width] where nothing is masked."""
    return np.full((height, width), PLAIN, np.uint8)


def zones(y: Floats, step: Floats) -> NDArray[np.uint8]:
    """Which zone each place of y [M, h, w] is in, [h, w], by the energy around it.

    step: [M - 16, 1], that of `visual.measures`
    """
    found = np.empty(y.shape[1:], np.uint8)
    load().masking_zones(np.ascontiguousarray(y), step.ravel(), found)
    return found
