"""Where errors are seen less: a busy place hides what a smooth one shows.

Every residual's magnitude is multiplied by `keep` of its class before it is rounded, which makes small ones 0
where that saves more than it costs in squared error. Eyes count otherwise, so with packs for them `keep`
is raised to a power that grows with the energy of the place: above 1 among leaves, below 1 in a sky. Files
differ in nothing else. Tried on pack 4cd86b83 and three pictures each of Kodak and `large`: BD-rate by
SSIMULACRA2 -1.0 %, by ColorVideoVDP -1.0 %, by MS-SSIM -1.1 %, by Butteraugli -0.1 %. Stronger masking wins
nothing more. The middle counts for more: with 9 instead of 5, where nearly all is rounded down more boldly,
six pictures of Kodak need 5.0 % less by SSIMULACRA2, 4.8 % by ColorVideoVDP and 1.6 % by Butteraugli.

At the right and lower border of a picture, where few of a latent's pixels are in it, `keep` is raised to the
least power with every pack: those few pixels are seen no less than others, and there is little to gain by
saving on them. Tried on twelve crops of Kodak at quality 60: where 1 to 8 columns are left, the error of the
last four falls from up to 1.42 times the interior's to 1.23, and files of 350 x 350 pixels grow by 0.3 %.

The arithmetic is native (native/masking.hpp).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

Floats = NDArray[np.float32]

ZONES = 11
"""There is one for each power of `keep`: 2 to the power of -1.25, -1, ... 1.25."""
PLAIN = ZONES // 2
"""The zone of the power 1."""
THIN = 8
"""Pixels of the last latents' 16 that are in the picture, at most, where these count as border."""


def keeps(keep: Floats) -> Floats:
    """`keep` [classes] for each zone, [zones, classes]."""
    found = np.empty((ZONES, len(keep)), np.float32)
    load().masking_keeps(keep, found)
    return found


def plain(height: int, width: int) -> NDArray[np.uint8]:
    """Zones [height, width] that leave every `keep` as it is."""
    return np.full((height, width), PLAIN, np.uint8)


def zones(y: Floats, step: Floats) -> NDArray[np.uint8]:
    """Which zone each place of y [M, h, w] is in, [h, w], by the energy around it.

    step: [M - 16, 1], that of `visual.measures`
    """
    found = np.empty(y.shape[1:], np.uint8)
    load().masking_zones(np.ascontiguousarray(y), step.ravel(), found)
    return found
