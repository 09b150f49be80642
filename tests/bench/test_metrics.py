"""What every metric owes: a number for any pair of pictures, the right order, the stated scale."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from tests.conftest import every

from calotype.bench.metrics import BASIC, EYES, JPEG_AI, METRICS, measure
from calotype.bench.metrics._planes import luma601, luma709, to_multiple

RUNNABLE = [name for name, metric in METRICS.items() if metric.missing() is None]


def scene(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        128 + 60 * np.sin(x / (9 + c)) * np.cos(y / 13) + 40 * np.sin((x * y) / 900 + c) for c in range(3)
    ]
    return np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("name", every(3, RUNNABLE))
def test_a_better_picture_scores_better(name: str) -> None:
    metric, image = METRICS[name], scene(280, 300)
    scores = [metric.compute(image, jpeg(image, quality)) for quality in (4, 25, 92)]
    assert scores == sorted(scores, reverse=metric.direction == "lower")
    assert len(set(scores)) == 3


@pytest.mark.parametrize("name", RUNNABLE)
def test_equal_pictures(name: str) -> None:
    image = scene(200, 170)
    value = METRICS[name].compute(image, image.copy())
    if METRICS[name].unit == "dB":
        assert value == math.inf
    elif name == "vmaf":
        assert value == pytest.approx(97.43, abs=0.1)  # no motion in a still picture
    else:
        ends = {"nlpd": 0.0, "butteraugli": 0.0, "cvvdp": 10.0, "ssimulacra2": 100.0}
        assert value == pytest.approx(ends.get(name, 1.0), abs=1e-9)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 5), (33, 170), (160, 163)])
def test_small_pictures_give_a_number(name: str, shape: tuple[int, int]) -> None:
    image = scene(*shape)
    value = METRICS[name].compute(image, 255 - image)
    assert isinstance(value, float)
    assert math.isfinite(value)


FLAT = np.full((170, 180, 3), 128, np.uint8)
STRIPES = np.where(np.arange(180)[None, :, None] % 2, 255, 0).astype(np.uint8) * np.ones(
    (170, 1, 3), np.uint8
)


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n != "vmaf"])
@pytest.mark.parametrize(("reference", "decoded"), [(FLAT, STRIPES), (STRIPES, FLAT), (FLAT, FLAT // 2)])
@pytest.mark.filterwarnings("error")
def test_flat_pictures_do_not_divide_by_zero(name: str, reference: np.ndarray, decoded: np.ndarray) -> None:
    assert math.isfinite(METRICS[name].compute(reference, decoded))


def test_psnr_follows_its_formula() -> None:
    a = scene(50, 60)
    b = a.copy()
    b[10:20, 5:45, 1] ^= 4  # the bit adds or takes 4
    error = 10 * 40 * 16 / a.size
    assert METRICS["psnr_rgb"].compute(a, b) == pytest.approx(10 * math.log10(255**2 / error), abs=1e-12)
    luma_error = 10 * 40 * (0.587 * 4) ** 2 / (50 * 60)
    assert METRICS["psnr_y"].compute(a, b) == pytest.approx(10 * math.log10(255**2 / luma_error), abs=1e-9)


def test_planes() -> None:
    red, white = (np.array([[c]], np.uint8) for c in ([255, 0, 0], [255, 255, 255]))
    assert luma601(red)[0, 0] == pytest.approx(76.245)
    assert luma709(white)[0, 0] == 1.0
    assert luma709(red)[0, 0] == round(0.2126 * 1023) / 1023
    grid = luma709(scene(9, 9)) * 1023
    np.testing.assert_allclose(grid, np.round(grid), atol=1e-9)
    np.testing.assert_array_equal(to_multiple(np.array([[1.0, 2.0]]), 2), [[1, 2], [1, 2]])


def test_measure_gives_what_single_metrics_give() -> None:
    a = scene(180, 190)
    b = jpeg(a, 30)
    names = (*BASIC, "ms_ssim_db", "psnr_hvs")
    values = measure(a, b, names)
    assert list(values) == list(names)
    for name in names:
        assert values[name] == METRICS[name].compute(a, b)
    assert measure(a, b, ("ms_ssim_db",)) == {"ms_ssim_db": values["ms_ssim_db"]}


def test_measure_refuses_what_it_cannot_compare() -> None:
    a = scene(20, 20)
    with pytest.raises(ValueError, match="the decoded picture"):
        measure(a, a[:10])
    with pytest.raises(ValueError, match="8-bit RGB"):
        measure(a, a.astype(np.float32))
    with pytest.raises(ValueError, match="unknown metric 'lpips'"):
        measure(a, a, ("lpips",))


def test_registry() -> None:
    assert set(BASIC) | set(JPEG_AI) | set(EYES) <= set(METRICS)
    assert [m.name for m in METRICS.values()] == list(METRICS)
    assert [n for n, m in METRICS.items() if m.direction == "lower"] == ["nlpd", "butteraugli"]
    assert all(m.source and m.plane and m.label for m in METRICS.values())
    assert METRICS["ms_ssim"].for_bd(0.99) == pytest.approx(20.0)
    assert METRICS["nlpd"].for_bd(0.2) == -0.2
    assert METRICS["psnr_rgb"].for_bd(31.0) == 31.0
