"""Other hyper-latents: what could a better choice of them gain?

Every hyper-latent is tried one step up and one step down, many at once where they are far enough apart; r is
chosen anew each time, the tile decoded, and a change stays if bits plus worth times squared error of the
cells around it fall. Bits are what the tables give, z's own and those of everything that its change moves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from calotype.codec import latents
from calotype.codec.pack import Pack
from studies.entropy.crops import Array, Cost, Crop

APART = 4
"""Cells from one hyper-latent that is tried to the next, each way."""
NEAR = 3.0
"""Levels of quality on either side that say what an error is worth."""
WORTHS = (1.0, 4.0, 16.0)
"""Of the rule: bits that a step beside the encoder's own hyper-latent has to save."""

FEW = 4
"""Channels."""


def measure(pack: Pack, pixels: Any, quality: float) -> dict[str, Any]:
    """What all of it gains on one picture, in percent of its bits, errors counted by what they are worth."""
    crop = Crop(pack, pixels, quality)
    around = [Crop(pack, pixels, q) for q in (quality - NEAR, quality + NEAR)]
    (low, high), start = (near.cost(near.z, near.r) for near in around), crop.cost(crop.z, crop.r)
    worth = 8 * (high.size - low.size) / (low.error.sum() - high.error.sum())
    rules = {}
    for least in WORTHS:
        z = cheaper(crop, least)
        rules[str(least)] = gain(start, crop.cost(z, crop.choose(z)), worth)
    found, moved = search(crop, start, worth)
    return {
        "bytes": start.size,
        "z": round(100 * float(start.z.sum()) / (8 * start.size), 2),
        "searched": gain(start, found, worth),
        "moved": round(100 * moved / crop.z.size, 1),
        "rules": rules,
    }


def skips(pack: Pack, pixels: Any, quality: float) -> dict[str, float]:
    """What the skip class leaves: how many percent of the skipped latents are further than a step from y,
    what part of these the FEW channels have that have most, and what it would do to the picture's squared
    error, in percent, if they were y.
    """
    crop = Crop(pack, pixels, quality)
    words = pack.decoder.restore(crop.level.steps, crop.z, crop.r)
    step = latents.steps(crop.networks, *words.shape[:2])[0]
    skipped = crop.classes(crop.z, crop.r).index == latents.SKIP
    far = skipped & (np.abs(crop.y[0] - (words * pack.unit).transpose(2, 0, 1)) > step)
    exact = np.rint(crop.y[0].transpose(1, 2, 0) / pack.unit).clip(-32768, 32767).astype(np.int16)

    def error(y: Array) -> float:
        decoded = pack.decoder.synthesis(crop.level.pixels, np.ascontiguousarray(y))
        return float(np.square(decoded.astype(np.float64) - pixels).sum())

    by_channel = np.sort(far.sum((1, 2)))[::-1]
    before = error(words)
    after = error(np.where(far.transpose(1, 2, 0), exact, words))
    return {
        "far": round(100 * float(far.sum()) / max(float(skipped.sum()), 1.0), 3),
        "few": round(100 * float(by_channel[:FEW].sum()) / max(float(far.sum()), 1.0), 1),
        "error": round(100 * (after - before) / before, 2),
    }


def gain(before: Cost, after: Cost, worth: float) -> float:
    """Change in percent of the file, an error counted in bits."""
    bits = 8 * (after.size - before.size) + worth * (after.error.sum() - before.error.sum())
    return round(float(100 * bits / (8 * before.size)), 3)


def cheaper(crop: Crop, least: float) -> Array:
    """The rule: one step to where the law puts z, wherever that saves so many bits of its own."""
    found = crop.classes(crop.z, crop.r)
    now = crop.z_bits(crop.z, found)
    step = -np.sign(crop.z - found.z_shift)
    saved = now - crop.z_bits(crop.z + step, found)
    moved: Array = (crop.z + np.where(saved >= least, step, 0)).astype(np.int32)
    return moved


def search(crop: Crop, start: Cost, worth: float) -> tuple[Cost, int]:
    """What the trials end with, and how many hyper-latents they moved."""
    z, best = crop.z.copy(), start
    rows, columns = z.shape[1:]
    for channel in range(len(z)):
        for step in (-1, 1):
            for k in range(APART * APART):
                here = np.zeros((rows, columns), bool)
                here[k // APART :: APART, k % APART :: APART] = True
                if not here.any():
                    continue
                tried = _moved(z, channel, here, step)
                after = crop.cost(tried, crop.choose(tried))
                good = here & (_around(_bill(after, worth) - _bill(best, worth)) < 0)
                if not good.any():
                    continue
                tried = _moved(z, channel, good, step)
                after = crop.cost(tried, crop.choose(tried))
                if _bill(after, worth).sum() < _bill(best, worth).sum():
                    z, best = tried, after
    return best, int((z != crop.z).sum())


def _moved(z: Array, channel: int, here: Array, step: int) -> Array:
    out = z.copy()
    out[channel][here] += step
    return out


def _bill(cost: Cost, worth: float) -> Array:
    found: Array = cost.z + cost.r + worth * cost.error
    return found


def _around(values: Array) -> Array:
    """Sums over 3 x 3 cells."""
    wide = np.pad(values, 1)
    h, w = values.shape
    found: Array = sum(wide[i : i + h, j : j + w] for i in range(3) for j in range(3))  # type: ignore[assignment]
    return found
