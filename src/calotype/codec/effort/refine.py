"""Refining the integers r of a tile, so that bits + what the errors of its pixels are worth gets smaller:
squared error, or SSIMULACRA2 with a share of that, as the pack was trained.

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

import math
import threading
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import focus, latents, manifest, tensors
from calotype.codec.effort import session
from calotype.codec.effort.rates import Prices
from calotype.codec.effort.slopes import Slopes
from calotype.codec.effort.worth import Worth
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.metrics import filter_valid, gaussian_window
from calotype.codec.pack import Pack
from calotype.coder.latents import CLASSES
from calotype.pack.tables import LOW

STEPS = (0, 4, 6, 10, 20, 40, 60, 90, 120, 160)
"""Steps of the search at each effort."""
TEMPERATURE = (2.0, 0.1)
"""In bits, at the first and the last step."""
FEW = 30
"""With fewer steps the search begins cooler, in proportion, but at a third of that temperature at least."""
PLANNED = 0.3
"""From this part of the steps on, each takes the integers that a plan makes of the targets:
what an error does to the others is then known of the very errors that a file has. With 10 steps all planned
gain 0.2 % less, and so do those planned from 0.6 of the steps on.
"""
RECLASS = 8
"""Steps after which classes are looked up anew, where they depend on r."""
AHEAD = 0.7
"""What a bit of the low channels counts: all later means follow from them, so that some of it comes back. At
effort 3, 0.55 and 0.85 gain 0.1 to 0.2 % less."""
FOCUS = 1.5
"""By how many octaves an error counts more where the picture counts most."""
ENOUGH = 30
"""Latents that a channel needs to have a curvature of its own."""
UNLIKE = 5.0
"""How many times the usual curvature that of a place may be, or how many times less."""


NARROWER = 0.8, 3.0
"""How many times as narrow as before a place's bowl is taken to be, at least and at most, after a step along
which the slope changed less or more than expected. Without that a few places may swing ever wider, and the
tile then ends with the integers of one pass.
"""
NARROWEST = 30.0
"""In all."""


class Manner(NamedTuple):
    """How slopes are followed.

    pace:      what part of the way to its parabola's bottom a target goes, at the first and the last step
    calm:      with four times as many steps the pace is so many times as slow
    stiffness: how many times the curvature along a random direction is taken for that of a latent
    reach:     how far from its latent a target may go, in quantisation steps
    keen:      how many times its curvature an error counts when targets are planned for
    """

    pace: tuple[float, float]
    calm: float
    stiffness: float
    reach: float
    keen: float

    def way(self, step: int, steps: int) -> float:
        """Part of the way to the bottom that a target goes at a step."""
        first, last = self.pace
        slower: float = self.calm ** math.log(steps / PACED, 4)
        return min((first + (last - first) * step / max(steps - 1, 1)) / slower, FASTEST)


PACED, FASTEST = 10, 0.3
"""Steps that a pace is for, and the fastest one."""
SQUARED = Manner((0.25, 0.13), 2.0, 0.8, np.inf, 1.375)
"""For squared error, a nearly round bowl. With 10 steps stiffness 1, 0.9, 0.8 and 0.7 gain 3.2, 3.6, 3.7
and 3.6 % (mean of 6 crops at 3 qualities, pack 7e3a8409). In plans errors count 1.375 x 0.8 = 1.1 times the
measured curvature; 1.0 or 1.2 times gain the same. The pace hardly matters."""
LOOK = Manner((0.2, 0.1), 1.0, 2.0, 0.4, 1.0)
"""For SSIMULACRA2, a bowl only nearby, and narrow where errors of many latents count together. Without a
reach the search ended far from the picture; 0.3 and 0.5 gain the same."""
_NEARBY = gaussian_window(7, 1.0).astype(np.float32)


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
            looks = pack.manifest.distortion == "ssimulacra2"
            made[threads] = Tools(
                Prices(pack.r_tables, CLASSES),
                Slopes(arrays, pack.unit, looks, threads),
            )
        return made[threads]


@dataclass(frozen=True)
class Tile:
    """A tile and what is around it.

    y:      its latents and those around it that its pixels' synthesis sees, [1, M, h, w]
    pixels: under them, uint8 [1, 16h, 16w, 3]
    inside: where the tile is in y
    focus:  how much more errors count at each of its places, [h, w] (`calotype.codec.focus`)
    """

    y: Floats
    pixels: NDArray[np.uint8]
    inside: Box
    focus: NDArray[np.uint8] | None = None


def refine(networks: Networks, tile: Tile, worth: Worth, steps: int) -> Latents:
    """The integers of a tile after so many steps, or those of one pass if they are better.

    worth: of the errors of its pixels
    """
    if not any(worth) or steps <= 0:
        box = tile.inside
        return latents.quantise(
            networks,
            np.ascontiguousarray(tile.y[..., box.top : box.bottom, box.left : box.right]),
            part=tile.focus,
        )
    kit = tools(networks.pack, networks.threads)
    search = _Search(networks, kit, tile, worth)
    return search.run(steps)


class _Search:
    def __init__(self, networks: Networks, kit: Tools, tile: Tile, worth: Worth) -> None:
        self.networks, self.kit = networks, kit
        self.manner = LOOK if worth.look else SQUARED
        box = tile.inside
        self.where = (..., slice(box.top, box.bottom), slice(box.left, box.right))
        self.size = (box.height, box.width)
        self.y = np.ascontiguousarray(tile.y[self.where])
        self.start = latents.settled(networks, latents.quantise(networks, self.y, part=tile.focus))
        self.focus = tile.focus
        self.step = latents.steps(networks, *self.size)
        self.target = kit.slopes.target(tile.pixels, worth)
        self.around = tile.y.copy()

    def y_hat(self, r: NDArray[Any]) -> Floats:
        """The decoder's latents."""
        words = latents.restored(self.networks, Latents(self.start.z, r))
        return np.ascontiguousarray((words * self.networks.pack.unit).transpose(2, 0, 1)[None])

    def distortion(self, y_hat: Floats) -> tuple[float, Floats]:
        """(what the pixels' errors are worth in bits, its slopes by y_hat)."""
        self.around[self.where] = y_hat
        bits, slopes = self.kit.slopes.run(self.around, self.networks.level.pixels, self.target)
        return bits, slopes[self.where]

    def bits(self, found: Latents) -> int:
        """Bits of a tile."""
        return 8 * len(latents.write(self.networks, found))

    def cost(self, found: Latents) -> float:
        """Bits of a tile, with what its errors are worth."""
        return self.bits(found) + self.distortion(self.y_hat(found.r))[0]

    def tables(self, r: Floats) -> NDArray[Any]:
        """The table that codes each r, which may lie between integers: that of the nearest ones."""
        found = latents.settled(self.networks, Latents(self.start.z, np.rint(r), self.start.index))
        return latents.tables(found)

    def planned(self, at: NDArray[np.intp], target: Floats, worth: Floats) -> Latents:
        """The integers that come nearest to latents `target` at the places `at`, where a squared
        half step is worth so many bits.
        """
        y, worths = self.y.copy(), np.full(self.y.shape, np.median(worth), np.float32)
        y.reshape(-1)[at], worths.reshape(-1)[at] = target, worth
        return latents.planned(self.networks, self.start.z[0], y, worths)

    def curvature(self, at: NDArray[np.intp]) -> Floats:
        """Bits per squared quantisation step that the error of each latent `at` is worth, along one random
        direction (Hutchinson's estimate of a diagonal): means of its channel, times what the place has more
        or less than others.
        """
        first = self.start.r.astype(np.float32)
        channels, places = first.shape[1], first.shape[2] * first.shape[3]
        channel = at // places
        way = np.zeros_like(first)
        way.reshape(-1)[at] = np.random.default_rng(0).choice(np.array([-0.5, 0.5], np.float32), len(at))
        y_hat = self.y_hat(first)
        change = self.distortion(y_hat + way * self.step)[1] - self.distortion(y_hat)[1]
        along = (change * self.step * way).reshape(-1)[at] / (2 * 0.25)
        count = np.bincount(channel, minlength=channels)
        bits = np.bincount(channel, along, channels) / np.maximum(count, 1)
        usual = max(float(np.median(bits[count > 0])), 0.1)
        kept = np.where(count >= ENOUGH, np.clip(bits, usual / 3, usual * 3), usual)
        here, usually = (
            self._smooth(np.bincount(at % places, values, places)) for values in (along, kept[channel])
        )
        some = 0.1 * usually.mean()
        local = np.clip((here + some) / (usually + some), 1 / UNLIKE, UNLIKE)
        return np.asarray(kept[channel] * local[at % places], np.float32)

    def _smooth(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of all places as means over those nearby."""
        edge = len(_NEARBY) // 2
        return filter_valid(np.pad(values.reshape(self.size), edge, mode="edge"), _NEARBY).reshape(-1)

    def _narrower(self, narrow: Floats, at: NDArray[np.intp], met: Floats, expected: Floats) -> Floats:
        """How much narrower than its curvature says the bowl of each place is, at least 1.

        narrow:   what was thought before
        met:      by how much the slopes of latents `at` changed in a step, times the step
        expected: half of that if the bowl is as wide as its curvature says
        """
        places = len(narrow)
        changed, usual = (np.bincount(at % places, values, places) for values in (met, expected))
        ratio = changed / np.maximum(2 * narrow * usual, 1e-9)
        return np.asarray(np.clip(narrow * np.clip(ratio, *NARROWER), 1, NARROWEST), np.float32)

    def run(self, steps: int) -> Latents:
        """The best of the integers found and those of one pass: costs rise and fall from plan to plan."""
        at = np.flatnonzero(self.start.index != latents.SKIP)
        if not len(at):
            return self.start
        manner, first = self.manner, self.start.r.astype(np.float32)
        curvature = self.curvature(at) * np.float32(manner.stiffness)
        low = at // (first.size // first.shape[1]) < LOW
        bowl = np.where(low, curvature / np.float32(AHEAD), curvature)
        if self.focus is not None:
            bowl = bowl * np.exp2(
                np.float32(FOCUS / focus.FULL) * self.focus.reshape(-1)[at % first[0, 0].size]
            )
        index = latents.tables(self.start).reshape(-1)[at]
        unit = np.broadcast_to(self.step, first.shape).reshape(-1)[at]
        y = self.y.reshape(-1)[at] / unit
        target, nearest, furthest = y, y - manner.reach, y + manner.reach
        r, before = first.copy(), (y, y)
        places = first[0, 0].size
        narrow = np.ones(places, np.float32)
        hot = TEMPERATURE[0] * min(max(steps / FEW, 1 / 3), 1.0)
        found: Latents | None = self.start
        best = math.inf, self.start
        for k in range(steps):
            done = k / max(steps - 1, 1)
            y_hat = self.y_hat(r)
            here = y_hat.reshape(-1)[at] / unit
            missed, slopes = self.distortion(y_hat)
            if found:
                best = min(best, (self.bits(found) + missed, found), key=itemgetter(0))
            slopes = slopes.reshape(-1)[at] * unit
            if k:
                met = (slopes - before[1]) * (here - before[0])
                narrow = self._narrower(narrow, at, met, curvature * (here - before[0]) ** 2)
            before = here, slopes
            target = target + np.float32(manner.way(k, steps)) * (
                here - slopes / (2 * narrow[at % places] * curvature) - target
            )
            target = np.clip(target, nearest, furthest)
            if done >= PLANNED or k == steps - 1:
                found = self.planned(at, target * unit, bowl * np.float32(manner.keen))
                r = found.r.astype(np.float32)
            else:
                found = None
                if k and k % RECLASS == 0:
                    # A class that is not coded is one that nothing but 0 was likely in: at the end it is 0.
                    index = self.tables(r).reshape(-1)[at]
                bottom = target - here + r.reshape(-1)[at]
                heat = hot * (TEMPERATURE[1] / hot) ** done
                r.reshape(-1)[at] = self.kit.prices.expected(bottom, bowl, index, heat)
        if found and self.focus is not None:
            return found  # costs count all places alike
        if found:
            best = min(best, (self.cost(found), found), key=itemgetter(0))
        return best[1]
