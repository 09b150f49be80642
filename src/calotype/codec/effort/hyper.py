"""Trying the other rounding of every hyper-latent, before r is refined.

One channel of z and half of its positions (a chessboard's) change at a time. What r then
costs, and how far y_hat is from y, is summed around each changed position; those that gain keep the change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec import latents
from calotype.codec.effort.rates import Prices
from calotype.codec.latents import HYPER, Floats, Latents, Networks

FINE = np.float32(16)
"""z is asked for in this part of its step, to see which neighbour is the nearer one."""
LEAST = 1.0
"""Bits that a change must save."""


def improve(
    networks: Networks, prices: Prices, y: Floats, start: Latents, curvature: Floats, size: tuple[int, int]
) -> Latents:
    """One-pass integers with better hyper-latents.

    y:         padded, [1, M, 4a, 4b]; size is what of it lies in the picture
    curvature: bits per squared quantisation step, [M]
    """
    pack, feeds = networks.pack, networks.level.feeds
    step = feeds["inv_gain"][None, :, None, None]
    weight = np.sqrt(curvature)[None, :, None, None] / step
    channels = start.z.shape[1]
    tables = networks.level.anchor * channels + np.arange(channels, dtype=np.int32)
    index = np.repeat(tables, start.z[0, 0].size)

    def code(z: Floats) -> tuple[Latents, NDArray[np.float64]]:
        """One pass with z, and its cost under each position of z, [a, b]."""
        classes = latents.scale_index(networks, z, *size)
        r = networks.run("latent_encoder", y=y, z=z, keep=pack.keep.take(classes))[0]
        error = np.square((y - networks.run("latent_decoder", z=z, r=r)[0]) * weight)
        error[..., size[0] :, :] = 0
        error[..., size[1] :] = 0
        cost = (prices.at(r, classes) + error).sum(1, dtype=np.float64)[0]
        under = cost.reshape(len(cost) // HYPER, HYPER, -1, HYPER).sum((1, 3))
        bits = pack.z_tables.bits(z.reshape(-1).astype(np.int32), index).reshape(z.shape)
        return Latents(z, r, classes), under + bits.sum(1)[0]

    fine = networks.run("hyper_encoder", y=y, z_gain=feeds["z_gain"] * FINE)[0] / FINE
    other = np.clip(np.where(fine > start.z, start.z + 1, start.z - 1), -pack.manifest.z_limit,
                    pack.manifest.z_limit).astype(np.float32)  # fmt: skip
    best, cost = code(start.z)
    rows, columns = np.indices(cost.shape)
    for channel in range(channels):
        for part in range(2):
            z = best.z.copy()
            turned = (rows + columns) % 2 == part
            z[0, channel] = np.where(turned, other[0, channel], z[0, channel])
            gain = turned & (_around(cost - code(z)[1]) > LEAST)
            if gain.any():
                z[0, channel] = np.where(gain, other[0, channel], best.z[0, channel])
                found, new = code(z)
                if new.sum() < cost.sum():
                    best, cost = found, new
    return best


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over 3x3 neighbourhoods."""
    wide = np.pad(values, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])
