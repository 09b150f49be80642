"""Qualities between the best that latents give and no loss: files grow by even factors on the way.

Every tile has several forms: latents at the highest level, pixels with errors of at most 2 or 1, of drawings
pixels near them as native/economy.hpp finds them, and its pixels exactly. One worth of an error for the whole
picture picks each tile's form, the one that costs least, bits + worth x squared error; it is searched for so
that the file has the size that its quality stands for. Pixels alone would not do: those of a photograph take
1.5 to 2.2 times the bytes of its latents before they are as good.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import tile_count
from calotype.codec.analysis import Analysis
from calotype.codec.choice import Choice
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.mixed import Decision, Mixture, Stored
from calotype.codec.pixels import tile_pixels
from calotype.codec.traits import Traits
from calotype.coder import encode_pixels

FROM = 95.0
"""The quality of the highest level of latents."""
LATE = 0.5
"""How far on the way drawings may be pixels near theirs."""
NEAR_WORTH = 1.0
"""Bits that a squared error of 1 is worth in the pixels of drawings that are near theirs."""
TRIAL = 1e12
"""Bits that no tile takes: with a limit one way to code is tried, not all that are close."""
WORTHS = np.exp2(np.arange(-10, 8, 1 / 32))
"""Those that are tried for a picture, in bits."""

_Forms = tuple[dict[int, list[Stored]], NDArray[np.float64], NDArray[np.float64]]  # by tile; bits, errors


class Approach(Mixture):
    """A mixture on the way from quality 95 to no loss.

    quality: above 95 and below 100; ``move`` gives it another
    """

    def __init__(self, analysis: Analysis, choice: Choice, traits: Traits, quality: float) -> None:
        super().__init__(analysis, choice, traits)
        self.drawings = set(self.suspects)
        self.suspects = list(range(tile_count(analysis.header)))
        self._shown: tuple[tuple[int, bool], _Forms] | None = None
        self._fixed: dict[int, list[Stored]] = {}
        self.move(quality)
        analysis.keep()

    def move(self, quality: float) -> None:
        """Go to another quality. What was found out about the tiles stays: a search asks for many."""
        self.share = (quality - FROM) / (100 - FROM)
        self._decisions.clear()

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """Those that were decided on; they stay, for the next quality."""
        return self._coded[networks.level.number, tile]

    def _decide(self, networks: Networks) -> Decision:
        # Photographs at 95 are latents throughout, whatever an error is worth.
        lowest = self._worths.at(networks.level.number) if self.drawings else 0.0
        key = networks.level.number, bool(self.drawings) and self.share >= LATE
        if self._shown is None or self._shown[0] != key:
            self._coded.clear()
            self._shown = key, self._look(networks, lowest)
        forms, bits, errors = self._shown[1]
        picked = pick(bits, errors, lowest, self.share)
        return Decision({t: forms[t][k - 1] for t, k in enumerate(picked) if k})

    def _look(self, networks: Networks, lowest: float) -> _Forms:
        """What each tile takes in each of its forms."""
        forms: dict[int, list[Stored]] = {}
        latents: dict[int, tuple[int, float]] = {}
        lock = threading.Lock()

        def look(tile: int) -> None:
            as_latents = self._as_latents(networks, tile)
            found = self._forms(tile, lowest, as_latents[0] + lowest * as_latents[1])
            with lock:
                forms[tile], latents[tile] = found, as_latents

        for _ in self.analysis.pool.map(look, self.suspects):
            pass
        most = max(len(found) for found in forms.values())
        bits = np.full((len(self.suspects), most + 1), np.inf)
        errors = np.zeros_like(bits)
        for tile in self.suspects:
            bits[tile, 0], errors[tile, 0] = latents[tile]
            for k, form in enumerate(forms[tile], 1):
                bits[tile, k], errors[tile, k] = 8 * len(form.data), form.error
        return forms, bits, errors

    def _forms(self, tile: int, lowest: float, cost: float) -> list[Stored]:
        """The ways to store a tile as pixels, without loss last."""
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        drawing = tile in self.drawings
        if tile not in self._fixed:
            exact = Stored(encode_pixels(original, most=TRIAL)[0], 0)
            self._exact[tile] = np.inf, exact
            tried = (3,) if drawing else (3, 5)
            self._fixed[tile] = [*(_near(original, step, exact, 0.0) for step in tried), exact]
        *found, exact = self._fixed[tile]
        if drawing and self.share >= LATE:
            found.append(_near(original, 1, exact, NEAR_WORTH))
        if drawing and (near := self._as_pixels(tile, lowest, cost)):  # what quality 95 may have
            found.append(near)
        return [*found, exact]


def _near(original: NDArray[np.uint8], step: int, exact: Stored, worth: float) -> Stored:
    """A tile's pixels [h, w, C] with errors: in steps, or as a squared error is worth bits."""
    channels = 3 // original.shape[2]  # of three equal ones each error counts three times
    data, coded = encode_pixels(original, step, exact.data, worth * channels)
    error = int(np.square(coded.astype(np.int32) - original).sum(dtype=np.int64))
    return Stored(data, channels * error)


def pick(
    bits: NDArray[np.float64], errors: NDArray[np.float64], lowest: float, share: float
) -> NDArray[np.int64]:
    """Which form of each tile, [tiles], makes a file whose size is so far on the way from what the lowest
    worth of an error gives to no loss.

    bits, errors: [tiles, forms], one of each tile without error; infinite bits for a form that it lacks
    share:        0 to 1, of the way between the logarithms of the sizes
    """
    exact = np.where(errors == 0, bits, np.inf).min(1).sum()
    picks = [_cheapest(bits, errors, worth) for worth in (lowest, *(lowest + WORTHS))]
    sizes = np.array([np.take_along_axis(bits, forms[:, None], 1).sum() for forms in picks])
    goal = sizes[0] ** (1 - share) * exact**share
    return picks[int(np.abs(np.log(sizes / goal)).argmin())]


def _cheapest(bits: NDArray[np.float64], errors: NDArray[np.float64], worth: float) -> NDArray[np.int64]:
    return np.asarray((bits + worth * errors).argmin(1), np.int64)
