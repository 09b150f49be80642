"""What a squared error is worth in bits, at a level, for the picture at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec import latents
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack

APART = 64
"""The slope is taken between so many levels below and above."""


def worth(pack: Pack, level: int, pixels: NDArray[np.uint8], threads: int = 1) -> float:
    """Bits that a unit of squared error (of one colour of one pixel) is worth: the slope of the picture's own
    curve of rate over distortion. 0 where it has none (a flat picture).

    pixels: a part of the picture, uint8 [1, H, W, 3], sides multiples of 16
    """
    bits, errors = [], []
    for near in (max(0, level - APART), min(pack.manifest.max_level, level + APART)):
        networks = Networks(pack, pack.level(near), threads)
        y = networks.run("analysis", pixels=pixels)
        coded = latents.quantise(networks, y)
        decoded = pack.decoder.synthesis(networks.level.vector, latents.restored(networks, coded))
        bits.append(8 * len(latents.write(networks, coded)))
        errors.append(int(np.square(decoded.astype(np.int32) - pixels[0]).sum(dtype=np.int64)))
    if errors[1] >= errors[0]:
        return 0.0
    return max(0.0, (bits[1] - bits[0]) / (errors[0] - errors[1]))
