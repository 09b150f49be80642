"""Errors of busy places are worth less with packs for eyes, and those of thin borders more with all."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.cli import demo
from calotype.codec import masking
from calotype.codec.pack import Pack


def test_a_busier_place_is_in_a_higher_zone(pack: Pack) -> None:
    step = np.ones((16, 1), np.float32)
    y = np.zeros((32, 24, 16), np.float32)
    y[16:, 12:] = 8.0
    y[:16] = 1e4  # the coarse picture does not count
    zone = masking.zones(y, step)
    assert zone.shape == (24, 16)
    assert zone.dtype == np.uint8
    assert np.all(np.diff(zone[:, 0].astype(int)) >= 0), "from smooth to busy"
    assert zone.min() == 0
    assert zone[-1, 0] > masking.ZONES // 2


def test_any_latents_have_a_zone() -> None:
    for value in (0.0, 1e-30, 1e18):
        zone = masking.zones(np.full((17, 1, 1), value, np.float32), np.ones((1, 1), np.float32))
        assert zone.shape == (1, 1)
        assert zone[0, 0] < masking.ZONES


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
@pytest.mark.parametrize("turned", [False, True])
def test_thin_borders_are_as_good_as_the_rest(
    tune: Literal["eyes", "psnr"], turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Image.open(demo.PHOTO) as image:
        photo = np.asarray(image)[100:300, 100:299]  # three columns beyond a multiple of 16
    pixels = np.ascontiguousarray(photo.swapaxes(0, 1) if turned else photo)

    def last() -> float:
        decoded = np.asarray(calotype.decode(calotype.encode(pixels, 60, tune=tune)))
        error = np.square(pixels - decoded.astype(float))
        return float((error[-3:] if turned else error[:, -3:]).mean())

    with_care = last()
    monkeypatch.setattr(masking, "THIN", 0)
    assert with_care < 0.95 * last()


def test_a_zone_that_there_is_not_is_refused(pack: Pack) -> None:
    from calotype.coder import Wish

    level = pack.level(0)
    y = np.zeros((len(pack.unit), 8, 8), np.float32)
    z = np.zeros((pack.manifest.hyper_latents, 4, 4), np.int32)
    wish = Wish(pack.unit, level.gains["low_gain"], level.gains["high_gain"], pack.half_step)
    for zone, reason in (
        (np.full((8, 8), masking.ZONES, np.uint8), "no such zone"),
        (np.zeros((8, 7), np.uint8), "zone"),
    ):
        with pytest.raises(ValueError, match=reason):
            pack.coder.choose(level.parser, pack.decoder, level.steps, wish, y, z, zone)


def test_a_busy_part_gets_fewer_bits(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(3).normal(128, 40, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    bold = calotype.encode(noise, quality=50)
    monkeypatch.setattr(masking, "zones", lambda y, step: np.full(y.shape[1:], 5, np.uint8))
    plain = calotype.encode(noise, quality=50)
    assert len(bold) < len(plain)
