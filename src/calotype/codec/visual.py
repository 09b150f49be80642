"""Quality as eyes see it: which level gives this picture a wanted SSIMULACRA2.

Asked for quality 60, a fixed level would give a busy picture 50 and a smooth one 65. So the level is foretold
for the picture at hand, in one pass, from its latents y alone: at every place, what share of the energy of
the high channels would be lost if all within half a step of 0 became 0, for seven steps; its mean over the
places and its 4th-power mean, which SSIMULACRA2 takes of its maps as well. A linear function of these, fitted
on photographs (``benchmarks/quality.py``) and stored in the pack's manifest, gives a level for each of some
scores. Between them, and to both ends, levels rise evenly.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec import levels

STEPS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Sizes of the step, in units of the one at the middle trained level."""
MASK = 64.0
"""Squared steps: energy beside that of the latents, so that nothing is lost where there is next to none."""
FEATURES = 2 * len(STEPS)
LOW = 16
"""Channels of the coarse picture, which are left out."""
APART = 2
"""Every second place each way is looked at."""
TOP = 95.0
"""The quality that leads to the highest level."""

Floats = NDArray[np.float32]
Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Visual:
    """The field ``visual`` of a manifest.

    scores:  of SSIMULACRA2, rising, between 0 and `TOP`
    weights: for each score those of the features, and a constant: its level
    bounds:  for each score the lowest and the highest level that are believed
    """

    scores: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    bounds: tuple[tuple[float, float], ...]


def parse(value: Any, max_level: int) -> Visual:
    """The field as it is in the file. Raises ValueError or TypeError where it breaks the contract."""
    if not isinstance(value, dict) or set(value) != {"scores", "weights", "bounds"}:
        raise ValueError("it must have scores, weights and bounds")
    found = Visual(
        tuple(float(score) for score in value["scores"]),
        tuple(tuple(float(w) for w in row) for row in value["weights"]),
        tuple((float(low), float(high)) for low, high in value["bounds"]),
    )
    if not 2 <= len(found.scores) == len(found.weights) == len(found.bounds):
        raise ValueError("it must have as many weights and bounds as scores, two at least")
    ends = (0.0, *found.scores, TOP)
    if not all(a < b for a, b in itertools.pairwise(ends)):
        raise ValueError(f"its scores must rise between 0 and {TOP:g}")
    if any(len(row) != FEATURES + 1 or not np.isfinite(row).all() for row in found.weights):
        raise ValueError(f"its weights must be {FEATURES + 1} numbers for each score")
    if not all(0 <= low <= high <= max_level for low, high in found.bounds):
        raise ValueError(f"its bounds must lie within the levels 0 to {max_level}")
    return found


def steps(tables: dict[str, NDArray[Any]]) -> Floats:
    """The step of each high channel at the middle trained level, [M - 16, 1], from a pack's tables."""
    middle = levels.STEPS * (len(tables["high_log_step"]) // 2)
    high = levels.at(tables, middle).steps.high[0] * np.float32(levels.STEP)
    return np.asarray((high * tables["unit"][LOW:])[:, None], np.float32)


def energies(y: Floats, step: Floats) -> Floats:
    """Energy of each high channel at each place of y [M, h, w], in squared steps, [M - 16, h * w]."""
    high = y[LOW:]
    return np.asarray(np.square(high.reshape(len(high), -1) / step))


def sums(y: Floats, step: Floats) -> Sums:
    """What the features are means of, summed over places of y [1, M, h, w], and the number of places."""
    energy = energies(y[0, :, ::APART, ::APART], step)
    whole = energy.sum(0) + np.float32(MASK)
    lost = np.stack([np.minimum(energy, np.float32(s * s / 4)).sum(0) / whole for s in STEPS])
    return np.array([*lost.sum(1), *np.square(np.square(lost)).sum(1), lost.shape[1]], np.float64)


def features(found: Sequence[Sums]) -> Sums:
    """The features of a picture, [FEATURES], from the sums of its parts."""
    total = np.sum(found, axis=0)
    means = total[:-1] / total[-1]
    means[len(STEPS) :] **= 0.25
    return np.asarray(means, np.float64)


def points(visual: Visual, found: Sums, max_level: int) -> tuple[tuple[float, float], ...]:
    """Pairs (quality, level) for a picture with these features; both rise, from level 0 to the highest."""
    guess = np.array(visual.weights) @ np.append(found, 1.0)
    low, high = np.array(visual.bounds).T
    level = np.maximum.accumulate(np.clip(guess, low, high))
    count = len(level)
    rising = np.arange(1, count + 1)  # one level apart at least, also from both ends
    level = np.clip(np.maximum.accumulate(level - rising) + rising, rising, max_level - count - 1 + rising)
    return ((0.0, 0.0), *zip(visual.scores, map(float, level)), (TOP, float(max_level)))
