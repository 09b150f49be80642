"""Which integers a tile is coded as: those of one pass, or with effort better ones for this picture, and then
which taps of its own it has.
"""

from __future__ import annotations

from calotype.bitstream import Box
from calotype.codec import latents, masking, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.arrays import UInt8Array
from calotype.codec.effort.worth import Worths
from calotype.codec.latents import Floats, Latents, Networks
from calotype.pack import STRIDE


class Choice:
    """The integers of a picture's tiles.

    analysis: where y comes from; with effort its margin is what a tile's pixels depend on
    effort:   0 to 9, calotype.codec.effort
    focus:    how much more errors count at each latent of the picture, calotype.codec.focus
    """

    def __init__(self, analysis: Analysis, effort: int = 0, focus: UInt8Array | None = None) -> None:
        self.analysis, self.effort, self.focus = analysis, effort, focus
        self._refined: dict[tuple[int, int], Latents] = {}  # by level and tile, during a search
        self._worths = Worths(analysis, analysis.bounds)

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """Those of tile k, from what ``Analysis.each`` gives for it."""
        if not self.effort:
            return latents.quantise(networks, y, self._thin(tile), self._part(tile))
        key = (networks.level.number, tile)
        if key in self._refined:
            return self._refined[key]
        found = self._refine(networks, tile, y)
        if self.analysis.kept:  # a search asks twice: for the likeness, and for the file
            self._refined[key] = found
        return found

    def taps(self, networks: Networks, data: bytes) -> bytes | None:
        """The picture's own taps for a file that has none, where they save more than they cost."""
        pack = networks.pack
        if not self.effort or networks.level.restoration is None or pack.manifest.distortion != "mse":
            return None
        from calotype.codec.effort import taps  # late: most files are coded without

        analysis = self.analysis
        threads = analysis.workers * analysis.threads

        def found() -> bytes | None:
            return taps.find(pack, data, analysis.pixels, self._worths.at(networks.level.number), threads)

        return analysis.pool.submit(found).result()  # by a worker: an interrupt is not heard in native code

    def _thin(self, tile: int) -> tuple[bool, bool]:
        """Whether the tile's last row, and its last column, of latents have few pixels in the picture."""
        box, bounds = self.analysis.tile(tile), self.analysis.bounds
        ends = (box.bottom == bounds.bottom, box.right == bounds.right)
        sides = self.analysis.pixels.shape[:2]
        rows, columns = (end and 0 < side % STRIDE <= masking.THIN for end, side in zip(ends, sides))
        return rows, columns

    def _part(self, tile: int) -> UInt8Array | None:
        """The tile's part of ``focus``; None where all of it counts as usual."""
        if self.focus is None:
            return None
        box = self.analysis.tile(tile)
        part = self.focus[box.top : box.bottom, box.left : box.right]
        return part if part.any() else None

    def _refine(self, networks: Networks, tile: int, y: Floats) -> Latents:
        from calotype.codec.effort import refine  # late: most files are coded without

        box, seen = self.analysis.tile(tile), self.analysis.seen(tile)
        inside = Box(box.left - seen.left, box.top - seen.top, box.right - seen.left, box.bottom - seen.top)
        part = refine.Tile(y, tiles.cut(self.analysis.pixels, seen), inside, self._part(tile))
        worth = self._worths.as_trained(networks.level.number)
        return refine.refine(networks, part, worth, refine.STEPS[self.effort])
