"""The published classical curves are those that were measured apart from this tool, at the same settings."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from calotype.bench import results
from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.reference import load_reference

RESULTS = Path(__file__).parents[2] / "docs" / "results"
KODAK = RESULTS / "kodak", RESULTS / "kodak_more"
"""The codecs of README's table, and the others on the same pictures."""
PAIRS = {
    "jpeg-444": "jpeg_444",
    "jpeg-420": "jpeg_420",
    "jpeg-420-prog": "jpeg_420_prog",
    "mozjpeg-420": "mozjpeg_420",
    "mozjpeg-444": "mozjpeg_444",
    "webp": "webp_m6",
    "jpeg2000": "jp2k_openjpeg",
    "jxl": "jxl_e7",
    "avif-420": "avif_420_s6",
    "avif-420-psnr": "avif_420_s6_psnr",
    "avif-444": "avif_444_s6",
    "avif-444-psnr": "avif_444_s6_psnr",
    "vvc": "vvenc_420_10b_medium",
}
"""Our codecs and the curves of the same settings."""


@pytest.fixture(scope="module")
def curves() -> dict[str, dict[float, tuple[float, float]]]:
    """Mean bits per pixel and PSNR over the 24 pictures, by codec and quality."""
    points: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for run in KODAK:
        of_run = defaultdict(list)
        for m in results.read(run)["measurements"]:
            of_run[m["codec"], float(m["quality"])].append(m)
        points |= of_run
    found: dict[str, dict[float, tuple[float, float]]] = defaultdict(dict)
    for (codec, quality), rows in points.items():
        assert len(rows) == 24, (codec, quality)
        bpp = sum(m["bpp"] for m in rows) / 24
        found[codec][quality] = bpp, sum(m["metrics"]["psnr_rgb"] for m in rows) / 24
    return found


@pytest.mark.parametrize("codec", PAIRS)
def test_bd_rate_against_the_measured_curve(
    codec: str, curves: dict[str, dict[float, tuple[float, float]]]
) -> None:
    measured = load_reference(PAIRS[codec])
    theirs = {
        float(q): (bpp, psnr)
        for q, bpp, psnr in zip(measured.quality, measured.bpp, measured.metrics["psnr_rgb"], strict=True)
    }
    common = sorted(set(theirs) & set(curves[codec]))
    if len(common) >= 4:  # point by point: the very same settings
        a, b = ([side[q] for q in common] for side in (theirs, curves[codec]))
    else:  # other steps of the same ladder: curve against curve
        a, b = list(theirs.values()), list(curves[codec].values())
    rate = bd_rate(*(Curve(*map(list, zip(*sorted(side), strict=True))) for side in (a, b)))
    assert abs(rate.value) < 1.0, f"{codec}: {rate.value:+.2f} % over {rate.low:.1f}..{rate.high:.1f} dB"
