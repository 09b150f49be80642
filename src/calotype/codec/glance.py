"""A glance at some windows before the level is settled: do they look as foretold?

What the forecast of `calotype.codec.visual` misses is mostly the picture's own, and many parts show it.
So some windows of 128 x 128 pixels are coded at the level foretold, developed and compared. A share of what
they look better or worse than their own latents foretell is taken for the picture's, and the level moves.

* Which windows: of a grid over the picture those that together are most like it, by what the forecast looks
  at.
* How many: one for 8 that there are, and 6 at most; in pictures of less than 0.13 megapixels none.
* At which levels: those of the scores on either side of the quality. Above 60 only the one at 60 is taken,
  and counts the less the nearer the quality is to 80. From there on, so by default, there is no glance:
  the forecast misses by little, and windows tell little more.
* How they look: the nine terms of SSIMULACRA2 that make up 90 % of it, over all windows together.
* What share, and what windows always miss because their borders see nothing around them: fitted for some
  scores (``benchmarks/quality.py``) and stored in the pack's manifest.

The analysis is not made again. docs/training.md says what it brings and costs, and what else was tried. The
arithmetic is native (native/glance.hpp), the same in web pages.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.latents import Floats, Networks, Words
from calotype.codec.levels import Ladder
from calotype.codec.visual import Sums, Visual
from calotype.coder.native import load

FULL, NONE = 60.0, 80.0
"""Up to which quality a glance counts fully, and from which on there is none; as in native/glance.hpp."""


@dataclass(frozen=True)
class Window:
    """A part of a picture: its box of latents, y [1, M, h, w] of them, and the sums of its look."""

    box: Box
    y: Floats
    sums: Sums


def side() -> int:
    """Of a window, in latents."""
    return int(load().GLANCE_LATENTS)


def choose(sums: Sequence[Sums] | Sums, whole: Sums, trained: int) -> list[int]:
    """The numbers of the windows that are to be looked at.

    sums:    of each window that lies in the picture
    whole:   of the picture
    trained: levels of the pack
    """
    return list(load().glance_choose(np.reshape(sums, (len(sums), len(whole))), whole, trained))


def score(analysis: Analysis, windows: Sequence[Window], level: int) -> float:
    """What windows score together, about, once coded at a level."""
    pack = analysis.pack
    networks = Networks(pack, pack.level(level))

    def coded(window: Window) -> Words:
        return latents.shown(networks, window.y)

    def developed(y: Words) -> NDArray[np.uint8]:
        return pack.decoder.synthesis(networks.level.pixels, y)

    def measured(window: Window, shown: NDArray[np.uint8]) -> Sums:
        terms = np.empty(load().GLANCE_TERMS)
        original = tiles.cut(analysis.pixels, window.box)[0]
        load().glance_measure(original, shown, analysis.header.grey, terms)
        return terms

    # All windows take each step together: what it needs is in the cache from the second one on.
    each = analysis.pool.map
    shown = list(each(developed, list(each(coded, windows))))
    return float(load().glance_score(np.stack(list(each(measured, windows, shown)))))


def gain(visual: Visual, score: int, windows: int, found: float, foretold: float) -> float:
    """How much better than forecast a picture is taken to look, after a glance at the level for a score.

    score:    which of the scores
    windows:  how many were looked at
    found:    what they scored at that level
    foretold: what their own forecast says
    """
    assert visual.glance is not None
    bias, share = zip(*visual.glance)
    return float(load().glance_gain(score, windows, found, foretold, visual.scores, bias, share))


def between(quality: float, scores: Sequence[float], at: Callable[[int], float]) -> float:
    """The gain at a quality below `NONE`: straight between those of the scores on either side, beyond the
    last as there; above `FULL` what it is there, the less the higher.

    at: the gain at score k

    So that levels rise with quality: were the gain looked for at each quality's own level, a higher one could
    get a lower level.
    """
    if quality > FULL:
        return (NONE - quality) / (NONE - FULL) * between(FULL, scores, at)
    quality = min(max(quality, scores[0]), scores[-1])
    k = bisect.bisect_left(scores, quality)
    high = at(k)
    if scores[k] == quality:
        return high
    low = at(k - 1)
    return low + (quality - scores[k - 1]) / (scores[k] - scores[k - 1]) * (high - low)


def moved(forecast: Ladder, by: float) -> Ladder:
    """The forecast with all scores moved but its ends."""
    first, *inner, last = forecast.points
    return Ladder((first, *((score + by, level) for score, level in inner), last))
