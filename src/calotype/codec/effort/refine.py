"""Refining the integers r of a tile, so that bits + slope * squared error of its pixels gets smaller.

Mean-field annealing. Every r is a random number, independent of the others, whose distribution follows what
its integers would cost: bits, and curvature * (distance from the bottom of its parabola)^2, both over a
temperature. The bottom is where the error would be smallest if the other latents stayed at their means, and
the slope of the synthesis there says where that is; it is followed with some inertia, since all latents move
at once. As the temperature falls, the distributions shrink to single integers. The bottoms are kept in units
of y, not of r: what one phase changes in the means of the next is then taken back by the next one's r, and
the error is a nearly round bowl. In r it is not, and steps have to be ten times smaller. z stays as it is:
the other rounding of each, tried for as long as thirty steps take, gained nothing.

Related: stochastic Gumbel annealing (Yang, Bamler and Mandt 2020), which draws lots and takes thousands of
steps.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import latents, manifest, tensors
from calotype.codec.effort import session
from calotype.codec.effort.rates import Prices
from calotype.codec.effort.slopes import Slopes, layout
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.pack import Pack

STEPS = (0, 4, 6, 10, 20, 40, 60, 90, 120, 160)
"""Steps of the search at each effort."""
TEMPERATURE = (2.0, 0.1)
"""In bits, at the first and the last step."""
FEW = 30
"""With fewer steps the search begins cooler, in proportion, but at a third of that temperature at least."""
PACE = (0.3, 0.15)
"""What part of the way to its parabola's bottom a target goes, at the first and the last step. From 0.4 on,
textured pictures overshoot and end with the integers of one pass."""
SETTLE = 6
"""Passes that make all integers: each settles one phase more, whose means depend on those before."""
RECLASS = 8
"""Steps after which classes are looked up anew, where they depend on r."""
AHEAD = 0.7
"""What a bit of the low channels counts: all later means follow from them, so that some of it comes back. At
effort 3, 0.55 gains as much and 0.85 0.3 % less; errors worth 1.3 times as many bits gain 0.1 %
less, errors worth 0.75 times 0.9 % less."""
ENOUGH = 30
"""Latents that a channel needs to have a curvature of its own."""


@dataclass(frozen=True)
class Tools:
    """What a pack gives to the search; made once."""

    prices: Prices
    slopes: Slopes


_tools: WeakKeyDictionary[Pack, dict[int, Tools]] = WeakKeyDictionary()
_lock = threading.Lock()


def tools(pack: Pack, threads: int) -> Tools:
    """The tools for a pack. Raises PackError, and CalotypeError where ONNX Runtime is not installed."""
    with _lock:
        made = _tools.setdefault(pack, {})
        if threads not in made:
            session.check()
            _ = pack.decoder  # checks the arrays
            arrays = tensors.load(pack.file(manifest.NETWORKS))
            made[threads] = Tools(
                Prices(pack.r_tables, pack.keeps.shape[1]), Slopes(arrays, pack.unit, threads)
            )
        return made[threads]


@dataclass(frozen=True)
class Tile:
    """A tile and what is around it.

    y:      its latents and those around it that its pixels' synthesis sees, [1, M, h, w]
    pixels: under them, uint8 [1, 16h, 16w, 3]
    inside: where the tile is in y
    """

    y: Floats
    pixels: NDArray[np.uint8]
    inside: Box


def refine(networks: Networks, tile: Tile, slope: float, steps: int) -> Latents:
    """The integers of a tile after so many steps, or those of one pass if they are better.

    slope: bits that one unit of squared error (of one colour of one pixel) is worth
    """
    if slope <= 0 or steps <= 0:
        box = tile.inside
        return latents.quantise(
            networks, np.ascontiguousarray(tile.y[..., box.top : box.bottom, box.left : box.right])
        )
    kit = tools(networks.pack, networks.threads)
    search = _Search(networks, kit, tile, slope)
    return search.run(steps)


class _Search:
    def __init__(self, networks: Networks, kit: Tools, tile: Tile, slope: float) -> None:
        self.networks, self.kit, self.tile, self.slope = networks, kit, tile, slope
        box = tile.inside
        self.where = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        self.size = (box.height, box.width)
        self.y = np.ascontiguousarray(tile.y[self.where])
        self.start = latents.settled(networks, latents.quantise(networks, self.y))
        self.step = latents.steps(networks, *self.size)
        self.target = layout(tile.pixels)
        self.around = tile.y.copy()

    def y_hat(self, r: NDArray[Any]) -> Floats:
        """The decoder's latents."""
        words = latents.restored(self.networks, Latents(self.start.z, r))
        return np.ascontiguousarray((words * self.networks.pack.unit).transpose(2, 0, 1)[None])

    def distortion(self, y_hat: Floats) -> tuple[float, Floats]:
        """(squared error of the pixels, its slopes by y_hat)."""
        self.around[self.where] = y_hat
        error, slopes = self.kit.slopes.run(self.around, self.networks.level.vector, self.target)
        return error, slopes[self.where]

    def cost(self, found: Latents) -> float:
        """Bits and weighted error of a tile."""
        bits = 8 * len(latents.write(self.networks, found))
        return bits + self.slope * self.distortion(self.y_hat(found.r))[0]

    def tables(self, r: Floats) -> NDArray[Any]:
        """The table that codes each r, which may lie between integers: that of the nearest ones."""
        found = latents.settled(self.networks, Latents(self.start.z, np.rint(r), self.start.index))
        return latents.tables(found)

    def curvature(self, at: NDArray[np.intp]) -> Floats:
        """Bits per squared quantisation step that the error of a latent is worth, for each channel: means
        over what is coded, along one random direction (Hutchinson's estimate of a diagonal).
        """
        first = self.start.r.astype(np.float32)
        channels = first.shape[1]
        channel = at // (first.size // channels)
        way = np.zeros_like(first)
        way.reshape(-1)[at] = np.random.default_rng(0).choice(np.array([-0.5, 0.5], np.float32), len(at))
        y_hat = self.y_hat(first)
        change = self.distortion(y_hat + way * self.step)[1] - self.distortion(y_hat)[1]
        along = (change * self.step * way).reshape(-1)[at]
        count = np.bincount(channel, minlength=channels)
        bits = np.bincount(channel, along, channels) / np.maximum(count, 1) * (self.slope / 2 / 0.25)
        usual = max(float(np.median(bits[count > 0])), 0.1)
        kept = np.where(count >= ENOUGH, np.clip(bits, usual / 3, usual * 3), usual)
        return np.asarray(kept, np.float32)

    def run(self, steps: int) -> Latents:
        """The better of the integers found and those of one pass."""
        first_tables = latents.tables(self.start)
        at = np.flatnonzero(self.start.index != latents.SKIP)
        if not len(at):
            return self.start
        kept = self.curvature(at)
        first = self.start.r.astype(np.float32)
        channel = at // (first.size // len(kept))
        curvature = kept[channel]
        bowl = np.where(channel < latents.LOW, curvature / np.float32(AHEAD), curvature)
        index = first_tables.reshape(-1)[at]
        unit = np.broadcast_to(self.step, first.shape).reshape(-1)[at]
        target = self.y.reshape(-1)[at] / unit
        r = first.copy()
        hot = TEMPERATURE[0] * min(max(steps / FEW, 1 / 3), 1.0)
        for k in range(steps + SETTLE):
            if k and k % RECLASS == 0:
                # A class that is not coded is one that nothing but 0 was likely in: at the end it is 0.
                index = self.tables(r).reshape(-1)[at]
            done = min(k / max(steps - 1, 1), 1.0)
            y_hat = self.y_hat(r)
            here = y_hat.reshape(-1)[at] / unit
            if k < steps:
                slopes = self.distortion(y_hat)[1].reshape(-1)[at] * unit * np.float32(self.slope)
                pace = np.float32(PACE[0] + (PACE[1] - PACE[0]) * done)
                target += pace * (here - slopes / (2 * curvature) - target)
            bottom = target - here + r.reshape(-1)[at]
            heat = hot * (TEMPERATURE[1] / hot) ** done if k < steps else 0.0
            r.reshape(-1)[at] = self.kit.prices.expected(bottom, bowl, index, heat)
        found = latents.settled(self.networks, Latents(self.start.z, r, self.start.index))
        return found if self.cost(found) < self.cost(self.start) else self.start
