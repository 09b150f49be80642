"""One picture on its way to a file: at a level, or at the one that meets a target."""

from __future__ import annotations

import io
import math
from contextlib import suppress
from dataclasses import dataclass

from calotype.bitstream import Header, Limits, StreamWriter, tile_count
from calotype.codec import latents, rate
from calotype.codec.approach import FROM, Approach
from calotype.codec.image import Picture
from calotype.codec.latents import Floats, Networks
from calotype.codec.levels import Ladder
from calotype.codec.mixed import Mixture
from calotype.codec.pixels import write_alpha
from calotype.codec.proof import likeness
from calotype.codec.rate import Kind, Target
from calotype.errors import LimitError

NEAR_STEPS = 499
"""Qualities that are tried between the levels and no loss, a hundredth apart."""
CHUNK = 9
"""Most bytes of a tile's chunk beside its payload."""


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


def of_size(target: Target, data: bytes, picture: Picture) -> float:
    """What a target says of the size of a file: bytes or bits per pixel."""
    size = float(len(data))
    return size if target.kind == "size" else 8 * size / (picture.width * picture.height)


class Exposure:
    """One picture on its way to a file."""

    def __init__(self, picture: Picture, mixture: Mixture, limits: Limits | None = None) -> None:
        self.picture, self.mixture, self.limits = picture, mixture, limits
        self.analysis = mixture.analysis
        self.alpha = write_alpha(picture.alpha, self.analysis.header)
        # Refuses at once what could not be written at the end.
        self.writer(io.BytesIO(), self.analysis.header)

    def writer(
        self,
        out: io.BytesIO,
        header: Header,
        layers: dict[int, bytes] | None = None,
        taps: bytes | None = None,
    ) -> StreamWriter:
        """The file up to its first tile. layers: what lies over tiles; taps: the picture's own"""
        p = self.picture
        layer = [layers.get(tile, b"") for tile in range(tile_count(header))] if layers else None
        return StreamWriter(
            out, header, p.icc, p.exif, p.xmp, self.alpha, layer=layer, taps=taps, limits=self.limits
        )

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

        header, layers = self.analysis.header.replace(level=level), self.mixture.layers(networks)
        payloads = list(self.analysis.each(code))

        def written(taps: bytes | None = None) -> bytes:
            out = io.BytesIO()
            with self.writer(out, header, layers, taps) as writer:
                for tile, payload in enumerate(payloads):
                    writer.tile(payload, pixels=tile in stored)
            return out.getvalue()

        data = written()
        taps = self.mixture.choice.taps(networks, data)
        return written(taps) if taps else data

    def figure(self, target: Target, data: bytes) -> float:
        """What a target asks for, of a file."""
        if target.limits_size:
            return of_size(target, data, self.picture)
        return self._likeness(target.kind, data)

    def meet(self, target: Target, ladder: Ladder) -> Encoded:
        """The same as `search`, for sizes more closely: where a tile that turns to pixels, or gets a layer,
        makes files jump, tiles stay what they are below the jump.
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
        self.mixture.hold(self.mixture.decide(networks), self.mixture.layers(networks))
        with suppress(LimitError):
            other = self.search(target, ladder, found.level)
            if self.error(other.data) < self.error(found.data):
                return other
        return found

    def error(self, data: bytes) -> float:
        """How far what a file gives is from the original, in negative dB."""
        return -self._likeness("psnr", data)

    def _likeness(self, kind: Kind, data: bytes) -> float:
        analysis = self.analysis
        threads = analysis.workers * analysis.threads
        return likeness(kind, analysis.pixels, data, analysis.pack, threads, self.limits)

    def search(self, target: Target, ladder: Ladder, start: int | None = None) -> Encoded:
        """The file that meets a target; that of the highest level where all have too little.

        Raises LimitError when none does for another reason.
        """
        top = self.analysis.pack.manifest.max_level
        files: dict[int, bytes] = {}
        reached: dict[int, float] = {}

        def measure(level: int) -> float:
            files[level] = self.file(level)
            reached[level] = self.figure(target, files[level])
            return reached[level]

        self.analysis.keep()
        try:
            level = rate.search(measure, target, top, steep=bool(self.mixture.suspects), start=start)
        except LimitError:
            if target.miss(reached.get(top, math.inf)) >= 0:
                raise
            level = top
        # Levels beyond that of 95 have no quality of their own.
        quality = min(ladder.quality_of(level), FROM)
        return Encoded(files[level], level, quality, reached[level], self.mixture.note(level))

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
        return Encoded(data, level, approach.quality, self.figure(target, data))

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
                reached[key] = self.figure(target, self.file(level))
            return reached[key]

        try:
            step = rate.search(measure, target, NEAR_STEPS - 1, steep=True)
        except LimitError:
            return None
        figure, (quality, level) = measure(step), move(step)
        return Encoded(self.file(level), level, quality, figure)
