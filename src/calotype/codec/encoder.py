"""Encoding: pixels to bytes. Read :func:`encode` from top to bottom.

pixels -analysis, window by window-> y -hyper-encoder-> z; y, z -means and classes-> r (integers)
z, r -rANS-> payload of the tile

The first arrow is `analysis`, the next two `choice`; `mixed` says which tiles are stored as pixels instead,
and `approach` beyond quality 95. `exposure` makes the file at a level or searches for a target, looking at
`proof`; where the levels do not reach, the search goes on beyond them.
"""

from __future__ import annotations

import io
import math
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from calotype.bitstream import NO_PACK, Header, Limits, StreamWriter, tile_count
from calotype.codec import aim, library, mixed, rate, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.approach import FROM, Approach
from calotype.codec.choice import Choice
from calotype.codec.exposure import Encoded, Exposure, of_size
from calotype.codec.image import Picture
from calotype.codec.mixed import Mixture
from calotype.codec.pack import Pack
from calotype.codec.pixels import PAGE, TILE, write_alpha, write_whole
from calotype.codec.rate import Target
from calotype.codec.threads import default_threads
from calotype.codec.traits import Traits

DEFAULT_QUALITY = 80.0
"""Where photographs look flawless at normal viewing distance; a plain map gives about as much."""
MAX_EFFORT = 9
FEW = 0.03
"""How much below a size is near enough beyond the levels: smaller tiles come nearer, and cost something."""
SEVERAL = 12
"""Tiles that a picture is to have if some of them are to be better than others."""
MORE = 1.2
"""How many times a file's size tiles without loss may take that were tried: those of PAGE take less."""
PERFECT: dict[rate.Kind, float] = {"psnr": math.inf, "ms_ssim": 1.0, "ssimulacra2": 100.0}
"""How like the original a picture without loss is."""


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
    if effort not in range(MAX_EFFORT + 1):
        raise ValueError(f"effort must be a whole number from 0 to {MAX_EFFORT}, is {effort}")
    if lossless or quality == 100:
        with tiles.pool(threads or default_threads()) as pool:
            return _without_loss(picture, tile, pool, limits)
    loaded = library.load(pack)
    if effort and loaded.manifest.distortion != "mse":
        raise ValueError(
            f"effort refines for PSNR, and pack {loaded.manifest.name} is for another measure: tune for psnr"
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

        traits = Traits.of(picture.pixels, min(tile or mixed.SIDE, mixed.SIDE))
        near = quality if quality is not None and quality > FROM else None
        side = tile or loaded.manifest.tile
        side_near = side if tile or traits.suspicious().all() else min(side, mixed.SIDE)
        header = Header(*size, level or 0, loaded.key, side_near if near else side, picture.grey)
        share = tiles.share(threads, tile_count(header)) if effort else (workers, 1)
        analysis = Analysis(picture.pixels, header, loaded, share, pool, margin)
        choice = Choice(analysis, effort)
        mixture = Approach(analysis, choice, traits, near) if near else Mixture(analysis, choice, traits)
        ladder = aim.ladder(analysis)
        if level is None:
            level = ladder.level_of(DEFAULT_QUALITY if quality is None else quality)
        if tile is None and not near:

            def finer() -> Mixture:
                other = analysis.tiled(mixed.SIDE)
                return Mixture(other, Choice(other, effort), traits)

            mixture = mixed.suited(mixture, level, finer)
        exposure = Exposure(picture, mixture, limits)

        def cheapest(found: Encoded) -> Encoded:
            """Without loss where that takes no more, as it may in flat graphics."""
            known = exposure.mixture.exact_bytes()
            if by_level or not traits.graphic() or known > MORE * len(found.data):
                return found
            exact = _without_loss(picture, tile, pool, limits)
            if target is not None:
                exact = replace(exact, reached=_perfect(target, exact.data, picture))
            return exact if len(exact.data) <= len(found.data) else found

        if target is not None:
            found = exposure.meet(target, ladder)
            if found.reached is not None and target.is_met(found.reached):
                return cheapest(found)
            whole = _without_loss(picture, tile, pool, limits)
            if target.limits_size and target.miss(of_size(target, whole.data, picture)) <= 0:
                return replace(whole, reached=_perfect(target, whole.data, picture))

            def near_end(side: int) -> Approach:
                finest = mixture.analysis.tiled(side)
                return Approach(finest, Choice(finest, effort), traits, FROM)

            if not target.limits_size:
                approach = near_end(side_near)
                closer = Exposure(picture, approach, limits).search_near(approach, target, ladder)
                fits = closer is not None and len(closer.data) < len(whole.data)
                return closer if closer and fits else replace(whole, reached=PERFECT[target.kind])
            sides = [mixture.analysis.header.tile] if mixture.suspects else []  # pages in large tiles: better
            sides += [side_near, tile or _small(side_near, header)]
            for approach in map(near_end, dict.fromkeys(sides)):
                closer = Exposure(picture, approach, limits).fill(approach, target)
                # What smaller tiles cost, 1 % or less, is no gain.
                if closer and len(closer.data) > (1 + rate.TOLERANCE) * len(found.data):
                    found = closer
                if of_size(target, found.data, picture) > (1 - FEW) * target.value:
                    break
            return found
        data, note = exposure.file(level), exposure.mixture.note(level)
        return cheapest(Encoded(data, level, near or min(ladder.quality_of(level), FROM), None, note))


def _without_loss(picture: Picture, tile: int | None, pool: Executor, limits: Limits | None) -> Encoded:
    """The file of a picture all of whose tiles are its pixels."""
    side = tile or (PAGE if Traits.of(picture.pixels, TILE).is_page() else TILE)
    header = Header(picture.width, picture.height, 0, NO_PACK, side, picture.grey)
    out, p = io.BytesIO(), picture
    alpha = write_alpha(p.alpha, header)
    with StreamWriter(out, header, p.icc, p.exif, p.xmp, alpha, limits=limits) as writer:
        write_whole(writer, p.pixels, header, pool)
    return Encoded(out.getvalue(), 0, 100.0)


def _perfect(target: Target, data: bytes, picture: Picture) -> float:
    """What a target says of a file without loss."""
    return of_size(target, data, picture) if target.limits_size else PERFECT[target.kind]


def _small(side: int, header: Header) -> int:
    """The side of tiles, or a smaller one, of which a picture has at least SEVERAL."""
    while side > 64 and tile_count(replace(header, tile=side)) < SEVERAL:
        side //= 2
    return side
