"""Pictures with something in them that is no photograph: text, lines, flat areas. Their tiles may be pixels,
or latents with a layer over them.

A tile becomes what costs least, bits + worth x squared error: latents, latents with the text that lies over
them apart, its pixels exactly, or pixels near them that are cheaper, as native/economy.hpp finds them; flat
areas are exact in both. The worth of an error in bits is that of the picture's own latents at the level.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from calotype.bitstream import Box, Header, tile_box, tile_count
from calotype.codec import latents, layer, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.arrays import UInt8Array
from calotype.codec.choice import Choice
from calotype.codec.cover import Cover
from calotype.codec.effort.worth import Worths
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.pixels import tile_pixels
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.codec.strokes import Mask
from calotype.codec.traits import Traits
from calotype.coder import decode_pixels, encode_pixels
from calotype.pack import STRIDE

SIDE = 256
"""Side of the tiles of a picture that has both kinds, ..."""
LARGE, MANY = 512, 8
"""... or of larger ones, if it has so many of these at least: letters come again, less is learnt twice."""
PRICE = 200
"""Bits that each of them costs more than its share of a larger one."""
CARE = 2.0
"""An error in a pixel is taken for so many times its worth, for it harms the guesses of others."""
SPARE = 3.0
"""How many times what latents cost pixels may take without loss: near ones may still be better then."""
BLURRED = 255**2 / 10**2.8
"""A mean squared error (28 dB) of a drawing, or of the strokes of a text, beyond which people are told."""
NOTE = "text or lines in the picture are blurred at this quality; a higher one or lossless keeps them sharp"
TRIAL = 1e12
"""Bits that no tile takes: with a limit one way to code is tried, not all that are close."""
OCTAVE = 18.0
"""What twice the bits are worth in SSIMULACRA2, about."""
SHARPER = (1.0, 4.0, 16.0)
"""How many times an error is worth more where pixels would look worse than the latents that they replace."""
EDGE = 16
"""Pixels at the edges of a tile where its latents alone do not say what the picture will look like."""


def suited(usual: Mixture, level: int, finer: Callable[[int], Mixture]) -> Mixture:
    """The mixture whose tiles suit a picture: the usual ones, or ``finer`` ones of a smaller side where tiles
    of both kinds are better at the level.
    """
    analysis = usual.analysis
    found = usual.traits.tiles(SIDE).suspicious()
    if analysis.header.tile <= SIDE or not found.any():
        return usual
    networks = Networks(analysis.pack, analysis.pack.level(level), analysis.threads)
    if found.all() and len(usual.decide(networks)) == tile_count(analysis.header):
        return usual
    count = tile_count(analysis.header.replace(tile=LARGE))
    side = LARGE if analysis.header.tile > LARGE and count >= MANY else SIDE
    other = finer(side)
    usual.judge_as(other)
    usual_gain = usual.gain(networks) if usual.inked else 0.0
    price = PRICE * tile_count(other.analysis.header)
    return other if other.gain(networks) - usual_gain > price else usual


@dataclass(frozen=True)
class Stored:
    """A way to store a tile as pixels: its stream, and the squared error of what it decodes to."""

    data: bytes
    error: int


@dataclass(frozen=True)
class Seen:
    """A tile as latents, looked at alone.

    bits, error: what it takes, with its layer, and its squared error
    saved:       what the layer saves, in bits with errors
    unclear:     whether a text is blurred
    shown:       its pixels, [h, w, 3] or [h, w, 1] of a grey picture
    """

    bits: int
    error: float
    saved: float
    unclear: bool
    shown: UInt8Array


@dataclass
class Decision:
    """At one level: the tiles that are pixels, the bits that these and layers save, whether drawings are
    blurred.
    """

    stored: dict[int, Stored]
    gain: float = 0.0
    blurred: bool = False


class Mixture:
    """Which tiles of a picture are stored as pixels, and what lies over the others, at any level.

    traits:  of the picture, by tiles of SIDE or by those of the analysis if these are smaller
    strokes: of texts that may be blurred, as calotype.codec.strokes finds them; None where there are none
    """

    def __init__(
        self, analysis: Analysis, choice: Choice, traits: Traits, strokes: Mask | None = None
    ) -> None:
        if analysis.header.tile < traits.side:
            traits = Traits.of(analysis.pixels, analysis.header.tile)
        self.analysis, self.choice, self.traits = analysis, choice, traits
        by_tile = traits.tiles(analysis.header.tile)
        self._strokes = {} if strokes is None else _by_tile(strokes, analysis.header)
        self.suspects = [int(k) for k in np.flatnonzero(by_tile.suspicious())]
        self._drawn = by_tile.drawings().ravel()
        inked = traits.inked(analysis.header.tile)
        self._cover = Cover(analysis, choice, [int(k) for k in np.flatnonzero(inked)])
        self._exact: dict[int, tuple[float, Stored | None]] = {}
        self._coded: dict[tuple[int, int], Latents] = {}
        self._layers: dict[tuple[int, int], bytes] = {}
        self._decisions: dict[int, Decision] = {}
        self._worths = Worths(analysis, self._least_drawn(by_tile))
        self._held: set[int] | None = None
        self._inked: set[int] = set()  # if the others are held: those that have layers
        if self.suspects or self._strokes:
            analysis.keep()

    def decide(self, networks: Networks) -> dict[int, Stored]:
        """The tiles that are better as pixels at the level of ``networks``."""
        level = networks.level.number
        if level not in self._decisions:  # a search and the file ask for the same one
            self._decisions[level] = self._decide(networks)
        return self._decisions[level].stored

    def layers(self, networks: Networks) -> dict[int, bytes]:
        """What lies over tiles of latents at the level of ``networks``, as a file has it."""
        level, stored = networks.level.number, self.decide(networks)
        return {tile: part for (at, tile), part in self._layers.items() if at == level and tile not in stored}

    def hold(self, tiles: Iterable[int], layers: Iterable[int] = ()) -> None:
        """From now on these tiles are pixels at all levels, these have layers, and no others."""
        self._held, self._inked = set(tiles), set(layers)
        self._decisions.clear()

    def exact_bytes(self) -> float:
        """What the tiles that were tried without loss take so, at least: trials end beyond a limit."""
        return sum(len(exact.data) if exact else most / 8 for most, exact in self._exact.values())

    @property
    def inked(self) -> bool:
        """Whether something may lie over latents."""
        return bool(self._cover.tiles)

    def gain(self, networks: Networks) -> float:
        """Bits, and errors in bits, that pixels and layers save at the level of ``networks``."""
        self.decide(networks)
        return self._decisions[networks.level.number].gain

    def judge_as(self, finer: Mixture) -> None:
        """Take what an error is worth from a mixture of smaller tiles, of which one shows a photograph alone
        rather than with the text beside it: gains compare where errors are worth the same.
        """
        self._worths = finer._worths
        self._decisions.clear()

    def note(self, level: int) -> str | None:
        """A sentence when drawings in the picture, text perhaps, are far from what they were at a level."""
        return NOTE if level in self._decisions and self._decisions[level].blurred else None

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """Those of a tile, from what ``Analysis.each`` gives for it; made once where it was to be decided."""
        key = networks.level.number, tile
        known = self._coded.pop(key, None)
        if known is None and key in self._layers:
            return self._cover.integers(networks, tile)
        return known or self.choice.integers(networks, tile, y)

    def _look_beneath(self, networks: Networks) -> None:
        """Find what lies over the latents, once: at the first level that is asked for."""
        level = networks.level.number
        alone = tile_count(self.analysis.header) == 1 < self.analysis.threads  # more tiles keep threads busy
        if (
            self._cover.begin(level) and alone and not self.choice.effort
        ):  # beside it, what is needed in any case
            self.analysis.keep()
            self._coded[level, 0] = self.choice.integers(networks, 0, self.analysis.kept[0])
        if self._cover.find(level):
            self.analysis.keep()

    def _decide(self, networks: Networks) -> Decision:
        self._coded.clear()
        self._look_beneath(networks)
        if not (self.suspects or self._cover or self._strokes):
            return Decision({})
        worth_of_error = self._worths.at(networks.level.number)
        decision, lock, held = Decision({}), threading.Lock(), self._held or ()
        suspects = set(self.suspects)

        def best(tile: int) -> None:
            seen = self._as_latents(networks, tile)
            error, unclear = seen.error, seen.unclear
            cost = seen.bits + worth_of_error * error
            free, found = self._held is None, None
            if tile not in suspects:
                pass
            elif free:
                found = self._as_pixels(tile, worth_of_error, cost, seen)
            elif tile in held:
                found = self._near_pixels(tile, worth_of_error)
            left = cost - _cost(found, worth_of_error) if found else 0.0
            box = tile_box(self.analysis.header, tile)
            with lock:
                decision.gain += seen.saved
                if found and (left > 0 or not free):
                    decision.stored[tile] = found
                    decision.gain += left
                    error, unclear = found.error, False
                blurred = error > BLURRED * 3 * box.width * box.height
                decision.blurred |= unclear or bool(blurred and self._drawn[tile])

        looked_at = suspects | self._cover.found.keys() | self._strokes.keys()
        for _ in self.analysis.pool.map(best, sorted(looked_at)):
            pass
        for tile in decision.stored:
            self._coded.pop((networks.level.number, tile), None)
        return decision

    def _as_pixels(self, tile: int, worth_of_error: float, cost: float, seen: Seen) -> Stored | None:
        """The best way to store a tile as pixels if it may be better than what ``cost`` can buy.

        None that looks worse than the latents ``seen``, whatever it saves: a higher quality never does then.
        """
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        most, exact = self._exact.get(tile, (0.0, None))
        if exact is None and most < SPARE * cost:
            data, _ = encode_pixels(original, most=SPARE * cost)
            exact = Stored(data, 0) if data else None
            self._exact[tile] = SPARE * cost, exact
        if exact is None or not worth_of_error:
            return exact
        most, score = CARE * min(cost, 8 * len(exact.data)), None
        for times in SHARPER:
            near = stored(original, exact, worth=CARE * times * worth_of_error, most=most)
            if near is None or _cost(near, worth_of_error) >= min(cost, 8 * len(exact.data)):
                break
            if near.error <= seen.error:
                if not self._for_eyes:
                    return near
                score = score or _likeness(original, seen.shown)
                if _likeness(original, decode_pixels(near.data, *original.shape)) >= score:
                    return near
            most = CARE * 8 * len(exact.data)
        return exact

    def _near_pixels(self, tile: int, worth_of_error: float) -> Stored:
        """A tile as pixels whose errors are worth so much; exactly where that takes less."""
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        exact = self._exact.get(tile, (0.0, None))[1] or Stored(encode_pixels(original, most=TRIAL)[0], 0)
        self._exact[tile] = math.inf, exact
        near = stored(original, exact, worth=CARE * worth_of_error)
        return near if near and len(near.data) < len(exact.data) else exact

    def _as_latents(self, networks: Networks, tile: int) -> Seen:
        """A tile as latents, looked at alone, with a layer if that is better."""
        key = networks.level.number, tile
        self._layers.pop(key, None)
        plain = self._coded.get(key) or self.choice.integers(networks, tile, self.analysis.kept[tile])
        self._coded[key] = plain
        bits, error, shown = self._judge(networks, tile, plain)
        free = self._held is None
        if tile in self._cover.found and (free or tile in self._inked):
            part, worth_of_error = self._cover.found[tile], self._worths.at(networks.level.number)
            coded = self._cover.integers(networks, tile)
            more, less, beside = self._judge(networks, tile, coded, part)
            saved = bits + worth_of_error * error - more - worth_of_error * less
            if not free or (saved > 0 and self._looks_better(tile, bits, shown, more, beside)):
                self._coded[key], self._layers[key] = coded, part
                return Seen(more, less, saved, self._unclear(tile, beside), beside)
        return Seen(bits, error, 0.0, self._unclear(tile, shown), shown)

    def _unclear(self, tile: int, shown: UInt8Array) -> bool:
        """Whether the strokes of a tile's text are far from what they were."""
        if tile not in self._strokes:
            return False
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        missed = original.astype(np.int32) - shown
        return bool(np.square(missed[self._strokes[tile]]).mean() > BLURRED)

    def _looks_better(self, tile: int, bits: int, shown: UInt8Array, more: int, beside: UInt8Array) -> bool:
        """Whether a tile looks better with a layer, for the bits it takes then. Packs for PSNR do not ask:
        highlights of a photograph that become ink have smaller errors, and look worse.
        """
        if not self._for_eyes:
            return True
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        before, after = (_likeness(original, way) for way in (shown, beside))
        return after - before > OCTAVE * math.log2(more / bits)

    @property
    def _for_eyes(self) -> bool:
        return self.analysis.pack.manifest.distortion != "mse"

    def _judge(
        self, networks: Networks, tile: int, coded: Latents, part: bytes | None = None
    ) -> tuple[int, float, UInt8Array]:
        """Bits and squared error of a tile's latents, and of a layer over them, its sides left out; and what
        is shown of the tile.
        """
        analysis = self.analysis
        y_hat = latents.restored(networks, coded)
        original = tile_pixels(analysis.pixels, analysis.header, tile)
        height, width, channels = original.shape
        shown = np.empty((height, width, 3), np.uint8)
        inner = np.zeros((height, width), bool)
        for row in tiles.windows(Box(0, 0, y_hat.shape[1], y_hat.shape[0])):
            for window in row:
                latent_part = np.ascontiguousarray(y_hat[tiles.inside(window, Box(0, 0, 0, 0))[1:]])
                pixels = networks.pack.decoder.synthesis(networks.level.pixels, latent_part)
                box = tiles.common(tiles.scaled(window, STRIDE), Box(0, 0, width, height))
                shown[tiles.inside(box, Box(0, 0, 0, 0))[1:]] = pixels[: box.height, : box.width]
                edge = min(EDGE, box.width // 4, box.height // 4)
                inner[box.top + edge : box.bottom - edge, box.left + edge : box.right - edge] = True
        if part:
            shown = layer.over(part, shown, channels == 1)
        elif channels == 1:
            shown = _to_grey(shown)
        missed = np.square(original.astype(np.int32) - shown)[inner].sum(dtype=np.int64)
        error = int(missed) * (3 // channels) * (height * width / int(inner.sum()))
        return 8 * (len(latents.write(networks, coded)) + len(part or b"")), error, shown

    def _least_drawn(self, traits: Traits) -> Box:
        """The tile that is most like a photograph, in latents, of full size even at the picture's end."""
        side = self.analysis.header.tile // STRIDE
        row, column = traits.least_drawn()
        return Box(column * side, row * side, (column + 1) * side, (row + 1) * side)


def _to_grey(pixels: UInt8Array) -> UInt8Array:
    """The mean of three channels, uint8 [h, w, 1]."""
    return np.asarray((pixels.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3, np.uint8)


def stored(
    original: UInt8Array, exact: Stored, step: int = 1, worth: float = 0.0, most: float = math.inf
) -> Stored | None:
    """A tile's pixels [h, w, C] with errors: in steps, or as a squared error is worth bits. None when that
    costs more than ``most``.
    """
    channels = 3 // original.shape[2]  # of three equal ones each error counts three times
    data, coded = encode_pixels(original, step, exact.data, worth * channels, most)
    error = int(np.square(coded.astype(np.int32) - original).sum(dtype=np.int64))
    return Stored(data, channels * error) if data else None


def _likeness(original: UInt8Array, shown: UInt8Array) -> float:
    """SSIMULACRA2 of a tile [h, w, 1 or 3]."""
    first, second = (pixels[..., 0] if pixels.shape[2] == 1 else pixels for pixels in (original, shown))
    return ssimulacra2(first, second)


def _by_tile(mask: Mask, header: Header) -> dict[int, Mask]:
    """The parts of a mask that have something, by tile."""
    boxes = (tile_box(header, tile) for tile in range(tile_count(header)))
    parts = enumerate(mask[box.top : box.bottom, box.left : box.right] for box in boxes)
    return {tile: part for tile, part in parts if part.any()}


def _cost(way: Stored, worth_of_error: float) -> float:
    return 8 * len(way.data) + worth_of_error * way.error
