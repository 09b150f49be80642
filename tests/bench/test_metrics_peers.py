"""Our metrics against independent implementations.

The pictures are made by formulas; ``tests/data/metric_peers.json`` holds what other programs say of them.
To measure anew, run this file as a script where torch, pytorch-msssim 1.0.0, piq 0.8.0, IQA-pytorch 0.1 and
psnr-hvsm 0.3.0 are installed (some of them need torchvision): ``python tests/bench/test_metrics_peers.py``.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import every

from calotype.bench.metrics import METRICS
from calotype.bench.metrics._planes import luma709, rgb10, to_multiple

DATA = Path(__file__).parents[1] / "data" / "metric_peers.json"
SIZES = {"even": (288, 320), "odd": (259, 301), "large": (400, 421)}  # the last is shrunk by 2 in FSIM
DISTORTIONS = ("blocks", "steps", "noise", "blur")

# Largest difference that the definition leaves open, absolute: 32-bit windows in the peer (MS-SSIM), weights
# that piq divides by their sum 1.0001 (IW-SSIM), how the median is taken (FSIM).
TOLERANCE = {
    "ms_ssim": 2e-6,
    "ms_ssim_y": 2e-6,
    "fsim": 2e-5,
    "nlpd": 1e-6,
    "iw_ssim": 4e-5,
    "vif": 1e-7,
    "psnr_hvs": 1e-5,
    "psnr_hvs_m": 1e-5,
}


@functools.cache
def picture(height: int, width: int) -> np.ndarray:
    """Shading, discs with hard edges, waves of several scales and a little grain: 8-bit RGB."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(3):
        p = (
            110.0
            + 50.0 * np.sin(x / (61.0 + 9 * c)) * np.cos(y / 47.0)
            + 18.0 * np.sin((x + 2 * y) / (3.1 + c))
        )
        for k in range(14):
            cy, cx, r = (k * 97 + 31) % height, (k * 151 + 17) % width, 12 + (k * 29) % 40
            inside = (y - cy) ** 2 + (x - cx) ** 2 < r * r
            p = np.where(inside, 40.0 + (k * 53 + c * 71) % 170 + 8.0 * np.sin(x * (0.2 + 0.1 * k)), p)
        planes.append(p + grain(height, width, c, 9))
    return np.clip(np.round(np.stack(planes, axis=2)), 0, 255).astype(np.uint8)


def grain(height: int, width: int, seed: int, spread: int) -> np.ndarray:
    """Hashed noise from ``-spread`` to ``spread``."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    h = (x * np.uint64(73856093)) ^ (y * np.uint64(19349663)) ^ np.uint64((seed + 1) * 83492791)
    h = (h ^ (h >> np.uint64(13))) * np.uint64(0x5BD1E995) & np.uint64(0xFFFFFFFF)
    return (h >> np.uint64(16)).astype(np.int64) % (2 * spread + 1) - spread


@functools.cache
def distorted(size: tuple[int, int], kind: str) -> np.ndarray:
    image, (height, width) = picture(*size), size
    wide = image.astype(np.int64)
    if kind == "steps":
        out = wide // 24 * 24 + 12
    elif kind == "noise":
        out = wide + np.stack([grain(height, width, 7 + c, 14) for c in range(3)], axis=2)
    elif kind == "blur":
        padded = np.pad(wide, ((2, 2), (2, 2), (0, 0)), mode="edge")
        out = sum(padded[i : i + height, j : j + width] for i in range(5) for j in range(5)) // 25
    else:  # every block of 8x8 halfway to its mean
        padded = np.pad(wide, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
        blocks = padded.reshape(padded.shape[0] // 8, 8, -1, 8, 3)
        flat = (blocks + blocks.mean(axis=(1, 3), keepdims=True).astype(np.int64)) // 2
        out = flat.reshape(padded.shape)[:height, :width]
    return np.clip(out, 0, 255).astype(np.uint8)


def stored() -> list[tuple[str, str, str, float]]:
    """(metric, size, distortion, value of the peer)"""
    cases = json.loads(DATA.read_text("utf-8"))["values"] if DATA.exists() else {}
    return [(m, *key.split("/"), value) for key, values in cases.items() for m, value in values.items()]


@pytest.mark.parametrize(("metric", "size", "kind", "expected"), every(3, stored()))
def test_agrees_with_an_independent_implementation(
    metric: str, size: str, kind: str, expected: float
) -> None:
    shape = SIZES[size]
    value = METRICS[metric].compute(picture(*shape), distorted(shape, kind))
    assert value == pytest.approx(expected, abs=TOLERANCE[metric])


def test_every_metric_of_ours_has_a_peer() -> None:
    # PSNR follows from its formula (test_metrics.py); SSIMULACRA2 has a test of its own; the others are what
    # a program or package says itself.
    elsewhere = {"psnr_rgb", "psnr_y", "ms_ssim_db", "ssimulacra2", "vmaf", "cvvdp", "butteraugli"}
    assert {case[0] for case in stored()} == set(METRICS) - elsewhere


def _measure_peers() -> None:
    import IQA_pytorch
    import piq
    import psnr_hvsm
    import pytorch_msssim
    import torch

    def plane(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(luma709(image))[None, None]

    def rgb(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, 2, 0)))[None]

    nlpd = IQA_pytorch.NLPD(channels=1).double()
    values = {}
    for name, size in SIZES.items():
        a = picture(*size)
        for kind in DISTORTIONS:
            b = distorted(size, kind)
            ya, yb = plane(a), plane(b)
            hvs, hvs_m = psnr_hvsm.psnr_hvs_hvsm(to_multiple(luma709(a), 8), to_multiple(luma709(b), 8))
            values[f"{name}/{kind}"] = {
                "ms_ssim": pytorch_msssim.ms_ssim(rgb(a).double(), rgb(b).double(), data_range=255).item(),
                "ms_ssim_y": pytorch_msssim.ms_ssim(ya * 1023, yb * 1023, data_range=1023).item(),
                "fsim": piq.fsim(rgb(rgb10(b)), rgb(rgb10(a)), data_range=1.0).item(),
                "nlpd": nlpd(yb, ya, as_loss=False).item(),
                "iw_ssim": piq.information_weighted_ssim(yb, ya, data_range=1.0).item(),
                "vif": piq.vif_p(yb, ya, data_range=1.0).item(),
                "psnr_hvs": float(hvs),
                "psnr_hvs_m": float(hvs_m),
            }
    peers = {
        "ms_ssim, ms_ssim_y": "pytorch-msssim 1.0.0",
        "fsim, iw_ssim, vif": "piq 0.8.0",
        "nlpd": "IQA-pytorch 0.1",
        "psnr_hvs, psnr_hvs_m": "psnr-hvsm 0.3.0",
    }
    text = json.dumps(
        {"made_by": "tests/bench/test_metrics_peers.py", "peers": peers, "values": values}, indent=1
    )
    DATA.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    _measure_peers()
