"""Targets: met, or refused with what can be reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.conftest import every

from calotype.codec import metrics, rate
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.errors import LimitError

PHOTO = Path(__file__).parents[2] / "src/calotype/cli/photos/lake-sherburne.jpg"

HIGHEST = 1792
PHOTO = Path(__file__).parents[2] / "src" / "calotype" / "cli" / "photos" / "lake-sherburne.jpg"


@given(st.floats(500, 1e7), st.floats(4, 40), st.floats(0.9, 2), st.floats(0, 1), st.integers(0, 2**32))
def test_size_is_found(smallest: float, ratio: float, bend: float, where: float, seed: int) -> None:
    """Any curve that rises with the level, with a little noise on each step."""
    jitter = np.random.default_rng(seed).uniform(0, 0.002, HIGHEST + 1)

    def size(level: int) -> float:
        return round(smallest * ratio ** ((level / HIGHEST) ** bend) * (1 + jitter[level]))

    aim = size(0) * (size(HIGHEST) / size(0)) ** where
    calls = []
    level = rate.search(lambda n: calls.append(n) or size(n), Target("size", aim), HIGHEST)  # type: ignore[func-returns-value]
    assert 0.99 * aim <= size(level) <= aim
    assert len(calls) == len(set(calls)) <= 24


def test_few_measurements_are_needed() -> None:
    for aim in np.geomspace(1100, 19000, 40):
        calls = []

        def size(level: int, calls: list[int] = calls) -> float:
            calls.append(level)
            return round(1000 * 20 ** ((level / HIGHEST) ** 0.9))

        rate.search(size, Target("size", float(aim)), HIGHEST)
        assert len(calls) <= 6


@given(st.floats(24, 44))
def test_psnr_is_found(aim: float) -> None:
    def psnr(level: int) -> float:
        return 22 + 24 * (level / HIGHEST) ** 0.8

    level = rate.search(psnr, Target("psnr", aim), HIGHEST)
    assert abs(psnr(level) - aim) <= 0.01 * aim


def test_out_of_reach_says_what_is() -> None:
    def size(level: int) -> float:
        return 1000 + level

    with pytest.raises(LimitError, match="lowest quality already has 1000 bytes"):
        rate.search(size, Target("size", 999), HIGHEST)
    with pytest.raises(LimitError, match="highest quality has 2792 bytes"):
        rate.search(size, Target("size", 2900), HIGHEST)


def test_steps_too_coarse() -> None:
    """A likeness that is not met closely is refused with the nearest; a size is a limit, met from below."""

    def figure(level: int) -> float:
        return 30 + level / 1e4 if level < 900 else 40

    with pytest.raises(LimitError, match=r"nearest below is 30\.0899 dB"):
        rate.search(figure, Target("psnr", 35), HIGHEST)
    assert rate.search(figure, Target("size", 35), HIGHEST) == 899
    assert 895 <= rate.search(figure, Target("size", 35), HIGHEST, steep=True) <= 899


def test_the_last_level_counts() -> None:
    assert rate.search(lambda n: 1000 + n, Target("size", 1000), HIGHEST) <= 5
    assert rate.search(lambda n: 1000.0 + n, Target("size", 1000 + HIGHEST), HIGHEST) >= HIGHEST - 28


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("size", 0),
        ("size", -3),
        ("bpp", math.nan),
        ("psnr", math.inf),
        ("ms_ssim", 1.0),
        ("ms_ssim", 1.5),
        ("ssimulacra2", 100),
        ("ssimulacra2", -5),
    ],
)
def test_impossible_targets(kind: rate.Kind, value: float) -> None:
    with pytest.raises(ValueError, match="target"):
        Target(kind, value)


@pytest.fixture(scope="module")
def picture(scene: Callable[..., np.ndarray]) -> Picture:
    return Picture(scene(170, 230))


@pytest.fixture(scope="module")
def ends(pack: Pack, picture: Picture) -> list[bytes]:
    """The files of the lowest quality and of the highest one of levels alone."""
    return [encode(picture, quality=q, pack=pack).data for q in (0, 95)]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", ["size", "bpp"])
def test_real_files_meet_a_size(
    pack: Pack, picture: Picture, ends: list[bytes], kind: rate.Kind, share: float
) -> None:
    least, most = map(len, ends)
    aim = round(least * (most / least) ** share)
    pixels = picture.width * picture.height
    target = Target(kind, aim if kind == "size" else 8 * aim / pixels)
    encoded = encode(picture, target=target, pack=pack)
    assert 0.99 * aim <= len(encoded.data) <= aim
    assert encoded.reached == pytest.approx(
        len(encoded.data) if kind == "size" else 8 * len(encoded.data) / pixels
    )


@pytest.mark.parametrize("kind", ["psnr", "ms_ssim", "ssimulacra2"])
@pytest.mark.parametrize("share", every(2, [0.8, 0.1]))
def test_real_files_meet_a_likeness(
    pack: Pack, picture: Picture, ends: list[bytes], kind: rate.Kind, share: float
) -> None:
    def likeness(data: bytes) -> float:
        decoded = decode(data, pack=pack).picture.pixels
        measures = {"psnr": metrics.psnr, "ms_ssim": metrics.ms_ssim, "ssimulacra2": ssimulacra2}
        return measures[kind](picture.pixels, decoded)

    def scale(value: float) -> float:
        return metrics.to_db(value) if kind == "ms_ssim" else value

    low, high = (scale(likeness(data)) for data in ends)
    low = max(low, 0.0)  # SSIMULACRA2 of the lowest quality is below
    aim = low + share * (high - low)
    value = 1 - 10 ** (-aim / 10) if kind == "ms_ssim" else aim
    encoded = encode(picture, target=Target(kind, value), pack=pack)
    # The figure is that of the file as it is decoded, not an estimate.
    assert likeness(encoded.data) == pytest.approx(encoded.reached, rel=1e-6)
    tolerance = 0.5 if kind == "ssimulacra2" else 0.01 * aim
    assert abs(scale(likeness(encoded.data)) - aim) <= tolerance


@pytest.mark.parametrize("channels", ["grey", "alpha"])
def test_odd_pictures_meet_a_score(pack: Pack, channels: str) -> None:
    """Smaller than SSIMULACRA2's scales reach, without colour, partly transparent."""
    with Image.open(PHOTO) as image:
        pixels = np.asarray(image.convert("RGB").crop((400, 300, 490, 370)))
    alpha = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (70, 1))
    picture = Picture.from_array(pixels[..., 1] if channels == "grey" else np.dstack([pixels, alpha]))

    def score(data: bytes) -> float:
        decoded = decode(data, pack=pack).picture
        assert decoded.grey == (channels == "grey")
        assert (decoded.alpha is None) == (channels == "grey")
        return ssimulacra2(picture.pixels, decoded.pixels)

    aim = score(encode(picture, quality=50, pack=pack).data)
    encoded = encode(picture, target=Target("ssimulacra2", aim), pack=pack)
    assert score(encoded.data) == pytest.approx(encoded.reached, abs=1e-6)
    assert score(encoded.data) == pytest.approx(aim, abs=0.5)


@pytest.mark.parametrize("sides", [(1, 1), (7, 5), (16, 16), (30, 50)])
@pytest.mark.parametrize("aim", [10, 50, 80])
def test_small_pictures_meet_a_score_or_say_that_they_do_not(sides: tuple[int, int], aim: float) -> None:
    with Image.open(PHOTO) as image:
        pixels = np.asarray(image.convert("RGB"))[300 : 300 + sides[0], 500 : 500 + sides[1]]
    target = Target("ssimulacra2", aim)
    found = encode(Picture.from_array(pixels), target=target)
    assert found.reached is not None
    assert found.reached >= aim - 0.5
    told = f"and not {aim} SSIMULACRA2" in (found.note or "")
    assert told == (found.reached > aim + 0.5 and found.quality < 100)


def test_a_note_says_how_far_a_likeness_is_beyond_a_target() -> None:
    assert Target("psnr", 40).note(40.3) is Target("psnr", 40).note(39) is None
    assert Target("size", 40).note(80) is None
    note = Target("ssimulacra2", 50).note(72.984)
    assert note == "the file has 72.984 SSIMULACRA2, and not 50 SSIMULACRA2: this picture comes in jumps"


def test_a_target_out_of_reach_is_refused(pack: Pack, picture: Picture) -> None:
    with pytest.raises(LimitError, match="cannot reach 60 bytes: the lowest quality"):
        encode(picture, target=Target("size", 60), pack=pack)
    with pytest.raises(ValueError, match="not both"):
        encode(picture, quality=3, target=Target("size", 60), pack=pack)


@pytest.mark.parametrize("kind", every(2, ["size", "bpp", "psnr", "ms_ssim", "ssimulacra2"]))
def test_no_loss_is_the_end_of_what_targets_reach(pack: Pack, picture: Picture, kind: rate.Kind) -> None:
    whole = len(encode(picture, lossless=True).data)
    bpp = 8 * whole / (picture.width * picture.height)
    value, reached = {
        "size": (1e6, whole),
        "bpp": (bpp, bpp),
        "psnr": (99, math.inf),
        "ms_ssim": (1 - 1e-9, 1.0),
        "ssimulacra2": (99.9, 100.0),
    }[kind]
    coded = encode(picture, target=Target(kind, value), pack=pack)
    assert coded.reached == reached
    assert len(coded.data) <= whole
    assert np.array_equal(decode(coded.data, pack=pack).picture.pixels, picture.pixels)
    if kind in ("size", "bpp"):
        assert (coded.quality, len(coded.data)) == (100, whole)


def test_targets_between_the_levels_and_no_loss(pack: Pack, picture: Picture) -> None:
    top, some, whole = (encode(picture, quality=quality, pack=pack).data for quality in (95, 98, 100))
    for data in (top, some):
        size = len(data) + 1
        coded = encode(picture, target=Target("size", size), pack=pack)
        assert (1 if data is top else 0.97) * len(data) <= len(coded.data) <= size < len(whole)
        assert coded.reached == len(coded.data)
        assert (coded.quality == 95) if data is top else (95 < coded.quality < 100)
    wanted = metrics.psnr(picture.pixels, decode(some, pack=pack).picture.pixels)
    coded = encode(picture, target=Target("psnr", wanted), pack=pack)
    likeness = metrics.psnr(picture.pixels, decode(coded.data, pack=pack).picture.pixels)
    assert coded.reached == pytest.approx(likeness)
    assert 0.99 * wanted <= likeness
    assert 95 < coded.quality < 100
    assert len(coded.data) < len(whole)


def test_a_drawing_gets_what_fits(pack: Pack) -> None:
    """Tiles of drawings are exact at any level, and sizes then jump: the file without loss is the best."""
    page = np.full((200, 300, 3), 255, np.uint8)
    page[20:180:8, 20:280] = 0
    picture = Picture(page)
    coded = encode(picture, target=Target("size", 100_000), pack=pack)
    assert coded.data == encode(picture, lossless=True).data
