"""Quality as eyes see it: which level gives this picture a wanted SSIMULACRA2.

Asked for quality 60, a fixed level would give a busy picture 50 and a smooth one 65. So the level is foretold
for the picture at hand, in one pass, from its latents y alone. What is looked at:

* For each trained level, what share of the energy of the high channels would be lost at a place if all
  within half of that level's steps became 0: its mean over the places and, for the middle levels, its
  4th-power mean, which SSIMULACRA2 takes of its maps as well; logarithms of both.
* The mean brightness.
* How much the brightness rises and falls within places, beside their energy: whether it is soft edges or
  fine texture that they hold. Both as means of logarithms.
* Over how many channels the energy is spread, as an entropy: few in a picture that is blurred or enlarged.

A linear function of these, fitted on photographs (``benchmarks/quality.py``) and stored in the pack's
manifest, gives a level for each of some scores. Between them, and to both ends, levels rise evenly.

The last three were found by leaving out a twelfth of the photographs at a time: at quality 60 the forecast
then misses by 2.2 points (standard deviation) instead of 3.2. Tried as well: what quantising really loses at
the foretold level. It says no more; docs/training.md has the rest.

The arithmetic is native (native/visual.hpp).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import levels
from calotype.coder.native import load
from calotype.pack import STEPS
from calotype.pack.tables import LOW

MIDDLE = 3
"""Of so many trained levels in the middle, the 4th-power means count."""
FEW, APART = 4096, 2
"""In pictures of more places than that, every second one each way is looked at."""
TOP = 95.0
"""The quality that leads to the highest level."""

Floats = NDArray[np.float32]
Sums = NDArray[np.float64]


def count(trained: int) -> int:
    """How many features there are with so many trained levels."""
    return trained + MIDDLE + 3


@dataclass(frozen=True, eq=False)
class Measures:
    """What the energy of high channels is measured by, from a pack's tables.

    step:   the step of each at the middle trained level, [M - 16, 1], in units of y
    within: a quarter of the squared step at each trained level, [levels, M - 16, 1], in squares of `step`
    """

    step: Floats
    within: Floats


@dataclass(frozen=True)
class Visual:
    """The field ``visual`` of a manifest.

    scores:  of SSIMULACRA2, rising, between 0 and `TOP`
    weights: for each score those of the features, and a constant: its level
    bounds:  for each score the lowest and the highest level that are believed
    glance:  for each score what windows miss where the picture does not, and what share of a further miss is
             the picture's (calotype.codec.glance); None where no windows are looked at
    """

    scores: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    bounds: tuple[tuple[float, float], ...]
    glance: tuple[tuple[float, float], ...] | None = None


def parse(value: Any, max_level: int) -> Visual:
    """The field as it is in the file. Raises ValueError, TypeError or OverflowError where it breaks
    the contract.
    """
    if not isinstance(value, dict) or set(value) - {"glance"} != {"scores", "weights", "bounds"}:
        raise ValueError("it must have scores, weights and bounds, and may have a glance")
    glance = value.get("glance")
    found = Visual(
        tuple(float(score) for score in value["scores"]),
        tuple(tuple(float(w) for w in row) for row in value["weights"]),
        tuple((float(low), float(high)) for low, high in value["bounds"]),
        None if glance is None else tuple((float(bias), float(share)) for bias, share in glance),
    )
    if not 2 <= len(found.scores) == len(found.weights) == len(found.bounds):
        raise ValueError("it must have as many weights and bounds as scores, two at least")
    ends = (0.0, *found.scores, TOP)
    if not all(a < b for a, b in itertools.pairwise(ends)):
        raise ValueError(f"its scores must rise between 0 and {TOP:g}")
    trained = max_level // STEPS + 1
    numbers = count(trained) + 1
    if trained < MIDDLE or any(len(row) != numbers or not np.isfinite(row).all() for row in found.weights):
        raise ValueError(f"its weights must be {numbers} numbers for each score, of {MIDDLE} levels at least")
    if not all(0 <= low <= high <= max_level for low, high in found.bounds):
        raise ValueError(f"its bounds must lie within the levels 0 to {max_level}")
    if found.glance is not None and not (
        len(found.glance) == len(found.scores) and np.isfinite(found.glance).all()
    ):
        raise ValueError("its glance must have two numbers for each score")
    return found


def measures(tables: dict[str, NDArray[Any]]) -> Measures:
    """Those of a pack with these tables. At each trained level, the mean over the four phases counts."""
    trained = range(len(tables["high_log_step"]))
    steps = np.stack([levels.at(tables, STEPS * k).steps.high for k in trained])
    unit = np.ascontiguousarray(tables["unit"][LOW:])
    step, within = np.empty(len(unit), np.float32), np.empty((len(steps), len(unit)), np.float32)
    load().visual_measures(steps, unit, step, within)
    return Measures(step[:, None], within[:, :, None])


def sums(y: Floats, by: Measures, apart: int, box: Box | None = None) -> Sums:
    """What the features are made of, summed over every `apart`-th place each way of y [1, M, h, w] or of a
    box in it.

    In this order: shares lost at each trained level, their fourth powers at the middle ones, brightness,
    logarithm of its rises, logarithm of the energy, energy of each high channel, number of places.
    """
    box = box or Box(0, 0, y.shape[3], y.shape[2])
    return np.asarray(of_windows(y, by, apart, box, box.width)[0])


def of_windows(y: Floats, by: Measures, apart: int, box: Box, side: int) -> Sums:
    """The sums of each window of a row of them, [windows, sums]: parts of a box, `side` wide but perhaps the
    last. Each has what it would have alone, in less time.
    """
    trained, high, _ = by.within.shape
    found = np.empty((-(-box.width // side), trained + MIDDLE + 3 + high + 1))
    load().visual_sums(
        np.ascontiguousarray(y[0]), tuple(box), side, by.step.ravel(), by.within[:, :, 0], apart, found
    )
    return found


def total(parts: Iterable[Sums]) -> Sums:
    """The sums of a picture, from those of its parts."""
    return np.asarray(np.sum(list(parts), axis=0))


def features(found: Sequence[Sums], trained: int) -> Sums:
    """The features of a picture, [count(trained)], from the sums of its parts."""
    out = np.empty(count(trained))
    load().visual_features(total(found), trained, out)
    return out


def points(visual: Visual, found: Sums, max_level: int) -> tuple[tuple[float, float], ...]:
    """Pairs (quality, level) for a picture with these features; both rise, from level 0 to the highest."""
    level = np.empty(len(visual.scores))
    load().visual_levels(found, np.array(visual.weights), np.array(visual.bounds), max_level, level)
    return ((0.0, 0.0), *zip(visual.scores, map(float, level)), (TOP, float(max_level)))
