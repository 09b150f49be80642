"""From a quality to the level of a picture, and back: the same for all pictures, or as this one looks."""

from __future__ import annotations

from calotype.bitstream import Box
from calotype.codec import glance, tiles, visual
from calotype.codec.analysis import Analysis
from calotype.codec.levels import Ladder
from calotype.codec.pack import Pack
from calotype.codec.visual import Sums

MOST = 1 << 16
"""Latents up to which a picture is looked at as a whole, 16 megapixels; its latents are kept for that, 100 MB
at most. Of larger ones, pieces are looked at.
"""
PIECES, SIDE = 4, 32
"""Pieces each way, evenly over the picture, and their sides in latents."""


def ladder(analysis: Analysis, quality: float | None = None) -> Ladder:
    """What qualities mean for a picture: by its look when the pack knows how to tell, else by the pack's own
    map.

    quality: one that is asked for: near it the forecast is better, for windows are looked at, at the levels
             of the scores on either side
    """
    manifest = analysis.pack.manifest
    if manifest.visual is None:
        return manifest.ladder
    windows, whole = looked(analysis)
    found = forecast(analysis.pack, whole)
    if manifest.visual.glance is None or quality is None or not windows or not 0 < quality < visual.TOP:
        return found
    known, own = manifest.visual, forecast(analysis.pack, visual.total(window.sums for window in windows))

    def gain(score: float) -> float:
        level = found.level_of(score)
        seen = glance.score(analysis, windows, level)
        return glance.gain(known, score, len(windows), seen, own.quality_of(level))

    return glance.moved(found, glance.between(quality, known.scores, gain))


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
    if places <= MOST:
        analysis.keep()
        boxes = tiles.grid(bounds, glance.side())
        where = [analysis.holding(box) for box in boxes]
    else:
        pieces = _pieces(analysis)
        made = list(analysis.pool.map(analysis.piece, pieces))
        inner = [(box, k) for k, piece in enumerate(pieces) for box in tiles.grid(piece, glance.side())]
        boxes = [box for box, _ in inner]
        where = [(made[k], tiles.moved(box, pieces[k])) for box, k in inner]
    sums = [visual.sums(y, by, apart, box) for y, box in where]
    whole = visual.total(sums)
    full = [k for k, box in enumerate(boxes) if _is_full(box, analysis)]
    chosen = glance.choose([sums[k] for k in full], whole, analysis.pack.manifest.levels)
    windows = []
    for k in (full[i] for i in chosen):
        y, box = where[k]
        windows.append(glance.Window(boxes[k], y[..., box.top : box.bottom, box.left : box.right], sums[k]))
    return windows, whole


def _is_full(box: Box, analysis: Analysis) -> bool:
    """Whether a window is whole, and all of its pixels are in the picture."""
    height, width = analysis.pixels.shape[:2]
    inner = box.right * tiles.STRIDE <= width and box.bottom * tiles.STRIDE <= height
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
