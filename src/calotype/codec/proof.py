"""Proofs: what a decoder would make of a picture at a level, and how like the original it is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, tile_box, tile_count
from calotype.codec import latents, layer, metrics, rate
from calotype.codec.latents import Networks, Words
from calotype.codec.mixed import Mixture
from calotype.codec.pixels import read_tile
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.codec.synthesis import Development


class Proof:
    """The picture at one level, as the file would give it: the same integers through the same networks.

    The analysis of the mixture must have been kept.
    """

    def __init__(self, mixture: Mixture, networks: Networks) -> None:
        self.mixture, self.analysis, self.networks = mixture, mixture.analysis, networks
        header = self.analysis.header
        self.stored, self.layers = mixture.decide(networks), mixture.layers(networks)
        self.flags = [tile in self.stored for tile in range(tile_count(header))]
        whole = Box(0, 0, header.width, header.height)
        self.development = Development(header, networks, self._y_hat, whole, self.analysis.workers)

    def likeness(self, kind: rate.Kind) -> float:
        """PSNR in dB, MS-SSIM or SSIMULACRA2 of the decoded picture."""
        if kind == "psnr" and not self.stored and not self.layers:
            return self._psnr()
        measure = {"psnr": metrics.psnr, "ms_ssim": metrics.ms_ssim}.get(kind, ssimulacra2)
        pixels = self.development.run(self.analysis.pool)
        for tile, stored in self.stored.items():
            box = tile_box(self.analysis.header, tile)
            pixels[box.top : box.bottom, box.left : box.right] = read_tile(
                memoryview(stored.data), self.analysis.header, tile
            )
        for tile, part in self.layers.items():
            box = tile_box(self.analysis.header, tile)
            shown = pixels[box.top : box.bottom, box.left : box.right]
            shown[:] = layer.over(part, shown, self.analysis.header.grey)
        return measure(self.analysis.pixels, pixels)

    def _psnr(self) -> float:
        """Measured window by window: the decoded picture itself is not kept."""
        errors: list[int] = []

        def compare(box: Box, pixels: NDArray[np.uint8]) -> None:
            original = self.analysis.pixels[box.top : box.bottom, box.left : box.right]
            difference = original.astype(np.int32) - pixels
            errors.append(int(np.square(difference).sum(dtype=np.int64)))

        self.development.each(self.analysis.pool, compare)
        error = sum(errors) / self.analysis.pixels.size
        return 10 * math.log10(255**2 / error) if error else math.inf

    def _y_hat(self, tile: int) -> Words:
        if self.flags[tile]:
            box = self.analysis.tile(tile)
            return np.zeros((box.height, box.width, self.networks.pack.manifest.latents), np.int16)
        coded = self.mixture.integers(self.networks, tile, self.analysis.kept[tile])
        return latents.restored(self.networks, coded)
