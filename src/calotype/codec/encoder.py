"""Encoding: pixels to bytes. Read :func:`encode` from top to bottom.

pixels -analysis, window by window-> y -hyper-encoder-> z; y, z -means and classes-> r (integers)
z, r -rANS-> payload of the tile

The first arrow is `analysis`, the next two `choice`; `mixed` says which tiles are stored as pixels instead,
and `approach` beyond quality 95. `exposure` makes the file at a level or searches for a target, looking at
`proof`; where the levels do not reach, the search goes on in `beyond`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from calotype.bitstream import Header, Limits, tile_count
from calotype.codec import aim, hidden, lettering, library, mixed, strokes, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.approach import FROM, Approach
from calotype.codec.beyond import Beyond
from calotype.codec.choice import Choice
from calotype.codec.decoder import decode
from calotype.codec.exposure import Encoded, Exposure
from calotype.codec.front import SMALL, TURN, side_of
from calotype.codec.image import Picture
from calotype.codec.lossless import without_loss
from calotype.codec.mixed import Mixture
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.codec.threads import default_threads
from calotype.codec.traits import Traits
from calotype.errors import LimitError

DEFAULT_QUALITY = 80.0
"""Where photographs look flawless at normal viewing distance; a plain map gives about as much."""
MAX_EFFORT = 9
DECIBEL = 0.09
"""By how much the logarithm of a size may rise for a decibel."""
SURE = 0.9
"""A file beyond FROM with such a part of the error that it begins from is better than that of FROM."""


def encode(
    picture: Picture,
    *,
    quality: float | None = None,
    target: Target | None = None,
    level: int | None = None,
    lossless: bool = False,
    effort: int = 0,
    pack: str | Path | Pack | None = None,
    tile: int | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Encoded:
    """Encode a picture.

    quality: 0 to 100, continuous; default 80. With packs that can tell the look of a picture it is about the
             SSIMULACRA2 that the file has, from 20 to 80; beyond, it leads evenly to the lowest level at 0
             and to the highest at 95. With others, and so for PSNR, it leads evenly through all levels.
             Beyond 95 more and more tiles are pixels, and files grow evenly to 100, without loss.
    target:  a size or likeness to meet instead of a quality. What levels do not reach is looked for between
             95 and 100; no loss meets any likeness, and any size that it fits into.
    level:   the pack's own scale, to be used instead of both
    lossless: the same as quality 100
    effort:  0 to 9: how long to look for integers that suit the picture better than those of one pass;
             calotype.codec.effort
    pack:    name, path or Pack; default is the one that comes with the package
    tile:    side of a tile in pixels, a power of two from 64 to 4096; default is the pack's
    threads: how many to use; by default as many as there are cores. The file is the same, but with effort.
    limits:  the largest picture that is encoded

    Raises LimitError when the picture is too large or the target cannot be met, PackError; CalotypeError for
    effort where ONNX Runtime is not installed; ValueError for arguments that are out of range or exclude each
    other.
    """
    if (quality is not None) + (target is not None) + (level is not None) > 1:
        raise ValueError("give a quality or a target, not both")
    if lossless and (target is not None or level is not None or quality not in (None, 100)):
        raise ValueError("lossless leaves no choice of a quality or a target")
    if quality is not None and not 0 <= quality <= 100:
        raise ValueError(f"quality must be 0 to 100, is {quality}")
    if picture.focus is not None and (lossless or quality == 100):
        raise ValueError("roi weighs what is lost, and nothing is without loss: give one of the two")
    if effort not in range(MAX_EFFORT + 1):
        raise ValueError(f"effort must be a whole number from 0 to {MAX_EFFORT}, is {effort}")
    if picture.other is not None:
        again = partial(
            encode, quality=quality, target=target, level=level, lossless=lossless, effort=effort,
            pack=pack, tile=tile, threads=threads, limits=limits,
        )  # fmt: skip
        return _better(picture, again, pack, limits)
    if lossless or quality == 100:
        with tiles.pool(threads or default_threads()) as pool:
            return without_loss(picture, tile, pool, limits)
    loaded = library.load(pack)
    if effort and loaded.manifest.distortion not in ("mse", "ssimulacra2"):
        raise ValueError(
            f"effort refines for squared error or SSIMULACRA2, and pack {loaded.manifest.name} is for "
            f"{loaded.manifest.distortion}"
        )
    if effort:
        from calotype.codec.effort import session  # late: most files are coded without

        session.check()
    if level is not None:
        loaded.level(level)  # refuses one that it does not have
    by_level = level is not None
    size, threads = (picture.width, picture.height), threads or default_threads()
    workers = min(threads, tiles.MAX_WORKERS if effort else tiles.MOST)
    with tiles.pool(workers) as pool:
        margin = loaded.manifest.synthesis_margin if effort else 0  # refining looks at a tile's pixels
        near = quality if quality is not None and quality > FROM else None
        side = tile or loaded.manifest.tile
        header = Header(*size, level or 0, loaded.key, side, picture.grey)

        def analysed(header: Header) -> Analysis:
            count = tile_count(header)
            share = tiles.share(threads, count) if effort else tiles.spread(workers, count)
            return Analysis(picture.pixels, header, loaded, share, pool, margin)

        analysis = analysed(header)
        if not near:
            analysis.begin()
        looking = None if near else pool.submit(strokes.find, picture.pixels)
        seeking = pool.submit(lettering.find, picture.pixels) if loaded.manifest.visual is not None else None
        traits = Traits.of(picture.pixels, min(tile or mixed.SIDE, mixed.SIDE))
        floor = None
        if near and (size[0] * size[1] <= SMALL or traits.graphic()):
            floor = encode(
                picture, quality=FROM, effort=effort, pack=loaded, tile=tile, threads=threads, limits=limits
            )
            if floor.quality == 100:
                return floor
        side_near = side if tile or traits.suspicious().all() else min(side, mixed.SIDE)
        if near:
            stepwise = near < FROM + (100 - FROM) * TURN
            fine = stepwise and not tile and not traits.suspicious().all()
            header = header.replace(tile=side_of(side_near, header) if fine else side_near)
            analysis = analysed(header)
        focus = lettering.with_focus(seeking.result(), picture.focus) if seeking else picture.focus
        choice = Choice(analysis, effort, focus)
        text = looking.result() if looking else None
        mixture = (
            Approach(analysis, choice, traits, near) if near else Mixture(analysis, choice, traits, text)
        )
        aimed = DEFAULT_QUALITY if quality is None else quality
        ladder = aim.ladder(analysis, None if by_level or target else aimed)
        if level is None:
            level = ladder.level_of(aimed)
        if tile is None and not near:

            def finer(side: int) -> Mixture:
                other = analysis.tiled(side)
                return Mixture(other, Choice(other, effort, focus), traits, text)

            mixture = mixed.suited(mixture, level, finer)
        exposure = Exposure(picture, mixture, limits)
        beyond = Beyond(exposure, tile, side_near, effort)
        if target is not None:
            met = beyond.meet(target, ladder)
            if met.quality < FROM:
                met = replace(met, quality=aim.quality_of(analysis, met.level))
            more = None if met.quality == 100 or met.reached is None else target.note(met.reached)
            return replace(met, note="; ".join(filter(None, (met.note, more))) or None)
        data, note = exposure.file(level), exposure.mixture.note(level)
        found = Encoded(data, level, near or min(ladder.quality_of(level), FROM), None, note)
        error = partial(_error, picture, pack=loaded, limits=limits)
        sure = isinstance(mixture, Approach) and mixture.part < SURE
        if floor and not sure and error(floor) < error(found):
            found = replace(floor, quality=found.quality)
        return found if by_level else beyond.cheaper(found)


def _better(
    picture: Picture,
    encoded: Callable[[Picture], Encoded],
    pack: str | Path | Pack | None,
    limits: Limits | None,
) -> Encoded:
    """The better file of those with either colours under alpha 0. Raises LimitError if neither can be."""
    found: list[tuple[float, Encoded]] = []
    alpha = picture.alpha
    assert alpha is not None, "without alpha there is one way"
    for way in picture.concealments():
        try:
            one = encoded(way)
        except LimitError:
            if found or way.pixels is picture.pixels:
                continue
            raise
        shown = decode(one.data, pack=pack, limits=limits).picture.pixels
        found.append((math.log(len(one.data)) - DECIBEL * hidden.likeness(picture.pixels, alpha, shown), one))
    return min(found, key=lambda pair: pair[0])[1]


def _error(picture: Picture, found: Encoded, pack: Pack, limits: Limits | None) -> int:
    """The squared error of all that a file decodes to."""
    shown = decode(found.data, pack=pack, limits=limits).picture.pixels
    return int(np.square(shown.astype(np.int32) - picture.pixels).sum(dtype=np.int64))
