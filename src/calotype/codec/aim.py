"""From a quality to the level of a picture, and back: the same for all pictures, or as this one looks."""

from __future__ import annotations

from calotype.bitstream import Box
from calotype.codec import tiles, visual
from calotype.codec.analysis import Analysis
from calotype.codec.levels import Ladder

MOST = 1 << 16
"""Latents up to which a picture is looked at as a whole, 16 megapixels; its latents are kept for that, 100 MB
at most. Of larger ones, pieces are looked at.
"""
PIECES, SIDE = 4, 32
"""Pieces each way, evenly over the picture, and their sides in latents."""


def ladder(analysis: Analysis) -> Ladder:
    """What qualities mean for a picture: by its look when the pack knows how to tell, else by the pack's own
    map.
    """
    manifest = analysis.pack.manifest
    if manifest.visual is None:
        return manifest.ladder
    by = analysis.pack.visual_measures
    places = analysis.bounds.width * analysis.bounds.height
    apart = visual.APART if places > visual.FEW else 1
    if places <= MOST:
        analysis.keep()
        inner = [
            tiles.inside(analysis.tile(k), analysis.seen(k)) for k in range(len(analysis.kept))
        ]  # without the margin, which effort looks at
        parts = [visual.sums(y[where], by, apart) for y, where in zip(analysis.kept, inner)]
    else:
        looked = analysis.pool.map(lambda box: visual.sums(analysis.piece(box), by, apart), _pieces(analysis))
        parts = list(looked)
    found = visual.features(parts, manifest.levels)
    return Ladder(visual.points(manifest.visual, found, manifest.max_level))


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
