"""From a quality to the level of a picture, and back: the same for all pictures, or as this one looks."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np

from calotype.bitstream import Box
from calotype.codec import glance, tiles, visual
from calotype.codec.analysis import Analysis
from calotype.codec.levels import Ladder
from calotype.codec.pack import Pack
from calotype.codec.visual import Sums
from calotype.pack import STRIDE

MOST = 1 << 16
"""Latents up to which a picture is looked at as a whole, 16 megapixels; its latents are kept for that, 100 MB
at most. Of larger ones, pieces are looked at.
"""
ROW = 8
"""Windows that are looked at together: they lie in one tile, if that has the usual side."""
PIECES, SIDE = 4, 32
"""Pieces each way, evenly over the picture, and their sides in latents."""
HALVED = 14
"""How often the range in which a quality is looked for is halved: 20 points become a thousandth of one."""
Gain = Callable[[int], float]


def ladder(analysis: Analysis, quality: float | None = None) -> Ladder:
    """What qualities mean for a picture: by its look when the pack knows how to tell, else by the pack's own
    map.

    quality: one that is asked for: near it the forecast is better, for windows are looked at (`glance`)
    """
    found, gain = _aim(analysis)
    return found if gain is None or quality is None else _near(quality, found, gain, analysis.pack)


def quality_of(analysis: Analysis, level: int) -> float:
    """The lowest quality that leads to a level, as `ladder` has it near that quality."""
    found, gain = _aim(analysis)
    plain = found.quality_of(level)
    if gain is None or not 0 < plain < glance.NONE:
        return plain
    assert analysis.pack.manifest.visual is not None
    apart = min(b - a for a, b in itertools.pairwise(analysis.pack.manifest.visual.scores))  # no gain is more
    low, high = max(0.0, plain - apart), min(visual.TOP, plain + apart)
    for _ in range(HALVED):
        middle = (low + high) / 2
        reached = _near(middle, found, gain, analysis.pack).level_of(middle)
        low, high = (middle, high) if reached < level else (low, middle)
    return high


def _aim(analysis: Analysis) -> tuple[Ladder, Gain | None]:
    """What qualities mean without a glance, and what one gains at score k, looked at once; None where nothing
    is to be looked at.
    """
    known = analysis.pack.manifest.visual
    if known is None:
        return analysis.pack.manifest.ladder, None
    windows, whole = looked(analysis)
    found = forecast(analysis.pack, whole)
    if known.glance is None or not windows:
        return found, None

    @functools.cache
    def gain(score: int) -> float:
        own = forecast(analysis.pack, visual.total(window.sums for window in windows))
        level = found.level_of(known.scores[score])
        seen = glance.score(analysis, windows, level)
        return glance.gain(known, score, len(windows), seen, own.quality_of(level))

    return found, gain


def _near(quality: float, found: Ladder, gain: Gain, pack: Pack) -> Ladder:
    """The ladder near a quality."""
    assert pack.manifest.visual is not None
    if not 0 < quality < glance.NONE:
        return found
    return glance.moved(found, glance.between(quality, pack.manifest.visual.scores, gain))


def forecast(pack: Pack, sums: Sums) -> Ladder:
    """What qualities mean for a picture with these sums of its look."""
    known, trained = pack.manifest.visual, pack.manifest.levels
    assert known is not None
    return Ladder(visual.points(known, visual.features([sums], trained), pack.manifest.max_level))


def looked(analysis: Analysis) -> tuple[list[glance.Window], Sums]:
    """Windows that are to be looked at, and the sums of the whole look."""
    by, bounds = analysis.pack.visual_measures, analysis.bounds
    places = bounds.width * bounds.height
    apart = visual.APART if places > visual.FEW else 1
    side = glance.side()
    if places <= MOST:
        analysis.keep()
        rows = tiles.grid(bounds, side, ROW * side)
        where = [analysis.holding(row) for row in rows]
    else:
        pieces = _pieces(analysis)
        made = list(analysis.pool.map(analysis.piece, pieces))
        inner = [(row, k) for k, piece in enumerate(pieces) for row in tiles.grid(piece, side, ROW * side)]
        rows = [row for row, _ in inner]
        where = [(made[k], tiles.moved(row, pieces[k])) for row, k in inner]
    some = -(-len(where) // (analysis.workers * analysis.threads))  # rows, at a time: each takes little

    def look(first: int) -> list[Sums]:
        return [visual.of_windows(y, by, apart, box, side) for y, box in where[first : first + some]]

    looks = itertools.chain.from_iterable(analysis.pool.map(look, range(0, len(where), some)))
    sums = np.concatenate(list(looks))
    whole = visual.total(sums)
    boxes = [(box, k) for k, row in enumerate(rows) for box in tiles.grid(row, side)]
    full = [i for i, (box, _) in enumerate(boxes) if _is_full(box, analysis)]
    windows = []
    for i in (full[j] for j in glance.choose(sums[full], whole, analysis.pack.manifest.levels)):
        box, k = boxes[i]
        y, row = where[k]
        within = tiles.moved(box, Box(rows[k].left - row.left, rows[k].top - row.top, 0, 0))
        windows.append(
            glance.Window(box, y[..., within.top : within.bottom, within.left : within.right], sums[i])
        )
    return windows, whole


def _is_full(box: Box, analysis: Analysis) -> bool:
    """Whether a window is whole, and all of its pixels are in the picture."""
    height, width = analysis.pixels.shape[:2]
    inner = box.right * STRIDE <= width and box.bottom * STRIDE <= height
    return inner and box.width == box.height == glance.side()


def _pieces(analysis: Analysis) -> list[Box]:
    """In the middles of equal parts of the picture."""
    bounds = analysis.bounds
    found = []
    for row in range(PIECES):
        for column in range(PIECES):
            width, height = min(SIDE, bounds.width), min(SIDE, bounds.height)
            left = ((2 * column + 1) * bounds.width // PIECES - width) // 2
            top = ((2 * row + 1) * bounds.height // PIECES - height) // 2
            left, top = max(0, min(left, bounds.width - width)), max(0, min(top, bounds.height - height))
            found.append(Box(left, top, left + width, top + height))
    return found
