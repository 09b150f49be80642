"""Beyond the levels: files some or all of whose tiles are pixels, where they are cheaper or a target asks for
them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

from calotype.bitstream import tile_count
from calotype.codec import rate
from calotype.codec.approach import FROM, Approach
from calotype.codec.choice import Choice
from calotype.codec.exposure import Encoded, Exposure, of_size
from calotype.codec.front import SMALL, side_of
from calotype.codec.levels import Ladder
from calotype.codec.lossless import without_loss
from calotype.codec.rate import Target

FEW = 0.03
"""How much below a size is near enough for large pictures: smaller tiles come nearer, and cost something."""
MORE = 1.2
"""How many times a file's size tiles without loss may take that were tried: those of PAGE take less."""
PERFECT: dict[rate.Kind, float] = {"psnr": math.inf, "ms_ssim": 1.0, "ssimulacra2": 100.0}
"""How like the original a picture without loss is."""


class Beyond:
    """The files of a picture beyond its levels.

    exposure: at its levels
    tile:     the side of tiles that was asked for; None if none was
    near:     the side of tiles between the levels and no loss
    effort:   0 to 9
    """

    def __init__(self, exposure: Exposure, tile: int | None, near: int, effort: int) -> None:
        self.exposure, self.tile, self.near, self.effort = exposure, tile, near, effort
        self.picture, self.mixture = exposure.picture, exposure.mixture
        self.small = self.picture.width * self.picture.height <= SMALL

    @cached_property
    def exact(self) -> Encoded:
        """The file without loss; of hidden colours, the given ones if they take less."""
        pictures = [self.picture]
        if self.picture.before is not None:
            pictures.append(replace(self.picture, pixels=self.picture.before))
        pool, limits = self.mixture.analysis.pool, self.exposure.limits
        return min((without_loss(p, self.tile, pool, limits) for p in pictures), key=lambda e: len(e.data))

    def cheaper(self, found: Encoded, target: Target | None = None) -> Encoded:
        """The file without loss if it takes no more than what was found, as it may in flat graphics, and in
        small pictures just below it.
        """
        close = self.small and isinstance(self.mixture, Approach)
        if not (close or self.mixture.traits.graphic()):
            return found
        if self.mixture.exact_bytes() > MORE * len(found.data):
            return found
        if len(self.exact.data) > len(found.data):
            return found
        return self._reaching(target) if target else self.exact

    def meet(self, target: Target, ladder: Ladder) -> Encoded:
        """The file that meets a target: at a level; beyond, where the levels do not reach.

        No loss meets any likeness, and any size that it fits into. Raises LimitError when no file does.
        """
        found = self.exposure.meet(target, ladder)
        met = found.reached is not None and target.is_met(found.reached)
        # In small pictures with drawings other tiles may be better at the same size.
        if met and not (target.limits_size and self.mixture.suspects and self.small):
            found = self.cheaper(found, target)
            if target.limits_size or found.reached is None or target.accepts(found.reached):
                return found
            # Far more than was asked for, as where a tile turns to pixels: other tiles may take less.
            return min(found, self._as_like(target, ladder), key=lambda e: len(e.data))
        if not target.limits_size:
            return self._as_like(target, ladder)
        if target.miss(of_size(target, self.exact.data, self.picture)) <= 0:
            return self._reaching(target)
        return self._as_large(target, found)

    def _as_like(self, target: Target, ladder: Ladder) -> Encoded:
        """The file as like its original as a target asks for, without loss where no other is smaller."""
        approach = self._approach(self.near)
        exposure = Exposure(self.picture, approach, self.exposure.limits)
        found = exposure.search_near(approach, target, ladder)
        return found if found and len(found.data) < len(self.exact.data) else self._reaching(target)

    def _as_large(self, target: Target, found: Encoded) -> Encoded:
        """The file with the smallest error that a size has room for, ``found`` at the highest level or one in
        tiles that are pixels.

        In small pictures the sides of tiles that are tried are the same for all sizes, and so a larger size
        has no larger error.
        """
        header, least = self.mixture.analysis.header, self.exposure.error(found.data)
        sides = [header.tile] if self.mixture.suspects else []  # pages in large tiles: better
        sides += [self.near, self.tile or side_of(self.near, header)]
        grids = {tile_count(header.replace(tile=side)): side for side in reversed(sides)}
        for side in sorted(grids.values(), key=sides.index):
            approach = self._approach(side)
            exposure = Exposure(self.picture, approach, self.exposure.limits)
            closer = exposure.fill(approach, target)
            if closer and (error := exposure.error(closer.data)) < least:
                found, least = closer, error
            if not approach.small and of_size(target, found.data, self.picture) > (1 - FEW) * target.value:
                break
        return found

    def _approach(self, side: int) -> Approach:
        """The picture where the levels end, in tiles of a side."""
        finest = self.mixture.analysis.tiled(side)
        choice = Choice(finest, self.effort, self.mixture.choice.focus)
        return Approach(finest, choice, self.mixture.traits, FROM, thorough=True)

    def _reaching(self, target: Target) -> Encoded:
        """The file without loss, with what a target says of it."""
        if target.limits_size:
            return replace(self.exact, reached=of_size(target, self.exact.data, self.picture))
        return replace(self.exact, reached=PERFECT[target.kind])
