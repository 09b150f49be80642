"""Encoding: pixels to bytes. Read :func:`encode` from top to bottom.

pixels -analysis, window by window-> y -hyper-encoder-> z; y, z -means and classes-> r (integers)
z, r -rANS-> payload of the tile

The first arrow is `analysis`, the next two `choice`; `mixed` says which tiles are stored as pixels instead,
and `approach` beyond quality 95; a search for a target looks at `proof`, and goes on beyond the levels where
they do not reach.
"""

from __future__ import annotations

import io
import math
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from calotype.bitstream import NO_PACK, Header, Limits, StreamWriter, tile_count
from calotype.codec import aim, latents, library, mixed, rate, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.approach import FROM, Approach
from calotype.codec.choice import Choice
from calotype.codec.image import Picture
from calotype.codec.latents import Floats, Networks
from calotype.codec.levels import Ladder
from calotype.codec.mixed import Mixture
from calotype.codec.pack import Pack
from calotype.codec.pixels import PAGE, TILE, write_alpha, write_whole
from calotype.codec.proof import Proof
from calotype.codec.rate import Target
from calotype.codec.threads import default_threads
from calotype.codec.traits import Traits
from calotype.errors import LimitError

DEFAULT_QUALITY = 80.0
"""Where photographs look flawless at normal viewing distance; a plain map gives about as much."""
MAX_EFFORT = 9
CHUNK = 9
"""Most bytes of a tile's chunk beside its payload."""
NEAR_STEPS = 499
"""Qualities that are tried between the levels and no loss, a hundredth apart."""
FEW = 0.03
"""How much below a size is near enough beyond the levels: smaller tiles come nearer, and cost something."""
SEVERAL = 12
"""Tiles that a picture is to have if some of them are to be better than others."""
MORE = 1.2
"""How many times a file's size tiles without loss may take that were tried: those of PAGE take less."""
PERFECT: dict[rate.Kind, float] = {"psnr": math.inf, "ms_ssim": 1.0, "ssimulacra2": 100.0}
"""How like the original a picture without loss is."""


@dataclass(frozen=True)
class Encoded:
    """A file in memory.

    data:    its bytes
    level:   the level it is coded at
    quality: the same, 0 to 100
    reached: the figure that the target asks for (bytes, bits per pixel, dB, MS-SSIM or score); None without
             a target
    note:    a sentence on what the picture does not bear well; None when there is nothing to say
    """

    data: bytes
    level: int
    quality: float
    reached: float | None = None
    note: str | None = None


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
        exposure = _Exposure(picture, mixture, limits)

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
            if target.limits_size and target.miss(_of_size(target, whole.data, picture)) <= 0:
                return replace(whole, reached=_perfect(target, whole.data, picture))

            def near_end(side: int) -> Approach:
                finest = mixture.analysis.tiled(side)
                return Approach(finest, Choice(finest, effort), traits, FROM)

            if not target.limits_size:
                approach = near_end(side_near)
                closer = _Exposure(picture, approach, limits).search_near(approach, target, ladder)
                fits = closer is not None and len(closer.data) < len(whole.data)
                return closer if closer and fits else replace(whole, reached=PERFECT[target.kind])
            sides = [mixture.analysis.header.tile] if mixture.suspects else []  # pages in large tiles: better
            sides += [side_near, tile or _small(side_near, header)]
            for approach in map(near_end, dict.fromkeys(sides)):
                closer = _Exposure(picture, approach, limits).fill(approach, target)
                # What smaller tiles cost, 1 % or less, is no gain.
                if closer and len(closer.data) > (1 + rate.TOLERANCE) * len(found.data):
                    found = closer
                if _of_size(target, found.data, picture) > (1 - FEW) * target.value:
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
    return _of_size(target, data, picture) if target.limits_size else PERFECT[target.kind]


def _of_size(target: Target, data: bytes, picture: Picture) -> float:
    """What a target says of the size of a file: bytes or bits per pixel."""
    size = float(len(data))
    return size if target.kind == "size" else 8 * size / (picture.width * picture.height)


def _small(side: int, header: Header) -> int:
    """The side of tiles, or a smaller one, of which a picture has at least SEVERAL."""
    while side > 64 and tile_count(replace(header, tile=side)) < SEVERAL:
        side //= 2
    return side


class _Exposure:
    """One picture on its way to a file."""

    def __init__(self, picture: Picture, mixture: Mixture, limits: Limits | None = None) -> None:
        self.picture, self.mixture, self.limits = picture, mixture, limits
        self.analysis = mixture.analysis
        self.alpha = write_alpha(picture.alpha, self.analysis.header)
        # Refuses at once what could not be written at the end.
        self.writer(io.BytesIO(), self.analysis.header)

    def writer(self, out: io.BytesIO, header: Header) -> StreamWriter:
        """The file up to its first tile."""
        p = self.picture
        return StreamWriter(out, header, p.icc, p.exif, p.xmp, self.alpha, limits=self.limits)

    def networks(self, level: int) -> Networks:
        pack = self.analysis.pack
        return Networks(pack, pack.level(level), self.analysis.threads)

    def file(self, level: int) -> bytes:
        """The whole file at a level."""
        networks = self.networks(level)
        stored = self.mixture.decide(networks)

        def code(tile: int, y: Floats) -> bytes:
            if tile in stored:
                return stored[tile].data
            return latents.write(networks, self.mixture.integers(networks, tile, y))

        out = io.BytesIO()
        with self.writer(out, replace(self.analysis.header, level=level)) as writer:
            for tile, payload in enumerate(self.analysis.each(code)):
                writer.tile(payload, pixels=tile in stored)
        return out.getvalue()

    def figure(self, target: Target, level: int, data: bytes) -> float:
        """What a target asks for, at a level.

        data: the file, if the target limits its size
        """
        if target.limits_size:
            return _of_size(target, data, self.picture)
        return Proof(self.mixture, self.networks(level)).likeness(target.kind)

    def meet(self, target: Target, ladder: Ladder) -> Encoded:
        """The same as `search`, for sizes more closely: where a tile that turns from latents to pixels makes
        files jump, tiles stay what they are below the jump.
        """
        if not (target.limits_size and self.mixture.suspects):
            return self.search(target, ladder)
        try:
            found = self.search(target, ladder)
        except LimitError:  # what costs least is too large; what is smallest may not be
            self.mixture.hold(())
            return self.search(target, ladder)
        if found.reached is None or target.accepts(found.reached):
            return found
        networks = self.networks(found.level)
        held, error = self.mixture.decide(networks), self.error(networks)
        self.mixture.hold(held)
        with suppress(LimitError):
            other = self.search(target, ladder, found.level)
            if self.error(self.networks(other.level)) < error:
                return other
        return found

    def error(self, networks: Networks) -> float:
        """How far the picture at a level is from the original, in negative dB."""
        return -Proof(self.mixture, networks).likeness("psnr")

    def search(self, target: Target, ladder: Ladder, start: int | None = None) -> Encoded:
        """The file that meets a target; that of the highest level where all have too little.

        Raises LimitError when none does for another reason.
        """
        top = self.analysis.pack.manifest.max_level
        files: dict[int, bytes] = {}
        reached: dict[int, float] = {}

        def measure(level: int) -> float:
            files[level] = self.file(level) if target.limits_size else b""
            reached[level] = self.figure(target, level, files[level])
            return reached[level]

        self.analysis.keep()
        try:
            level = rate.search(measure, target, top, steep=bool(self.mixture.suspects), start=start)
        except LimitError:
            if target.miss(reached.get(top, math.inf)) >= 0:
                raise
            level = top
        data = files[level] or self.file(level)
        # Levels beyond that of 95 have no quality of their own.
        quality = min(ladder.quality_of(level), FROM)
        return Encoded(data, level, quality, reached[level], self.mixture.note(level))

    def fill(self, approach: Approach, target: Target) -> Encoded | None:
        """The file at the highest level with as many and as good tiles of pixels as a size has room for.

        None if that level is too large without any.

        approach: the mixture
        """
        level, out = self.analysis.pack.manifest.max_level, io.BytesIO()
        head = self.writer(out, self.analysis.header)
        pixels = self.picture.width * self.picture.height
        most = target.value if target.kind == "size" else target.value * pixels / 8
        chunks = CHUNK * tile_count(self.analysis.header)
        if not approach.fit(self.networks(level), int(most) - head.bytes_written - chunks):
            return None
        data = self.file(level)
        return Encoded(data, level, approach.quality, self.figure(target, level, data))

    def search_near(self, approach: Approach, target: Target, ladder: Ladder) -> Encoded | None:
        """The file between the levels and no loss that meets a target; None when that is not there.

        approach: the mixture
        """
        reached: dict[tuple[int, object], float] = {}

        def move(step: int) -> tuple[float, int]:
            quality = round(FROM + (100 - FROM) * (step + 1) / (NEAR_STEPS + 1), 2)
            approach.move(quality)
            return quality, ladder.level_of(quality)

        def measure(step: int) -> float:
            _, level = move(step)
            key = level, frozenset(approach.decide(self.networks(level)).items())
            if key not in reached:  # few tiles, and many qualities are the same
                data = self.file(level) if target.limits_size else b""
                reached[key] = self.figure(target, level, data)
            return reached[key]

        try:
            step = rate.search(measure, target, NEAR_STEPS - 1, steep=True)
        except LimitError:
            return None
        figure, (quality, level) = measure(step), move(step)
        return Encoded(self.file(level), level, quality, figure)
