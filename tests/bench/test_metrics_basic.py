"""PSNR and MS-SSIM of `calotype.codec.metrics`. Agreement with pytorch-msssim: test_metrics_peers.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calotype.codec import metrics
from calotype.codec.metrics import filter_valid, gaussian_window, ms_ssim, psnr, to_db

RNG = np.random.default_rng(7)


def pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    a = RNG.integers(0, 256, shape, dtype=np.uint8)
    b = np.clip(a.astype(int) + RNG.integers(-20, 21, shape), 0, 255).astype(np.uint8)
    return a, b


@pytest.mark.parametrize("taps", [3, 5, 11, 17])
@pytest.mark.parametrize("shape", [(17, 17), (40, 19), (2, 65, 33)])
def test_filter_valid_is_a_correlation(taps: int, shape: tuple[int, ...]) -> None:
    maps, window = RNG.normal(size=shape), RNG.normal(size=taps)
    windows = np.lib.stride_tricks.sliding_window_view(maps, (taps, taps), axis=(-2, -1))
    np.testing.assert_allclose(filter_valid(maps, window), windows @ window @ window, atol=1e-12)


def test_gaussian_window() -> None:
    window = gaussian_window(11, 1.5)
    assert window.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(window, window[::-1])
    assert window[6] / window[5] == pytest.approx(math.exp(-1 / (2 * 1.5**2)))


def test_psnr_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(31, 41, 3)
    whole = psnr(a, b)
    assert whole == pytest.approx(10 * math.log10(255**2 / np.mean((a.astype(float) - b) ** 2)), abs=1e-12)
    monkeypatch.setattr(metrics, "_CHUNK", 100)
    assert psnr(a, b) == pytest.approx(whole, abs=1e-12)
    assert psnr(a, a) == math.inf


def test_ms_ssim_does_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(170, 181, 3)
    whole = ms_ssim(a, b)
    monkeypatch.setattr(metrics, "_STRIP", 7)
    monkeypatch.setattr(metrics, "_BLOCK", 5)
    assert ms_ssim(a, b) == pytest.approx(whole, abs=1e-12)


def test_ms_ssim_of_channels_grey_and_other_peaks() -> None:
    a, b = pair(165, 190, 3)
    channels = [ms_ssim(a[..., c], b[..., c]) for c in range(3)]
    assert ms_ssim(a, b) == pytest.approx(np.mean(channels), abs=1e-12)
    tenbit = ms_ssim(a[..., 0] * np.uint16(4), b[..., 0] * np.uint16(4), peak=1020.0)
    assert tenbit == pytest.approx(channels[0], abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (160, 500), (20, 161, 3)])
def test_small_pictures_are_extended_by_repetition(shape: tuple[int, ...]) -> None:
    a, b = pair(*shape)
    grow = [(0, 164 - n if n < 161 else 0) for n in shape[:2]] + [(0, 0)] * (len(shape) - 2)
    assert ms_ssim(a, b) == ms_ssim(np.pad(a, grow, mode="edge"), np.pad(b, grow, mode="edge"))


@pytest.mark.parametrize("function", [psnr, ms_ssim])
def test_shapes_must_agree(function) -> None:
    a, _ = pair(8, 9, 3)
    for b in (a[:7], a[..., 0], a[:0]):
        with pytest.raises(ValueError, match="two pictures of one shape"):
            function(a, b)
    with pytest.raises(ValueError, match="two pictures of one shape"):
        function(a[:0], a[:0])


def test_to_db() -> None:
    assert to_db(0.99) == pytest.approx(20.0)
    assert to_db(1.0) == math.inf
    assert math.copysign(1, to_db(0.0)) == 1.0
