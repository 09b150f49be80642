"""Refining the integers r of a tile, so that bits + slope * squared error of its pixels gets smaller.

Each r is thought of as rounded up with a probability p and down otherwise. What bits and error are to be
expected is known without drawing lots: bits are linear in p, and the error is that of the mean, plus
curvature * p (1 - p), its variance, for every latent. At 0 and 1 that is the very cost of a file. Adam walks
down its slopes, taken through the decoder's own networks, the means of later phases included; the variance
counts little at first, so that p can pass from 0 to 1, and nearly in full at the end. z stays.

Related: stochastic Gumbel annealing (Yang, Bamler and Mandt 2020), which draws lots, and needs several times
as many steps for the same gain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import latents, tiles
from calotype.codec.effort.gradients import Tape
from calotype.codec.effort.rates import Prices
from calotype.codec.effort.slopes import Slopes
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.pack import Pack
from calotype.errors import PackError

STEPS = (0, 10, 15, 22, 32, 44, 64, 100, 200, 400)
"""Steps of the search at each effort."""

SOFTNESS = (0.4, 0.1)
"""How gently p rises between two integers, at the first and the last step (`soften`)."""
VARIANCE = (0.1, 0.8)
"""What part of the variance counts, at the first and the last step."""
RATE = 2.0
"""Adam's step: this over the number of steps, within ..."""
RATES = (0.02, 0.08)
"""... these, in quantisation steps."""
CLOSE = 0.45
"""How far from the integer of the one-pass encoder a value starts at most: nearer than the rounding edge."""
REFRESH = 8
"""Steps after which the derivative of the means is computed anew; it hardly changes."""
PROBES, ENOUGH = 2, 30
"""Random directions that the curvature is measured along; latents that a channel of its own figure has."""

Back = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Tools:
    """What a pack gives to the search; made once."""

    prices: Prices
    means: Tape
    slopes: Slopes


_tools: WeakKeyDictionary[Pack, dict[int, Tools]] = WeakKeyDictionary()
_lock = threading.Lock()


def tools(pack: Pack, threads: int) -> Tools:
    """The tools for a pack. Raises PackError when its networks have no derivative that is known here."""
    with _lock:
        made = _tools.setdefault(pack, {})
        if threads not in made:
            try:
                made[threads] = Tools(
                    Prices(pack.r_tables),
                    Tape(pack.file("latent_decoder.onnx"), ("r",)),
                    Slopes(pack.file("synthesis.onnx"), threads),
                )
            except (ValueError, KeyError, IndexError) as error:
                raise PackError(f"pack {pack.path}: only effort 0 is possible: {error}") from error
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
        own = np.ascontiguousarray(tile.y[self.where])
        self.start = latents.quantise(networks, own)
        self.y = tiles.pad_to_multiple(own, latents.HYPER)
        self.step = networks.level.feeds["inv_gain"][None, :, None, None]
        self.target = kit.slopes.layout(tile.pixels)
        self.around = tile.y.copy()

    def y_hat(self, r: Floats) -> Floats:
        """The decoder's latents, in the padded tile."""
        return np.asarray(self.networks.run("latent_decoder", z=self.start.z, r=r)[0])

    def distortion(self, y_hat: Floats) -> tuple[float, Floats]:
        """(squared error of the pixels, its slopes by y_hat)."""
        height, width = self.size
        self.around[self.where] = y_hat[..., :height, :width]
        error, slopes = self.kit.slopes.run(self.around, self.networks.level.feeds["level"], self.target)
        out = np.zeros_like(y_hat)
        out[..., :height, :width] = slopes[self.where]
        return error, out

    def cost(self, r: Floats) -> float:
        """Bits and weighted error of integers."""
        bits = float(self.kit.prices.at(r, self.start.index)[0].sum(dtype=np.float64))
        return bits + self.slope * self.distortion(self.y_hat(r))[0]

    def means(self, r: Floats) -> Back:
        """The slopes by r of what has given slopes by y_hat, near r."""
        given = {name: v for name, v in self.networks.level.feeds.items() if name in self.kit.means.inputs}
        _, back = self.kit.means(z=self.start.z, r=r, **given)
        return lambda slopes: np.asarray(back(slopes)["r"])

    def curvature(self, at: NDArray[np.intp]) -> Floats:
        """Bits per squared quantisation step that the error of each coded latent is worth: means over
        channels, along random directions (Hutchinson's estimate of a diagonal).
        """
        first, rng = self.start.r, np.random.default_rng(0)
        channels = first.shape[1]
        channel = at // (first.size // channels)
        back = self.means(first)

        def slopes(r: Floats) -> Floats:
            return back(self.distortion(self.y_hat(r))[1]).reshape(-1)[at]

        here, moved = slopes(first), first.copy()
        total: NDArray[np.float64] = np.zeros(channels)
        for _ in range(PROBES):
            way = rng.choice(np.array([-0.5, 0.5], np.float32), len(at))
            moved.reshape(-1)[at] = first.reshape(-1)[at] + way
            total += np.bincount(channel, (slopes(moved) - here) * way / 0.25, channels)
        count = np.bincount(channel, minlength=channels)
        bits = total / np.maximum(count, 1) / PROBES * self.slope / 2
        usual = max(float(np.median(bits[count > 0])), 0.1)
        kept = np.where(count >= ENOUGH, np.clip(bits, usual / 3, usual * 3), usual)
        return np.asarray(kept[channel], np.float32)

    def run(self, steps: int) -> Latents:
        """The better of the integers found and those of one pass."""
        first = self.start.r
        at = np.flatnonzero(self.start.index != latents.SKIP)
        if not len(at):
            return self.start
        index = self.start.index.reshape(-1)[at]
        mean = self.y_hat(first) - first * self.step
        exact = ((self.y - mean) / self.step).reshape(-1)[at]
        near = first.reshape(-1)[at]
        value = np.clip(exact, near - CLOSE, near + CLOSE).astype(np.float32)
        curvature = self.curvature(at)
        r, one, two = np.zeros_like(first), np.zeros_like(value), np.zeros_like(value)
        pace = min(max(RATE / steps, RATES[0]), RATES[1])
        for k in range(steps):
            done = k / steps
            low, up, rise = soften(value, SOFTNESS[0] * (SOFTNESS[1] / SOFTNESS[0]) ** done)
            r.reshape(-1)[at] = low + up
            if k % REFRESH == 0:
                back = self.means(r)
            slopes = back(self.distortion(self.y_hat(r))[1]).reshape(-1)[at] * np.float32(self.slope)
            slopes += self.kit.prices.at(low + up, index)[1]
            slopes += np.float32(VARIANCE[0] + (VARIANCE[1] - VARIANCE[0]) * done) * curvature * (1 - 2 * up)
            slopes *= rise
            one += np.float32(0.1) * (slopes - one)
            two += np.float32(0.01) * (slopes * slopes - two)
            size = np.float32(pace * min(1.0, 2 * (1 - done)) / (1 - 0.9 ** (k + 1)))
            value -= size * one / (np.sqrt(two / np.float32(1 - 0.99 ** (k + 1))) + np.float32(1e-8))
        r.reshape(-1)[at] = np.rint(value)
        if self.cost(r) < self.cost(first):
            return Latents(self.start.z, r, self.start.index)
        return self.start


def soften(value: Floats, temperature: float) -> tuple[Floats, Floats, Floats]:
    """(integer below, probability of rounding up, its slope): the lower the temperature, the steeper."""
    low = np.floor(value)
    part = np.clip(value - low, 1e-4, 1 - 1e-4)
    rest = 1 - part
    # atanh(part) - atanh(rest), both inverse hyperbolic tangents in one logarithm
    pull = np.log((1 + part) * part / ((1 + rest) * rest)) * np.float32(0.5 / temperature**2)
    up = 1 / (1 + np.exp(-np.clip(pull, -30, 30)))
    rise = up * (1 - up) * np.float32(1 / temperature**2) * (1 / (1 - part * part) + 1 / (1 - rest * rest))
    return low, up, rise
