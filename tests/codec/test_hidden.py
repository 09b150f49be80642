"""What lies under transparent pixels becomes what costs least, and nothing visible changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.conftest import every

import calotype
from calotype.codec import encoder
from calotype.codec.hidden import conceal, likeness
from calotype.codec.image import Picture

Scene = Callable[..., np.ndarray]
RNG = np.random.default_rng(9)


def disc(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (0.35 * min(height, width)) ** 2
    return np.where(inside, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (33, 17), (300, 200), (700, 70)])
def test_visible_pixels_stay(height: int, width: int) -> None:
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    alpha = RNG.choice(np.array([0, 1, 255], np.uint8), (height, width))
    before = pixels.copy()
    for filled in conceal(pixels, alpha):
        assert np.array_equal(filled[alpha > 0], pixels[alpha > 0])
    assert np.array_equal(pixels, before)


def test_nothing_is_done_where_nothing_is_hidden() -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3), np.uint8)
    (same,) = conceal(pixels, np.full((8, 8), 1, np.uint8))
    assert same is pixels


@pytest.mark.parametrize("size", [(600, 40), (64, 64)])
def test_one_colour_goes_on_everywhere(size: tuple[int, int]) -> None:
    """Far from what is visible, too, and across the strips that are worked on one at a time."""
    alpha = np.zeros(size, np.uint8)
    alpha[3:9, 5:8] = 255
    pixels = RNG.integers(0, 256, (*size, 3), np.uint8)
    pixels[alpha > 0] = (10, 200, 90)
    for filled in conceal(pixels, alpha):
        assert np.abs(filled.astype(int) - (10, 200, 90)).max() <= 1


def test_strips_meet_without_a_seam(scene: Scene) -> None:
    """Where strips of 256 rows meet, rows differ as little as elsewhere."""
    pixels, alpha = scene(800, 120), np.zeros((800, 120), np.uint8)
    alpha[:, 50:70] = 255
    steps = np.abs(np.diff(conceal(pixels, alpha)[0][:, :40].astype(float), axis=0)).mean(axis=(1, 2))
    assert steps[[255, 511, 767]].max() <= steps.max()
    assert steps[[255, 511, 767]].mean() <= 1.5 * steps.mean() + 0.5


def test_a_picture_of_nothing() -> None:
    alpha = np.zeros((40, 50), np.uint8)
    (filled,) = conceal(RNG.integers(0, 256, (40, 50, 3), np.uint8), alpha)
    assert (filled == filled[0, 0]).all()


@pytest.mark.parametrize("under", ["noise", "black"])
def test_fewer_bytes_and_a_cleaner_edge(scene: Scene, under: str) -> None:
    alpha = disc(192, 192)
    hidden = (
        RNG.integers(0, 256, (192, 192, 3), np.uint8)
        if under == "noise"
        else np.zeros((192, 192, 3), np.uint8)
    )
    pixels = np.where(alpha[..., None] > 0, scene(192, 192), hidden)
    picture = np.dstack([pixels, alpha])
    edge = (alpha > 0) & (np.abs(np.hypot(*(np.mgrid[0:192, 0:192] - 96)) - 0.35 * 192) < 6)

    def coded(keep: bool) -> tuple[int, float]:
        data = calotype.encode(picture, quality=60, keep_hidden_colour=keep)
        back = np.asarray(calotype.decode(data)).astype(float)
        assert np.array_equal(back[..., 3], alpha)
        return len(data), float(np.square(back[..., :3] - pixels)[edge].mean())

    kept, concealed = coded(True), coded(False)
    assert concealed[0] < kept[0]
    # One colour under alpha 0 that is kept lies in a layer, and harms no edge.
    assert concealed[1] < (kept[1] if under == "noise" else 70)


@pytest.mark.parametrize("how", [{"lossless": True}, {"quality": 100}])
def test_without_loss_it_stays(how: dict[str, Any]) -> None:
    picture = np.dstack([RNG.integers(0, 256, (30, 30, 3), np.uint8), disc(30, 30)])
    assert np.array_equal(np.asarray(calotype.decode(calotype.encode(picture, **how))), picture)


def test_grey_stays_grey() -> None:
    pixels = RNG.integers(0, 256, (30, 30, 1), np.uint8).repeat(3, 2)
    picture = Picture(pixels, grey=True, alpha=disc(30, 30)).concealed()
    assert np.ptp(picture.pixels, axis=2).max() == 0


def icon(side: int) -> np.ndarray:
    """A ring on a disc with smooth edges, black under what is transparent: [side, side, 4]."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side - 0.5
    away = np.hypot(x, y)
    inside = np.clip((0.42 - away) * side, 0, 1)[:, :, None]
    ring = np.clip(2 - np.abs(away - 0.25) * side / 4, 0, 1)[:, :, None]
    colour = np.float64([30, 120, 210]) * (1 - ring) + np.float64([250, 240, 230]) * ring
    return np.rint(np.concatenate([colour * (inside > 0), 255 * inside], 2)).astype(np.uint8)


def blended(pixels: np.ndarray) -> np.ndarray:
    """On black and on white."""
    colour, alpha = pixels[:, :, :3].astype(float), pixels[:, :, 3:] / 255
    return np.stack([colour * alpha + ground * (1 - alpha) for ground in (0, 255)])


@pytest.mark.parametrize("side", every(3, [64, 24, 200]))
def test_icons_take_no_more_than_with_their_own_colours(side: int) -> None:
    """And no more than without loss, at any quality."""
    pixels = icon(side)
    exact = len(calotype.encode(pixels, 100))
    for quality in (40, 80, 95, 97, 99, 99.9):
        ours, kept = (calotype.encode(pixels, quality, keep_hidden_colour=keep) for keep in (False, True))
        assert max(len(ours), len(kept)) <= exact
        errors = [
            np.square(blended(np.asarray(calotype.decode(d))) - blended(pixels)).mean() for d in (ours, kept)
        ]
        assert len(ours) <= 1.02 * len(kept) or errors[0] < errors[1]


@pytest.mark.parametrize("shading", [False, True])
@pytest.mark.parametrize("quality", [60, 92])
def test_both_ways_are_tried(scene: Scene, quality: int, *, shading: bool) -> None:
    """Of a small picture the better way is taken, whether its neighbours are equal or softly shaded."""
    pixels = icon(96)
    if shading:
        pixels[..., :3] = np.clip(pixels[..., :3] * 0.7 + scene(96, 96) * 0.3, 0, 255).astype(np.uint8)
    given = Picture.from_array(pixels)
    picture, alpha = given.concealed(), pixels[..., 3]
    ways = picture.concealments()
    assert len(ways) == 2

    def cost(data: bytes) -> float:
        back = np.asarray(calotype.decode(data).convert("RGB"))
        return math.log(len(data)) - encoder.DECIBEL * likeness(given.pixels, alpha, back)

    tried = [cost(encoder.encode(way, quality=quality).data) for way in ways]
    assert cost(encoder.encode(picture, quality=quality).data) == min(tried)
