"""Windows that are coded and looked at before the level is settled: which, how they look, what follows."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.bitstream import Box, Header
from calotype.codec import aim, glance, library, visual
from calotype.codec.analysis import Analysis
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.levels import Ladder
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.coder.native import load
from calotype.ssimulacra2 import ABSORBANCE, BIAS, OFFSETS, SCALES, B, C, Y

PHOTO = Path(__file__).parents[2] / "src/calotype/cli/photos/lake-sherburne.jpg"
TERMS = [
    *((0, Y, 1), (0, Y, 5), (1, Y, 1), (2, Y, 0), (2, Y, 1), (3, Y, 0), (3, B, 1), (4, B, 0), (4, B, 3)),
]
"""Scale, channel and field of `Weights` of what is looked at."""


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    """540 x 520 pixels: four windows by four, and borders."""
    with Image.open(PHOTO) as image:
        return np.asarray(image.convert("RGB"))[100:620, 400:940]


def _analysis(pixels: NDArray[np.uint8], pack: Pack, tile: int = 1024, threads: int = 1) -> Analysis:
    header = Header(pixels.shape[1], pixels.shape[0], 0, pack.key, tile)
    return Analysis(pixels, header, pack, (threads, 1), ThreadPoolExecutor(threads))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    window = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window /= window.sum()
    found = values
    for axis in (0, 1):
        padded = np.pad(found, [(5, 5) if a == axis else (0, 0) for a in (0, 1)], mode="symmetric")
        found = np.apply_along_axis(np.convolve, axis, padded, window, "valid")
    return found


def _channel(linear: NDArray[np.float64], which: int) -> NDArray[np.float64]:
    long, medium, short = (np.cbrt(linear @ row + BIAS) - BIAS ** (1 / 3) for row in np.array(ABSORBANCE))
    light = (long + medium) / 2
    return {Y: light, B: short - light}[which] + OFFSETS[which]


def _terms(original: NDArray[np.uint8], shown: NDArray[np.uint8]) -> list[float]:
    """By the definition, in double precision, with mirrored borders."""
    codes = np.stack([original, shown]) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    found = []
    for scale, channel, field in TERMS:
        n = 128 >> scale
        parts = linear.reshape(2, n, 1 << scale, n, 1 << scale, 3).mean(axis=(2, 4))
        p, q = (_channel(part, channel) for part in parts)
        first, second = _blurred(p), _blurred(q)
        covariance = _blurred(p * q) - first * second
        spread = _blurred(p * p + q * q) - first**2 - second**2
        if field < 2:
            values = 1 - (1 - (first - second) ** 2) * (2 * covariance + C) / (spread + C)
        else:
            values = (1 + abs(q - second)) / (1 + abs(p - first)) - 1
            values *= 1 if field < 4 else -1
        found.append(float((np.maximum(values, 0) ** (4 if field % 2 else 1)).mean()))
    return found


def _measured(original: NDArray[np.uint8], shown: NDArray[np.uint8], grey: bool = False) -> Any:
    terms = np.empty(load().GLANCE_TERMS)
    load().glance_measure(np.ascontiguousarray(original), np.ascontiguousarray(shown), grey, terms)
    return terms


def _worse(pixels: NDArray[np.uint8], by: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, by, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def test_terms_follow_from_the_definition(photo: NDArray[np.uint8]) -> None:
    window = photo[100:228, 50:178]
    for shown in (_worse(window, 5), _worse(window, 25)):
        np.testing.assert_allclose(_measured(window, shown), _terms(window, shown), rtol=0.01, atol=1e-12)


def test_the_score_is_the_weighted_sum(photo: NDArray[np.uint8]) -> None:
    window = photo[:128, :128]
    windows = [_measured(window, _worse(window, by)) for by in (3, 9)]
    assert load().glance_score(np.zeros((2, 9))) == 100
    scores = [load().glance_score(np.stack(some)) for some in (windows[:1], windows, windows[1:])]
    assert 90 > scores[0] > scores[1] > scores[2]
    total = 0.0
    for (scale, channel, field), mean in zip(TERMS, np.mean(windows, 0)):
        total += SCALES[scale][channel][field] * mean ** (0.25 if field % 2 else 1)
    from calotype.codec.ssimulacra2 import score

    assert scores[1] == pytest.approx(score(total / 0.9), abs=0.01)


def test_of_grey_pictures_the_mean_of_the_colours_is_shown(photo: NDArray[np.uint8]) -> None:
    window = np.repeat(photo[:128, :128, :1], 3, axis=2)
    shown = _worse(window, 6)
    mean = ((shown.sum(2, dtype=int) + 1) // 3).astype(np.uint8)
    expected = _measured(window, np.repeat(mean[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(_measured(window, shown, grey=True), expected)


def test_arrays_of_other_shapes_are_refused() -> None:
    good, small = np.zeros((128, 128, 3), np.uint8), np.zeros((64, 128, 3), np.uint8)
    for arrays in ((small, good, np.empty(9)), (good, small, np.empty(9)), (good, good, np.empty(8))):
        original, shown, out = arrays
        with pytest.raises(ValueError, match="shape"):
            load().glance_measure(original, shown, False, out)
    with pytest.raises(ValueError, match="no windows"):
        load().glance_score(np.empty((0, 9)))
    with pytest.raises(ValueError, match="as many"):
        load().glance_gain(0, 4, 50, 50, [20, 80], [0], [1])
    with pytest.raises(ValueError, match="one of them"):
        load().glance_gain(2, 4, 50, 50, [20, 80], [0, 0], [1, 1])
    with pytest.raises(ValueError, match="too few"):
        load().glance_choose(np.zeros((5, 9)), np.zeros(9), 8)


def _sums(share: float, brightness: float) -> NDArray[np.float64]:
    """Of a window of 64 places at which the same share is lost at all levels."""
    found = np.ones(8 + 3 + 3 + 368 + 1)
    found[:8], found[8:11], found[11] = 64 * share, 64 * share**4, 64 * brightness
    found[-1] = 64
    return found


@pytest.mark.parametrize(("windows", "chosen"), [(0, 0), (7, 0), (8, 1), (23, 2), (24, 3), (48, 6), (160, 6)])
def test_how_many_windows_are_looked_at(windows: int, chosen: int) -> None:
    given = [_sums(0.1 + k / 1000, 0) for k in range(windows)]
    found = glance.choose(given, visual.total(given or [_sums(0.1, 0)]), 8)
    assert len(found) == len(set(found)) == chosen


def test_those_are_chosen_that_together_are_most_like_the_picture() -> None:
    given = [_sums(share, light) for share in (0.01, 0.1, 0.3) for light in (-8, 0, 4, 20)]
    whole = visual.total(_sums(share, light) for share, light in ((0.1, 0), (0.1, 4)))
    assert sorted(glance.choose(given + given[:4], whole, 8)) == [5, 6]
    assert glance.choose([given[0]] * 9, whole, 8) == [0]  # the first of equals


def test_what_windows_gain_is_taken_in_part() -> None:
    scores, bias, share = [20.0, 60.0, 80.0], [-2.0, -1.0, 0.0], [1.0, 0.5, 0.25]

    def gain(score: int, found: float, foretold: float = 60, windows: int = 10**9) -> float:
        return float(load().glance_gain(score, windows, found, foretold, scores, bias, share))

    assert gain(1, 59) == pytest.approx(0)
    assert gain(1, 63) == pytest.approx(2)
    assert gain(1, 63, windows=3) == pytest.approx(2 * 3 / 4)
    assert gain(2, 56) == pytest.approx(-1)
    assert gain(1, 99) == pytest.approx(4)  # no farther miss is believed
    assert gain(0, -500) == pytest.approx(-7.5)  # so that qualities above 80 still rise
    wild = [1e6] * 3
    assert abs(load().glance_gain(1, 4, 70, 60, scores, [0.0] * 3, wild)) <= 7.5


def test_the_ladder_moves_but_for_its_ends(pack: Pack) -> None:
    known = pack.manifest.visual
    assert known is not None
    flat = Ladder(((0.0, 0.0), *((s, 10 * s) for s in known.scores), (95.0, 1792.0)))
    for found in (-400, 40, 60, 80, 100):
        ladder = glance.moved(flat, glance.gain(known, known.scores.index(60), 4, found, 60))
        assert (ladder.points[0], ladder.points[-1]) == (flat.points[0], flat.points[-1])
        assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(ladder.points))
    better, worse = (
        glance.moved(flat, glance.gain(known, known.scores.index(60), 4, found, 60)).level_of(60)
        for found in (70, 50)
    )
    assert better < 600 < worse


def test_the_level_moves_with_what_windows_look_like(
    pack: Pack, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = _analysis(photo, pack)
    windows, _ = aim.looked(analysis)
    assert len(windows) == 2
    plain = aim.ladder(analysis).level_of(60)
    asked: list[int] = []

    def level(found: float) -> int:
        monkeypatch.setattr(glance, "score", lambda _, windows, at: asked.append(at) or found)
        return aim.ladder(analysis, 60).level_of(60)

    assert level(30) > plain > level(80)
    assert asked == [plain] * 2  # at the level foretold


def test_scores_of_windows_follow_the_level(pack: Pack, photo: NDArray[np.uint8]) -> None:
    analysis = _analysis(photo, pack)
    windows, whole = aim.looked(analysis)
    for window in windows:
        assert window.box.width == window.box.height == 8
        assert 16 * window.box.right <= 540
        assert 16 * window.box.bottom <= 520
    scores = [glance.score(analysis, windows, level) for level in (200, 600, 1000, 1400, 1792)]
    assert scores == sorted(scores)
    assert scores[0] < 60 < scores[-1] < 95
    forecast = aim.forecast(pack, whole)
    assert abs(glance.score(analysis, windows, forecast.level_of(60)) - 60) < 15


@pytest.mark.parametrize("quality", [30, 60, 70])
def test_tiles_and_threads_do_not_change_the_level(
    pack: Pack, photo: NDArray[np.uint8], quality: float
) -> None:
    whole = aim.ladder(_analysis(photo, pack), quality).level_of(quality)
    for tile, threads in ((64, 1), (128, 2), (256, 3)):
        other = aim.ladder(_analysis(photo, pack, tile, threads), quality).level_of(quality)
        assert abs(other - whole) <= 2


def test_qualities_rise(pack: Pack, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    """However windows look at the levels of the scores: what they gain lies between two scores', or fades."""
    analysis = _analysis(photo, pack)
    known, plain = pack.manifest.visual, aim.ladder(analysis)
    assert known is not None
    qualities = [0, 5, *np.arange(15, 95, 0.5).tolist(), 95]
    random, cache = np.random.default_rng(5), {}
    real = glance.score

    def once(analysis: Analysis, windows: Any, level: int) -> float:
        if level not in cache:
            cache[level] = real(analysis, windows, level)
        return cache[level]

    monkeypatch.setattr(glance, "score", once)
    for _ in range(6):
        levels = [aim.ladder(analysis, q).level_of(q) for q in qualities]
        assert levels == sorted(levels)
        assert (levels[0], levels[-1]) == (0, pack.manifest.max_level)
        assert set(cache) == {plain.level_of(score) for score in known.scores if score <= 60}
        cache = {level: float(random.uniform(0, 100)) for level in cache}


def test_a_file_that_meets_a_target_has_the_quality_that_gives_it(
    pack: Pack, photo: NDArray[np.uint8]
) -> None:
    picture = Picture(photo)
    for target in (Target("size", 30_000), *(Target("ssimulacra2", score) for score in (55, 72, 82))):
        met = encode(picture, target=target, pack=pack)
        assert encode(picture, quality=met.quality, pack=pack).data == met.data
    analysis = _analysis(photo, pack)
    top = pack.manifest.max_level
    assert (aim.quality_of(analysis, 0), aim.quality_of(analysis, top)) == (0, visual.TOP)
    assert abs(aim.quality_of(analysis, 900) - aim.ladder(analysis).quality_of(900)) > 0.1  # a glance counts


def test_at_a_score_windows_are_looked_at_once_and_above_60_they_count_less() -> None:
    asked: list[int] = []
    scores = [20, 60, 70, 80]

    def gain(score: int) -> float:
        asked.append(score)
        return scores[score] / 10

    for quality, gained, at in ((60, 6, [1]), (50, 5, [1, 0]), (7, 2, [0]), (65, 4.5, [1]), (75, 1.5, [1])):
        assert glance.between(quality, scores, gain) == pytest.approx(gained)
        assert asked == at
        asked.clear()


def test_without_a_quality_below_80_nothing_is_looked_at(
    pack: Pack, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> float:
        raise AssertionError("looked")

    monkeypatch.setattr(glance, "score", fail)
    picture = Picture.from_array(photo)
    encode(picture, level=600, threads=1)
    encode(picture, quality=0, threads=1)
    encode(picture, quality=80, threads=1)
    encode(picture, threads=1)
    encode(picture, quality=95, threads=1)
    encode(picture, quality=60, pack=library.load(library.tuned("psnr")), threads=1)
    encode(Picture.from_array(photo[:250, :500]), quality=60, threads=1)  # three windows
    with pytest.raises(AssertionError, match="looked"):
        encode(picture, quality=60, threads=1)


def test_of_large_pictures_windows_of_pieces_are_looked_at(
    pack: Pack, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aim, "MOST", 1000)
    monkeypatch.setattr(aim, "PIECES", 2)
    monkeypatch.setattr(aim, "SIDE", 16)
    windows, _ = aim.looked(_analysis(photo, pack))
    assert len(windows) == 2  # of four in each of four pieces
    analysis = _analysis(photo, pack)
    for window in windows:
        assert window.y.shape == (1, pack.manifest.latents, 8, 8)
        whole = analysis.piece(Box(0, 0, 34, 33))
        box = window.box
        np.testing.assert_allclose(
            window.y, whole[:, :, box.top : box.bottom, box.left : box.right], rtol=0, atol=1e-3
        )
