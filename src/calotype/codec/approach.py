"""Qualities between the best that latents give and no loss: files grow by even factors on the way.

Every tile has several forms: latents at the highest level, pixels with errors of at most 2 or 1, of drawings
pixels near them as native/economy.hpp finds them, and its pixels exactly. One worth of an error for the whole
picture picks each tile's form, the one that costs least, bits + worth x squared error; it is searched for so
that the file has the size that its quality stands for. Pixels alone would not do: those of a photograph take
1.5 to 2.2 times the bytes of its latents before they are as good. Small pictures have more forms: `front`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import tile_count
from calotype.codec import front
from calotype.codec.analysis import Analysis
from calotype.codec.choice import Choice
from calotype.codec.front import SEVERAL, SMALL, TURN, Front
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.mixed import TRIAL, Decision, Mixture, Seen, Stored, stored
from calotype.codec.pixels import tile_pixels
from calotype.codec.rate import TOLERANCE
from calotype.codec.traits import Traits
from calotype.coder import encode_pixels

FROM = 95.0
"""The quality of the highest level of latents."""
LATE = 0.5
"""How far on the way drawings may be pixels near theirs."""
NEAR_WORTH = 1.0
"""Bits that a squared error of 1 is worth in the pixels of drawings that are near theirs."""
STEPS = (5, 3, 1)
"""Between the values that pixels of photographs may have."""
PART, BAND = 8, 8
"""A tile of a photograph is judged by one of so many bands, of so many rows each; by four times as many where
a picture has few tiles, as then each of them counts.
"""
WORTHS = np.exp2(np.arange(-10, 8, 1 / 32))
"""Those that are tried for a picture, in bits."""
FILLED, TRIALS = 4, 8
"""Tiles that get what room is left, and how often a worth of their errors is tried for each."""

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """A way to store a tile as pixels: as they are, or in steps, with what that takes by estimate.

    stored: the bytes; None as long as they are not made
    """

    bits: float
    error: float
    step: int = 1
    stored: Stored | None = None

    @classmethod
    def of(cls, made: Stored) -> Form:
        return cls(8 * len(made.data), made.error, stored=made)


_Forms = tuple[dict[int, list[Form]], Figures, Figures]  # by tile; bits, errors


class Approach(Mixture):
    """A mixture on the way from quality 95 to no loss.

    quality:  above 95 and below 100; ``move`` gives it another
    thorough: try all forms of small pictures, for a target
    """

    def __init__(
        self, analysis: Analysis, choice: Choice, traits: Traits, quality: float, thorough: bool = False
    ) -> None:
        super().__init__(analysis, choice, traits)
        self.drawings = set(self.suspects)
        self.suspects = list(range(tile_count(analysis.header)))
        self._shown: tuple[tuple[int, object], _Forms] | None = None
        self._fixed: dict[int, list[Form]] = {}
        self._rungs: dict[tuple[int, int, float], Stored | None] = {}
        self._made: dict[tuple[int, int], Stored] = {}
        self._way: bytes | None = None
        self.part = 1.0  # of the error that the least file has by estimate, in the one that was decided on
        self._finer = 0.0  # bits that a value without loss takes more than in the form EARLY
        pixels = analysis.header.width * analysis.header.height
        self.small = pixels <= SMALL
        self._thorough = thorough
        self._front: Front | None = None
        self.move(quality)
        analysis.keep()

    def move(self, quality: float) -> None:
        """Go to another quality. What was found out about the tiles stays: a search asks for many."""
        self.share = (quality - FROM) / (100 - FROM)
        self._decisions.clear()

    @property
    def quality(self) -> float:
        """Where this is on the way, neither of its ends."""
        return round(FROM + (100 - FROM) * min(max(self.share, 0.01), 0.99), 2)

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """Those that were decided on; they stay, for the next quality."""
        return self._coded[networks.level.number, tile]

    def fit(self, networks: Networks, room: int) -> bool:
        """Decide at a level so that what the tiles take comes near to ``room`` bytes, and not above.

        False if the least is too much. Where on the way that is, ``quality`` tells.
        One worth of an error picks forms. What is left goes to the tiles with the largest errors, the last
        of which become pixels that are as near as there is room for.
        """
        self.share = 1.0  # all forms
        forms, bits, errors = self._seen(networks)
        most, rows = 8.0 * room, np.arange(len(bits))
        first = bits[rows, _cheapest(bits, errors, self._floors(networks))].sum()
        way = math.log(_exact(bits, errors) / first)
        if self._front:
            best = self._front.within(most)
            if best is None:
                return False
            self._decisions[networks.level.number] = Decision(self._make(forms, best))
            self.share = math.log(bits[rows, best].sum() / first) / way if way > 0 else 1.0
            return True
        for worth in (*WORTHS[::-1], 0.0):
            picked = _cheapest(bits, errors, worth)
            taken, missed = bits[rows, picked], errors[rows, picked]
            if taken.sum() > most:
                continue
            chosen = self._make(forms, picked)
            for tile, found in chosen.items():
                taken[tile], missed[tile] = 8 * len(found.data), found.error
            if taken.sum() <= most:
                break
        else:
            return False
        for tries in (len(bits) + FILLED, FILLED):
            for tile in np.argsort(-missed)[:tries].tolist():
                left = most - taken.sum()
                if left < TOLERANCE / 2 * most:
                    break
                if tries > FILLED:
                    better = self._within(forms[tile], tile, taken[tile] + left)
                else:
                    better = self._between(tile, taken[tile] + left)
                if better and better.error < missed[tile]:
                    chosen[tile], taken[tile], missed[tile] = better, 8 * len(better.data), better.error
        self._decisions[networks.level.number] = Decision(chosen)
        self.share = math.log(taken.sum() / first) / way if way > 0 else 1.0
        return True

    def _within(self, forms: list[Form], tile: int, most: float) -> Stored | None:
        """The best form of a tile that takes at most so many bits."""
        made = (self._made_of(tile, form) for form in forms if form.bits <= most)
        return min((s for s in made if 8 * len(s.data) <= most), key=lambda s: s.error, default=None)

    def _between(self, tile: int, most: float) -> Stored | None:
        """A tile as the pixels nearest to its own that take at most so many bits."""
        original, best = self._original(tile), None
        exact = self._made_of(tile, self._fixed[tile][-1])
        low, high = np.log2(WORTHS[[0, -1]])
        for _ in range(TRIALS):
            worth = (low + high) / 2
            found = stored(original, exact, worth=2.0**worth)
            bits = 8 * len(found.data) if found else math.inf
            if bits <= most and (best is None or (found and found.error < best.error)):
                best = found
            if (1 - TOLERANCE) * most <= bits <= most:
                break
            low, high = (worth, high) if bits <= most else (low, worth)
        return best

    def _decide(self, networks: Networks) -> Decision:
        forms, bits, errors = self._seen(networks)
        floors = self._floors(networks)
        if not self._front:
            return Decision(self._make(forms, pick(bits, errors, floors, self.share)))
        first = _cheapest(bits, errors, floors)
        least, missed = _taken(bits, first).sum(), _taken(errors, first).sum()
        goal = least ** (1 - self.share) * _exact(bits, errors) ** self.share
        best = self._front.near(goal, missed, below=self.share < TURN)
        self.part = _taken(errors, best).sum() / missed if missed else 1.0
        return Decision(self._make(forms, best))

    def exact_bytes(self) -> float:
        """As they are seen, guessed ones as well."""
        return _exact(*self._shown[1][1:]) / 8 if self.small and self._shown else super().exact_bytes()

    def _make(self, forms: dict[int, list[Form]], picked: NDArray[np.int64]) -> dict[int, Stored]:
        """The tiles that are pixels where so is picked."""
        chosen = [(tile, forms[tile][k - 1]) for tile, k in enumerate(picked) if k]
        made = self.analysis.pool.map(lambda one: self._made_of(*one), chosen)
        return {tile: found for (tile, _), found in zip(chosen, made)}

    def _floors(self, networks: Networks) -> Figures:
        """What an error is worth at 95, by tiles: photographs are latents there, whatever it is worth."""
        floors = np.zeros(len(self.suspects))
        floors[sorted(self.drawings)] = self._lowest(networks)
        return floors

    def _lowest(self, networks: Networks) -> float:
        return self._worths.at(networks.level.number) if self.drawings else 0.0

    def _seen(self, networks: Networks) -> _Forms:
        late = bool(self.drawings) and self.share >= LATE
        key = networks.level.number, (self._ladder(False), self._ladder(True)) if self.small else late
        if self._shown is None or self._shown[0] != key:
            self._coded.clear()
            self._look_beneath(networks)
            self._shown = key, self._look(networks, self._lowest(networks))
            self._front = Front(*self._shown[1][1:]) if self.small else None
        return self._shown[1]

    def _look(self, networks: Networks, lowest: float) -> _Forms:
        """What each tile takes in each of its forms."""
        forms: dict[int, list[Form]] = {}
        latents: dict[int, tuple[int, float]] = {}
        lock = threading.Lock()
        photos = [tile for tile in self.suspects if tile not in self.drawings]
        if photos and not self._thorough:
            middle = self._original(photos[len(photos) // 2])
            if self._way is None:  # one for all
                self._way = encode_pixels(middle, most=TRIAL)[0]
            if self.small and not self._finer and self._ladder(False) == front.EARLY:
                near = stored(middle, Stored(self._way, 0), *front.EARLY[0])
                assert near is not None, "without a limit there is a stream"
                self._finer = 8 * (len(self._way) - len(near.data)) / middle.size

        def look(tile: int) -> None:
            as_latents = self._as_latents(networks, tile)
            found = self._forms(tile, lowest, as_latents)
            with lock:
                forms[tile], latents[tile] = found, (as_latents.bits, as_latents.error)

        for _ in self.analysis.pool.map(look, self.suspects):
            pass
        most = max(len(found) for found in forms.values())
        bits = np.full((len(self.suspects), most + 1), np.inf)
        errors = np.zeros_like(bits)
        for tile in self.suspects:
            bits[tile, 0], errors[tile, 0] = latents[tile]
            for k, form in enumerate(forms[tile], 1):
                bits[tile, k], errors[tile, k] = form.bits, form.error
        return forms, bits, errors

    def _forms(self, tile: int, lowest: float, seen: Seen) -> list[Form]:
        """The ways to store a tile as pixels, without loss last."""
        cost = seen.bits + lowest * seen.error
        if self.small:
            near = self._as_pixels(tile, lowest, cost, seen) if tile in self.drawings else None
            return [*([Form.of(near)] if near else []), *self._steps(tile)]
        if tile not in self.drawings:
            if tile not in self._fixed:
                self._fixed[tile] = self._estimated(tile)
            return self._fixed[tile]
        original = self._original(tile)
        if tile not in self._fixed:
            exact = Stored(encode_pixels(original, most=TRIAL)[0], 0)
            self._exact[tile] = np.inf, exact
            self._fixed[tile] = [Form.of(made) for made in (stored(original, exact, 3), exact) if made]
        *found, last = self._fixed[tile]
        if self.share >= LATE and last.stored and (late := stored(original, last.stored, 1, NEAR_WORTH)):
            found.append(Form.of(late))
        if near := self._as_pixels(tile, lowest, cost, seen):  # what quality 95 may have
            found.append(Form.of(near))
        return [*found, last]

    def _ladder(self, drawn: bool) -> front.Rungs:
        header = self.analysis.header
        return front.rungs(drawn, header.width * header.height, None if self._thorough else self.share)

    def _steps(self, tile: int) -> list[Form]:
        """The forms of a tile of a small picture, all made but the exact one where it is hardly of use."""
        original, drawn = self._original(tile), tile in self.drawings
        rungs = self._ladder(drawn)
        like = None if drawn or self._thorough else self._way
        guessed = like and rungs == front.EARLY
        if (exact := self._exact.get(tile, (0, None))[1]) is None and not guessed:
            exact = Stored(encode_pixels(original, like=like)[0], 0)
            self._exact[tile] = np.inf, exact
        found = []
        for rung in rungs:
            if (key := (tile, *rung)) not in self._rungs:
                self._rungs[key] = stored(original, exact or Stored(like or b"", 0), *rung)
            if near := self._rungs[key]:
                found.append(Form.of(near))
        return [*found, Form.of(exact) if exact else Form(found[0].bits + self._finer * original.size, 0)]

    def _estimated(self, tile: int) -> list[Form]:
        """The forms of a tile of a photograph, by some bands of its rows: a line of text may lie anywhere."""
        original = self._original(tile)
        band = np.arange(len(original)) // BAND
        apart = PART if len(self.suspects) >= SEVERAL and self.analysis.header.tile > 128 else PART // 4
        part = original[(band - (band[-1] + 1) // 2) % apart == 0]
        scale = len(original) / len(part)
        forms = []
        for step in STEPS:
            data, _ = encode_pixels(part, step, self._way)
            error = (step * step - 1) / 12 * original.size * (3 // original.shape[2])
            forms.append(Form(8 * len(data) * scale, error, step))
        return forms

    def _made_of(self, tile: int, form: Form) -> Stored:
        """The bytes of a form, made once."""
        if form.stored:
            return form.stored
        if (tile, form.step) not in self._made:
            like = Stored(self._way or b"", 0)
            made = stored(self._original(tile), like, form.step)
            assert made is not None, "without a limit there is a stream"
            self._made[tile, form.step] = made
        return self._made[tile, form.step]

    def _original(self, tile: int) -> NDArray[np.uint8]:
        return tile_pixels(self.analysis.pixels, self.analysis.header, tile)


def pick(bits: Figures, errors: Figures, lowest: float | Figures, share: float) -> NDArray[np.int64]:
    """Which form of each tile, [tiles], makes a file whose size is so far on the way from what the lowest
    worth of an error gives, one for all tiles or one for each, to no loss.

    Between two worths, tiles get their better form one after another, those first that gain most for their
    bits: pictures of few tiles would go in large steps else.

    bits, errors: [tiles, forms], one of each tile without error; infinite bits for a form that it lacks
    share:        0 to 1, of the way between the logarithms of the sizes
    """
    picks = [_cheapest(bits, errors, worth) for worth in (lowest, *(lowest + worth for worth in WORTHS))]
    sizes = [_taken(bits, forms).sum() for forms in picks]
    goal = sizes[0] ** (1 - share) * _exact(bits, errors) ** share
    after = next((k for k, size in enumerate(sizes) if size >= goal), len(sizes) - 1)
    best = found = picks[max(after - 1, 0)]
    more = _taken(bits, picks[after]) - _taken(bits, found)
    fewer = _taken(errors, found) - _taken(errors, picks[after])
    for tile in np.argsort(-fewer / np.maximum(more, 1), kind="stable"):
        found = found.copy()
        found[tile] = picks[after][tile]
        best = min(best, found, key=lambda forms: abs(math.log(_taken(bits, forms).sum() / goal)))
    return best


def _taken(figures: Figures, forms: NDArray[np.int64]) -> Figures:
    return np.asarray(np.take_along_axis(figures, forms[:, None], 1)[:, 0])


def _exact(bits: Figures, errors: Figures) -> float:
    return float(np.where(errors == 0, bits, np.inf).min(1).sum())


def _cheapest(bits: Figures, errors: Figures, worth: float | Figures) -> NDArray[np.int64]:
    return np.asarray((bits + np.reshape(worth, (-1, 1)) * errors).argmin(1), np.int64)
